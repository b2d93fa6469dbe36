//! Groups as they were shown last, of one partition: what is asked for again and again is neither derived anew nor
//! waits for a commit on its way to the device.
//!
//! An answer kept here stays until a commit changes an entry that it could be derived from. So whoever takes note of how
//! far the store is *before* looking here gets what the store showed at that position.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use groupfold_fold::entry;

/// Bytes of answers kept for a partition; beyond it all go.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// What keeping one takes beside its bytes, about.
const AROUND_BYTES: usize = 200;

/// Answers kept, by group.
#[derive(Debug, Default, Clone)]
pub(crate) struct Shown(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    groups: HashMap<String, Told>,
    bytes: usize,
}

/// An answer, in two parts around the position that it reflects.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    parts: Arc<(Vec<u8>, Vec<u8>)>,
    /// The last sequence of the store that it was derived from.
    sequence: u64,
}

impl Told {
    /// An answer's JSON, which must have the position it reflects as the value of the last `position` in it.
    pub(crate) fn new(json: &[u8], sequence: u64) -> Option<Self> {
        const NAME: &[u8] = b"\"position\":\"";
        // Within a text its quotes would be escaped.
        let at = json.windows(NAME.len()).rposition(|window| window == NAME)? + NAME.len();
        let end = at + json[at..].iter().position(|byte| *byte == b'"')?;
        Some(Self { parts: Arc::new((json[..at].to_vec(), json[end..].to_vec())), sequence })
    }

    /// The JSON with the position that it reflects now.
    pub(crate) fn json(&self, position: &str) -> Vec<u8> {
        let (head, tail) = &*self.parts;
        [head.as_slice(), position.as_bytes(), tail.as_slice()].concat()
    }

    /// The sequence that it was derived from: it may be beyond the one noted before.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    fn bytes(&self, group: &str) -> usize {
        self.parts.0.len() + self.parts.1.len() + group.len() + AROUND_BYTES
    }
}

impl Shown {
    pub(crate) fn get(&self, group: &str) -> Option<Told> {
        self.lock().groups.get(group).cloned()
    }

    /// Keeps an answer. Only while the view lasts that it was derived from: no commit comes in between then.
    pub(crate) fn keep(&self, group: &str, told: Told) {
        let bytes = told.bytes(group);
        let mut kept = self.lock();
        if kept.bytes + bytes > BYTES_MAX {
            *kept = Kept::default();
        }
        if let Some(before) = kept.groups.insert(group.to_owned(), told) {
            kept.bytes = kept.bytes.saturating_sub(before.bytes(group));
        }
        kept.bytes += bytes;
    }

    /// Forgets what entries that were just written may show otherwise. To be called before anybody is told of them.
    pub(crate) fn changed<'a>(&self, keys: impl IntoIterator<Item = &'a Vec<u8>>) {
        let mut kept = self.lock();
        for key in keys {
            match entry::group_of(key) {
                Some(group) => kept.forget(&group),
                None if shows_in_none(key) => {}
                // Whose the rest is, is not looked into.
                None => *kept = Kept::default(),
            }
        }
    }

    /// Forgets all: another store takes the place of the one that it was derived from, or that one is closed.
    pub(crate) fn clear(&self) {
        *self.lock() = Kept::default();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entries that no group is shown by, told by their first byte: messages, receipts, views, commands, their outcomes by
/// request, and what concerns an account. There are many, so no more of the key is read.
fn shows_in_none(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'm' | b'r' | b'v' | b'c' | b'q' | b'a'))
}

impl Kept {
    fn forget(&mut self, group: &str) {
        if let Some(told) = self.groups.remove(group) {
            self.bytes = self.bytes.saturating_sub(told.bytes(group));
        }
    }
}

#[cfg(test)]
mod tests {
    use groupfold_fold::apply::Contributions;

    use super::*;
    use crate::testing::{joined, receipt};
    use groupfold_fold::entry::Key;
    use groupfold_schemas::v1::ReceiptStatus;
    use groupfold_schemas::v1::event::Kind;

    fn told(len: usize) -> Told {
        let json = format!(r#"{{"subject":"\"position\":\"x\"{}","position":"3:1","n":1}}"#, "x".repeat(len));
        Told::new(json.as_bytes(), 1).unwrap()
    }

    #[test]
    fn the_position_alone_is_told_anew() {
        let json = String::from_utf8(told(0).json("3:7")).unwrap();
        assert_eq!(json, r#"{"subject":"\"position\":\"x\"","position":"3:7","n":1}"#);
        assert!(Told::new(b"{}", 1).is_none());
    }

    #[test]
    fn a_group_is_forgotten_when_an_entry_of_it_changes_and_stays_when_another_does() {
        let shown = Shown::default();
        shown.keep("G", told(0));
        shown.keep("H", told(0));
        let keys = |record| Contributions::of([&record]).keys().cloned().collect::<Vec<_>>();
        let read = keys(receipt("H", 5, "m", ReceiptStatus::Read, Some("1")));
        let of_message: Vec<_> = read.into_iter().filter(|key| entry::group_of(key).is_none()).collect();
        assert_eq!(of_message.len(), 2);
        shown.changed(&of_message);
        // Each outcome of a command had all answers derived anew.
        let of_commands =
            [Kind::CommandRequested(Default::default()), Kind::AccountError(Default::default())];
        for kind in of_commands {
            let keys = keys(crate::testing::record("", 5, kind));
            assert!(!keys.is_empty());
            shown.changed(&keys);
        }
        let (request, event_id) = ("R".to_owned(), "E".to_owned());
        shown.changed(&[Key::Outcome { request, event_id }.encode()]);
        assert!(shown.get("G").is_some() && shown.get("H").is_some());
        shown.changed(&keys(joined("H", 5, "1")));
        assert!(shown.get("G").is_some() && shown.get("H").is_none());
        shown.changed(&[b"?".to_vec()]);
        assert!(shown.get("G").is_none(), "nobody knows what that is about");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let shown = Shown::default();
        for n in 0..100 {
            shown.keep(&n.to_string(), told(100_000));
            shown.keep(&n.to_string(), told(100_000));
            assert!(shown.lock().bytes <= BYTES_MAX);
        }
        assert!(shown.get("99").is_some());
        let lengths: usize = shown.lock().groups.iter().map(|(group, told)| told.bytes(group)).sum();
        assert_eq!(lengths, shown.lock().bytes);
    }
}
