//! What an event makes different: the state right after it in the order of the log, against the state right
//! before it. So a change is a function of the log up to its event, whatever the batches and restarts; an event
//! that makes nothing different, a duplicate say, yields none.
//!
//! Receipts are compared entry by entry, and so is a group where its head alone is another. A report at the end of a
//! history is followed, and compared in what it concerns. Whatever else touches a group is compared as the group is
//! shown: late facts and identity changes alter more than the entries they bring.

mod diff;
mod followed;
mod overlay;
mod reach;
#[cfg(test)]
mod tests;
mod touched;
mod tracked;

use groupfold_schemas::change::Mark;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{self, ChangeKind, Record};

use crate::apply::{Changes, Contributions, Step, Working};
use crate::entry::{self, Key, Memory, Source, Value};
use crate::view::{self, Group};
pub use followed::Followed;
use overlay::Overlay;
use reach::Reach;
use touched::Touched;
use tracked::Tracked;

/// Why changes cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// An entry that was loaded is damaged.
    #[error("an entry is damaged")]
    Entry(#[source] entry::Error),
    /// The state cannot be read.
    #[error("the state cannot be read")]
    Source(E),
}

/// Where an event stands in its partition.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// Its sequence.
    pub sequence: u64,
    /// When the log took it, Unix milliseconds.
    pub log_time_ms: i64,
}

/// Applies records one after the other and tells what each makes different.
#[derive(Debug)]
pub struct Telling<'a, S> {
    source: &'a S,
    working: Working,
    followed: Followed,
    touched: Touched,
    /// How often a group was read.
    #[cfg(test)]
    loads: usize,
}

/// A group that a record touches.
enum Turn {
    /// It was followed: what is different.
    Followed(Box<Tracked>, Vec<Difference>),
    /// It is loaded anew once the record is applied: what it was before.
    Anew(Option<Box<Group>>),
}

/// Something that differs, without where and when.
#[derive(Debug, PartialEq)]
struct Difference {
    kind: ChangeKind,
    member_id: Option<String>,
    message_id: Option<String>,
    reported: Option<v1::Participant>,
    before: Option<v1::ChangeValue>,
    after: Option<v1::ChangeValue>,
}

impl<'a, S: Source> Telling<'a, S> {
    /// Begins with the state that `source` shows. `loaded` must hold those of its entries that the records to
    /// come contribute to.
    pub fn new(source: &'a S, loaded: Memory) -> Self {
        Self {
            source,
            working: Working::over(loaded),
            followed: Followed::default(),
            touched: Touched::default(),
            #[cfg(test)]
            loads: 0,
        }
    }

    /// Goes on with the groups that were followed up to this state.
    #[must_use]
    pub fn following(self, followed: Followed) -> Self {
        Self { followed, ..self }
    }

    /// Says which records will be applied, so that what their identity changes need of all groups is read at once.
    pub fn expect<'r>(&mut self, records: impl IntoIterator<Item = &'r Record>) {
        self.touched.expect(records);
    }

    /// Applies a record with its contributions and tells what it makes different, in an order that stays.
    ///
    /// # Errors
    /// An entry is damaged or cannot be read.
    pub fn apply(
        &mut self,
        record: &Record,
        contributions: Contributions,
        at: At,
    ) -> Result<Vec<v1::Change>, Error<S::Error>> {
        let step = self.working.step(contributions).map_err(Error::Entry)?;
        if step.0.is_empty() {
            return Ok(Vec::new());
        }
        let (mut changes, mut turns) = (Vec::new(), Vec::new());
        match Reach::of(&step, &self.working) {
            Reach::Nothing => {}
            Reach::Head(old, new) => {
                let of_head = compare_heads(&record.group_id, old, new);
                push(&mut changes, record, at, &record.group_id, of_head);
                if let Some(tracked) = self.followed.get_mut(&record.group_id) {
                    tracked.set_head(new);
                }
            }
            Reach::All => {
                for group in self.groups_of(record)? {
                    let turn = self.turn(&group, record, &step)?;
                    turns.push((group, turn));
                }
            }
        }
        let of_message = self.of_message(record, &step);
        self.touched.learn(&step);
        self.working.take(step);
        for (group, turn) in turns {
            let (tracked, found) = match turn {
                Turn::Followed(tracked, found) => {
                    debug_assert_eq!(
                        view::group(&self.overlay(), &group)?,
                        Some(tracked.group()),
                        "followed, {group} is not as it is read: {record:?}"
                    );
                    (Some(tracked), found)
                }
                Turn::Anew(before) => {
                    let tracked = self.load(&group)?;
                    let after = tracked.as_ref().map(|tracked| tracked.group());
                    (tracked, diff::groups(before.as_deref(), after.as_ref()))
                }
            };
            push(&mut changes, record, at, &group, found);
            if let Some(tracked) = tracked {
                self.followed.put(group, tracked);
            }
        }
        push(&mut changes, record, at, &record.group_id, of_message);
        Ok(changes)
    }

    /// All that was applied, as [`crate::apply::apply_all`] would say it of all records at once.
    pub fn finish(self) -> Changes {
        self.finish_following().0
    }

    /// The same, and the groups as they will be once that is written.
    pub fn finish_following(self) -> (Changes, Followed) {
        (self.working.finish(), self.followed)
    }

    /// What a step not yet taken does to a group.
    fn turn(&mut self, group: &str, record: &Record, step: &Step) -> Result<Turn, Error<S::Error>> {
        let tracked = match self.followed.take(group) {
            None => self.load(group)?,
            tracked => tracked,
        };
        let Some(mut tracked) = tracked else { return Ok(Turn::Anew(None)) };
        let whole = cfg!(debug_assertions).then(|| tracked.group());
        let followed = match record.group_id == group {
            true => tracked.follow(&self.overlay(), &step.0, &self.working)?,
            false => None,
        };
        Ok(match followed {
            Some((before, after)) => {
                let found = diff::groups(Some(&before), Some(&after));
                debug_assert_eq!(found, diff::groups(whole.as_ref(), Some(&tracked.group())), "{record:?}");
                Turn::Followed(tracked, found)
            }
            None => Turn::Anew(Some(Box::new(tracked.group()))),
        })
    }

    /// Groups that the record can make look different.
    fn groups_of(&mut self, record: &Record) -> Result<Vec<String>, Error<S::Error>> {
        let overlay = Overlay { below: self.source, above: &self.working };
        let mut groups = match record.kind() {
            Some(Kind::IdentityChanged(event)) => self.touched.groups(&overlay, record, event)?,
            _ => Vec::new(),
        };
        // An identity change told within a group says of that group where it belongs, as every event does.
        if !record.group_id.is_empty() && !groups.contains(&record.group_id) {
            groups.push(record.group_id.clone());
        }
        Ok(groups)
    }

    fn overlay(&self) -> Overlay<'_, S> {
        Overlay { below: self.source, above: &self.working }
    }

    fn load(&mut self, group: &str) -> Result<Option<Box<Tracked>>, Error<S::Error>> {
        #[cfg(test)]
        {
            self.loads += 1;
        }
        Ok(Tracked::load(&self.overlay(), group)?.map(Box::new))
    }

    fn of_message(&self, record: &Record, step: &Step) -> Vec<Difference> {
        let mut found = Vec::new();
        for made in &step.0 {
            match (&made.key, self.working.before(made), &*made.new) {
                (Key::Message { message }, old, Value::Message(new)) => {
                    let old = if let Some(Value::Message(old)) = old { Some(old) } else { None };
                    found.extend(diff::messages(message, old, new));
                }
                (Key::Receipt { message, .. }, old, Value::Receipt(new)) => {
                    let old = if let Some(Value::Receipt(old)) = old { Some(old) } else { None };
                    found.extend(diff::receipts(message, reported(record), old, new));
                }
                (Key::View { message, user, .. }, old, Value::View(new)) => {
                    let old = if let Some(Value::View(old)) = old { Some(old) } else { None };
                    found.extend(diff::views(message, user, old, new));
                }
                _ => {}
            }
        }
        found
    }
}

/// What two heads of a group show differently. Of all that they do not say nothing changed: it is left out on both sides.
fn compare_heads(group: &str, old: &v1::GroupHead, new: &v1::GroupHead) -> Vec<Difference> {
    let [old, new] = [old, new].map(|head| view::bare(group, head.clone()));
    diff::groups(Some(&old), Some(&new))
}

fn reported(record: &Record) -> Option<&v1::Participant> {
    match record.kind()? {
        Kind::Receipt(receipt) => receipt.participant.as_ref(),
        _ => None,
    }
}

fn push(changes: &mut Vec<v1::Change>, record: &Record, at: At, group: &str, found: Vec<Difference>) {
    for difference in found {
        let Difference { kind, member_id, message_id, reported, before, after } = difference;
        changes.push(v1::Change {
            sequence: at.sequence,
            index: u32::try_from(changes.len()).unwrap_or(u32::MAX),
            kind: kind.into(),
            group_id: group.to_owned(),
            event_id: record.event_id.clone(),
            at_ms: record.provider_time_ms,
            log_time_ms: at.log_time_ms,
            member_id,
            message_id,
            reported,
            before,
            after,
            omitted: false,
        });
    }
}

/// The place of a change in its partition.
#[must_use]
pub fn mark_of(change: &v1::Change) -> Mark {
    Mark { sequence: change.sequence, index: change.index }
}
