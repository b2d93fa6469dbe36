//! Aim 8: the log into files.

use groupfold_tests::Groupfold;

use super::Ledger;
use crate::child::{self, Ran};
use crate::report::{Report, Wanted};

/// With fewer events, what is read ahead has not reached its bounds at a quarter of them.
const FLAT_FROM: u64 = 400_000;

pub(super) async fn measure(ledger: &Ledger<'_>, report: &mut Report) {
    let (mut bare, mut jsonl, mut parquet) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ledger.rounds {
        bare.push(ledger.consume(false).await);
        jsonl.push(export(ledger, "jsonl").await);
        parquet.push(export(ledger, "parquet").await);
    }
    report.measurements.push(ledger.row("export", "", "bare consumer", &bare));
    report.measurements.push(ledger.row("export", "", "JSONL", &jsonl));
    report.measurements.push(ledger.row("export", "", "Parquet", &parquet));
    if ledger.last {
        for (name, runs) in [("JSONL", &jsonl), ("Parquet", &parquet)] {
            let what = format!("{name} events/s over the bare consumer's");
            let found = super::ratios(runs, &bare);
            report.aim(8, &what, "", found, Wanted::AtLeast(0.5)).of_events(1_000_000, ledger.events);
            if ledger.events < FLAT_FROM {
                continue;
            }
            let rss = |rows: Option<f64>| rows.filter(|mib| mib.is_finite());
            let mut all = report.measurements.iter().filter(|row| row.part == "export" && row.who == name);
            let small = rss(all.next().and_then(|row| row.rss_mib));
            let large = rss(all.next_back().and_then(|row| row.rss_mib));
            let growth = small.zip(large).map(|(small, large)| large / small);
            let what = format!("{name}: RSS over that at a quarter of the events");
            report.aim(8, &what, "", crate::figures::Spread::of(growth), Wanted::AtMost(1.25));
        }
    }
}

async fn export(ledger: &Ledger<'_>, format: &str) -> Ran {
    let out = ledger.bed.scratch.path().join(format!("export-{format}"));
    let options = ledger.bed.options(ledger.args);
    let mut command = Groupfold::command_of(options.binary.as_deref());
    command
        .args(["events", "export", "--format", format, "--nats-url", &ledger.bed.url(), "--out"])
        .arg(&out);
    command.envs(options.env);
    let (_, ran) = child::to_its_end(command).await;
    let _ = std::fs::remove_file(&out);
    let _ = std::fs::remove_dir_all(&out);
    let _ = std::fs::remove_file(out.with_file_name(format!("export-{format}.manifest.json")));
    #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark")]
    Ran { done: ledger.events as f64, ..ran }
}
