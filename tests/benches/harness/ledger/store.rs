//! Aim 6: stores on the disk.

use std::path::Path;
use std::time::Duration;

use groupfold_fold::entry::Memory;
use groupfold_projector::record_of;
use groupfold_projector::scan::{From, Scan, Stretch};
use groupfold_schemas::log;

use super::Ledger;
use super::project::Project;
use crate::figures::Spread;
use crate::log::Log;
use crate::report::{Measurement, Report, Wanted};

const BATCH: usize = 1_000;
const PARTITION: u16 = 0;

/// What the entries of a partition weigh by themselves.
struct Logical {
    entries: u64,
    receipts: u64,
    bytes: u64,
}

/// Bytes on the disk of one partition's store, which was just rebuilt, beside those of its entries.
pub(super) async fn measure(ledger: &Ledger<'_>, report: &mut Report) {
    let logical = logical(ledger).await;
    let disk = bytes_below(&ledger.data.join("store").join(PARTITION.to_string()));
    #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark")]
    let (disk, bytes, entries) = (disk as f64, logical.bytes as f64, logical.entries as f64);
    let row = |who: &str, bytes: f64| Measurement {
        part: "store".to_owned(),
        condition: format!(
            "partition {PARTITION}: {} entries, {} of them receipts",
            logical.entries, logical.receipts
        ),
        who: who.to_owned(),
        unit: "bytes/entry".to_owned(),
        rate: Spread::of([bytes / entries]),
        ..Measurement::default()
    };
    report.measurements.push(row("keys and values", bytes));
    report.measurements.push(row("on the disk, rebuilt", disk));
    let found = Spread::of([disk / bytes]);
    let what = "bytes on the disk over those of keys and values, rebuilt";
    report.aim(6, what, "", found, Wanted::AtMost(4.0)).of_events(1_000_000, ledger.events);
}

/// Folds the partition in memory.
async fn logical(ledger: &Ledger<'_>) -> Logical {
    let stream = log::stream(PARTITION);
    let to = ledger.bed.taken(std::slice::from_ref(&stream)).await;
    let stretch = Stretch { stream, from: From::Sequence(1), to, subjects: Vec::new() };
    let mut scan = Scan::new(ledger.bed.context.clone(), stretch);
    let mut memory = Memory::default();
    while let Some(batch) = scan.next_batch(BATCH).await.expect("the log can be read") {
        let records: Vec<_> = batch.iter().filter_map(|found| record_of(&found.payload).ok()).collect();
        memory.apply(&records).expect("the log can be folded");
    }
    let bytes = memory.0.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
    let receipts = memory.0.keys().filter(|key| key.first() == Some(&b'r')).count() as u64;
    Logical { entries: memory.0.len() as u64, receipts, bytes }
}

fn bytes_below(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir(folder).expect("the store's folder can be read");
    entries
        .map(|entry| {
            let path = entry.expect("the store's folder can be read").path();
            let metadata = path.metadata().expect("a file can be looked at");
            // What it takes, which is less than its length where it has holes.
            if metadata.is_dir() { bytes_below(&path) } else { metadata.blocks() * 512 }
        })
        .sum()
}

/// Kills the projector while it folds, and starts it again.
pub(super) async fn open_after_a_kill(ledger: &Ledger<'_>, log: &mut Log<'_>, report: &mut Report) {
    let mut opened = Vec::new();
    for _ in 0..ledger.args.rounds() {
        let before = log.events().await;
        log.fill(before + ledger.events / 20).await;
        let project = ledger.project().await;
        folding(&project, before).await;
        project.kill9();
        let project = ledger.project().await;
        opened.push(project.opened);
        project.caught_up(log.events().await).await;
        project.stop().await;
    }
    let entries = logical(ledger).await.entries * u64::from(ledger.bed.partitions);
    #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark")]
    let millions = entries as f64 / 1e6;
    let seconds = || opened.iter().map(Duration::as_secs_f64);
    report.measurements.push(Measurement {
        part: "open".to_owned(),
        condition: format!("after a kill while folding, about {entries} keys"),
        who: "live projector".to_owned(),
        unit: "ms".to_owned(),
        rate: Spread::of(seconds().map(|seconds| seconds * 1000.0)),
        ..Measurement::default()
    });
    // A process takes a while to start, however little there is to open.
    let found = Spread::of(seconds().map(|seconds| seconds / millions.max(1.0)));
    report.aim(
        6,
        "seconds to open after a kill, per million keys (at least one)",
        "",
        found,
        Wanted::AtMost(1.0),
    );
}

/// Waits until it has begun with what is new.
async fn folding(project: &Project, before: u64) {
    groupfold_tests::wait_until("it folds", Duration::from_secs(60), async || {
        let applied: u64 = project.position().await.applied.iter().sum();
        if applied > before { Ok(()) } else { Err(format!("{applied} events are applied")) }
    })
    .await;
}
