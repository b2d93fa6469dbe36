//! Tasks of an operator on the stores: asked of the process that serves them, or done here on stores that none
//! serves, and followed to their end.

use std::time::Duration;

use groupfold_projector::rebuild::{
    Compared, Job, MEMORY_DEFAULT, Reason, Rebuilds, Refused, Shares, State, Task, groups_of,
};
use reqwest::{Method, StatusCode};
use tokio_util::sync::CancellationToken;

use crate::api::{Client, PipelineReach, Request};
use crate::cli::Output;
use crate::data::{DataFolder, start};
use crate::exit::Failure;
use crate::{pipeline, print, progress};

const LOOK_EVERY: Duration = Duration::from_millis(200);
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// Looks in a row that may fail while a task is followed.
const LOOKS_FAILED_MAX: u32 = 25;

/// Which stores.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct StoreReach {
    #[command(flatten)]
    pipeline: PipelineReach,
    /// Memory to work with on stores that no process serves, in MiB: the less, the fewer partitions at once, and the slower.
    /// A process that serves them has `rebuild_bytes` for it
    #[arg(long, default_value_t = mib(MEMORY_DEFAULT), value_name = "MIB", value_parser = clap::value_parser!(u32).range(i64::from(mib(Shares::least(1)))..))]
    memory: u32,
    /// Partitions worked on at once in stores that no process serves [default: as many as the memory has room for, no
    /// more than processors, but for a second one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    at_once: Option<u8>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// What is asked for, as the endpoint and as the task have it.
pub(crate) struct Order {
    pub(crate) task: Task,
    pub(crate) partition: Option<u16>,
    pub(crate) query: Vec<(&'static str, String)>,
}

impl Order {
    fn name(&self) -> &'static str {
        match self.task {
            Task::Rebuild { .. } => "rebuild",
            Task::Rollback => "rollback",
            Task::Verify { .. } => "verify",
        }
    }
}

/// Whole MiB of so many bytes.
const fn mib(bytes: usize) -> u32 {
    (bytes >> 20) as u32
}

impl StoreReach {
    /// Has it done and waits for its end.
    pub(crate) async fn order(&self, order: Order) -> Result<Job, Failure> {
        let data = &self.pipeline.api.data;
        match self.pipeline.api.client() {
            Ok(client) => remote(&client, order).await,
            Err(Failure::Missing(_)) if self.pipeline.log().url()?.is_some() => self.here(order).await,
            Err(Failure::Missing(_)) => Err(Failure::Missing(format!(
                "nothing runs on {}: start {}, or, with the log elsewhere, name its broker by --nats-url to work on the stopped stores",
                data.display(),
                start(data)
            ))),
            Err(failure) => Err(failure),
        }
    }

    /// Of the memory, for one partition or for all.
    fn shares(&self, of_one: bool) -> Result<Shares, Failure> {
        let at_once = if of_one { Some(1) } else { self.at_once.map(usize::from) };
        if let Some(count) = at_once
            && let least = mib(Shares::least(count))
            && self.memory < least
        {
            return Err(Failure::Usage(format!(
                "--memory {}: {count} partitions at once need {least} MiB at least; give more, or a lower --at-once",
                self.memory
            )));
        }
        Ok(Shares::alone((self.memory as usize) << 20, at_once))
    }

    /// On stores that no process serves. The folder is taken, so that none begins to.
    async fn here(&self, order: Order) -> Result<Job, Failure> {
        let shares = self.shares(order.partition.is_some())?;
        let (log, data) = (self.pipeline.log().open().await?, &self.pipeline.api.data);
        if !data.join("store").is_dir() {
            return Err(Failure::Missing(format!("there are no stores in {}", data.display())));
        }
        let folder = DataFolder::take(data)?;
        let told: CancellationToken = pipeline::until_told_to_stop()?;
        let (client, partitions, data) = (log.client, log.partitions, folder.path().to_owned());
        let opening =
            tokio::task::spawn_blocking(move || Rebuilds::offline(client, &data, partitions, shares, told));
        let opened = opening.await.map_err(|error| Failure::failed("the stores cannot be opened", &error))?;
        let rebuilds = opened.map_err(|error| Failure::failed("the stores cannot be opened", &error))?;
        let begun = rebuilds.start(order.task, order.partition).map_err(|refused| match refused {
            Refused::Busy { .. } => Failure::Again(refused.to_string()),
            Refused::NoSuchPartition { .. } => Failure::Usage(refused.to_string()),
            Refused::NotOwned { partition } => {
                Failure::Missing(format!("there is no store of partition {partition} here"))
            }
        })?;
        let bar = progress::bar(0, order_name(&begun));
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let job = rebuilds.job(Some(begun.id));
            show(&bar, &job);
            if job.state != State::Running {
                drop(folder);
                return Ok(job);
            }
        }
    }
}

/// In stores that a process serves.
async fn remote(api: &Client, order: Order) -> Result<Job, Failure> {
    let name = order.name();
    let mut query: Vec<_> = order.query.into_iter().map(|(name, value)| (name, Some(value))).collect();
    query.push(("partition", order.partition.map(|partition| partition.to_string())));
    let begun = ask(api, Method::POST, name, &query).await?;
    let bar = progress::bar(begun.total, order_name(&begun));
    // Somebody else's task may begin, and end, between two looks.
    let ours = [("id", Some(begun.id.to_string()))];
    let mut failed = 0;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let job = match ask(api, Method::GET, name, &ours).await {
            Ok(job) => job,
            Err(_) if failed < LOOKS_FAILED_MAX => {
                failed += 1;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        failed = 0;
        show(&bar, &job);
        match job.state {
            State::Running => {}
            State::None => {
                return Err(Failure::Again(
                    "the task is not known any more: the process was started anew meanwhile, or many other tasks were run \
                     since; give the command again, it goes on from where it was"
                        .into(),
                ));
            }
            State::Done | State::Differs | State::Stopped | State::Failed => return Ok(job),
        }
    }
}

fn order_name(job: &Job) -> &'static str {
    match job.task.as_str() {
        "rebuild" => "rebuilding",
        "rollback" => "rolling back",
        _ => "verifying",
    }
}

fn show(bar: &indicatif::ProgressBar, job: &Job) {
    bar.set_length(job.total.max(job.done));
    bar.set_position(job.done);
}

/// Asks the operators' endpoint of a running process.
async fn ask(
    api: &Client,
    method: Method,
    name: &str,
    query: &[(&str, Option<String>)],
) -> Result<Job, Failure> {
    let path = ["v1", "ops", name];
    let request =
        Request { method, path: &path, query, deadline: Some(ANSWER_DEADLINE), ..Request::default() };
    let answer = api.send(request).await?;
    let is_unknown = answer.status == StatusCode::NOT_FOUND;
    let body = api.judge(answer).map_err(|failure| match is_unknown {
        true => Failure::Missing(format!("{failure}: is it an earlier version, or a receiver alone?")),
        false => failure,
    })?;
    serde_json::from_value(body)
        .map_err(|error| Failure::failed("the answer cannot be read: is it another version?", &error))
}

/// Prints what came of a task and says by the exit code how it ended.
pub(crate) fn end(job: &Job, output: Output) -> Result<(), Failure> {
    print::either(output, || serde_json::to_string(job).unwrap_or_default(), || table(job))?;
    match job.state {
        State::Done => Ok(()),
        State::Stopped => {
            let stopped: Vec<String> = job.partitions.iter().filter_map(stopped).collect();
            Err(Failure::Found(format!(
                "{}: what follows is in no store, and nothing is said of it; mend that first (`groupfold doctor`; RUNBOOK, Health)",
                stopped.join("; ")
            )))
        }
        State::Differs => {
            let keys: u64 = job.partitions.iter().map(|one| one.differing).sum();
            let differing = job.partitions.iter().flat_map(|one| &one.differences);
            let groups = groups_of(&differing.cloned().collect::<Vec<_>>())
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>();
            let of = if groups.is_empty() { String::new() } else { format!(" of {}", groups.join(", ")) };
            let hint = hint(job);
            Err(Failure::Found(format!("{keys} key(s){of} differ from what the log says{hint}")))
        }
        State::Failed | State::None | State::Running => {
            let line = job.error.clone().unwrap_or_else(|| "it did not end".to_owned());
            Err(match job.reason {
                Some(Reason::LogUnreadable) => Failure::Missing(line),
                Some(Reason::NotYet) => Failure::Again(line),
                None => Failure::Failed(line),
            })
        }
    }
}

/// What to do about what differs: a store that does not open is no matter of force, and one that knows more than the log is not to
/// be folded anew.
fn hint(job: &Job) -> String {
    let left = job.partitions.iter().filter(|one| !one.is_equal() && !one.swapped);
    let (shut, open): (Vec<&Compared>, Vec<&Compared>) = left.partition(|one| one.does_not_open());
    let (more, other): (Vec<&Compared>, Vec<&Compared>) = open.into_iter().partition(|one| one.knows_more());
    let (is_rebuild, mut hint) = (job.task == "rebuild", String::new());
    let names =
        |some: &[&Compared]| some.iter().map(|one| one.partition.to_string()).collect::<Vec<_>>().join(", ");
    if !other.is_empty() {
        let of = if more.is_empty() { String::new() } else { format!(" of partition {}", names(&other)) };
        let which = if more.is_empty() { String::new() } else { " --partition N".to_owned() };
        hint.push_str(&match is_rebuild {
            true => format!(
                "; the live store{of} was left as it is, --force{which} puts the new one in its place"
            ),
            false => format!("; `groupfold rebuild --force{which}` folds the store{of} anew"),
        });
    }
    for one in other.iter().filter(|one| one.lost > 0) {
        hint.push_str(&format!(
            "; of partition {} {} message(s) were accepted as lost: what the live store knows of them a rebuild would lose, so look at \
             the keys first",
            one.partition, one.lost
        ));
    }
    for one in more {
        hint.push_str(&format!(
            "; the live store of partition {} knows more than the log, of which {} message(s) were accepted as lost: leave it as it \
             is, a rebuild would lose that",
            one.partition, one.lost
        ));
    }
    if !shut.is_empty() {
        hint.push_str(&format!(
            "; the store of partition {} does not open: start `groupfold project` (or `up`), which sets it aside and folds it anew",
            names(&shut)
        ));
    }
    hint
}

fn table(job: &Job) -> String {
    let mut table =
        print::table(["PARTITION", "POSITION", "ENTRIES", "GROUPS", "DIFFER", "SWAPPED", "DIGEST"]);
    for one in &job.partitions {
        // Who rolls back compares nothing.
        let compared = !one.digest.is_empty() || one.differing > 0;
        let counted = |count: u64| if compared { count.to_string() } else { "-".to_owned() };
        table.add_row([
            one.partition.to_string(),
            format!("{}:{}", one.partition, one.sequence),
            counted(one.entries),
            counted(one.groups),
            counted(one.differing),
            if one.swapped { "yes" } else { "no" }.to_owned(),
            one.digest.clone(),
        ]);
    }
    let mut lines = vec![table.to_string()];
    lines.extend(job.partitions.iter().filter_map(stopped));
    lines.extend(job.partitions.iter().flat_map(differences));
    lines.join("\n")
}

/// `partition 2 is stopped at 46 of 93 (missing_sequence)`.
fn stopped(one: &Compared) -> Option<String> {
    let (partition, at, end) = (one.partition, one.sequence, one.log_end.unwrap_or_default());
    one.stopped.as_ref().map(|code| format!("partition {partition} is stopped at {at} of {end} ({code})"))
}

fn differences(one: &Compared) -> Vec<String> {
    let line = |difference: &groupfold_projector::rebuild::Difference| {
        let group = difference.group.as_ref().map(|group| format!(" (group {group})")).unwrap_or_default();
        format!("{}: {}{group}", difference.what.name(), difference.key)
    };
    let mut lines: Vec<String> = one.differences.iter().map(line).collect();
    let unnamed = one.differing.saturating_sub(one.differences.len() as u64);
    if unnamed > 0 {
        lines.push(format!("and {unnamed} more in partition {}", one.partition));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(partition: u16, differing: u64, more: u64, lost: u64) -> Compared {
        Compared { partition, digest: "d".to_owned(), differing, more, lost, ..Compared::default() }
    }

    /// It once offered `--force`, which the runbook forbids.
    #[test]
    fn a_store_that_knows_what_the_log_lost_is_not_to_be_folded_anew() {
        let of = |task: &str, partitions| {
            hint(&Job { task: task.to_owned(), partitions, state: State::Differs, ..Job::default() })
        };
        for task in ["verify", "rebuild"] {
            let told = of(task, vec![differs(3, 7, 7, 2)]);
            assert!(told.contains("partition 3 knows more than the log"), "{told}");
            assert!(told.contains("leave it as it is") && !told.contains("--force"), "{told}");
            // Nothing was lost, or something is missing as well: the log is the truth.
            for one in [differs(3, 7, 7, 0), differs(3, 7, 6, 2)] {
                let told = of(task, vec![one.clone()]);
                assert!(told.contains("--force") && !told.contains("leave it as it is"), "{told}");
                assert_eq!(told.contains("look at the keys first"), one.lost > 0, "{told}");
            }
            // Force is for all partitions unless one is named.
            let told = of(task, vec![differs(3, 7, 7, 2), differs(4, 1, 0, 0)]);
            assert!(told.contains("partition 4") && told.contains("--force --partition N"), "{told}");
        }
    }
}
