//! Rows 11 and 12: a log whose files are damaged, or that is another one than before. What is missing must be told.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use async_nats::jetstream;
use groupfold_tests::{
    Groupfold, History, Log, NatsOptions, NatsServer, Rng, Scratch, check_lists, check_log, check_looks,
    http, wait_until,
};
use serde_json::Value;

use crate::args::Budget;
use crate::outcome::Outcome;
use crate::world::{BOUND, PARTITIONS, Plan, World, groupfold};

/// A bit of a stream's file is another. What the log then lacks, somebody must say.
pub(crate) async fn flipped(budget: Budget) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    let (mut harmless, mut told) = (0, 0);
    while budget.allows(&outcome) {
        let mut world = World::start(Plan::default(), rng.next_u64() >> 16).await;
        world.load.until_sent(rng.between(20, 60)).await;
        let history = world.load.end().await;
        world.projector.caught_up().await;
        let before = Log::read(world.nats.client().await, PARTITIONS).await;
        let checked = check_log(&history, &before);
        outcome.add(&history, &checked);
        world.nats.stop().await;
        let (file, at) = flip(&world.nats.store_dir(), &mut rng);
        let since = Instant::now();
        world.nats.restart().await;
        let after = Log::try_read(world.nats.client().await, PARTITIONS).await;
        match after {
            Ok(after) if after.digest == before.digest && after.items == before.items => harmless += 1,
            after => {
                let what = after.map_or_else(
                    |why| why,
                    |after| format!("{} of {} messages", after.messages, before.messages),
                );
                match who_tells(&world.projector).await {
                    Ok(who) => {
                        told += 1;
                        outcome.note(format!("told by {who}"));
                        outcome.recovery.push(since.elapsed());
                    }
                    Err(said) => outcome.violation(format!(
                        "{} flipped at {at}: the log has {what}, and nobody says so: {said}",
                        file.display()
                    )),
                }
            }
        }
        outcome.round(1, None);
    }
    outcome.note(format!("{harmless} flips were harmless, {told} were told"));
    outcome
}

/// Less than a message has.
const LAST_BYTES: u64 = 200;

fn flip(store: &Path, rng: &mut Rng) -> (PathBuf, u64) {
    let listed = Command::new("find")
        .arg(store)
        .args(["-path", "*GROUPFOLD_EVENTS_*", "-name", "*.blk", "-size", "+0"])
        .output();
    let listed = String::from_utf8(listed.expect("find can be run").stdout).expect("paths are text");
    let mut files: Vec<&str> = listed.lines().collect();
    files.sort_unstable();
    let file = PathBuf::from(*rng.choose(&files));
    let mut bytes = std::fs::read(&file).expect("a stream's file can be read");
    // Every third one in the last message: nothing comes after it that would show that it is missing.
    let len = bytes.len() as u64;
    let at = if rng.below(3) == 0 { len - 1 - rng.below(LAST_BYTES.min(len)) } else { rng.below(len) };
    bytes[at as usize] ^= 1 << rng.below(8);
    std::fs::write(&file, bytes).expect("a stream's file can be written");
    (file, at)
}

/// Who says what is wrong, once the projector has found the broker again: a partition that stopped with a reason, or
/// `verify`, which finds a difference or names the sequence that it lacks. That it failed otherwise says nothing.
async fn who_tells(projector: &Groupfold) -> Result<String, String> {
    let stopped = wait_until("each partition reads or has stopped", BOUND, async || {
        let answer = projector.get("/v1/position").await;
        let partitions = answer.json["partitions"].as_array().cloned().unwrap_or_default();
        if partitions.is_empty() || partitions.iter().any(|one| one["state"] == "reconnecting") {
            return Err(answer);
        }
        let stopped = partitions.iter().find(|one| one["state"] == "stopped");
        Ok(stopped.map(|one| one["reason"].as_str().unwrap_or_default().to_owned()))
    })
    .await;
    if let Some(reason) = stopped.filter(|reason| !reason.is_empty()) {
        let ready = http::get(&projector.api_url("/readyz")).await.status;
        return if ready == 503 {
            Ok(format!("readiness: {reason}"))
        } else {
            Err(format!("ready: {ready}"))
        };
    }
    let verified = groupfold("verify", projector);
    match verified.0 {
        Some(3) => Ok("verify: what is served differs from the log".to_owned()),
        Some(1) if verified.2.contains("has no message") => Ok("verify: the log lacks a message".to_owned()),
        _ => Err(format!("verify: {verified:?}")),
    }
}

/// Recreated, restored from an older copy, restored and grown beyond: the projector must stop and say why.
pub(crate) async fn another(budget: Budget) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    while budget.allows(&outcome) {
        let reason = match outcome.rounds % 3 {
            0 => recreated(&mut outcome, &mut rng).await,
            1 => restored(&mut outcome, &mut rng, false).await,
            _ => restored(&mut outcome, &mut rng, true).await,
        };
        outcome.round(1, None);
        outcome.note(format!("stopped by {reason}"));
    }
    outcome
}

async fn stopped(world: &World, expected: &[&str]) -> String {
    let reason = wait_until("a partition stops", BOUND, async || {
        let answer = world.projector.get("/v1/position").await;
        let partitions = answer.json["partitions"].as_array().cloned().unwrap_or_default();
        let stopped = partitions.iter().find(|one| one["state"] == "stopped");
        stopped.and_then(|one| one["reason"].as_str().map(str::to_owned)).ok_or(answer)
    })
    .await;
    assert!(expected.contains(&reason.as_str()), "stopped by {reason}, expected one of {expected:?}");
    let ready = http::get(&world.projector.api_url("/readyz")).await;
    assert_eq!(ready.status, 503, "a stopped partition and {ready}");
    reason
}

/// What a log held before somebody put another one in its place, and what was known then of all that was sent.
struct Before {
    sent: History,
    log: Log,
}

/// Waits until all that was sent is in the log and folded; then nothing is sent until it is asked for.
async fn before(world: &mut World) -> Before {
    let sent = world.next_load().await;
    world.projector.caught_up().await;
    let log = Log::read(world.nats.client().await, PARTITIONS).await;
    Before { sent, log }
}

/// Ends a world whose log is another one now. Partitions that stopped must serve what they had folded of the log before,
/// the others all of the one that there is: nowhere a mixture, and nothing lost but what was taken away by hand.
async fn judge(world: World, before: Before, outcome: &mut Outcome) {
    let (sent, seen, projector, nats) = world.part().await;
    let after = Log::read(nats.client().await, PARTITIONS).await;
    let stopped = wait_until("each partition has stopped or is at its end", BOUND, async || {
        let answer = projector.get("/v1/position").await;
        let all = answer.json["partitions"].as_array().cloned().unwrap_or_default();
        let is_stopped = |one: &&Value| one["state"] == "stopped";
        let is_at_end = |one: &Value, end: &u64| one["state"] == "running" && one["applied"] == *end;
        let settled = all.len() == after.ends.len()
            && all.iter().zip(&after.ends).all(|(one, end)| is_stopped(&one) || is_at_end(one, end));
        let stopped = all.iter().filter(is_stopped).filter_map(|one| one["partition"].as_u64());
        if settled { Ok(stopped.map(|one| one as u16).collect::<BTreeSet<_>>()) } else { Err(answer) }
    })
    .await;
    let sent = before.sent.and(sent);
    let mut checked = check_log(&sent, &before.log.and(&after));
    let served = before.log.of_partitions(&stopped, &after);
    check_lists(&mut checked, &projector, &served).await;
    check_looks(&mut checked, &served, &seen.looks);
    checked.wrong.extend(seen.faults);
    outcome.add(&sent, &checked);
    outcome.note(format!(
        "{} looks, {} of {PARTITIONS} partitions had stopped",
        seen.looks.len(),
        stopped.len()
    ));
}

async fn recreated(outcome: &mut Outcome, rng: &mut Rng) -> String {
    let mut world = World::start(Plan::default(), rng.next_u64() >> 16).await;
    world.load.until_sent(rng.between(20, 40)).await;
    let context = jetstream::new(world.nats.client().await);
    let stream = format!("GROUPFOLD_EVENTS_{}", rng.below(PARTITIONS.into()));
    let purged = context.get_stream(&stream).await.expect("the stream is there").purge().await;
    assert!(purged.is_err(), "the log let itself be purged");
    let before = before(&mut world).await;
    let since = Instant::now();
    context.delete_stream(&stream).await.expect("an administrator can delete a stream");
    // Nothing makes it again by itself.
    let mut command = Groupfold::command();
    command.args(["provision", "--anew", &stream, "--nats-url", &world.nats.url()]);
    let output = command.output().expect("groupfold can be run");
    assert!(output.status.success(), "provision: {}", String::from_utf8_lossy(&output.stderr));
    world.load.until_sent(30).await;
    let reason = stopped(&world, &["stream_recreated", "stream_missing", "stream_shortened"]).await;
    outcome.recovery.push(since.elapsed());
    judge(world, before, outcome).await;
    reason
}
/// The broker's folder is put back to an older state, while all stand still or while webhooks come.
async fn restored(outcome: &mut Outcome, rng: &mut Rng, grows: bool) -> String {
    let folder = Scratch::new("log");
    let live = folder.path().join("live");
    let options = NatsOptions { store_dir: Some(live.clone()), ..NatsOptions::default() };
    let nats = NatsServer::start_with(options).await;
    let mut world = World::start_on(nats, Plan::default(), rng.next_u64() >> 16).await;
    world.load.until_sent(rng.between(10, 20)).await;
    world.nats.stop().await;
    let older = folder.path().join("older");
    copy(&live, &older);
    world.nats.restart().await;
    world.recovered(Instant::now()).await;
    world.load.until_sent(60).await;
    world.recovered(Instant::now()).await;
    let before = before(&mut world).await;
    if grows {
        // Nobody looks while the older log grows beyond where the newer one was.
        world.nobody_reads();
        world.projector.kill9();
    }
    world.nats.stop().await;
    std::fs::remove_dir_all(&live).expect("the log can be removed");
    copy(&older, &live);
    let since = Instant::now();
    world.nats.restart().await;
    if grows {
        wait_until("webhooks are taken", BOUND, async || world.load.probe().await).await;
        world.load.until_sent(250).await;
        // It never becomes ready, and says why: what it serves is asked for all the same.
        world.projector.start_anyhow().await;
    } else {
        world.load.until_sent(40).await;
    }
    let reason = stopped(&world, &["stream_shortened", "stream_rewritten"]).await;
    outcome.recovery.push(since.elapsed());
    judge(world, before, outcome).await;
    reason
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} cannot be copied", from.display());
}
