//! A pipeline in parts that can be hurt one by one: broker, receiver, projector, senders and readers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use groupfold_schemas::position::Position;
use groupfold_tests::numbered::{self, GROUPS, List};
use groupfold_tests::{
    Checked, Groupfold, History, Load, LoadOptions, Log, NatsOptions, NatsServer, Options, Rng, Seen, Told,
    check_log, check_state, http, sum_of, wait_until, workspace,
};
use serde_json::{Value, json};

use crate::outcome::Outcome;

/// Few, so that a restart opens few stores; more than one, so that partitions meet.
pub(crate) const PARTITIONS: u16 = 3;
/// Longest that a part may take to be whole again.
pub(crate) const BOUND: Duration = Duration::from_secs(90);
/// More than senders begin while a load ends.
const BETWEEN_LOADS: u64 = 1_000;
const READ_EVERY: Duration = Duration::from_millis(15);

/// How a world is made.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) nats: NatsOptions,
    /// Further arguments of the receiver, and of the projector.
    pub(crate) receiver_args: Vec<String>,
    pub(crate) projector_args: Vec<String>,
    /// Where the receiver looks for the broker, if not at its own address.
    pub(crate) receiver_nats_url: Option<String>,
    /// The projector's data folder, if not one of its own.
    pub(crate) data: Option<PathBuf>,
    /// Environment of the projector.
    pub(crate) projector_env: Vec<(String, String)>,
    pub(crate) senders: u64,
    pub(crate) pause: Duration,
    /// See [`LoadOptions::ahead`].
    pub(crate) ahead: u64,
    /// What was published of the changes is held against what a projector tells of the log that nobody disturbs.
    pub(crate) feed: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            nats: NatsOptions::default(),
            receiver_args: Vec::new(),
            projector_args: Vec::new(),
            receiver_nats_url: None,
            data: None,
            projector_env: Vec::new(),
            senders: 4,
            pause: Duration::from_millis(15),
            ahead: 60,
            feed: false,
        }
    }
}

/// Waits until a new webhook is acknowledged and can be read of a projector, and tells how long that is since then.
pub(crate) async fn recovered(projector: &Groupfold, load: &Load, since: Instant) -> Duration {
    let (position, group) =
        wait_until("a webhook is acknowledged again", BOUND, async || load.probe().await).await;
    let url = projector.api_url(&format!("/v1/groups/{group}?min_position={position}&wait_ms=5000"));
    wait_until("it can be read", BOUND, async || match http::try_get(&url).await {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(answer.to_string()),
        Err(error) => Err(error.to_string()),
    })
    .await;
    since.elapsed()
}

/// A pipeline under load.
pub(crate) struct World {
    pub(crate) receiver: Groupfold,
    pub(crate) projector: Groupfold,
    pub(crate) load: Load,
    reader: Reader,
    // Ended after those that use it.
    pub(crate) nats: NatsServer,
    seed: u64,
    feed: bool,
}

impl World {
    pub(crate) async fn start(plan: Plan, seed: u64) -> Self {
        let nats = NatsServer::start_with(plan.nats.clone()).await;
        Self::start_on(nats, plan, seed).await
    }

    /// Provisions the log and starts the parts.
    pub(crate) async fn start_on(nats: NatsServer, plan: Plan, seed: u64) -> Self {
        provision(&nats);
        let mut options = Options::on(&nats);
        options.args.extend(plan.receiver_args.clone());
        if let Some(url) = &plan.receiver_nats_url {
            options.nats = groupfold_tests::Nats::Url(url.clone());
        }
        let secret = options.app_secret.clone();
        let receiver = Groupfold::ingest(options).await;
        let mut options = Options { data: plan.data.clone(), ..Options::on(&nats) };
        options.args.extend(plan.projector_args.clone());
        options.env.extend(plan.projector_env.clone());
        let projector = Groupfold::project(options).await;
        let load_options = LoadOptions {
            senders: plan.senders,
            pause: plan.pause,
            ahead: plan.ahead,
            first: 0,
            seed,
            secret,
        };
        let load = Load::start(receiver.webhook_url(), load_options);
        let reader = Reader::start(projector.api_url(""), seed);
        Self { receiver, projector, load, reader, nats, seed, feed: plan.feed }
    }

    pub(crate) async fn restart_receiver(&mut self) {
        self.receiver.restart().await;
        self.load.move_to(self.receiver.webhook_url());
    }

    pub(crate) async fn restart_projector(&mut self) {
        self.projector.restart().await;
        self.reader.move_to(self.projector.api_url(""));
    }

    /// Nobody reads until the projector moves.
    pub(crate) fn nobody_reads(&self) {
        self.reader.move_to(String::new());
    }

    /// The greatest sequence of each partition that a reader was shown.
    pub(crate) fn shown(&self) -> BTreeMap<u16, u64> {
        self.reader.saw.lock().unwrap_or_else(PoisonError::into_inner).shown.clone()
    }

    /// What is shown from now on may be older: that the store fell behind is found out otherwise.
    pub(crate) fn forget_what_was_shown(&self) {
        let mut saw = self.reader.saw.lock().unwrap_or_else(PoisonError::into_inner);
        saw.shown.clear();
        saw.last.clear();
    }

    /// See [`recovered`].
    pub(crate) async fn recovered(&self, since: Instant) -> Duration {
        recovered(&self.projector, &self.load, since).await
    }

    /// Ends the load; what it knows. From now on other webhooks are sent, and no more than are waited for.
    pub(crate) async fn next_load(&mut self) -> History {
        let first = self.load.sent() + BETWEEN_LOADS;
        let options = LoadOptions { first, ahead: 0, ..self.load.options().clone() };
        let load = Load::start(self.receiver.webhook_url(), options);
        std::mem::replace(&mut self.load, load).end().await
    }

    /// Ends load and reader: what is known of the former, and what the latter saw. The processes go on.
    pub(crate) async fn part(self) -> (History, Looks, Groupfold, NatsServer) {
        let Self { projector, load, reader, nats, .. } = self;
        let history = load.end().await;
        let seen = reader.end().await;
        (history, Looks { looks: seen.looks, faults: seen.faults }, projector, nats)
    }

    /// Ends the load, holds everything against everything, and keeps the world's remains if a promise was broken.
    pub(crate) async fn end(self, row: &str, outcome: &mut Outcome) {
        let Self { mut receiver, mut projector, load, reader, mut nats, seed, feed } = self;
        let history = load.end().await;
        let seen = reader.end().await;
        let log = Log::read(nats.client().await, PARTITIONS).await;
        let mut checked = check_log(&history, &log);
        check_state(&mut checked, &projector, &log, &seen.looks).await;
        checked.wrong.extend(seen.faults);
        let verified = groupfold("verify", &projector);
        if verified.0 != Some(0) {
            checked.violations.push(format!("verify: {verified:?}"));
        }
        let digest = projector.get("/v1/position").await.json;
        if feed {
            let told = Told::settled(&projector, &nats).await;
            projector.process().kill9();
            outcome.changes += told.len() as u64;
            checked.twice.extend(told.disorder().map(|what| format!("the feed: {what}")));
            let anew = told.anew(&nats, PARTITIONS).await;
            let what = told.difference(&anew).map(|what| format!("the feed, and told anew: {what}"));
            checked.wrong.extend(what);
        }
        outcome.add(&history, &checked);
        let broken = !checked.lost.is_empty()
            || !checked.twice.is_empty()
            || !checked.wrong.is_empty()
            || !checked.violations.is_empty()
            || !history.violations().is_empty();
        if broken {
            receiver.process().kill9();
            projector.process().kill9();
            nats.process().kill9();
            let evidence = [
                ("log", nats.store_dir()),
                ("data", projector.data()),
                ("receiver.log", receiver.process().log_file().to_owned()),
                ("projector.log", projector.process().log_file().to_owned()),
            ];
            let kept = keep(row, seed, &history, &checked, &digest, &evidence);
            outcome.note(format!("seed {seed}: history, digests, logs and store are kept in {kept}"));
        }
    }
}

/// What a reader saw, and what it must never see.
pub(crate) struct Looks {
    pub(crate) looks: Vec<Seen>,
    pub(crate) faults: Vec<String>,
}

/// Runs a verb against a running process's data folder: exit code and what it said.
pub(crate) fn groupfold(verb: &str, on: &Groupfold) -> (Option<i32>, Value, String) {
    let mut command = Groupfold::command();
    let output = command.args([verb, "--output", "json", "--data"]).arg(on.data()).output();
    let output = output.expect("groupfold can be run");
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), json, String::from_utf8_lossy(&output.stderr).into_owned())
}

pub(crate) fn provision(nats: &NatsServer) {
    let mut command = Groupfold::command();
    command.args(["provision", "--partitions", &PARTITIONS.to_string(), "--nats-url", &nats.url()]);
    let output = command.output().expect("groupfold can be run");
    assert!(output.status.success(), "provision: {}", String::from_utf8_lossy(&output.stderr));
}

/// Copies what a look at the failure needs; where to.
fn keep(
    row: &str,
    seed: u64,
    history: &History,
    checked: &Checked,
    digest: &Value,
    evidence: &[(&str, PathBuf)],
) -> String {
    let name = format!("target/chaos/{row}-seed-{seed}");
    let to = workspace().join(&name);
    let _ = std::fs::remove_dir_all(&to);
    std::fs::create_dir_all(&to).expect("the failure can be kept");
    let told = json!({ "lost": checked.lost, "twice": checked.twice, "wrong": checked.wrong,
                       "violations": checked.violations, "position": digest });
    std::fs::write(to.join("history.jsonl"), history.to_lines()).expect("the history can be kept");
    std::fs::write(to.join("checked.json"), format!("{told:#}")).expect("the check can be kept");
    for (name, found) in evidence {
        let copied = Command::new("cp").arg("-r").arg(found).arg(to.join(name)).status();
        assert!(copied.is_ok_and(|status| status.success()), "{} cannot be kept", found.display());
    }
    name
}

/// One who reads members and receipts all the time and remembers what was answered.
struct Reader {
    base: Arc<RwLock<String>>,
    stop: Arc<AtomicBool>,
    saw: Arc<Mutex<Saw>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Saw {
    looks: Vec<Seen>,
    faults: Vec<String>,
    /// The last sequence that was shown of each list.
    last: BTreeMap<List, u64>,
    /// The last sequence that was shown of each partition.
    shown: BTreeMap<u16, u64>,
    /// Messages of which receipts were shown, from zero on.
    messages: u64,
}

impl Reader {
    fn start(base: String, seed: u64) -> Self {
        let base = Arc::new(RwLock::new(base));
        let (stop, saw) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Saw>>::default());
        let task = tokio::spawn(read(Arc::clone(&base), Arc::clone(&stop), Arc::clone(&saw), seed));
        Self { base, stop, saw, task: Some(task) }
    }

    fn move_to(&self, base: String) {
        *self.base.write().unwrap_or_else(PoisonError::into_inner) = base;
    }

    async fn end(mut self) -> Saw {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(task) = self.task.take() {
            task.await.expect("a reader does not panic");
        }
        std::mem::take(&mut *self.saw.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

async fn read(base: Arc<RwLock<String>>, stop: Arc<AtomicBool>, saw: Arc<Mutex<Saw>>, seed: u64) {
    let client = http::client();
    let mut rng = Rng::new(seed ^ 0x0072_6561_6465_7273);
    while !stop.load(Ordering::SeqCst) {
        tokio::time::sleep(READ_EVERY).await;
        let base = base.read().unwrap_or_else(PoisonError::into_inner).clone();
        if base.is_empty() {
            continue;
        }
        let messages = saw.lock().unwrap_or_else(PoisonError::into_inner).messages;
        let list = match rng.below(2) {
            0 => List::Members { group: rng.below(GROUPS) },
            // One more than is known.
            _ => List::Receipts { message: rng.below(messages + 1) },
        };
        let request = client.get(format!("{base}{}", list.path()));
        // Nobody is there for a moment: that is no answer.
        let Ok(answer) = async { http::read(request.send().await?).await }.await else { continue };
        let mut saw = saw.lock().unwrap_or_else(PoisonError::into_inner);
        match answer.status {
            200 => saw.take(list, &answer),
            // Nothing is known at a position: a look like any other.
            404 => saw.take(list, &answer),
            503 => {}
            _ => saw.faults.push(format!("GET {}: {answer}", list.path())),
        }
    }
}

impl Saw {
    fn take(&mut self, list: List, answer: &groupfold_tests::Answer) {
        let partition = list.partition(PARTITIONS);
        let position = answer.position().and_then(|text| text.parse::<Position>().ok());
        let Some(sequence) = position.and_then(|position| position.get(partition)) else {
            self.faults.push(format!("{list:?} without a position of partition {partition}: {answer}"));
            return;
        };
        let members = answer.json["members"].as_array().cloned().unwrap_or_default();
        let items = members.iter().filter_map(|member| numbered::item_of(member["wa_id"].as_str()?));
        let items = sum_of(items);
        if items.0 != members.len() as u64 {
            self.faults.push(format!("{list:?} at {sequence} has somebody whom nobody told of: {answer}"));
        }
        if let List::Receipts { message } = list
            && items.0 > 0
        {
            self.messages = self.messages.max(message + 1);
        }
        let shown: &mut u64 = self.shown.entry(partition).or_default();
        *shown = sequence.max(*shown);
        let before = self.last.insert(list, sequence).unwrap_or(0);
        if sequence < before {
            self.faults.push(format!("{list:?} went back from {before} to {sequence}"));
        }
        self.looks.push(Seen { list, sequence, items });
    }
}
