//! Numbered webhooks under load: every one known by its sender as acknowledged, rejected or of unknown fate.

mod items;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

pub use items::{
    GROUPS, HAPPENED_AT, List, item_of, items_of, message_id, person_of, tells_receipts, webhook,
};

use crate::{Rng, http, sign, wait_until};

/// Webhooks of one load: more than a world can check.
const WEBHOOKS_MAX: u64 = 1_000_000;
const BOUND: Duration = Duration::from_secs(60);
/// Violations kept word by word.
const VIOLATIONS_MAX: usize = 20;

/// What the sender of a webhook knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Never answered but by a refusal of its signature: nothing of it may be in the log.
    Rejected,
    /// 503, or no answer: each item may be in the log or not.
    Unknown,
    /// 200: every item is in the log.
    Acknowledged,
}

/// How many webhooks ended how.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// 200.
    pub acknowledged: u64,
    /// 503, or no answer.
    pub unknown: u64,
    /// 401.
    pub rejected: u64,
}

/// All that was sent, and what became of it.
#[derive(Debug, Clone, Default)]
pub struct History {
    fates: BTreeMap<u64, Fate>,
    /// Webhook, time since the begin, how it was answered: in the order of answers.
    lines: Vec<(u64, Duration, String)>,
    violations: Vec<String>,
}

impl History {
    /// Webhooks and what their sender knows of them.
    #[must_use]
    pub fn fates(&self) -> &BTreeMap<u64, Fate> {
        &self.fates
    }

    /// How many ended how.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for fate in self.fates.values() {
            match fate {
                Fate::Acknowledged => counts.acknowledged += 1,
                Fate::Unknown => counts.unknown += 1,
                Fate::Rejected => counts.rejected += 1,
            }
        }
        counts
    }

    /// Answers that must never be given.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// One line of JSON for each answer.
    #[must_use]
    pub fn to_lines(&self) -> String {
        let line = |(webhook, at, answer): &(u64, Duration, String)| {
            json!({ "webhook": webhook, "at_ms": at.as_millis() as u64, "answer": answer }).to_string() + "\n"
        };
        self.lines.iter().map(line).collect()
    }

    fn tell(&mut self, webhook: u64, at: Duration, fate: Fate, answer: String) {
        let known = self.fates.entry(webhook).or_insert(fate);
        *known = (*known).max(fate);
        self.lines.push((webhook, at, answer));
    }

    /// What two loads knew that sent other webhooks.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.fates.extend(other.fates);
        self.lines.extend(other.lines);
        self.violations.extend(other.violations);
        self
    }

    fn violation(&mut self, what: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(what);
        }
    }
}

/// How to send.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Senders at once, each waiting for its answer.
    pub senders: u64,
    /// Each sender's pause between two webhooks.
    pub pause: Duration,
    /// So many webhooks are begun after the test last waited for some or sent one itself; then the senders wait for it,
    /// so that a slow machine has no backlog to work off that grows with each fault.
    pub ahead: u64,
    /// The first webhook.
    pub first: u64,
    /// Which webhooks are sent twice, forged, or again after an unknown end.
    pub seed: u64,
    /// The secret that webhooks are signed with.
    pub secret: String,
}

/// Senders that post numbered webhooks until told to stop.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    senders: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    options: LoadOptions,
    url: RwLock<String>,
    next: AtomicU64,
    /// The first webhook that may not be begun yet.
    until: AtomicU64,
    stop: AtomicBool,
    history: Mutex<History>,
    begun: Instant,
    client: reqwest::Client,
}

impl Load {
    /// Begins to send, to `http://…/webhooks/meta`.
    #[must_use]
    pub fn start(url: String, options: LoadOptions) -> Self {
        let shared = Arc::new(Shared {
            url: RwLock::new(url),
            next: AtomicU64::new(options.first),
            until: AtomicU64::new(options.first.saturating_add(options.ahead)),
            stop: AtomicBool::new(false),
            history: Mutex::default(),
            begun: Instant::now(),
            client: http::client(),
            options,
        });
        let mut senders = JoinSet::new();
        for sender in 0..shared.options.senders {
            senders.spawn(Arc::clone(&shared).send(sender));
        }
        Self { shared, senders }
    }

    /// From now on to another address: a receiver that starts again has a new one.
    pub fn move_to(&self, url: String) {
        *self.shared.url.write().unwrap_or_else(PoisonError::into_inner) = url;
    }

    /// Waits until so many more webhooks were begun.
    ///
    /// # Panics
    /// They are not, within a bound.
    pub async fn until_sent(&self, more: u64) {
        let goal = self.sent() + more;
        self.shared.go_on_until(goal);
        wait_until("the load goes on", BOUND, async || {
            let sent = self.sent();
            if sent >= goal { Ok(()) } else { Err(sent) }
        })
        .await;
    }

    /// Lets the senders begin some more.
    pub fn go_on(&self) {
        self.shared.go_on_until(self.sent());
    }

    /// How it sends.
    #[must_use]
    pub fn options(&self) -> &LoadOptions {
        &self.shared.options
    }

    /// The number of the next webhook: as many are begun, if the first was zero.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.next.load(Ordering::SeqCst)
    }

    /// Sends one webhook of joins now; where it is acknowledged, the position and a group to read at.
    pub async fn probe(&self) -> Result<(String, String), String> {
        let next = || self.shared.next.fetch_add(1, Ordering::SeqCst);
        let mut number = next();
        // One that is left out was never sent.
        while tells_receipts(number) {
            number = next();
        }
        self.shared.go_on_until(number);
        let answer = self.shared.post(number, true).await;
        let group = items_of(number).map(|item| List::of(item).group()).next().unwrap_or_default();
        answer.map(|position| (position, group))
    }

    /// Ends the senders and returns what they know.
    ///
    /// # Panics
    /// A sender panicked.
    pub async fn end(mut self) -> History {
        self.shared.stop.store(true, Ordering::SeqCst);
        while let Some(sender) = self.senders.join_next().await {
            sender.expect("a sender does not panic");
        }
        std::mem::take(&mut *self.shared.history())
    }
}

impl Shared {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn go_on_until(&self, number: u64) {
        self.until.fetch_max(number.saturating_add(self.options.ahead), Ordering::SeqCst);
    }

    async fn send(self: Arc<Self>, sender: u64) {
        let mut rng = Rng::new(self.options.seed ^ (sender + 1));
        let mut again: VecDeque<u64> = VecDeque::new();
        while !self.stop.load(Ordering::SeqCst) {
            if self.next.load(Ordering::SeqCst) >= self.until.load(Ordering::SeqCst) {
                tokio::time::sleep(self.options.pause).await;
                continue;
            }
            let repeat = rng.below(4) == 0;
            let number = match again.pop_front().filter(|_| repeat) {
                Some(number) => number,
                None => self.next.fetch_add(1, Ordering::SeqCst),
            };
            if number >= WEBHOOKS_MAX {
                return;
            }
            let signed = number % 41 != 40;
            match self.post(number, signed).await {
                // The provider sends now and then what it was told is there.
                Ok(_) if rng.below(10) == 0 => again.push_back(number),
                Ok(_) => {}
                Err(_) if signed && rng.below(2) == 0 => again.push_back(number),
                Err(_) => {}
            }
            tokio::time::sleep(self.options.pause).await;
        }
    }

    /// Posts a webhook and takes note of the answer; the position if it is acknowledged.
    async fn post(&self, number: u64, signed: bool) -> Result<String, String> {
        let body = webhook(number);
        let secret = if signed { self.options.secret.as_str() } else { "not the secret" };
        let url = self.url.read().unwrap_or_else(PoisonError::into_inner).clone();
        let request = self.client.post(url).header("x-hub-signature-256", sign(secret, &body)).body(body);
        let answer = async { http::read(request.send().await?).await }.await;
        let mut history = self.history();
        let at = self.begun.elapsed();
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                // Even a forged one may have met nobody at all.
                history.tell(
                    number,
                    at,
                    if signed { Fate::Unknown } else { Fate::Rejected },
                    "none".to_owned(),
                );
                return Err(error.to_string());
            }
        };
        let told = format!("{} {}", answer.status, answer.json["code"].as_str().unwrap_or_default());
        match (answer.status, signed) {
            (200, true) => {
                history.tell(number, at, Fate::Acknowledged, told);
                let position = answer.json["position"].as_str().unwrap_or_default().to_owned();
                if position.is_empty() {
                    history.violation(format!("webhook {number}: 200 without a position: {answer}"));
                }
                return Ok(position);
            }
            (503, _) => {
                if answer.header("retry-after").is_none() {
                    history.violation(format!("webhook {number}: 503 without Retry-After: {answer}"));
                }
                history.tell(number, at, if signed { Fate::Unknown } else { Fate::Rejected }, told);
            }
            (401, false) => history.tell(number, at, Fate::Rejected, told),
            _ => {
                history.violation(format!("webhook {number}, signed {signed}: {answer}"));
                history.tell(number, at, Fate::Unknown, told);
            }
        }
        Err(answer.to_string())
    }
}
