//! Aim 3: the receiver's memory stays as it is, however many webhooks it took.

use std::sync::Arc;
use std::time::Duration;

use groupfold_tests::receipts::Webhooks;

use super::contestant::Contestant;
use crate::args::Args;
use crate::bed::{Bed, Mode};
use crate::figures::Spread;
use crate::load::Load;
use crate::process;
use crate::report::{Report, Wanted};

/// Parts after each of which it is looked at.
const PARTS: u64 = 10;
const CONNECTIONS: usize = 256;
/// None takes so long: their number ends them.
const LONG: Duration = Duration::from_secs(3_600);

/// Webhooks of one receipt, from a start of its own.
pub(crate) async fn measure(args: &Args, report: &mut Report) {
    let mode = Mode::PageCache;
    let bed = Bed::new(args, mode).await;
    let ours = Contestant::groupfold(args, &bed).await;
    let part = args.webhooks() / PARTS;
    let (mut held, mut acknowledged) = (Vec::new(), 0);
    for number in 0..PARTS {
        let webhooks = Webhooks::new(&ours.path, 1, args.groups(), number * part);
        let requests = Arc::new(move |n: u64, out: &mut Vec<u8>| webhooks.request(n, out));
        let load = Load { requests_max: part, ..Load::closed(ours.addr, requests, CONNECTIONS, LONG) };
        acknowledged += load.send().await.answered;
        held.push(process::rss_mib(ours.pid));
    }
    let each: Vec<String> = held.iter().map(|mib| format!("{mib:.1}")).collect();
    report.notes.push(format!(
        "the receiver held {} MiB after each tenth of {} webhooks over {CONNECTIONS} connections",
        each.join(", "),
        args.webhooks()
    ));
    // What was not acknowledged asked for no memory.
    let is_whole = acknowledged == PARTS * part && bed.taken(&ours.streams).await == acknowledged;
    let growth = held.last().zip(held.first()).map(|(last, first)| last / first).filter(|_| is_whole);
    let what = format!("RSS of the receiver after {} webhooks over that after a tenth", args.webhooks());
    report.aim(3, &what, mode.name(), Spread::of(growth), Wanted::AtMost(1.1));
}
