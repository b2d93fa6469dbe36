//! Aims 1 to 3: webhooks into the log.

mod contestant;
pub(crate) mod memory;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::args::Args;
use crate::bed::{BARE_SUBJECT, Bed, Mode};
use crate::child;
use crate::figures::Spread;
use crate::load::{Load, Outcome, Pace};
use crate::process;
use crate::report::{Measurement, Report, Wanted};
use contestant::{Contestant, Who};
use groupfold_tests::receipts::Webhooks;

/// One condition: how many connections, and how many items in a POST.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Condition {
    connections: usize,
    items: usize,
    pace: Pace,
}

impl Condition {
    fn closed(connections: usize, items: usize) -> Self {
        Self { connections, items, pace: Pace::Closed }
    }

    fn name(self) -> String {
        let items = if self.items == 1 { "1 item".to_owned() } else { format!("{} items", self.items) };
        match self.pace {
            Pace::Closed => format!("{} conn., {items}", self.connections),
            Pace::Open(_) => format!("{} conn., {items}, open loop at half", self.connections),
        }
    }
}

/// What one contestant did in one turn.
struct Turn {
    outcome: Outcome,
    landed: u64,
    cpu_own: Duration,
    cpu_broker: Duration,
    rss_mib: f64,
    /// Messages that an acknowledged POST puts into the log.
    messages: u64,
    /// Items of a POST, whatever they become in the log.
    items: usize,
}

pub(crate) async fn measure(args: &Args, mode: Mode, report: &mut Report) {
    let bed = Bed::new(args, mode).await;
    let contestants = Contestant::all(args, &bed).await;
    let door = Doors { args, mode, bed: &bed, told: AtomicU64::new(0) };
    for condition in conditions(args, mode) {
        let slowest = door.compare(&contestants, condition, report).await;
        if mode == Mode::PageCache && condition == Condition::closed(64, 1) && !args.smoke {
            // What both can do: now it counts how late the answers are.
            let open = Condition { pace: Pace::Open(slowest / 2.0), ..condition };
            door.compare(&contestants, open, report).await;
        }
    }
    if !args.smoke {
        door.disk(report).await;
    }
    for contestant in &contestants {
        report.notes.push(format!(
            "{} in {} mode held {:.0} MiB at the most",
            contestant.who.name(),
            mode.name(),
            process::rss_most_mib(contestant.pid)
        ));
    }
}

/// The aims' own conditions, unless others are asked for.
fn conditions(args: &Args, mode: Mode) -> Vec<Condition> {
    let all: Vec<(usize, usize)> = match mode {
        Mode::PageCache if args.smoke => vec![(16, 1), (16, 100)],
        Mode::Fsync if args.smoke => vec![(64, 1)],
        Mode::PageCache if args.quick => vec![(16, 1), (64, 1), (16, 100)],
        Mode::Fsync if args.quick => vec![(64, 1), (256, 1), (16, 100)],
        Mode::PageCache => vec![(2, 1), (16, 1), (64, 1), (256, 1), (2, 100), (16, 100), (64, 100)],
        Mode::Fsync => vec![(2, 1), (16, 1), (64, 1), (256, 1), (1024, 1), (2, 100), (16, 100), (64, 100)],
    };
    if args.connections.is_empty() && args.items.is_empty() {
        return all.into_iter().map(|(connections, items)| Condition::closed(connections, items)).collect();
    }
    let or = |asked: &[usize], own: &[usize]| if asked.is_empty() { own.to_vec() } else { asked.to_vec() };
    let (connections, items) = (or(&args.connections, &[16, 64]), or(&args.items, &[1, 100]));
    items
        .iter()
        .flat_map(|&items| connections.iter().map(move |&connections| Condition::closed(connections, items)))
        .collect()
}

struct Doors<'a> {
    args: &'a Args,
    mode: Mode,
    bed: &'a Bed,
    /// Receipts told so far: each is told once.
    told: AtomicU64,
}

impl Doors<'_> {
    /// Everyone in turn, again and again; returns the POST/s of the slower of the bare door and ours.
    async fn compare(&self, contestants: &[Contestant], condition: Condition, report: &mut Report) -> f64 {
        let mut turns: Vec<Vec<Turn>> = contestants.iter().map(|_| Vec::new()).collect();
        let mut raw = Vec::new();
        for _ in 0..self.args.rounds() {
            for (contestant, turns) in contestants.iter().zip(&mut turns) {
                turns.push(self.turn(contestant, condition).await);
            }
            if condition.items > 1 && !self.args.smoke {
                raw.push(self.publish().await);
            }
        }
        eprintln!("{} {}: done", self.mode.name(), condition.name());
        let rows: Vec<Measurement> =
            contestants.iter().zip(&turns).map(|(one, turns)| self.row(one, condition, turns)).collect();
        let void =
            |who: Who| contestants.iter().zip(&rows).any(|(one, row)| one.who == who && row.void.is_some());
        let of =
            |who: Who| contestants.iter().position(|one| one.who == who).map(|index| turns[index].as_slice());
        if let (Some(ours), Some(bare)) = (of(Who::Groupfold), of(Who::Bare))
            && !void(Who::Groupfold)
            && !void(Who::Bare)
        {
            self.judge(condition, ours, bare, report);
            self.judge_batches(condition, ours, &raw, report);
        }
        report.measurements.extend(rows);
        if !raw.is_empty() {
            let rate = Spread::of(raw.iter().copied());
            let row = self.raw_row("raw publish", "256 in flight, 889 bytes", "items/s", rate);
            report.measurements.push(row);
        }
        let rate = |who| Spread::of(of(who)?.iter().map(|turn| turn.outcome.rate())).map(|rate| rate.median);
        rate(Who::Groupfold).into_iter().chain(rate(Who::Bare)).fold(f64::INFINITY, f64::min)
    }

    async fn turn(&self, contestant: &Contestant, condition: Condition) -> Turn {
        let Condition { connections, items, pace } = condition;
        let webhooks =
            Webhooks::new(&contestant.path, items, self.args.groups(), self.told.load(Ordering::Relaxed));
        let requests = Arc::new(move |n: u64, out: &mut Vec<u8>| webhooks.request(n, out));
        let load = Load { pace, ..Load::closed(contestant.addr, requests, connections, self.args.turn()) };
        let before = self.bed.taken(&contestant.streams).await;
        let (own, broker) = (process::cpu(contestant.pid), process::cpu(self.bed.broker_pid));
        let outcome = load.send().await;
        let (cpu_own, cpu_broker) =
            (process::cpu(contestant.pid) - own, process::cpu(self.bed.broker_pid) - broker);
        self.told.fetch_add(outcome.sent * items as u64, Ordering::Relaxed);
        let landed = self.bed.taken(&contestant.streams).await - before;
        let messages = if contestant.who == Who::Groupfold { items as u64 } else { 1 };
        let rss_mib = process::rss_mib(contestant.pid);
        Turn { outcome, landed, cpu_own, cpu_broker, rss_mib, messages, items }
    }

    fn row(&self, contestant: &Contestant, condition: Condition, turns: &[Turn]) -> Measurement {
        let spread = |of: &dyn Fn(&Turn) -> f64| Spread::of(turns.iter().map(of));
        let acknowledged = turns.iter().map(Turn::acknowledged).sum();
        let landed = turns.iter().map(|turn| turn.landed).sum();
        Measurement {
            part: "door".to_owned(),
            condition: condition.name(),
            durability: self.mode.name().to_owned(),
            who: contestant.who.name().to_owned(),
            unit: "items/s".to_owned(),
            rate: spread(&Turn::rate),
            p50_ms: spread(&|turn| turn.outcome.latencies.quantile_ms(0.5)),
            p99_ms: spread(&|turn| turn.outcome.latencies.quantile_ms(0.99)),
            cpu_own_us: spread(&|turn| turn.per_item(turn.cpu_own)),
            cpu_broker_us: spread(&|turn| turn.per_item(turn.cpu_broker)),
            rss_mib: turns.last().map(|turn| turn.rss_mib),
            acknowledged: Some(acknowledged),
            landed: Some(landed),
            void: turns.iter().find_map(Turn::void),
        }
    }

    /// What the issue wants of this condition.
    fn judge(&self, condition: Condition, ours: &[Turn], bare: &[Turn], report: &mut Report) {
        let ratio = |of: &dyn Fn(&Turn) -> f64| Spread::of(ours.iter().zip(bare).map(|(a, b)| of(a) / of(b)));
        let rate = ratio(&Turn::rate);
        let p99 = ratio(&|turn| turn.outcome.latencies.quantile_ms(0.99));
        let cost = ratio(&|turn| turn.per_item(turn.cpu_own + turn.cpu_broker));
        let durability = self.mode.name();
        let name = condition.name();
        let mut aim = |aim, what: &str, found, wanted| {
            report.aim(aim, &format!("{what}, {name}"), durability, found, wanted);
        };
        let items_over_bare = "items/s over the bare door's POST/s";
        if condition.pace != Pace::Closed {
            return aim(1, "p99 over the bare door's", p99, Wanted::AtMost(1.5));
        }
        match (self.mode, condition.connections, condition.items) {
            (Mode::PageCache, 16 | 64, 1) => {
                aim(1, "POST/s over the bare door's", rate, Wanted::AtLeast(0.9));
                aim(1, "p99 over the bare door's", p99, Wanted::AtMost(1.5));
            }
            (Mode::Fsync, 64, 1) => aim(2, "POST/s over the bare door's", rate, Wanted::AtLeast(2.5)),
            (Mode::Fsync, 256, 1) => aim(2, "POST/s over the bare door's", rate, Wanted::AtLeast(4.0)),
            (Mode::Fsync, 1024, 1) => aim(2, "POST/s over the bare door's", rate, Wanted::AtLeast(6.0)),
            (Mode::Fsync, 16, 100) => {
                let rate = ratio(&|turn| turn.outcome.rate() * if turn.messages > 1 { 100.0 } else { 1.0 });
                aim(2, items_over_bare, rate, Wanted::AtLeast(6.0));
            }
            _ => {}
        }
        if (condition.connections, condition.items) == (64, 1) {
            aim(3, "CPU per item, own and broker, over the bare door's", cost, Wanted::AtMost(1.2));
        }
        if condition.connections == 256 && condition.items == 1 {
            let rss = Spread::of(ours.iter().map(|turn| turn.rss_mib));
            aim(3, "RSS of the receiver in MiB", rss, Wanted::AtMost(40.0));
        }
    }

    fn judge_batches(&self, condition: Condition, ours: &[Turn], raw: &[f64], report: &mut Report) {
        if self.mode != Mode::PageCache || !matches!(condition.connections, 16 | 64) || raw.is_empty() {
            return;
        }
        let found = Spread::of(ours.iter().zip(raw).map(|(turn, raw)| turn.rate() / raw));
        let what = format!("items/s over those of raw publishing, {}", condition.name());
        report.aim(1, &what, self.mode.name(), found, Wanted::AtLeast(0.7));
    }

    /// Publishing without HTTP: messages per second.
    async fn publish(&self) -> f64 {
        let seconds = self.args.turn().as_secs_f64().to_string();
        let mut publish = child::reference("publish");
        publish.args(["--nats-url", &self.bed.url(), "--subject", BARE_SUBJECT, "--seconds", &seconds]);
        let ran = child::done(publish).await;
        ran.done / ran.seconds
    }

    /// What the disk can do.
    async fn disk(&self, report: &mut Report) {
        let mut syncs = Vec::new();
        for _ in 0..self.args.rounds() {
            let mut fsync = child::reference("fsync");
            fsync.args(["--seconds", "0.5", "--folder"]).arg(self.bed.scratch.path());
            let ran = child::done(fsync).await;
            syncs.push(ran.done / ran.seconds);
        }
        let row = self.raw_row("one file, fdatasync", "889 bytes each", "syncs/s", Spread::of(syncs));
        report.measurements.push(row);
    }

    fn raw_row(&self, who: &str, condition: &str, unit: &str, rate: Option<Spread>) -> Measurement {
        Measurement {
            part: "door".to_owned(),
            condition: condition.to_owned(),
            durability: self.mode.name().to_owned(),
            who: who.to_owned(),
            unit: unit.to_owned(),
            rate,
            ..Measurement::default()
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of a benchmark")]
impl Turn {
    /// Items per second.
    fn rate(&self) -> f64 {
        self.outcome.rate() * self.items as f64
    }

    fn per_item(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / (self.outcome.answered * self.items as u64) as f64
    }

    fn acknowledged(&self) -> u64 {
        self.outcome.answered * self.messages
    }

    /// Acknowledged is in the log, and nothing else is but what had no answer.
    fn void(&self) -> Option<String> {
        let acknowledged = self.acknowledged();
        let unsure = (self.outcome.unanswered + self.outcome.refused) * self.messages;
        if self.outcome.answered == 0 {
            return Some("nothing was acknowledged".to_owned());
        }
        if !(acknowledged..=acknowledged + unsure).contains(&self.landed) {
            return Some(format!("{acknowledged} acknowledged, {} in the log", self.landed));
        }
        if unsure > acknowledged / 100 {
            return Some(format!("{} refused, {} unanswered", self.outcome.refused, self.outcome.unanswered));
        }
        None
    }
}
