//! Aims 4 to 8: what reads the log.

mod catch_up;
mod export;
mod project;
mod reads;
mod rebuild;
mod store;

use std::path::PathBuf;

use crate::args::{Args, Part};
use crate::bed::{Bed, Mode};
use crate::child::{self, Ran};
use crate::figures::Spread;
use crate::log::Log;
use crate::report::{Measurement, Report};
use project::Project;

/// What the parts share.
struct Ledger<'a> {
    args: &'a Args,
    bed: &'a Bed,
    /// Where the projector's stores are.
    data: PathBuf,
    /// Events that the log has at this stage.
    events: u64,
    /// Turns of each.
    rounds: usize,
    last: bool,
}

/// A log that grows in three stages, so that it shows how time grows with it.
pub(crate) async fn measure(args: &Args, report: &mut Report) {
    let bed = Bed::new(args, Mode::PageCache).await;
    let mut log = Log::new(args, &bed).await;
    let data = bed.scratch.path().join("data");
    let mut rebuilt = Vec::new();
    let mut live = catch_up::Rates::default();
    for (stage, share) in [4, 2, 1].into_iter().enumerate() {
        log.fill(args.events() / share).await;
        let last = stage == 2;
        let rounds = if last { args.rounds() } else { 1 };
        let ledger = Ledger { args, bed: &bed, data: data.clone(), events: log.events().await, rounds, last };
        eprintln!("{} events in the log", ledger.events);
        ledger.stage(report, &mut live, &mut rebuilt).await;
        if !last {
            continue;
        }
        if args.wants(Part::Reads) {
            reads::measure(&ledger, &mut log, report).await;
        }
        if args.wants(Part::CatchUp) {
            catch_up::lag(&ledger, &mut log, report).await;
        }
        if args.wants(Part::CatchUp) {
            catch_up::members(&ledger, &log, report).await;
        }
        if args.wants(Part::Rebuild) {
            store::open_after_a_kill(&ledger, &mut log, report).await;
        }
    }
    if args.wants(Part::CatchUp) {
        catch_up::judge(live, report);
    }
    if args.wants(Part::Rebuild) {
        rebuild::judge(rebuilt, report);
    }
}

impl Ledger<'_> {
    async fn stage(
        &self,
        report: &mut Report,
        live: &mut catch_up::Rates,
        rebuilt: &mut Vec<rebuild::Stage>,
    ) {
        if [Part::CatchUp, Part::Rebuild, Part::Reads].into_iter().any(|part| self.args.wants(part)) {
            catch_up::measure(self, live, report).await;
        }
        if self.args.wants(Part::Rebuild) {
            rebuild::measure(self, rebuilt, report).await;
            if self.last {
                store::measure(self, report).await;
            }
        }
        if self.args.wants(Part::Export) {
            export::measure(self, report).await;
        }
    }

    /// The bare pull consumer, over all partitions: at once, or one after the other.
    async fn consume(&self, one_by_one: bool) -> Ran {
        self.consume_with(if one_by_one { &["--one-by-one"] } else { &[] }).await
    }

    async fn consume_with(&self, args: &[&str]) -> Ran {
        let mut command = child::reference("consumer");
        command.args(["--nats-url", &self.bed.url()]);
        for stream in self.bed.log_streams() {
            command.args(["--stream", &stream]);
        }
        command.args(args);
        let ran = child::done(command).await;
        #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark")]
        let events = self.events as f64;
        assert!(ran.done >= events, "the consumer read {} of {events} events", ran.done);
        ran
    }

    async fn project(&self) -> Project {
        Project::start(self.args, self.bed, &self.data).await
    }

    /// A row of what ran to its end, once or several times.
    fn row(&self, part: &str, durability: &str, who: &str, runs: &[Ran]) -> Measurement {
        Measurement {
            part: part.to_owned(),
            condition: format!("{} events", self.events),
            durability: durability.to_owned(),
            who: who.to_owned(),
            unit: "events/s".to_owned(),
            rate: Spread::of(runs.iter().map(|ran| ran.done / ran.seconds)),
            cpu_own_us: Spread::of(runs.iter().map(|ran| ran.cpu.as_secs_f64() * 1e6 / ran.done)),
            rss_mib: runs.iter().map(|ran| ran.rss_mib).reduce(f64::max),
            ..Measurement::default()
        }
    }
}

/// The rates of one over those of another, turn by turn.
fn ratios(ours: &[Ran], theirs: &[Ran]) -> Option<Spread> {
    Spread::of(ours.iter().zip(theirs).map(|(a, b)| (a.done / a.seconds) / (b.done / b.seconds)))
}
