//! Where the log ends now. A partition's loop knows of a message once it came, a moment after the receiver's answer
//! told of it: who asks for the lag then would be told that there is none.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream;
use groupfold_schemas::log;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::partition::Partition;
use crate::scan;
use crate::status::Run;

/// How long the broker is waited for. After that the ends are those that the loops know.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// The broker, to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    context: jetstream::Context,
    /// When the last look began: whoever came before that needs none of their own.
    looked: Arc<Mutex<Option<Instant>>>,
}

impl Ends {
    pub(crate) fn new(context: jetstream::Context) -> Self {
        Self { context, looked: Arc::default() }
    }

    /// Has partitions take note of their ends, of those that read their streams.
    pub(super) async fn look(&self, partitions: &[Partition]) {
        let came = Instant::now();
        let mut looked = self.looked.lock().await;
        if self.context.client().connection_state() != State::Connected || looked.is_some_and(|at| at > came)
        {
            return;
        }
        *looked = Some(Instant::now());
        let reading =
            partitions.iter().filter(|partition| matches!(partition.status.borrow().run, Run::Running));
        let asked = reading.map(|partition| async move {
            let stream = log::stream(partition.id);
            let Ok(Ok(ends)) = timeout(LOOK_MAX, scan::ends(&self.context, &stream)).await else { return };
            partition.status.send_if_modified(|status| {
                let grown = ends.last > status.log_end;
                status.saw_end(ends.last);
                grown
            });
        });
        futures_util::future::join_all(asked).await;
    }
}
