//! Threads for work that may wait: folding, publishing changes, rebuilding. Where processors are short they give way
//! to whoever answers a request, so that reading and receiving stay quick while a projector catches up.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

/// How much nicer these threads are than the rest of the process: they get a third of what others get that want a
/// processor, too.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;

/// Where such work is spawned: once for the process, and as long as that lives.
///
/// # Panics
/// There are no threads for it, and the caller is on no runtime whose own would do.
#[must_use]
pub fn handle() -> Handle {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    match RUNTIME.get_or_init(build) {
        Some(runtime) => runtime.handle().clone(),
        None => Handle::current(),
    }
}

fn build() -> Option<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().thread_name("background").on_thread_start(nicer());
    builder.build().inspect_err(|error| tracing::warn!(%error, "no threads for the background")).ok()
}

/// Linux has a priority for each thread; elsewhere it is the process's, and stays as it is.
#[cfg(target_os = "linux")]
fn nicer() -> impl Fn() + Send + Sync + 'static {
    use rustix::process::{getpriority_process, setpriority_process};
    // Of the thread that asks first: the new ones begin with that of their maker, who may be one of them.
    let priority = getpriority_process(None).map(|priority| priority + NICER);
    move || {
        // Refused at worst, and then the work is done all the same.
        let _ = priority.and_then(|priority| setpriority_process(None, priority));
    }
}

#[cfg(not(target_os = "linux"))]
fn nicer() -> impl Fn() + Send + Sync + 'static {
    || {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[tokio::test]
    async fn threads_of_the_background_are_nicer_and_so_are_those_they_make() {
        let usual = getpriority_process(None).unwrap();
        let nested = async {
            let own = getpriority_process(None).unwrap();
            let blocking = tokio::task::spawn_blocking(|| getpriority_process(None).unwrap());
            (own, blocking.await.unwrap())
        };
        let expected = (usual + NICER).min(19);
        assert_eq!(handle().spawn(nested).await.unwrap(), (expected, expected));
        assert_eq!(getpriority_process(None).unwrap(), usual);
    }
}
