//! One command of a kind at a time in a group, where the provider may tell the outcome without saying of which.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use groupfold_schemas::v1::CommandType;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

type Whose = (String, i32);

#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Whose, Weak<Turn<()>>>>);

impl Turns {
    /// Waits for its turn; `None` for commands that need none.
    pub(super) async fn take(&self, group: &str, of: CommandType) -> Option<OwnedMutexGuard<()>> {
        let told_by_webhook =
            matches!(of, CommandType::GroupUpdate | CommandType::GroupDelete | CommandType::MembersRemove);
        if !told_by_webhook {
            return None;
        }
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let place = turns.entry((group.to_owned(), of.into())).or_default();
            place.upgrade().unwrap_or_else(|| {
                let turn = Arc::new(Turn::new(()));
                *place = Arc::downgrade(&turn);
                turn
            })
        };
        Some(turn.lock_owned().await)
    }
}
