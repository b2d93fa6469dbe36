//! Where the log ends now. A partition's loop knows of a message once it came, a moment after the receiver's answer
//! told of it: who asks for the lag then would be told that there is none.

use std::time::Duration;

use async_nats::connection::State;
use futures_util::future::join_all;
use groupfold_schemas::log;
use tokio::time::{Instant, timeout};

use super::Reads;
use crate::partition::Partition;
use crate::status::Run;
use crate::stream;

/// How long the broker is waited for. After that the ends are those that the loops know.
const LOOK_MAX: Duration = Duration::from_millis(500);

impl Reads {
    /// Has all partitions take note of their ends, of those that read their streams.
    pub(crate) async fn look_at_ends(&self) {
        let came = Instant::now();
        let mut looked = self.looked.lock().await;
        let Some(context) = &self.log else { return };
        // Whoever came before the last look began needs none of their own.
        if context.client().connection_state() != State::Connected || looked.is_some_and(|at| at > came) {
            return;
        }
        let began = Instant::now();
        let is_reading = |partition: &&Partition| matches!(partition.status.borrow().run, Run::Running);
        let reading = self.owned.values().filter(is_reading);
        join_all(reading.map(|partition| async move {
            let stream = log::stream(partition.id);
            let Ok(Ok(info)) = timeout(LOOK_MAX, stream::look(context, &stream)).await else { return };
            partition.status.send_if_modified(|status| {
                let grown = info.last_sequence > status.log_end;
                status.saw_end(info.last_sequence);
                grown
            });
        }))
        .await;
        // Not before: whoever looks may be gone half way.
        *looked = Some(began);
    }
}
