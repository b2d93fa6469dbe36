//! Brings webhooks to the receiver, each some time after what it tells of.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::faults::Webhooks;
use super::held;
use crate::simulate::Error;
use crate::simulate::args::SimulateArgs;
use crate::simulate::deliver::Sender;
use crate::simulate::dice::Dice;
use crate::simulate::plan::{Post, Why};
use crate::simulate::report::Report;
use crate::simulate::wire::{Business, Change, signature};

/// Webhooks under way at once; more are lost, as those of a receiver that is gone for days are.
const UNDER_WAY_MAX: usize = 20_000;
/// Webhooks that are posted at once.
const POSTS_MAX: usize = 64;
/// How long an answer waits for its webhook to be delivered before it.
const FIRST_MAX: Duration = Duration::from_secs(5);
/// How long webhooks may still take after the end was asked for.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// Where webhooks go.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) url: String,
    pub(super) secret: String,
}

pub(super) struct Courier {
    business: Business,
    sender: Arc<Sender>,
    /// Webhooks wait until there is one.
    pub(super) target: watch::Sender<Option<Target>>,
    delay: Duration,
    dice: Mutex<Dice>,
    pub(super) report: Arc<Mutex<Report>>,
    posts: Arc<Semaphore>,
    under_way: TaskTracker,
    give_up: CancellationToken,
}

impl Courier {
    pub(super) fn new(
        args: &SimulateArgs,
        business: Business,
        target: Option<Target>,
    ) -> Result<Self, Error> {
        let give_up = CancellationToken::new();
        Ok(Self {
            business,
            sender: Arc::new(Sender::new(args.retries, give_up.clone())?),
            target: watch::Sender::new(target),
            delay: args.serve.webhook_delay,
            dice: Mutex::new(Dice::new(args.seed, "courier")),
            report: Arc::default(),
            posts: Arc::new(Semaphore::new(POSTS_MAX)),
            under_way: TaskTracker::new(),
            give_up,
        })
    }

    /// Tells of changes, each in a webhook of its own. What it returns ends when a webhook is delivered, or late.
    pub(super) fn tell(&self, changes: Vec<Change>, how: Webhooks) -> Vec<JoinHandle<()>> {
        let mut told = Vec::new();
        for change in changes {
            let (items, bad) = (change.items, change.bad);
            let body: Arc<[u8]> = self.business.body(vec![vec![change]]).into();
            let whys: &[Why] = match how {
                Webhooks::Never => &[],
                Webhooks::Twice => &[Why::News, Why::Duplicate],
                Webhooks::Later | Webhooks::First => &[Why::News],
            };
            for why in whys {
                let delay = match how {
                    Webhooks::First => Duration::ZERO,
                    _ => self.delay.mul_f64(0.5 + held(&self.dice).unit()),
                };
                let post =
                    Post { body: Arc::clone(&body), signature: None, items, bad, why: *why, late: false };
                told.push(self.bring(post, delay));
            }
        }
        told
    }

    fn bring(&self, post: Post, delay: Duration) -> JoinHandle<()> {
        if self.under_way.len() >= UNDER_WAY_MAX {
            held(&self.report).undelivered_posts += 1;
            return self.under_way.spawn(async {});
        }
        let (sender, report, posts) =
            (Arc::clone(&self.sender), Arc::clone(&self.report), Arc::clone(&self.posts));
        let (mut target, give_up) = (self.target.subscribe(), self.give_up.clone());
        let delivery = async move {
            sleep(delay).await;
            target.wait_for(Option::is_some).await.ok()?;
            let _turn = posts.acquire().await.ok()?;
            let addressed = |post: &mut Post| {
                let Some(Target { url, secret }) = target.borrow().clone() else { return String::new() };
                post.signature = Some(signature(&secret, &post.body));
                url
            };
            let outcome = sender.send(post, addressed).await;
            held(&report).note(&outcome);
            Some(())
        };
        self.under_way.spawn(async move {
            tokio::select! {
                _ = delivery => {}
                () = give_up.cancelled() => {}
            }
        })
    }

    /// Webhooks that are not delivered yet.
    pub(super) fn pending(&self) -> usize {
        self.under_way.len()
    }

    /// Waits for what is under way, not for ever.
    pub(super) async fn close(&self) -> Report {
        self.under_way.close();
        let waits = if self.target.borrow().is_some() { CLOSE_MAX } else { Duration::ZERO };
        if timeout(waits, self.under_way.wait()).await.is_err() {
            self.give_up.cancel();
            self.under_way.wait().await;
        }
        held(&self.report).clone()
    }
}

/// Waits for a delivery, not for ever.
pub(super) async fn delivered(delivery: JoinHandle<()>) {
    let _ = timeout(FIRST_MAX, delivery).await;
}
