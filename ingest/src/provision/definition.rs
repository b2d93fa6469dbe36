//! What the streams must be.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType};
use groupfold_schemas::log;

use super::Plan;

/// Version of the log's layout: subjects, partitions and frames.
pub const FORMAT: &str = "1";

/// The setting by which a stream takes atomic batches.
pub(crate) const ALLOW_ATOMIC: &str = "allow_atomic";
/// A setting that operators choose, as the broker calls it: the bound of a stream, in bytes.
pub const MAX_BYTES: &str = "max_bytes";
/// A setting that operators choose, as the broker calls it: copies of a stream.
pub const NUM_REPLICAS: &str = "num_replicas";

const PARTITIONS: &str = "groupfold.partitions";
const FORMAT_KEY: &str = "groupfold.format";

/// One setting of one stream that is not as planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The stream.
    pub stream: String,
    /// The setting, as the broker names it.
    pub setting: &'static str,
    /// What it is.
    pub found: String,
    /// What the plan says.
    pub wanted: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stream, setting, found, wanted } = self;
        write!(f, "{stream}: {setting} is {found}, {wanted} is wanted")
    }
}

/// How long changes are kept. They can be made again from the log, and whoever was away for longer reads the state.
const CHANGES_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Most changes kept, whatever their age: a bound of the disk that reserves nothing of it.
const CHANGES_MAX: i64 = 20_000_000;

/// All streams of a plan: the partitions in order, the failures and what settled them, the changes.
pub(super) fn all(plan: &Plan) -> Vec<Config> {
    let events = (0..plan.partitions).map(|partition| {
        let subjects = log::stream_subjects(partition);
        stream(plan, log::stream(partition), subjects, "groupfold: events of one partition of the groups")
    });
    let failures = stream(
        plan,
        log::FAILED_STREAM.to_owned(),
        log::FAILED_SUBJECTS.to_owned(),
        "groupfold: webhooks that could not become events",
    );
    let resolved = stream(
        plan,
        log::RESOLVED_STREAM.to_owned(),
        log::RESOLVED_SUBJECTS.to_owned(),
        "groupfold: what settled failed webhooks",
    );
    events.chain([failures, resolved, changes(plan), change_marks(plan)]).collect()
}

/// Forgets what is old: nobody's only copy. Published in atomic batches.
fn changes(plan: &Plan) -> Config {
    let (name, subjects) = (log::CHANGES_STREAM.to_owned(), log::CHANGES_SUBJECTS.to_owned());
    Config {
        discard: DiscardPolicy::Old,
        max_age: CHANGES_AGE,
        max_messages: CHANGES_MAX,
        max_bytes: -1,
        ..stream(plan, name, subjects, "groupfold: changes of state, made from the events")
    }
}

/// One message for each partition.
fn change_marks(plan: &Plan) -> Config {
    let (name, subjects) = (log::CHANGE_MARKS_STREAM.to_owned(), log::CHANGE_MARKS_SUBJECTS.to_owned());
    Config {
        discard: DiscardPolicy::Old,
        max_messages_per_subject: 1,
        max_bytes: -1,
        ..stream(plan, name, subjects, "groupfold: how far the changes of each partition are published")
    }
}

fn stream(plan: &Plan, name: String, subjects: String, description: &str) -> Config {
    let partitions = plan.partitions.to_string();
    Config {
        name,
        subjects: vec![subjects],
        description: Some(description.to_owned()),
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        // A full log refuses; the other policy would forget what nobody has read.
        discard: DiscardPolicy::New,
        deny_delete: true,
        deny_purge: true,
        allow_direct: true,
        allow_atomic_publish: true,
        duplicate_window: plan.duplicate_window,
        num_replicas: plan.replicas,
        max_bytes: plan.max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        // Nothing is forgotten for its age.
        max_age: Duration::ZERO,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_message_size: -1,
        metadata: HashMap::from([
            (PARTITIONS.to_owned(), partitions),
            (FORMAT_KEY.to_owned(), FORMAT.to_owned()),
        ]),
        ..Config::default()
    }
}

/// The number of partitions that a stream of ours tells; `None` if it is none of ours.
pub(super) fn partitions(config: &Config) -> Option<&str> {
    let format = config.metadata.get(FORMAT_KEY).map(String::as_str);
    config.metadata.get(PARTITIONS).filter(|_| format == Some(FORMAT)).map(String::as_str)
}

/// Settings that are not as planned. What the broker adds by itself does not count.
pub(super) fn differences(found: &Config, wanted: &Config) -> Vec<Difference> {
    let mut list = Differences { stream: &wanted.name, list: Vec::new() };
    list.compare("subjects", &found.subjects, &wanted.subjects);
    list.compare("storage", found.storage, wanted.storage);
    list.compare("retention", found.retention, wanted.retention);
    list.compare("discard", found.discard, wanted.discard);
    list.compare("deny_delete", found.deny_delete, wanted.deny_delete);
    list.compare("deny_purge", found.deny_purge, wanted.deny_purge);
    list.compare("allow_direct", found.allow_direct, wanted.allow_direct);
    list.compare(NUM_REPLICAS, found.num_replicas, wanted.num_replicas);
    list.compare("duplicate_window", found.duplicate_window, wanted.duplicate_window);
    list.compare("max_age", Limit::of_age(found.max_age), Limit::of_age(wanted.max_age));
    list.compare(MAX_BYTES, Limit::of(found.max_bytes), Limit::of(wanted.max_bytes));
    list.compare("max_msgs", Limit::of(found.max_messages), Limit::of(wanted.max_messages));
    let per_subject = |config: &Config| Limit::of(config.max_messages_per_subject);
    list.compare("max_msgs_per_subject", per_subject(found), per_subject(wanted));
    list.compare(ALLOW_ATOMIC, found.allow_atomic_publish, wanted.allow_atomic_publish);
    list.compare("max_msg_size", Limit::of(i64::from(found.max_message_size)), Limit::None);
    list.compare("persist_mode", found.persist_mode.unwrap_or_default(), PersistenceMode::Default);
    list.compare("no_ack", found.no_ack, false);
    list.compare("sealed", found.sealed, false);
    list.list
}

/// Whether a stream has other than so many copies.
pub(super) fn copies(found: &Config, wanted: usize) -> Vec<Difference> {
    let mut list = Differences { stream: &found.name, list: Vec::new() };
    list.compare(NUM_REPLICAS, found.num_replicas, wanted);
    list.list
}

struct Differences<'a> {
    stream: &'a str,
    list: Vec<Difference>,
}

impl Differences<'_> {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, setting: &'static str, found: T, wanted: T) {
        if found != wanted {
            let (found, wanted) = (format!("{found:?}"), format!("{wanted:?}"));
            self.list.push(Difference { stream: self.stream.to_owned(), setting, found, wanted });
        }
    }
}

/// The broker prints "no limit" as zero or as -1.
#[derive(PartialEq)]
enum Limit {
    None,
    At(i64),
    After(Duration),
}

impl Limit {
    fn of(value: i64) -> Self {
        if value > 0 { Self::At(value) } else { Self::None }
    }

    fn of_age(value: Duration) -> Self {
        if value.is_zero() { Self::None } else { Self::After(value) }
    }
}

impl std::fmt::Debug for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::At(value) => write!(f, "{value}"),
            Self::After(age) => write!(f, "{age:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_as_planned_has_no_difference_and_each_change_is_named() {
        let plan = Plan { max_bytes: Some(1 << 30), ..Plan::default() };
        let all = all(&plan);
        assert_eq!(all.len(), 12);
        assert_eq!((all[8].name.as_str(), all[9].name.as_str()), ("GROUPFOLD_FAILED", "GROUPFOLD_RESOLVED"));
        assert_eq!((all[10].name.as_str(), all[10].discard), ("GROUPFOLD_CHANGES", DiscardPolicy::Old));
        assert_eq!(all[3].subjects, ["groupfold.event.3.>"]);
        assert!(differences(&all[0], &all[0]).is_empty());
        let mut found = all[0].clone();
        found.discard = DiscardPolicy::Old;
        found.max_bytes = -1;
        let names: Vec<_> =
            differences(&found, &all[0]).into_iter().map(|d| (d.setting, d.found, d.wanted)).collect();
        let (old, new) = ("Old".to_owned(), "New".to_owned());
        assert_eq!(names, [("discard", old, new), ("max_bytes", "none".to_owned(), "1073741824".to_owned())]);
    }

    #[test]
    fn a_stream_without_our_mark_is_foreign() {
        let mut stream = all(&Plan::default()).remove(0);
        assert_eq!(partitions(&stream), Some("8"));
        stream.metadata.insert(FORMAT_KEY.to_owned(), "2".to_owned());
        assert_eq!(partitions(&stream), None);
    }
}
