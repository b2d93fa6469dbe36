//! Rows 11, 13 and 14: a store that is damaged, fought over, or swapped for one that is folded anew.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use groupfold_tests::{Groupfold, Process, Rng, http, wait_until};

use super::kills::in_worlds;
use crate::args::Budget;
use crate::outcome::Outcome;
use crate::world::{BOUND, Plan, World, groupfold};

/// A bit of a file of the stopped store is another, or the file ends early; the next start must notice and heal.
pub(crate) async fn flipped(budget: Budget) -> Outcome {
    let mut healed = 0;
    let mut outcome = in_worlds("11a", Plan::default(), budget, async |world, rng, round| {
        world.load.until_sent(rng.between(5, 30)).await;
        if round % 2 == 0 {
            world.nobody_reads();
            assert_eq!(world.projector.terminate().await, 0, "the projector ends in order");
        } else {
            world.projector.kill9();
        }
        let store = world.projector.data().join("store");
        damage(&store, rng);
        let since = Instant::now();
        let aside = set_aside(&store);
        // What is set aside is folded again from its beginning.
        world.forget_what_was_shown();
        world.restart_projector().await;
        let recovered = world.recovered(since).await;
        healed += u64::from(set_aside(&store) != aside);
        recovered
    })
    .await;
    outcome.note(format!(
        "{healed} of {} stores were set aside and folded again; the others held nothing there",
        outcome.rounds
    ));
    outcome
}

/// Names of the stores that were set aside: the newest changes with each.
fn set_aside(store: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(store).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut aside: Vec<PathBuf> =
        entries.filter(|path| path.to_string_lossy().contains(".damaged-")).collect();
    aside.sort();
    aside
}

fn damage(store: &Path, rng: &mut Rng) {
    let mut files = Vec::new();
    for folder in std::fs::read_dir(store).expect("the stores can be listed").flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        if name.parse::<u16>().is_ok() {
            files_under(&folder.path(), &mut files);
        }
    }
    files.sort();
    let file = rng.choose(&files);
    let mut bytes = std::fs::read(file).expect("a file of the store can be read");
    // Most of a file is room for later.
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("files of zeros are left out") as u64 + 1;
    match rng.below(4) {
        0 => bytes.truncate(rng.below(used) as usize),
        _ => bytes[rng.below(used) as usize] ^= 1 << rng.below(8),
    }
    std::fs::write(file, bytes).expect("a file of the store can be written");
}

fn files_under(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_under(&path, files);
        } else if std::fs::read(&path).is_ok_and(|bytes| bytes.iter().any(|byte| *byte != 0)) {
            files.push(path);
        }
    }
}

/// A second projector on the same folder, half of the time while the first one is killed: one at most may write.
pub(crate) async fn two_at_once(budget: Budget) -> Outcome {
    let mut won = 0;
    let mut outcome = in_worlds("13", Plan::default(), budget, async |world, rng, round| {
        world.load.until_sent(rng.between(3, 15)).await;
        let log = world.projector.data().join(format!("second.{round}.log"));
        let mut command = Groupfold::command();
        command.args(["project", "--api-addr", "127.0.0.1:0", "--nats-url", &world.nats.url(), "--data"]);
        command.arg(world.projector.data());
        let mut second = Process::spawn("second projector", command, &log);
        let dies = round % 2 == 1;
        let mut since = Instant::now();
        if dies {
            tokio::time::sleep(Duration::from_millis(rng.below(400))).await;
            since = Instant::now();
            world.projector.kill9();
        }
        let ended =
            wait_until("the second projector gives up or is up", BOUND, async || match second.exited() {
                Some(status) => Ok(Some(status)),
                None if second.log().contains("groupfold project is up") => Ok(None),
                None => Err("neither"),
            })
            .await;
        match ended {
            Some(status) => assert_eq!(status.code(), Some(1), "{}", second.log_tail()),
            None if dies => won += 1,
            None => panic!("two projectors are up on one folder:\n{}", second.log_tail()),
        }
        second.kill9();
        if dies {
            world.restart_projector().await;
        }
        world.recovered(since).await
    })
    .await;
    outcome.note(format!("{won} times the second one took over from a killed first one"));
    outcome
}

const OF_A_REBUILD: [&str; 8] = [
    "portion.batch",
    "portion.applied",
    "portion.done",
    "seal.begin",
    "swap.begin",
    "swap.out",
    "swap.in",
    "swap.done",
];

/// A rebuild that dies between two steps, is resumed, and swaps stores under live load.
pub(crate) async fn rebuilt(budget: Budget) -> Outcome {
    let plan =
        Plan { projector_args: vec!["--rebuild-bytes".to_owned(), "4096".to_owned()], ..Plan::default() };
    let mut died = 0;
    let mut outcome = in_worlds("14", plan, budget, async |world, rng, round| {
        world.load.until_sent(rng.between(10, 40)).await;
        let point = OF_A_REBUILD[round as usize % OF_A_REBUILD.len()];
        died += u64::from(rebuild_dies_at(world, point, rng.between(1, 4)).await);
        let since = Instant::now();
        world.restart_projector().await;
        let recovered = world.recovered(since).await;
        // What the dead one left is gone on with, while webhooks come and readers read.
        let rebuilt = groupfold("rebuild", &world.projector);
        assert_eq!(rebuilt.0, Some(0), "{rebuilt:?}");
        recovered
    })
    .await;
    outcome.note(format!("{died} of {} died at their point, the others later", outcome.rounds));
    outcome
}

/// True if it died at the point.
async fn rebuild_dies_at(world: &mut World, point: &str, passes: u64) -> bool {
    world.nobody_reads();
    world.projector.kill9();
    world.projector.options().env = vec![("GROUPFOLD_CRASH".to_owned(), format!("{point}:{passes}"))];
    let ready = world.projector.try_restart().await;
    world.projector.options().env.clear();
    assert!(ready, "nothing is rebuilt by itself");
    let url = world.projector.api_url("/v1/ops/rebuild");
    // It may be dead before it has answered.
    if let Ok(asked) = http::client().post(&url).send().await {
        assert_eq!(asked.status(), 202);
    } else {
        world.projector.process().wait(BOUND).await;
    }
    // A point that is passed less often than that is not died at: killed, then, when all is done.
    let died = wait_until("the rebuild dies or ends", BOUND, async || {
        if world.projector.process().exited().is_some() {
            return Ok(true);
        }
        match http::try_get(&url).await {
            Ok(job) if job.json["state"] == "running" => Err(job.to_string()),
            Ok(_) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    if died {
        world.projector.process().died_at_a_point();
    }
    world.projector.kill9();
    died
}
