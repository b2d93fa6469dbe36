//! Rows 8 to 10: what the simulated provider tells twice, in another order, or so that it cannot be read.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use groupfold_tests::{CommandLine, Groupfold, Options, Rng, Scratch, wait_until};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::args::Budget;
use crate::outcome::Outcome;
use crate::world::{BOUND, groupfold};

const ITEMS: &str = "1200";
const STORIES_OF_A_WORLD: u32 = 8;

/// Requests, about, that are told before a story is restarted in its middle, at most: a story has 120, of ten items each, or
/// more.
const MIDDLE_MAX: u64 = 60;
/// How much later each part of a request comes from the middle on, until the restart: the story is not over before it.
const SLOWED: Duration = Duration::from_millis(200);

/// What disturbs a story, in so many of a hundred POSTs or items.
#[derive(Debug, Clone, Copy)]
struct Noise {
    twice: u64,
    late: u64,
    bad: u64,
    /// All parts are killed and started again while it is told.
    restart: bool,
}

pub(crate) async fn repeated(budget: Budget) -> Outcome {
    told(budget, |rng| Noise { twice: rng.between(1, 50), late: 0, bad: 0, restart: true }).await
}

pub(crate) async fn shuffled(budget: Budget) -> Outcome {
    told(budget, |rng| Noise { twice: rng.below(10), late: rng.between(20, 60), bad: 0, restart: false })
        .await
}

pub(crate) async fn unreadable(budget: Budget) -> Outcome {
    told(budget, |rng| Noise {
        twice: rng.below(20),
        late: rng.below(20),
        bad: rng.between(1, 5),
        restart: false,
    })
    .await
}

/// A provider, a pipeline and what went over the way between them.
struct Telling {
    up: Groupfold,
    /// In front of the receiver, whose address is another one after a restart.
    door: Door,
    items: u64,
    restarts: u64,
}

/// Stories with such noise; the API must agree with the truth.
async fn told(budget: Budget, noise: impl Fn(&mut Rng) -> Noise) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    let (mut items, mut restarts, mut restarts_wanted) = (0, 0, false);
    while budget.allows(&outcome) {
        let up = Groupfold::up(Options::default()).await;
        let door = Door::start(door_of(&up)).await;
        let mut telling = Telling { up, door, items: 0, restarts: 0 };
        let scratch = Scratch::new("truth");
        let mut is_bad = false;
        for _ in 0..STORIES_OF_A_WORLD {
            if !budget.allows(&outcome) {
                break;
            }
            let truth = scratch.path().join("truth.json");
            let seed = rng.below(1 << 30);
            let noise = noise(&mut rng);
            (is_bad, restarts_wanted) = (is_bad || noise.bad > 0, restarts_wanted || noise.restart);
            let middle = noise.restart.then(|| rng.between(10, MIDDLE_MAX));
            telling.story(&mut outcome, seed, noise, middle, &truth).await;
            outcome.round(1, None);
            if rng.below(3) == 0 {
                // What comes next, duplicates of before among it, meets another process.
                telling.restart().await;
            }
        }
        if is_bad {
            nothing_is_left(&telling.up, &mut outcome).await;
        }
        for verb in ["verify", "audit"] {
            let ended = groupfold(verb, &telling.up);
            if ended.0 != Some(0) {
                outcome.violation(format!("{verb}: {ended:?}"));
            }
        }
        items += telling.items;
        restarts += telling.restarts;
    }
    if restarts_wanted && restarts == 0 {
        outcome.violation("no story was restarted in its middle");
    }
    outcome
        .note(format!("{items} items were told, duplicates among them; {restarts} stories were restarted"));
    outcome
}

fn door_of(up: &Groupfold) -> String {
    up.addresses().webhook.clone().expect("it has a receiver")
}

impl Telling {
    async fn restart(&mut self) {
        self.up.kill9();
        self.up.restart().await;
        self.door.move_to(door_of(&self.up));
    }

    async fn story(
        &mut self,
        outcome: &mut Outcome,
        seed: u64,
        noise: Noise,
        middle: Option<u64>,
        truth: &Path,
    ) {
        let (seed, url) = (seed.to_string(), format!("http://{}/webhooks/meta", self.door.address));
        let [twice, late, bad] = [noise.twice, noise.late, noise.bad].map(|percent| percent.to_string());
        let truth = truth.to_str().expect("a path is text");
        let args = ["--seed", &seed, "--events", ITEMS, "--rate", "0", "--url", &url];
        let noise = ["--duplicates", &twice, "--reorder", &late, "--bad", &bad, "--truth", truth];
        let secret = ["--app-secret", "app-secret-of-a-test"];
        if let Some(middle) = middle {
            self.door.slow_after(middle);
        }
        let command = simulate(&self.up, &[args.as_slice(), &noise, &secret].concat());
        let told = tokio::task::spawn_blocking(move || said(command));
        if let Some(middle) = middle {
            let is_there = wait_until("the story comes to its middle", BOUND, async || {
                let now = self.door.way.passed.load(Ordering::SeqCst);
                if told.is_finished() || now >= middle { Ok(now) } else { Err(now) }
            })
            .await;
            if !told.is_finished() {
                self.restart().await;
                self.restarts += 1;
            } else {
                outcome.note(format!("seed {seed}: told before it was restarted at {is_there}"));
            }
        }
        let (code, report) = told.await.expect("a story is told");
        if code != Some(0) {
            outcome.violation(format!("seed {seed}: {report}"));
        }
        outcome.acknowledged += report["acknowledged_posts"].as_u64().unwrap_or_default();
        outcome.unknown += report["undelivered_posts"].as_u64().unwrap_or_default();
        let (code, differences) = said(simulate(&self.up, &["--check", truth]));
        if code != Some(0) {
            outcome.wrong += 1;
            outcome.note(format!("seed {seed}: {differences}"));
        }
        self.items += report["items"].as_u64().unwrap_or_default();
    }
}

/// A port that stays, and hands on to one that may move.
struct Door {
    address: SocketAddr,
    way: Arc<Way>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Way {
    target: RwLock<String>,
    /// Parts of requests that came.
    passed: AtomicU64,
    /// Those beyond so many come later.
    slow_after: AtomicU64,
}

impl Door {
    async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let (passed, slow_after) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        let way = Arc::new(Way { target: RwLock::new(target), passed, slow_after });
        let task = tokio::spawn(hand_on(listener, Arc::clone(&way)));
        Self { address, way, task }
    }

    fn move_to(&self, target: String) {
        *self.way.target.write().unwrap_or_else(PoisonError::into_inner) = target;
        self.way.slow_after.store(u64::MAX, Ordering::SeqCst);
    }

    /// From now on counts anew, and lets so many parts of requests pass as fast as they come.
    fn slow_after(&self, parts: u64) {
        self.way.passed.store(0, Ordering::SeqCst);
        self.way.slow_after.store(parts, Ordering::SeqCst);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn hand_on(listener: TcpListener, way: Arc<Way>) {
    while let Ok((sender, _)) = listener.accept().await {
        let way = Arc::clone(&way);
        tokio::spawn(async move {
            let target = way.target.read().unwrap_or_else(PoisonError::into_inner).clone();
            // Nobody there is a connection that ends.
            let Ok(receiver) = TcpStream::connect(target).await else { return };
            let ((mut requests, mut back), (mut answers, mut on)) =
                (sender.into_split(), receiver.into_split());
            let on_their_way = async {
                let mut part = vec![0; 16 * 1024];
                while let Ok(count @ 1..) = requests.read(&mut part).await {
                    if way.passed.fetch_add(1, Ordering::SeqCst) >= way.slow_after.load(Ordering::SeqCst) {
                        tokio::time::sleep(SLOWED).await;
                    }
                    if on.write_all(&part[..count]).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = on_their_way => {}
                _ = copy(&mut answers, &mut back) => {}
            }
        });
    }
}

/// Reads again what failed: each fails again, once, and changes nothing; then it is settled with a reason.
async fn nothing_is_left(up: &Groupfold, outcome: &mut Outcome) {
    let before = up.caught_up().await.json["digest"].clone();
    let list = failed(up, &["list", "--all"]);
    let failures = list.1["failures"].as_array().cloned().unwrap_or_default();
    let ids: Vec<&str> = failures.iter().filter_map(|one| one["failed_id"].as_str()).collect();
    let total = list.1["total"].as_u64().unwrap_or_default();
    if ids.is_empty() || ids.len() as u64 != total {
        outcome.violation(format!("unreadable items were told, and failed are {list:?}"));
        return;
    }
    let since = ["replay", "--since", "2000-01-01", "--execute"];
    let replayed = failed(up, &since);
    let again = replayed.1["failed_again"].as_object().cloned().unwrap_or_default();
    let again: u64 = again.values().filter_map(Value::as_u64).sum();
    if again != total || replayed.1["landed"] != 0 {
        outcome.violation(format!("{total} failed, read again: {replayed:?}"));
    }
    let after = up.caught_up().await.json["digest"].clone();
    let still = failed(up, &["list"]);
    if after != before || still.1["total"] != total {
        outcome.violation(format!("{before} with {total} failures, after a replay {after} with {still:?}"));
    }
    let settled = failed(up, &[&["discard", "--why", "they never can be read"], ids.as_slice()].concat());
    let left = failed(up, &["list"]);
    if settled.0 != Some(0) || left.1["total"] != 0 {
        outcome.violation(format!("settled by {settled:?}, left are {left:?}"));
    }
    outcome.note(format!("{total} failures were read again, failed again, and were settled"));
}

fn failed(up: &Groupfold, args: &[&str]) -> (Option<i32>, Value) {
    let mut command = Groupfold::command();
    command.args(["failed", args[0], "--output", "json", "--data"]).arg(up.data()).args(&args[1..]);
    said(command)
}

fn simulate(up: &Groupfold, args: &[&str]) -> CommandLine {
    let mut command = Groupfold::command();
    command.args(["simulate", "--quiet", "--output", "json", "--data"]).arg(up.data()).args(args);
    command
}

/// Exit code and what was said.
fn said(mut command: CommandLine) -> (Option<i32>, Value) {
    let output = command.output().expect("groupfold can be run");
    let told = serde_json::from_slice(&output.stdout);
    (output.status.code(), told.unwrap_or_else(|_| String::from_utf8_lossy(&output.stderr).into()))
}
