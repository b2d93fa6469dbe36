//! Row 7a: the disk of the log that `up` keeps has no room. nats-server holds a stream whose file failed until it is
//! started again; nobody does that by hand.

use std::time::{Duration, Instant};

use groupfold_tests::{
    Groupfold, Load, LoadOptions, Log, Options, Rng, Scratch, check_log, check_state, wait_until,
};
use serde_json::Value;

use crate::args::Budget;
use crate::disk::Disk;
use crate::outcome::Outcome;
use crate::world::{BOUND, PARTITIONS, groupfold, recovered};

const ROUNDS_OF_A_DISK: u32 = 5;
const MIB: u64 = 192;

pub(crate) async fn log_full(budget: Budget) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    while budget.allows(&outcome) {
        let disk = match Disk::new(MIB) {
            Ok(disk) => disk,
            Err(why) => {
                return Outcome { not_run: Some(format!("needs root and loop devices: {why}")), ..outcome };
            }
        };
        on(&disk, budget.clone(), &mut rng, &mut outcome).await;
    }
    outcome
}

async fn on(disk: &Disk, budget: Budget, rng: &mut Rng, outcome: &mut Outcome) {
    // The log alone is on that disk.
    let data = Scratch::new("up");
    let log = disk.path().join("log");
    std::fs::create_dir(&log).expect("the disk has room");
    std::os::unix::fs::symlink(&log, data.path().join("nats")).expect("a link can be made");
    let args = ["--partitions".to_owned(), PARTITIONS.to_string()];
    let options = Options { data: Some(data.path().to_owned()), args: args.to_vec(), ..Options::default() };
    let mut up = Groupfold::up(options).await;
    let (seed, secret) = (rng.next_u64() >> 16, up.options().app_secret.clone());
    let plan =
        LoadOptions { senders: 4, pause: Duration::from_millis(15), ahead: 60, first: 0, seed, secret };
    let load = Load::start(up.webhook_url(), plan);
    for _ in 0..ROUNDS_OF_A_DISK {
        if !budget.allows(outcome) {
            break;
        }
        load.until_sent(rng.between(5, 20)).await;
        disk.fill().expect("the disk can be filled");
        wait_until("readiness says why", BOUND, async || {
            load.go_on();
            let ready = up.get("/readyz").await;
            if ready.status == 503 && ready.text.contains("holds a stream") {
                Ok(())
            } else {
                Err(ready.to_string())
            }
        })
        .await;
        tokio::time::sleep(Duration::from_millis(rng.below(1_500))).await;
        disk.free();
        outcome.round(1, Some(recovered(&up, &load, Instant::now()).await));
    }
    let history = load.end().await;
    let run = std::fs::read(up.data().join("run.json")).expect("up leaves its addresses");
    let run: Value = serde_json::from_slice(&run).expect("they are JSON");
    let url = run["nats_url"].as_str().expect("the broker's is among them");
    // The client does not look for the password in the address.
    let (user, rest) = url.trim_start_matches("nats://").split_once(':').expect("a user");
    let (password, addr) = rest.split_once('@').expect("a password");
    let access = async_nats::ConnectOptions::with_user_and_password(user.into(), password.into());
    let log = Log::read(access.connect(addr).await.expect("nats-server answers"), PARTITIONS).await;
    let mut checked = check_log(&history, &log);
    check_state(&mut checked, &up, &log, &[]).await;
    let verified = groupfold("verify", &up);
    if verified.0 != Some(0) {
        checked.violations.push(format!("verify: {verified:?}"));
    }
    outcome.add(&history, &checked);
    assert_eq!(up.terminate().await, 0, "up ends well");
}
