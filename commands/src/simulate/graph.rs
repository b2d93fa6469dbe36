//! The provider's other side: a Graph API that takes commands about the groups of the simulated world, answers
//! as Meta documents it, and tells what became of them by webhook.
//!
//! ```text
//!  POST /v25.0/…/groups ─▶ token, version ─▶ faults, limits ─▶ act on the world ─▶ answer
//!                                                                     └─▶ courier ─▶ webhook, later
//! ```
//!
//! A call is done at once and whole, under one lock; only its webhook takes time. `/simulator` is for tests: what
//! people do, what goes wrong, what was called, and the truth. docs/simulator.md is the contract.

mod act;
mod args;
mod ask;
mod call;
mod control;
mod courier;
mod faults;
mod life;
mod refusal;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use args::{DEMO_TOKEN, ServeArgs};

use super::Error;
use super::args::SimulateArgs;
use super::report::Report;
use super::wire::Change;
use super::world::World;
use act::Rules;
use courier::{Courier, Target};
use faults::{Faults, Operation};
use life::Life;

/// Longest body: a picture of 5 MB that is too large must be told so.
const BODY_BYTES_MAX: usize = 8 << 20;
/// Calls that are remembered for tests.
const CALLS_MAX: usize = 10_000;

/// The served provider.
pub(super) struct Graph {
    world: Arc<Mutex<World>>,
    args: ServeArgs,
    /// To sign with, where no other is told with the address.
    secret: Option<String>,
    seed: u64,
    rules: Rules,
    faults: Mutex<Faults>,
    limits: Mutex<Limits>,
    life: Mutex<Life>,
    calls: Mutex<VecDeque<Value>>,
    courier: Courier,
}

/// Calls of the present second.
#[derive(Debug)]
struct Limits {
    second: Instant,
    group_operations: u32,
    messages: u32,
}

/// Held by nobody else for as long. Nothing that holds one can panic half-way through a change that matters here.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until told to stop; what was told by webhooks is in the report.
pub(super) async fn serve(
    world: Arc<Mutex<World>>,
    args: &SimulateArgs,
    secret: Option<&str>,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<Report, Error> {
    let target = args.url.clone().map(|url| Target { url, secret: secret.unwrap_or_default().to_owned() });
    let business = args.business();
    let graph = Arc::new(Graph {
        world,
        secret: secret.map(str::to_owned),
        seed: args.seed,
        rules: Rules {
            groups_max: args.serve.groups_max,
            read_within_s: args.serve.read_within.as_secs_f64().ceil() as u64,
        },
        faults: Mutex::new(Faults::new(args.serve.fault.clone(), args.seed)),
        limits: Mutex::new(Limits { second: Instant::now(), group_operations: 0, messages: 0 }),
        life: Mutex::new(Life::new(&args.serve, args.seed)),
        calls: Mutex::default(),
        courier: Courier::new(args, business, target)?,
        args: args.serve.clone(),
    });
    let router = Router::new()
        .merge(call::routes())
        .merge(control::routes())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::clone(&graph));
    let lives = tokio::spawn(life::live(Arc::clone(&graph)));
    groupfold_projector::serve(listener, router, stop).await;
    lives.abort();
    Ok(graph.courier.close().await)
}

impl Graph {
    /// Does something in the world that nobody commanded, and tells of it.
    fn by_people<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let (done, changes) = held(&self.world).aside(act);
        self.tell_of_people(changes);
        done
    }

    fn tell_of_people(&self, changes: Vec<Change>) {
        for change in changes {
            let fate = held(&self.faults).draw(Operation::People);
            drop(self.courier.tell(vec![change], fate.webhooks));
        }
    }

    /// True if one more of these is one too many in the present second.
    fn is_too_much(&self, operation: Operation) -> bool {
        let mut limits = held(&self.limits);
        if limits.second.elapsed() >= Duration::from_secs(1) {
            *limits = Limits { second: Instant::now(), group_operations: 0, messages: 0 };
        }
        let (count, max) = match operation {
            Operation::Send | Operation::Pin => (&mut limits.messages, self.args.messages_per_s),
            operation if operation.changes_groups() => {
                (&mut limits.group_operations, self.args.group_operations_per_s)
            }
            _ => return false,
        };
        *count += 1;
        max > 0 && *count > max
    }

    fn remember(&self, call: Value) {
        let mut calls = held(&self.calls);
        if calls.len() == CALLS_MAX {
            calls.pop_front();
        }
        calls.push_back(call);
    }
}
