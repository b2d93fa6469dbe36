//! `groupfold failed list`.

mod apart;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::ListArgs;
use super::catalog::{Catalog, Entry, outcome, settled, without_indices};
use crate::cli::Output;
use crate::exit::Failure;
use crate::print;

pub(super) async fn run(args: ListArgs) -> Result<(), Failure> {
    let log = args.reach.open().await?;
    let catalog = Catalog::read(&log).await?;
    let (unreadable, missing) = (catalog.unreadable, catalog.missing.to_json());
    let mut entries = catalog.chosen(&[], &args.filter)?;
    entries.retain(|entry| entry.resolution.is_some() == args.resolved);
    let total = entries.len();
    let kinds = if args.all { Vec::new() } else { kinds(&entries) };
    if args.output == Output::Json {
        let rows: Vec<Value> = if args.all {
            entries.iter().map(single).collect()
        } else {
            kinds.iter().map(|kind| kind.to_json()).collect()
        };
        let name = if args.all { "failures" } else { "kinds" };
        let whole = json!({
            name: rows,
            "total": total,
            "resolved": args.resolved,
            "unreadable": unreadable,
            "missing": missing,
        });
        return print::json(&whole.to_string());
    }
    if total == 0 {
        return print::text(match (args.resolved, args.filter.is_empty()) {
            (true, true) => "nothing is settled",
            (false, true) => "nothing waits: every failure is settled",
            (true, false) => "nothing of what was asked for is settled",
            (false, false) => "nothing of what was asked for waits",
        });
    }
    let table = if args.all {
        single_rows(&entries)
    } else {
        kind_rows(&kinds, &apart::each(&log, &kinds).await, args.resolved)
    };
    print::text(&table.to_string())?;
    print::text(&if args.resolved && args.all {
        format!("{total} settled")
    } else if args.resolved {
        format!("{total} settled, of {} kind(s); --all shows each", kinds.len())
    } else if args.all {
        format!("{total} not settled; next: groupfold failed show ID")
    } else {
        format!("{total} not settled, of {} kind(s); next: groupfold failed show SAMPLE", kinds.len())
    })
}

/// Failures with one fingerprint.
struct Kind<'a> {
    first: &'a Entry,
    count: u64,
    /// How many were settled how.
    settled: BTreeMap<&'static str, u64>,
    /// The reasons that were given.
    why: BTreeSet<&'a str>,
    first_ms: i64,
    last_ms: i64,
}

fn kinds(entries: &[Entry]) -> Vec<Kind<'_>> {
    let mut kinds: BTreeMap<&str, Kind<'_>> = BTreeMap::new();
    for entry in entries {
        let kind = kinds.entry(&entry.fingerprint).or_insert(Kind {
            first: entry,
            count: 0,
            settled: BTreeMap::new(),
            why: BTreeSet::new(),
            first_ms: entry.first_ms,
            last_ms: entry.last_ms,
        });
        kind.count += 1;
        kind.first_ms = kind.first_ms.min(entry.first_ms);
        kind.last_ms = kind.last_ms.max(entry.last_ms);
        if let Some(resolution) = &entry.resolution {
            *kind.settled.entry(outcome(resolution)).or_default() += 1;
            kind.why.extend(Some(resolution.why.as_str()).filter(|why| !why.is_empty()));
        }
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    kinds.sort_by(|a, b| (b.count, &a.first.fingerprint).cmp(&(a.count, &b.first.fingerprint)));
    kinds
}

impl Kind<'_> {
    fn to_json(&self) -> Value {
        json!({
            "fingerprint": self.first.fingerprint,
            "cause": self.first.cause,
            "field": without_indices(&self.first.pointer),
            "expected": self.first.expected,
            "provider": self.first.provider,
            "count": self.count,
            "first_seen": print::time(self.first_ms),
            "last_seen": print::time(self.last_ms),
            "sample": self.first.failed_id,
            "settled": (!self.settled.is_empty()).then_some(&self.settled),
        })
    }

    /// `2 replayed, 1 discarded: why`.
    fn settled_in_words(&self) -> String {
        let each: Vec<String> = self.settled.iter().map(|(how, count)| format!("{count} {how}")).collect();
        let mut why = self.why.iter();
        let why = match (why.next(), why.next()) {
            (None, _) => String::new(),
            (Some(why), None) => format!(": {why}"),
            (Some(_), Some(_)) => format!(", for {} reasons", self.why.len()),
        };
        format!("{}{why}", each.join(", "))
    }
}

/// `apart` has a text for each kind that looks like another one.
fn kind_rows(kinds: &[Kind<'_>], apart: &[String], resolved: bool) -> comfy_table::Table {
    let told_apart = apart.iter().any(|sign| !sign.is_empty());
    let mut header = vec!["FINGERPRINT", "COUNT", "CAUSE", "FIELD", "FIRST SEEN", "LAST SEEN", "SAMPLE"];
    header.extend(told_apart.then_some("APART BY"));
    header.extend(resolved.then_some("SETTLED"));
    let mut table = print::table([]);
    table.set_header(header);
    for (kind, apart) in kinds.iter().zip(apart) {
        let mut row = vec![
            kind.first.fingerprint.clone(),
            kind.count.to_string(),
            kind.first.cause.clone(),
            without_indices(&kind.first.pointer),
            print::time(kind.first_ms),
            print::time(kind.last_ms),
            kind.first.failed_id.clone(),
        ];
        row.extend(told_apart.then(|| apart.clone()));
        row.extend(resolved.then(|| kind.settled_in_words()));
        table.add_row(row);
    }
    table
}

fn single(entry: &Entry) -> Value {
    json!({
        "failed_id": entry.failed_id,
        "fingerprint": entry.fingerprint,
        "cause": entry.cause,
        "pointer": entry.pointer,
        "expected": entry.expected,
        "provider": entry.provider,
        "group_id": (!entry.group_id.is_empty()).then_some(&entry.group_id),
        "first_seen": print::time(entry.first_ms),
        "last_seen": print::time(entry.last_ms),
        "times": entry.times,
        "resolution": entry.resolution.as_ref().map(settled),
    })
}

fn single_rows(entries: &[Entry]) -> comfy_table::Table {
    let mut table = print::table(["ID", "CAUSE", "FIELD", "GROUP", "RECEIVED", "SETTLED"]);
    for entry in entries {
        let settled = entry.resolution.as_ref().map(|resolution| {
            let why = if resolution.why.is_empty() { String::new() } else { format!(": {}", resolution.why) };
            format!("{} {}{why}", outcome(resolution), print::time(resolution.time_ms))
        });
        table.add_row([
            entry.failed_id.clone(),
            entry.cause.clone(),
            entry.pointer.clone(),
            entry.group_id.clone(),
            print::time(entry.first_ms),
            settled.unwrap_or_default(),
        ]);
    }
    table
}
