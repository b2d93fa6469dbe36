//! A stream of changes that does not fit the log or the store any more: one of them was restored, or lost its end.

use std::fs;
use std::path::{Path, PathBuf};

use async_nats::jetstream;
use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsServer, Told, wait_until};
use tokio::time::timeout;

use super::listener::Listener;
use super::{BOUND, apart, post, settled, story};

const EVENTS: &str = "GROUPFOLD_EVENTS";

async fn says_of_the_feed(projector: &Groupfold, what: &str) {
    wait_until("readiness says what is wrong with the feed", BOUND, async || {
        let answer = projector.get("/readyz").await;
        let said = answer.text.contains("change feed") && answer.text.contains(what);
        if answer.status == 503 && said { Ok(()) } else { Err(answer.text) }
    })
    .await;
}

/// Changes that were published and lost again were never told, and nothing said so.
#[tokio::test]
async fn a_stream_of_changes_that_lost_its_end_is_told_again_by_a_store_folded_again() {
    let (mut nats, receiver, mut projector) = apart().await;
    post(&receiver, &story(0)).await;
    settled(&projector, &nats).await;
    let kept = keep(&mut nats, log::CHANGES_STREAM).await;
    for round in 1..3 {
        // A commit takes out of the outbox what is published by then.
        post(&receiver, &story(round)).await;
        settled(&projector, &nats).await;
    }
    let before = settled(&projector, &nats).await;
    assert_eq!(projector.terminate().await, 0);
    put_back(&mut nats, &kept, log::CHANGES_STREAM).await;

    projector.start_anyhow().await;
    says_of_the_feed(&projector, "GROUPFOLD_CHANGES lost what followed").await;
    post(&receiver, &story(3)).await;
    let meanwhile = Told::read(&nats).await;

    projector.terminate().await;
    fs::remove_dir_all(projector.data().join("store")).unwrap();
    projector.restart().await;
    let after = settled(&projector, &nats).await;
    assert!(after.len() > before.len());
    assert!(
        before.is_begin_of(&after) && meanwhile.is_begin_of(&after),
        "none is left out, none comes twice"
    );
}

/// What was new at positions that the log had had before was taken for told.
#[tokio::test]
async fn changes_of_another_past_of_the_log_are_not_gone_on_with() {
    let (mut nats, receiver, mut projector) = apart().await;
    post(&receiver, &story(0)).await;
    settled(&projector, &nats).await;
    let kept = keep(&mut nats, EVENTS).await;
    post(&receiver, &story(1)).await;
    settled(&projector, &nats).await;

    // The log goes back, the changes do not; its projector's store is folded again, as for any log that was shortened.
    assert_eq!(projector.terminate().await, 0);
    put_back(&mut nats, &kept, EVENTS).await;
    fs::remove_dir_all(projector.data().join("store")).unwrap();
    projector.start_anyhow().await;
    says_of_the_feed(&projector, "of another past of the log").await;
    // Also once the log has grown past it.
    for round in 2..5 {
        post(&receiver, &story(round)).await;
    }
    projector.terminate().await;
    projector.start_anyhow().await;
    says_of_the_feed(&projector, "of another past of the log").await;

    let context = jetstream::new(nats.client().await);
    for stream in [log::CHANGES_STREAM, log::CHANGE_MARKS_STREAM] {
        context.delete_stream(stream).await.unwrap();
    }
    groupfold_ingest::provision::provision(&nats.client().await, &Default::default()).await.unwrap();
    let told = settled(&projector, &nats).await;
    let named = |name: &str| told.bodies().filter(|body| body["after"] == name).count();
    assert_eq!((named("Name 1"), named("Name 4")), (0, 6), "what the log has, and nothing else");
}

/// All streams went back to an older copy and grew past where a reader stood: it was told on from there, and what had come
/// before in their stead was left out.
#[tokio::test]
async fn a_reader_of_another_past_of_the_changes_is_not_gone_on_with() {
    let (mut nats, receiver, mut projector) = apart().await;
    post(&receiver, &story(0)).await;
    settled(&projector, &nats).await;
    let copied = place(&projector, "").await;
    let kept = keep(&mut nats, "GROUPFOLD").await;
    post(&receiver, &story(1)).await;
    settled(&projector, &nats).await;
    // At the end, of a change that was told, and of one who is told nothing while the stream goes on.
    let mut listener = Listener::open(&projector, "?from=beginning&kind=subject", None).await.unwrap();
    let told = timeout(BOUND, listener.event()).await.unwrap().unwrap();
    assert!(Listener::open(&projector, "", told.id.as_deref()).await.is_ok());
    let mut silent = Listener::open(&projector, "?group=nobody&heartbeat_ms=1000", None).await.unwrap();
    let begun = silent.block().await.unwrap().id.unwrap();
    post(&receiver, &story(1)[..4]).await;
    post(&receiver, &story(2)[..4]).await;
    let moved = async {
        loop {
            match silent.block().await.unwrap().id {
                Some(id) if id != begun => return id,
                _ => {}
            }
        }
    };
    let moved = timeout(BOUND, moved).await.expect("its place moves on");
    let lost = [begun, moved, place(&projector, "").await, place(&projector, "&group=nobody").await];

    assert_eq!(projector.terminate().await, 0);
    put_back(&mut nats, &kept, "GROUPFOLD").await;
    fs::remove_dir_all(projector.data().join("store")).unwrap();
    projector.restart().await;
    for round in 3..7 {
        post(&receiver, &story(round)).await;
    }
    settled(&projector, &nats).await;
    for id in &lost {
        let refused = Listener::open(&projector, "", Some(id)).await.err().expect(id);
        refused.says(410, "event_gone");
    }
    assert!(Listener::open(&projector, "", Some(&copied)).await.is_ok(), "the copy has what it is of");
    // As it is told where no message is known to stand before: the sequence and the stream alone.
    let unknown = &lost[0][..lost[0].find('-').unwrap() + 9];
    assert!(Listener::open(&projector, "", Some(unknown)).await.is_ok(), "{unknown}");
}

/// Copies streams aside, as a backup does.
async fn keep(nats: &mut NatsServer, begin: &str) -> PathBuf {
    let kept = nats.store_dir().with_extension("kept");
    nats.stop().await;
    copy_streams(&nats.store_dir(), &kept, begin);
    nats.restart().await;
    kept
}

/// Puts them in the place of those that are there now.
async fn put_back(nats: &mut NatsServer, kept: &Path, begin: &str) {
    nats.stop().await;
    copy_streams(kept, &nats.store_dir(), begin);
    nats.restart().await;
}

/// Where a reader that begins now stands.
async fn place(projector: &Groupfold, filter: &str) -> String {
    let query = format!("?from=now{filter}");
    let mut listener = Listener::open(projector, &query, None).await.unwrap();
    listener.block().await.unwrap().id.unwrap()
}

/// Streams in a folder of the broker's whose names begin so, into another one, in place of those there.
pub(crate) fn copy_streams(from: &Path, to: &Path, begin: &str) {
    for account in fs::read_dir(from.join("jetstream")).unwrap() {
        let streams = account.unwrap().path().join("streams");
        for stream in fs::read_dir(&streams).into_iter().flatten() {
            let stream = stream.unwrap().path();
            let name = stream.file_name().unwrap().to_str().unwrap();
            if name.starts_with(begin) {
                let place = to.join(stream.strip_prefix(from).unwrap());
                let _ = fs::remove_dir_all(&place);
                copy(&stream, &place);
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, place) = (entry.unwrap(), to.to_owned());
        let place = place.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}
