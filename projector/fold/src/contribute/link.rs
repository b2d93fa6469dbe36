//! Which names of one report are one person's.

use groupfold_schemas::v1::{self, event::Kind};

use super::Contribution;
use crate::entry::{Key, Value};
use crate::identity::{Alias, AliasKind, learned, names_of_links};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl Contribution<'_> {
    /// Remembers that the names of one report are one person, and what user name that person had.
    pub(super) fn link(&mut self, participant: &v1::Participant) {
        if self.record.group_id.is_empty() {
            return;
        }
        let names = names_of_links(participant);
        self.user_name(&names, participant);
        for (i, first) in names.iter().enumerate() {
            for second in &names[i + 1..] {
                let (a, b) = if first <= second { (first, second) } else { (second, first) };
                self.together(a, b);
            }
        }
        // A later command may spell somebody as this one did.
        if let Some((name, input)) = learned(participant) {
            self.together(&name, &input);
        }
    }

    fn together(&mut self, a: &Alias, b: &Alias) {
        if !self.known.has_link(a, b, self.record) {
            let key = Key::Link { group: self.group(), a: a.clone(), b: b.clone() };
            let link = v1::Link { first_seen_ms: self.record.provider_time_ms, last_seen_ms: 0 };
            self.put(key, Value::Link(link));
        }
    }

    /// A user name makes nobody known, and is another's tomorrow: it stands beside the name that does.
    fn user_name(&mut self, names: &[Alias], participant: &v1::Participant) {
        let text = participant.username.as_ref().filter(|text| !text.is_empty());
        let (Some(a), Some(text)) = (names.first(), text) else { return };
        let b = Alias { kind: AliasKind::Username, text: text.clone() };
        let first_seen_ms = self.record.provider_time_ms;
        let is_receipt = matches!(self.record.kind(), Some(Kind::Receipt(_)));
        // There are many receipts, and each that moved this would be one more write and a look at the group.
        let last_seen_ms = if is_receipt {
            first_seen_ms.saturating_sub(first_seen_ms.rem_euclid(DAY_MS))
        } else {
            first_seen_ms
        };
        if !self.known.has_user_name(a, &b, self.record, last_seen_ms) {
            let key = Key::Link { group: self.group(), a: a.clone(), b };
            self.put(key, Value::Link(v1::Link { first_seen_ms, last_seen_ms }));
        }
    }
}
