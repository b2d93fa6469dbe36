//! What need not be contributed again: registers that keep their earliest report, and have an earlier one than what comes.
//!
//! Each receipt says again where its group belongs, which group its message is of, and which names are one person's. That
//! is known after the first one, so the rest neither makes these contributions nor looks their entries up.

use std::collections::HashMap;

use groupfold_schemas::v1::{Link, Record, Stamp};

use super::Contributions;
use crate::entry::{Key, Value};
use crate::identity::Alias;
use crate::merge::{first, order};

/// Reports remembered; beyond it all are forgotten, and learned again as they come.
const REPORTS_MAX: usize = 20_000;

/// Longest texts, in bytes, of a report that is spared: what is spared is never measured, so this must be far below any
/// bound that a store has for values.
pub const SPARED_BYTES_MAX: usize = 256;

/// The earliest reports in some entries of one store, of those that were contributed to it. An entry only ever gets
/// earlier ones, and a user name later ones beside: so what is known stays true, as long as it is the same store and all
/// contributions go into it.
#[derive(Debug, Default)]
pub struct Known {
    groups: HashMap<Box<str>, Group>,
    messages: HashMap<Box<str>, Stamp>,
    reports: usize,
}

#[derive(Debug, Default)]
struct Group {
    origin: Option<Stamp>,
    /// By the lesser name: the other one, and when both were seen together.
    links: HashMap<Alias, Vec<(Alias, Link)>>,
}

impl Known {
    /// True if where its group belongs was said before the record does.
    pub(crate) fn has_origin(&self, record: &Record) -> bool {
        let known = || self.groups.get(record.group_id.as_str())?.origin.as_ref();
        let texts =
            [&record.account, &record.phone_number_id, &record.display_phone_number, &record.event_id];
        is_short(texts) && known().is_some_and(|known| is_before(known, record))
    }

    /// True if the group of a message was said before the record does.
    pub(crate) fn has_message(&self, message: &str, record: &Record) -> bool {
        is_short([&record.group_id, &record.event_id])
            && self.messages.get(message).is_some_and(|known| is_before(known, record))
    }

    /// True if two names, the lesser first, were seen together before, or at the same time.
    pub(crate) fn has_link(&self, a: &Alias, b: &Alias, record: &Record) -> bool {
        self.link(a, b, record).is_some_and(|link| link.first_seen_ms <= record.provider_time_ms)
    }

    /// True if a person's user name was reported before, or at the same time, and at `last_seen_ms` or later.
    pub(crate) fn has_user_name(&self, a: &Alias, b: &Alias, record: &Record, last_seen_ms: i64) -> bool {
        self.has_link(a, b, record)
            && self.link(a, b, record).is_some_and(|link| last_seen_ms <= link.last_seen_ms)
    }

    fn link(&self, a: &Alias, b: &Alias, record: &Record) -> Option<&Link> {
        let links = self.groups.get(record.group_id.as_str())?.links.get(a)?;
        links.iter().find(|(name, _)| name == b).map(|(_, link)| link)
    }

    /// Remembers what contributions report that are going to be applied.
    pub fn learn(&mut self, contributions: &Contributions) {
        if self.reports >= REPORTS_MAX {
            *self = Self::default();
        }
        for (key, value) in contributions.entries() {
            match (key, value) {
                (Key::Head { group }, value) => self.learn_origin(group, first(value)),
                (Key::Message { message }, value) => self.learn_message(message, first(value)),
                (Key::Link { group, a, b }, Value::Link(link)) => {
                    self.learn_link(group, (a, b), *link);
                }
                _ => {}
            }
        }
    }

    fn learn_origin(&mut self, group: &str, stamp: Option<&Stamp>) {
        let Some(stamp) = stamp else { return };
        let known = &mut self.groups.entry(group.into()).or_default().origin;
        if known.as_ref().is_none_or(|known| order(stamp) < order(known)) {
            *known = Some(stamp.clone());
            self.reports += 1;
        }
    }

    fn learn_message(&mut self, message: &str, stamp: Option<&Stamp>) {
        let Some(stamp) = stamp else { return };
        if self.messages.get(message).is_none_or(|known| order(stamp) < order(known)) {
            self.messages.insert(message.into(), stamp.clone());
            self.reports += 1;
        }
    }

    fn learn_link(&mut self, group: &str, (a, b): (&Alias, &Alias), link: Link) {
        let links = &mut self.groups.entry(group.into()).or_default().links;
        let links = links.entry(a.clone()).or_default();
        match links.iter_mut().find(|(name, _)| name == b) {
            Some((_, known)) => {
                known.first_seen_ms = known.first_seen_ms.min(link.first_seen_ms);
                known.last_seen_ms = known.last_seen_ms.max(link.last_seen_ms);
            }
            None => {
                links.push((b.clone(), link));
                self.reports += 1;
            }
        }
    }
}

fn is_short<const N: usize>(texts: [&String; N]) -> bool {
    texts.into_iter().map(String::len).sum::<usize>() <= SPARED_BYTES_MAX
}

/// Registers of what every event says again have rank zero.
fn is_before(known: &Stamp, record: &Record) -> bool {
    order(known) < (record.provider_time_ms, 0, record.event_id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::joined;

    /// What one name is known to be linked to says nothing of when it was linked to another.
    #[test]
    fn of_each_two_names_it_is_known_when_they_were_first_seen_together() {
        let mut known = Known::default();
        known.learn(&Contributions::of([&joined(5, &["u:A", "w:1"])]));
        known.learn(&Contributions::of([&joined(3, &["u:A", "w:2"])]));
        let links = |second| {
            let unknown = Contributions::unknown(&joined(second, &["u:A", "w:1"]), &known);
            let links = unknown.values().filter_map(|value| match value {
                Value::Link(link) => Some(link.first_seen_ms),
                _ => None,
            });
            links.collect::<Vec<_>>()
        };
        assert_eq!(links(4), [4_000], "earlier than was known");
        assert!(links(5).is_empty() && links(6).is_empty());
    }
}
