//! Work that runs where it is awaited, and goes on by itself if nobody awaits it any more.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::CatchUnwind;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// What of a fault of the program is caught.
pub(crate) type Panic = Box<dyn Any + Send>;

/// Runs in the task that awaits it, which saves a task and two hand-overs for each webhook. Dropped before its end, such as
/// for a sender that hung up, it is spawned, counted by the tracker. A panic in it is caught.
pub(crate) struct Detached<F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<CatchUnwind<AssertUnwindSafe<F>>>>>,
    tracker: TaskTracker,
}

impl<F: Future<Output: Send> + Send> Detached<F> {
    pub(crate) fn new(tracker: TaskTracker, work: F) -> Self {
        Self { work: Some(Box::pin(AssertUnwindSafe(work).catch_unwind())), tracker }
    }
}

impl<F: Future<Output: Send> + Send> Future for Detached<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let ended = work.as_mut().poll(cx);
        if ended.is_ready() {
            self.work = None;
        }
        ended
    }
}

impl<F: Future<Output: Send> + Send> Drop for Detached<F> {
    fn drop(&mut self) {
        // Without a runtime the process is at its end.
        if let (Some(work), Ok(_)) = (self.work.take(), Handle::try_current()) {
            drop(self.tracker.spawn(work));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn what_nobody_awaits_any_more_is_finished_all_the_same() {
        let tracker = TaskTracker::new();
        let (go, gone) = oneshot::channel::<()>();
        let (end, mut ended) = oneshot::channel();
        let mut work = Detached::new(tracker.clone(), async move {
            let _ = gone.await;
            let _ = end.send(());
        });
        assert!(futures_util::poll!(&mut work).is_pending());
        drop(work);
        assert!(ended.try_recv().is_err());
        go.send(()).unwrap();
        tracker.close();
        tracker.wait().await;
        assert_eq!(ended.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn a_panic_ends_the_work_alone() {
        let tracker = TaskTracker::new();
        assert!(Detached::new(tracker.clone(), async { panic!("a fault") }).await.is_err());
        assert_eq!(Detached::new(tracker.clone(), async { 7 }).await.ok(), Some(7));
        assert!(tracker.is_empty());
    }
}
