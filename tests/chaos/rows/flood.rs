//! Row 8b: volume. Receipts in POSTs of a hundred, up to every second one a repeat (at once, later, beyond what the
//! broker remembers), in order, shuffled or reversed. What the door counted, what the log holds and what was folded
//! must add up to what the sender knows, which is little: receipts are numbered from zero on, so that it remembers
//! none of them.

mod mix;
mod oracle;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use groupfold_schemas::log;
use groupfold_tests::receipts::{SECRET, Shape, Webhooks};
use groupfold_tests::{Connection, Groupfold, NatsOptions, NatsServer, Options, Rng, memory, wait_until};
use serde_json::Value;
use tokio::task::JoinSet;

use self::mix::Mix;
use self::oracle::Oracle;
use crate::args::Budget;
use crate::outcome::Outcome;
use crate::world::{BOUND, PARTITIONS, groupfold, provision};

const GROUPS: u64 = 1_000;
const CONNECTIONS: usize = 16;
/// So short that repeats come after it as well.
const WINDOW: Duration = Duration::from_secs(2);
/// One in so many items is sent before the projector is killed; what follows it finds at its next start.
const LIVE_SHARE: u64 = 20;
/// A POST is sent again so often while the door has no room for it.
const TRIES: u32 = 50;
const TRY_AGAIN: Duration = Duration::from_millis(200);
/// Less than any machine folds in a second.
const FOLDED_A_SECOND_MIN: u64 = 500;
/// The harness itself, whatever the number of items.
const MEMORY_KIB_MAX: u64 = 1 << 20;

/// What the door answered, added up.
#[derive(Debug, Default)]
struct Told {
    posts: u64,
    items: u64,
    appended: u64,
    duplicate: u64,
    /// POSTs that were sent again, for the door had no room or nobody answered.
    again: u64,
    faults: Vec<String>,
}

/// Sends a mix until it has told so many items.
struct Sender {
    mix: Arc<Mutex<Mix>>,
    told: Arc<Mutex<Told>>,
    webhooks: Arc<Webhooks>,
    address: std::net::SocketAddr,
}

pub(crate) async fn flood(budget: Budget) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    while budget.allows(&outcome) {
        round(&budget, rng.next_u64(), &mut outcome).await;
    }
    outcome
}

async fn round(budget: &Budget, seed: u64, outcome: &mut Outcome) {
    let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() }).await;
    provision(&nats);
    let context = jetstream::new(nats.client().await);
    forget_soon(&context).await;
    let options = Options { app_secret: SECRET.to_owned(), ..Options::on(&nats) };
    let receiver = Groupfold::ingest(options).await;
    let mut projector = Groupfold::project(Options::on(&nats)).await;
    let address = receiver.addresses().webhook.as_deref().and_then(|address| address.parse().ok());
    let sender = Sender {
        mix: Arc::new(Mutex::new(Mix::new(seed, budget.items))),
        told: Arc::default(),
        webhooks: Arc::new(Webhooks::new("/webhooks/meta", 0, GROUPS, 0).of_shape(Shape::Short)),
        address: address.expect("it has a receiver"),
    };
    let begun = Instant::now();
    sender.send_until(budget.items / LIVE_SHARE).await;
    projector.kill9();
    sender.send_until(u64::MAX).await;
    let sent = begun.elapsed();
    sender.one_beyond_the_window().await;

    let begun = Instant::now();
    // Ready it is when all is folded, which is waited for below.
    projector.start_anyhow().await;
    let told = std::mem::take(&mut *lock(&sender.told));
    let mix = lock(&sender.mix).counts();
    let messages = messages(&context).await;
    let expected = Oracle::of(mix.fresh);
    let digest = folded(&projector, messages).await;
    let folding = begun.elapsed();
    for what in told.faults.iter().cloned().chain(adds_up(&told, &expected, mix.fresh, messages)) {
        outcome.violation(what);
    }
    if digest != expected.digest.to_string() {
        outcome.violation(format!(
            "digest of the live state {digest}, of each receipt once {}",
            expected.digest
        ));
    }
    for what in refolded(&projector, &expected, messages) {
        outcome.violation(what);
    }
    let memory = memory::most_kib(std::process::id());
    if memory > MEMORY_KIB_MAX {
        outcome.violation(format!("the harness itself held {memory} KiB"));
    }
    outcome.acknowledged += told.posts;
    outcome.unknown += told.again;
    outcome.round(mix.repeated + mix.disordered, None);
    outcome.note(format!(
        "{} items in {} POSTs, {:.0} a second: {} receipts, {} of them not in order, {} items repeated, {} of these after \
         the broker had forgotten the first; then folded in {folding:.0?}; the harness held {} MiB at most",
        told.items,
        told.posts,
        told.items as f64 / sent.as_secs_f64(),
        mix.fresh,
        mix.disordered,
        mix.repeated,
        messages.saturating_sub(mix.fresh),
        memory / 1024,
    ));
}

/// The broker itself is to know duplicates for a moment alone.
async fn forget_soon(context: &jetstream::Context) {
    for partition in 0..PARTITIONS {
        let mut stream = context.get_stream(log::stream(partition)).await.expect("a stream");
        let mut config = stream.info().await.expect("it tells of itself").config.clone();
        config.duplicate_window = WINDOW;
        context.update_stream(config).await.expect("a stream takes another window");
    }
}

/// Messages that the log ever took.
async fn messages(context: &jetstream::Context) -> u64 {
    let mut messages = 0;
    for partition in 0..PARTITIONS {
        let mut stream = context.get_stream(log::stream(partition)).await.expect("a stream");
        messages += stream.info().await.expect("it tells of itself").state.last_sequence;
    }
    messages
}

fn adds_up(told: &Told, expected: &Oracle, fresh: u64, messages: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut holds = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    holds(
        expected.receipts == fresh,
        format!("{fresh} receipts were told, {} can be read", expected.receipts),
    );
    holds(
        told.appended + told.duplicate == told.items,
        format!("of {} items {} were appended and {} duplicates", told.items, told.appended, told.duplicate),
    );
    holds(
        messages > fresh,
        format!("{messages} messages of {fresh} receipts: none was repeated late enough"),
    );
    // What was sent again may have been taken the first time, without an answer.
    let taken = if told.again == 0 { messages == told.appended } else { messages >= told.appended };
    holds(taken, format!("{} items were appended, the log has {messages}", told.appended));
    wrong
}

/// Waits until the projector has folded all messages; its digest then.
async fn folded(projector: &Groupfold, messages: u64) -> String {
    let bound = BOUND + Duration::from_secs(messages / FOLDED_A_SECOND_MIN);
    wait_until("all is folded", bound, async || {
        let answer = projector.get("/v1/position").await;
        let partitions = answer.json["partitions"].as_array().cloned().unwrap_or_default();
        let total = |field: &str| partitions.iter().filter_map(|one| one[field].as_u64()).sum::<u64>();
        if total("applied") < messages {
            tokio::time::sleep(TRY_AGAIN).await;
            return Err(answer);
        }
        assert_eq!((total("events_applied"), total("records_unreadable")), (messages, 0), "{answer}");
        Ok(answer.json["digest"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

/// What the product itself finds when it folds anew and adds up.
fn refolded(projector: &Groupfold, expected: &Oracle, messages: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let verified = groupfold("verify", projector);
    let partitions = verified.1["partitions"].as_array().cloned().unwrap_or_default();
    let total = |field: &str| partitions.iter().filter_map(|one| one[field].as_u64()).sum::<u64>();
    if verified.0 != Some(0) || (total("entries"), total("sequence")) != (expected.entries, messages) {
        wrong.push(format!("{} entries and {messages} messages, verify: {verified:?}", expected.entries));
    }
    let audited = groupfold("audit", projector);
    if audited.0 != Some(0) {
        wrong.push(format!("audit: {audited:?}"));
    }
    wrong
}

impl Sender {
    async fn send_until(&self, items: u64) {
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (mix, told) = (Arc::clone(&self.mix), Arc::clone(&self.told));
            let (webhooks, address) = (Arc::clone(&self.webhooks), self.address);
            connections.spawn(async move {
                let mut connection = Connection::new(address).await;
                loop {
                    let receipts = lock(&mix).next(items);
                    if receipts.is_empty() {
                        return;
                    }
                    post(&mut connection, address, &webhooks, &receipts, &told).await;
                }
            });
        }
        while let Some(done) = connections.join_next().await {
            done.expect("a connection does not panic");
        }
    }

    /// Repeats a receipt until the broker has forgotten that it was told: then the log has it twice.
    async fn one_beyond_the_window(&self) {
        let mut connection = Connection::new(self.address).await;
        wait_until("the broker forgets", BOUND, async || {
            let before = lock(&self.told).appended;
            let receipts = lock(&self.mix).any();
            post(&mut connection, self.address, &self.webhooks, &receipts, &self.told).await;
            if lock(&self.told).appended > before { Ok(()) } else { Err("it was a duplicate") }
        })
        .await;
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Posts receipts until they are acknowledged, and adds up what the answer says.
async fn post(
    connection: &mut Connection,
    address: std::net::SocketAddr,
    webhooks: &Webhooks,
    receipts: &[u64],
    told: &Mutex<Told>,
) {
    let mut request = Vec::new();
    webhooks.request_of(receipts.iter().copied(), &mut request);
    for _ in 0..TRIES {
        let status = connection.ask(&request).await;
        if status != Some(200) {
            lock(told).again += 1;
            tokio::time::sleep(TRY_AGAIN).await;
            if status.is_none() {
                *connection = Connection::new(address).await;
            }
            continue;
        }
        let answer: Value = serde_json::from_slice(connection.body()).unwrap_or_default();
        let count = |name: &str| answer[name].as_u64().unwrap_or_default();
        let mut told = lock(told);
        told.posts += 1;
        told.items += receipts.len() as u64;
        told.appended += count("appended");
        told.duplicate += count("duplicate");
        if count("appended") + count("duplicate") != receipts.len() as u64 || told.faults.len() > 10 {
            told.faults.push(format!("{} receipts are answered by {answer}", receipts.len()));
            told.faults.truncate(10);
        }
        return;
    }
    lock(told).faults.push(format!("a POST was refused {TRIES} times"));
}
