//! Memory that stores and rebuilds take.

use std::collections::BTreeMap;

use groupfold_tests::memory;

use super::*;

/// Bytes of the entries that are added. The database keeps some 32 MiB of them whatever its cache is told, and all of
/// them when leaves are not counted: what is asserted lies in the middle.
const ADDED_BYTES: usize = 96 << 20;
const VALUE_BYTES: usize = 1_000;
const CACHE_BYTES: u64 = 1 << 20;

/// Adds entries to a stopped store; it is sound to itself.
fn grow(data: &Path, partition: u16) {
    let settings = Settings { root: data.join("store"), partition, cache_bytes: CACHE_BYTES };
    let store = Store::open(settings).unwrap();
    let mut left = ADDED_BYTES / VALUE_BYTES;
    while left > 0 {
        let key = |n: usize| Key::Message { message: format!("wamid.{n:08}") }.encode();
        let some = left.saturating_sub(1_000)..left;
        left = some.start;
        let puts: BTreeMap<_, _> = some.map(|n| (key(n), vec![7; VALUE_BYTES])).collect();
        let mut way = Digest::default();
        puts.iter().for_each(|(key, value)| way.add(key, value));
        let mut progress = store.view().unwrap().progress();
        progress.digest = digest_of(&progress).unwrap().plus(way).to_bytes().to_vec().into();
        store.commit(&Changes { puts, digest: way, ..Changes::default() }, &[], progress).unwrap();
    }
}

/// All of a store, as long as it had no more than 16,384 leaves, was in memory from its start on: 1.2 GB of ten million events.
#[tokio::test]
async fn a_store_that_is_gone_through_is_not_kept_in_memory_beyond_its_cache() {
    let nats = NatsServer::start().await;
    let cache = ("GROUPFOLD_CACHE_BYTES".to_owned(), CACHE_BYTES.to_string());
    let mut up = Groupfold::up(Options { env: vec![cache], ..Options::on(&nats) }).await;
    told_a_story(&up).await;
    digest(&up).await;
    up.restart().await;
    up.caught_up().await;
    let before_kib = memory::most_kib(up.process().pid());
    assert_eq!(up.terminate().await, 0);
    let partition = partition_of(GROUP, 8);
    grow(&up.data(), partition);
    up.restart().await;
    let entries = up.caught_up().await.json["digest"].clone();
    let more_kib = memory::most_kib(up.process().pid()).saturating_sub(before_kib);
    assert!(
        before_kib > 0 && more_kib < ADDED_BYTES as u64 / 1024 / 3 * 2,
        "{more_kib} KiB more than {before_kib}: {entries}"
    );
    let aside = format!("{partition}.damaged");
    let store = std::fs::read_dir(up.data().join("store")).unwrap();
    let names: Vec<_> = store.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| !name.starts_with(&aside)), "it was read and kept: {names:?}");
}

#[tokio::test]
async fn a_rebuild_is_told_how_much_memory_it_may_take_and_says_how_little_is_too_little() {
    let (nats, mut up, before) = stopped_after_a_story().await;
    let with =
        |memory| told(&groupfold("rebuild", &up.data(), &["--nats-url", &nats.url(), "--memory", memory]));
    let (code, _, said) = with("64");
    assert!(code == Some(2) && said.contains("168"), "{code:?}: {said}");
    let least = with("168");
    assert_eq!(least.0, Some(0), "{least:?}");
    assert_eq!(
        told(&groupfold("verify", &up.data(), &["--nats-url", &nats.url(), "--memory", "4096"])).0,
        Some(0)
    );
    up.restart().await;
    assert_eq!(digest(&up).await, before);
}
