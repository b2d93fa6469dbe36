//! Which commands this process has in hand: each in one task at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Ids = Mutex<HashSet<String>>;

/// Those that it has.
#[derive(Debug, Default)]
pub(super) struct InHand(Arc<Ids>);

/// One of them, until this is dropped: however its task ends, by a panic too, whoever looks next may take it.
#[derive(Debug)]
pub(super) struct Held {
    all: Arc<Ids>,
    id: String,
}

impl InHand {
    /// Takes one; `None` if it is in hand already.
    pub(super) fn take(&self, id: &str) -> Option<Held> {
        let new = locked(&self.0).insert(id.to_owned());
        new.then(|| Held { all: Arc::clone(&self.0), id: id.to_owned() })
    }

    pub(super) fn has(&self, id: &str) -> bool {
        locked(&self.0).contains(id)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        locked(&self.all).remove(&self.id);
    }
}

fn locked(ids: &Ids) -> MutexGuard<'_, HashSet<String>> {
    ids.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_whose_task_panics_is_in_hand_no_more() {
        let all = InHand::default();
        let held = all.take("c").unwrap();
        assert!(all.has("c") && all.take("c").is_none());
        let task = tokio::spawn(async move {
            let _held = held;
            panic!("a test");
        });
        assert!(task.await.unwrap_err().is_panic());
        assert!(!all.has("c") && all.take("c").is_some());
    }
}
