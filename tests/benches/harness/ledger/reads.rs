//! Aim 7: the query API.

use std::net::SocketAddr;
use std::sync::Arc;

use groupfold_tests::{Process, http};

use super::Ledger;
use super::project::Project;
use crate::child;
use crate::figures::Spread;
use crate::load::{Load, Outcome, Pace, Requests};
use crate::log::Log;
use crate::process;
use crate::report::{Measurement, Report, Wanted};
use groupfold_tests::receipts::group;

const CONNECTIONS: usize = 16;
/// Asked while the projector catches up: enough for a percentile, and little work beside it.
const PER_SECOND_ABREAST: f64 = 500.0;

pub(super) async fn measure(ledger: &Ledger<'_>, log: &mut Log<'_>, report: &mut Report) {
    let project = ledger.project().await;
    project.caught_up(ledger.events).await;
    let answer = http::get(&format!("http://{}/v1/groups/{}", project.addr, group(0))).await;
    assert_eq!(answer.status, 200, "{answer}");
    let bare = bare(ledger, &answer.text).await;
    at_rest(ledger, &project, &bare, answer.text.len(), report).await;
    project.stop().await;
    while_catching_up(ledger, log, bare.1, report).await;
}

/// The bare server of a document.
async fn bare(ledger: &Ledger<'_>, text: &str) -> (Process, SocketAddr) {
    let document = ledger.bed.scratch.path().join("group.json");
    std::fs::write(&document, text).expect("a document can be written");
    let mut command = child::reference("json");
    command.arg("--document").arg(&document);
    let (bare, addr) = child::serving(command, &ledger.bed.scratch.path().join("json.log")).await;
    (bare, addr.parse().expect("an address"))
}

async fn at_rest(
    ledger: &Ledger<'_>,
    project: &Project,
    (bare, bare_addr): &(Process, SocketAddr),
    bytes: usize,
    report: &mut Report,
) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ledger.args.rounds() {
        theirs.push(turn(ledger, *bare_addr, bare.pid()).await);
        ours.push(turn(ledger, project.addr, project.pid()).await);
    }
    let condition = format!("{CONNECTIONS} conn., {bytes} bytes");
    report.measurements.push(row("bare JSON server", &condition, &theirs));
    report.measurements.push(row("groupfold", &condition, &ours));
    let ratio = Spread::of(ours.iter().zip(&theirs).map(|(a, b)| a.0.rate() / b.0.rate()));
    report.aim(7, "/v1/groups/{id} over the bare JSON server's answers/s", "", ratio, Wanted::AtLeast(0.5));
}

/// Asks for groups in turn, and for CPU time per answer.
async fn turn(ledger: &Ledger<'_>, addr: SocketAddr, pid: u32) -> (Outcome, f64) {
    let cpu = process::cpu(pid);
    let outcome =
        Load::closed(addr, requests(ledger.args.groups()), CONNECTIONS, ledger.args.turn()).send().await;
    #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark")]
    let cpu_us = (process::cpu(pid) - cpu).as_secs_f64() * 1e6 / outcome.answered as f64;
    (outcome, cpu_us)
}

fn requests(groups: u64) -> Requests {
    Arc::new(move |n, out: &mut Vec<u8>| {
        let request = format!("GET /v1/groups/{} HTTP/1.1\r\nhost: bench\r\n\r\n", group(n % groups));
        out.extend_from_slice(request.as_bytes());
    })
}

fn row(who: &str, condition: &str, turns: &[(Outcome, f64)]) -> Measurement {
    let spread = |of: &dyn Fn(&Outcome) -> f64| Spread::of(turns.iter().map(|(outcome, _)| of(outcome)));
    let lost: u64 = turns.iter().map(|(outcome, _)| outcome.refused + outcome.unanswered).sum();
    Measurement {
        part: "reads".to_owned(),
        condition: condition.to_owned(),
        who: who.to_owned(),
        unit: "answers/s".to_owned(),
        rate: spread(&Outcome::rate),
        p50_ms: spread(&|outcome| outcome.latencies.quantile_ms(0.5)),
        p99_ms: spread(&|outcome| outcome.latencies.quantile_ms(0.99)),
        cpu_own_us: Spread::of(turns.iter().map(|(_, cpu)| *cpu)),
        void: (lost > 0).then(|| format!("{lost} not answered by 200")),
        ..Measurement::default()
    }
}

/// Grows the log while nobody folds it, and asks while it is caught up with: the bare server too, which answers out of
/// memory and waits for processors alone.
async fn while_catching_up(ledger: &Ledger<'_>, log: &mut Log<'_>, bare: SocketAddr, report: &mut Report) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut early = 0;
    for _ in 0..ledger.args.rounds() {
        log.fill(log.events().await + ledger.args.backlog()).await;
        let project = ledger.project().await;
        theirs.push((ask_abreast(ledger, bare).await, f64::NAN));
        ours.push((ask_abreast(ledger, project.addr).await, f64::NAN));
        early += u32::from(project.position().await.lag_events == 0);
        project.caught_up(log.events().await).await;
        project.stop().await;
    }
    let condition = format!("{CONNECTIONS} conn., {PER_SECOND_ABREAST:.0}/s open, while catching up");
    for (who, turns) in [("bare JSON server", &theirs), ("groupfold", &ours)] {
        let mut measured = row(who, &condition, turns);
        if early > 0 {
            measured.void = Some(format!("{early} time(s) it had caught up before the end"));
        }
        report.measurements.push(measured);
    }
    let found = report.measurements.last().and_then(|ours| ours.p99_ms.filter(|_| ours.void.is_none()));
    report.aim(
        7,
        "p99 in ms of /v1/groups/{id} while catching up at full speed",
        "",
        found,
        Wanted::AtMost(5.0),
    );
}

async fn ask_abreast(ledger: &Ledger<'_>, addr: SocketAddr) -> Outcome {
    let load = Load::closed(addr, requests(ledger.args.groups()), CONNECTIONS, ledger.args.turn());
    Load { pace: Pace::Open(PER_SECOND_ABREAST), ..load }.send().await
}
