//! Rows 3b, 7 and 15: a broker that stays away, disks without room or speed, a log at its bound, more senders than fit.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use groupfold_tests::{Groupfold, NatsOptions, NatsServer, Rng, http, memory, sign, wait_until};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::kills::in_worlds;
use crate::args::Budget;
use crate::disk::Disk;
use crate::outcome::Outcome;
use crate::world::{BOUND, PARTITIONS, Plan, World};

/// What a receiver or projector may grow by under a fault, in KiB: buffers of connections, no backlog.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

/// What a projector says whose store takes no writes.
const NO_ROOM: &str = "the store takes no writes";

/// Memory that a process holds, in KiB.
fn resident_kib(groupfold: &mut Groupfold) -> u64 {
    memory::now_kib(groupfold.process().pid())
}

/// The next webhook is refused, and the refusal names a reason.
async fn refused(world: &World) -> String {
    wait_until("webhooks are refused", BOUND, async || match world.load.probe().await {
        Ok((position, _)) => Err(format!("acknowledged at {position}")),
        Err(why) if why.starts_with("503") => Ok(why),
        Err(why) => Err(why),
    })
    .await
}

/// Minutes without a broker, in a run of all tests seconds: refusals, no growth, and recovery by itself.
pub(crate) async fn away(budget: Budget) -> Outcome {
    let mut most = 0;
    let away_ms = if budget.is_long { (60_000, 240_000) } else { (3_000, 8_000) };
    let plan = Plan { ahead: u64::MAX, ..Plan::default() };
    let mut outcome = in_worlds("3b", plan, budget, async |world, rng, _| {
        world.load.until_sent(20).await;
        let before = resident_kib(&mut world.receiver);
        world.nats.kill9();
        refused(world).await;
        tokio::time::sleep(Duration::from_millis(rng.between(away_ms.0, away_ms.1))).await;
        let grown = resident_kib(&mut world.receiver).saturating_sub(before);
        assert!(grown < GROWTH_KIB_MAX, "the receiver grew by {grown} KiB without a broker");
        most = most.max(grown);
        let since = Instant::now();
        world.nats.restart().await;
        world.recovered(since).await
    })
    .await;
    outcome.note(format!("the receiver grew by {most} KiB at most while the broker was away"));
    outcome
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Log,
    Store,
}

/// The projector's disk has no room: webhooks go on, reads say how old they are, and it goes on by itself.
pub(crate) async fn store_full(budget: Budget) -> Outcome {
    on_a_disk("7b", budget, Place::Store, false, async |disk, world, rng| {
        let told = |world: &mut World| world.projector.process().log().matches(NO_ROOM).count();
        let before = told(world);
        disk.fill().expect("the disk can be filled");
        wait_until("the store meets the full disk", BOUND, async || {
            world.load.go_on();
            if told(world) > before { Ok(()) } else { Err("it does not say so") }
        })
        .await;
        // A slow broker may refuse some; the full disk none.
        wait_until("a webhook is taken though the store's disk is full", BOUND, async || {
            world.load.probe().await.map(drop)
        })
        .await;
        world.load.until_sent(rng.between(10, 100)).await;
        // Who cannot fold what comes is not ready, and answers all the same, with how old that is.
        wait_until("readiness says that the disk is full", BOUND, async || {
            let ready = http::get(&world.projector.api_url("/readyz")).await;
            if ready.status == 503 && ready.text.contains("disk_full") { Ok(()) } else { Err(ready) }
        })
        .await;
        wait_until("the position is answered, with the reason", BOUND, async || {
            let position = http::get(&world.projector.api_url("/v1/position")).await;
            let all = position.json["partitions"].as_array().cloned().unwrap_or_default();
            let full = all.iter().any(|one| one["reason"] == "disk_full");
            if position.status == 200 && full { Ok(()) } else { Err(position) }
        })
        .await;
        disk.free();
        let recovery = world.recovered(Instant::now()).await;
        wait_until("it is ready again", BOUND, async || {
            let ready = http::get(&world.projector.api_url("/readyz")).await;
            if ready.status == 200 { Ok(()) } else { Err(ready) }
        })
        .await;
        recovery
    })
    .await
}

/// Disks that sync a few times a second: slower, and nothing else.
pub(crate) async fn log_slow(budget: Budget) -> Outcome {
    on_a_disk("7d", budget, Place::Log, true, slowed).await
}

pub(crate) async fn store_slow(budget: Budget) -> Outcome {
    on_a_disk("7e", budget, Place::Store, true, slowed).await
}

async fn slowed(disk: &mut Disk, world: &mut World, rng: &mut Rng) -> Duration {
    disk.slow_down(rng.between(10, 40) as u32).expect("a disk can be slowed down once it could");
    tokio::time::sleep(Duration::from_millis(rng.between(1_000, 4_000))).await;
    disk.slow_down(0).expect("a disk can be let go");
    world.recovered(Instant::now()).await
}

const ROUNDS_OF_A_DISK: u32 = 5;
const MIB: u64 = 192;

async fn on_a_disk(
    row: &str,
    budget: Budget,
    place: Place,
    is_slowed: bool,
    mut round: impl AsyncFnMut(&mut Disk, &mut World, &mut Rng) -> Duration,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    while budget.allows(&outcome) {
        let made = Disk::new(MIB).and_then(|mut disk| {
            if is_slowed {
                disk.slow_down(0)?;
            }
            Ok(disk)
        });
        let mut disk = match made {
            Ok(disk) => disk,
            Err(why) => {
                let needs = if is_slowed { "root, loop devices and blkio" } else { "root and loop devices" };
                return Outcome { not_run: Some(format!("needs {needs}: {why}")), ..outcome };
            }
        };
        let store_dir = (place == Place::Log).then(|| disk.path().join("log"));
        let nats = NatsServer::start_with(NatsOptions { store_dir, ..NatsOptions::default() }).await;
        let data = (place == Place::Store).then(|| disk.path().join("data"));
        // A store writes into room that it has taken before: it meets a full disk only after a while, the same one
        // again only after thousands of webhooks.
        let takes_room = place == Place::Store && !is_slowed;
        let (pause_ms, rounds) = if takes_room { (2, 1) } else { (15, ROUNDS_OF_A_DISK) };
        let plan = Plan { data, pause: Duration::from_millis(pause_ms), ..Plan::default() };
        let mut world = World::start_on(nats, plan, rng.next_u64() >> 16).await;
        for _ in 0..rounds {
            if !budget.allows(&outcome) {
                break;
            }
            world.load.until_sent(rng.between(5, 20)).await;
            let recovery = round(&mut disk, &mut world, &mut rng).await;
            outcome.round(1, Some(recovery));
        }
        world.end(row, &mut outcome).await;
    }
    outcome
}

/// Streams at `max_bytes`: refusals with a reason, and webhooks again once an operator gives room.
pub(crate) async fn at_max_bytes(budget: Budget) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    while budget.allows(&outcome) {
        let world = World::start(Plan::default(), rng.next_u64() >> 16).await;
        let context = jetstream::new(world.nats.client().await);
        world.load.until_sent(rng.between(10, 30)).await;
        bound(&context, 1).await;
        let why = refused(&world).await;
        if code_of(&why) != "log_full" {
            outcome.violation(format!("a full log is refused as {why}"));
        }
        outcome.note(format!("refused: {}", code_of(&why)));
        bound(&context, -1).await;
        let since = Instant::now();
        outcome.round(1, Some(world.recovered(since).await));
        world.end("7c", &mut outcome).await;
    }
    outcome
}

async fn bound(context: &jetstream::Context, max_bytes: i64) {
    for partition in 0..PARTITIONS {
        let mut stream = context.get_stream(format!("GROUPFOLD_EVENTS_{partition}")).await.expect("a stream");
        let mut config = stream.info().await.expect("it tells of itself").config.clone();
        config.max_bytes = max_bytes;
        context.update_stream(config).await.expect("a stream takes another bound");
    }
}

/// `"code":"log_full"` of a problem document.
fn code_of(answer: &str) -> String {
    let code = answer.split_once("\"code\":\"").and_then(|(_, rest)| rest.split_once('"'));
    code.map_or_else(|| answer.to_owned(), |(code, _)| code.to_owned())
}

/// Three times as many senders as places, most of which bodies take that come slowly or never end: honest webhooks go on.
pub(crate) async fn overload(budget: Budget) -> Outcome {
    let plan = Plan {
        receiver_args: ["--requests-max", "16", "--body-deadline-ms", "1500", "--body-bytes-max", "1048576"]
            .map(str::to_owned)
            .to_vec(),
        senders: 48,
        ahead: u64::MAX,
        pause: Duration::from_millis(60),
        ..Plan::default()
    };
    let (mut most, mut refusals) = (0, 0);
    let mut outcome = in_worlds("15", plan, budget, async |world, rng, _| {
        let before = resident_kib(&mut world.receiver);
        let address = world.receiver.addresses().webhook.clone().expect("a receiver");
        let mut hostile = tokio::task::JoinSet::new();
        // Two places are left, so that some find none, however soon each is free again.
        for n in 0..14 {
            hostile.spawn(slow_or_endless(address.clone(), n % 2 == 0));
        }
        world.load.until_sent(rng.between(100, 200)).await;
        hostile.shutdown().await;
        // Without anybody who finds no place there is no overload.
        let metrics = http::get(&world.receiver.api_url("/metrics")).await.text;
        let refused = metrics.lines().filter(|line| line.contains("too_many_requests"));
        let refused = refused.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>();
        assert!(refused > 0.0, "nobody found all places taken: {metrics}");
        refusals += refused as u64;
        let grown = resident_kib(&mut world.receiver).saturating_sub(before);
        assert!(grown < GROWTH_KIB_MAX, "the receiver grew by {grown} KiB under overload");
        most = most.max(grown);
        world.recovered(Instant::now()).await
    })
    .await;
    outcome.note(format!("the receiver grew by {most} KiB at most under overload"));
    outcome.note(format!("{refusals} requests found all places taken"));
    outcome
}

/// A request whose body comes a byte at a time, or in chunks without an end. Until it is cut off, or dropped.
async fn slow_or_endless(address: String, slow: bool) {
    let signature = sign("somebody", b"");
    loop {
        let Ok(mut socket) = TcpStream::connect(&address).await else { return };
        let length = if slow { "Content-Length: 1000" } else { "Transfer-Encoding: chunked" };
        let head = format!(
            "POST /webhooks/meta HTTP/1.1\r\nHost: x\r\n{length}\r\nX-Hub-Signature-256: {signature}\r\n\r\n"
        );
        if socket.write_all(head.as_bytes()).await.is_err() {
            continue;
        }
        let part: &[u8] = if slow { b"{" } else { b"10\r\n0123456789abcdef\r\n" };
        while socket.write_all(part).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(if slow { 50 } else { 1 })).await;
        }
    }
}
