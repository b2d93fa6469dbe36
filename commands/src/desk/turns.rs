//! One command of a kind at a time in a group, in the order in which they were asked for, where the outcome may be told,
//! or be read at the provider, without a word of which it is.

use std::collections::HashMap;
use std::future::ready;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::FutureExt as _;
use groupfold_schemas::v1::CommandType;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

type Whose = (String, i32);
/// A place in the queue.
pub(super) type Queued = Pin<Box<dyn Future<Output = Option<OwnedMutexGuard<()>>> + Send>>;

#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Whose, Weak<Turn<()>>>>);

impl Turns {
    /// Queues for a turn, before it returns; `None` comes for commands that need none.
    pub(super) fn queue(&self, group: &str, of: CommandType) -> Queued {
        let alone = matches!(
            of,
            CommandType::GroupUpdate
                | CommandType::GroupDelete
                | CommandType::MembersRemove
                | CommandType::LinkReset
        );
        if !alone {
            return Box::pin(ready(None));
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
        let mut waiting = Box::pin(turn.lock_owned().map(Some));
        // Asked once, it has its place among those that wait.
        match (&mut waiting).now_or_never() {
            Some(turn) => Box::pin(ready(turn)),
            None => waiting,
        }
    }
}
