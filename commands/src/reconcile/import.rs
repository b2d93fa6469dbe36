//! `groupfold import`: groups that were there before us.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures_util::{Stream, StreamExt as _, stream};
use serde_json::json;

use super::folded;
use super::known::{self, Known};
use super::reading::{Read, read};
use super::round::{AT_ONCE, Appended, Found};
use super::{Both, ImportArgs};
use crate::cli::Output;
use crate::exit::Failure;
use crate::provider::GroupListed;
use crate::{print, progress};

/// How a group of the provider or of the projection stands to the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the provider alone, or known by facts that do not tell what it is.
    New,
    Known,
    /// Believed to live, and not listed by the provider.
    Gone,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
            Self::Gone => "gone",
        }
    }
}

struct Row {
    group_id: String,
    subject: Option<String>,
    created_at_ms: Option<i64>,
    state: State,
}

pub(super) async fn run(args: ImportArgs) -> Result<(), Failure> {
    let both = Both::of(&args.flags, &args.elsewhere).await?;
    let listed = both.provider.all_groups(&args.phone_number_id).await;
    let listed = listed.map_err(|answer| super::unreadable("the provider's groups", &answer))?;
    let log = both.log_for(args.execute).await?;
    let behind = folded::fold_up(&both.api, log.as_ref()).await?;
    let known = known::groups(&both.api, Some(&args.phone_number_id)).await?;
    let rows = rows(listed, &known);
    let Some(log) = log.filter(|_| args.execute) else {
        behind.refuse()?;
        return show(&rows, args.output);
    };
    let chosen = chosen(&rows, &args)?;
    let account = account(&known, &args)?;
    let run = super::run_id();
    let (mut appended, mut failed) = (Appended::default(), BTreeMap::new());
    let bar = progress::bar(chosen.len() as u64, "importing");
    let (unfolded, chosen): (Vec<_>, Vec<_>) =
        chosen.into_iter().partition(|group| behind.has(group, Some(&log)));
    failed.extend(unfolded.into_iter().map(|group| (group, behind.to_string())));
    let mut reads = pin!(reads(&both, &args, &account, &known, chosen));
    // Each as soon as it is read: cut short, what was read is taken in, and known the next time.
    while let Some(found) = reads.next().await {
        appended.append(&log, &found, &run).await;
        if let Read::Failed(why) = found.read {
            failed.insert(found.known.group_id, why);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let Appended { count: imported, position, refused, .. } = appended;
    failed.extend(refused.into_iter().map(|(group, why)| (group, format!("not appended: {why}"))));
    print::either(
        args.output,
        || json!({ "imported": imported, "failed": failed, "position": position.to_string() }).to_string(),
        || {
            let lines: String =
                failed.iter().map(|(group, why)| format!("\n{group}: not taken in: {why}")).collect();
            format!("{imported} group(s) imported, at position {position}{lines}")
        },
    )?;
    match failed.len() {
        0 => Ok(()),
        n => Err(Failure::Again(format!(
            "{n} group(s) could not be taken in; the same command again does the rest"
        ))),
    }
}

fn rows(listed: Vec<GroupListed>, known: &[Known]) -> Vec<Row> {
    let lives: BTreeMap<&str, &Known> =
        known.iter().filter(|known| known.lives()).map(|known| (known.group_id.as_str(), known)).collect();
    let there: BTreeSet<String> = listed.iter().map(|group| group.group_id.clone()).collect();
    let state = |group: &str| match lives.get(group) {
        Some(known) if !known.is_stub() => State::Known,
        _ => State::New,
    };
    let at_provider = listed.into_iter().map(|group| Row {
        state: state(&group.group_id),
        group_id: group.group_id,
        subject: group.subject,
        created_at_ms: group.created_at_ms,
    });
    let gone = lives.values().filter(|known| !there.contains(&known.group_id)).map(|known| Row {
        group_id: known.group_id.clone(),
        subject: known.subject.clone(),
        created_at_ms: None,
        state: State::Gone,
    });
    let mut rows: Vec<Row> = at_provider.chain(gone).collect();
    rows.sort_by(|a, b| a.group_id.cmp(&b.group_id));
    rows
}

fn show(rows: &[Row], output: Output) -> Result<(), Failure> {
    let count = |state| rows.iter().filter(|row| row.state == state).count();
    let (new, known, gone) = (count(State::New), count(State::Known), count(State::Gone));
    print::either(
        output,
        || {
            let groups: Vec<_> = rows
                .iter()
                .map(|row| {
                    let created = row.created_at_ms.map(print::time);
                    json!({ "group_id": row.group_id, "subject": row.subject, "created_at": created,
                        "state": row.state.name() })
                })
                .collect();
            json!({ "groups": groups, "new": new, "known": known, "gone": gone }).to_string()
        },
        || {
            let mut table = print::table(["GROUP", "STATE", "SUBJECT", "CREATED"]);
            for row in rows {
                let created = row.created_at_ms.map(print::time).unwrap_or_default();
                let subject = row.subject.clone().unwrap_or_default();
                table.add_row([row.group_id.clone(), row.state.name().to_owned(), subject, created]);
            }
            let gone_hint = if gone > 0 {
                "\ngone ones: groupfold reconcile tells whether they were deleted"
            } else {
                ""
            };
            format!(
                "{table}\n{new} new, {known} known, {gone} gone; nothing was changed: --execute with --all, or --group G, \
                 imports{gone_hint}"
            )
        },
    )
}

/// The groups named, or all that are new.
fn chosen(rows: &[Row], args: &ImportArgs) -> Result<Vec<String>, Failure> {
    if args.all {
        let new = rows.iter().filter(|row| row.state == State::New);
        return Ok(new.map(|row| row.group_id.clone()).collect());
    }
    if args.groups.is_empty() {
        return Err(Failure::Usage("say which groups: --group G (repeatable), or --all new ones".to_owned()));
    }
    let listed = |group: &&String| rows.iter().any(|row| row.group_id == **group && row.state != State::Gone);
    match args.groups.iter().find(|group| !listed(group)) {
        Some(stranger) => {
            Err(Failure::Usage(format!("{stranger}: the provider lists no such group of this number")))
        }
        None => Ok(args.groups.clone()),
    }
}

/// The account that the number belongs to: the one of its groups, else as told.
fn account(known: &[Known], args: &ImportArgs) -> Result<String, Failure> {
    let of_groups = known.iter().map(|known| &known.account).find(|account| !account.is_empty());
    args.account.as_ref().or(of_groups).cloned().ok_or_else(|| {
        Failure::Usage(format!(
            "no group of phone_number_id {} is known yet: name its WhatsApp Business Account by --account",
            args.phone_number_id
        ))
    })
}

fn reads<'a>(
    both: &'a Both,
    args: &'a ImportArgs,
    account: &'a str,
    known: &'a [Known],
    groups: Vec<String>,
) -> impl Stream<Item = Found> + 'a {
    let number = args.phone_number_id.as_str();
    let reads = stream::iter(groups).map(move |group_id| async move {
        let read = match read(&both.provider, number, &group_id, true).await {
            // It was listed a moment ago: nothing to conclude from.
            Read::Absent { .. } => Read::Failed("listed, but its own page does not know it".to_owned()),
            read => read,
        };
        // A group that facts spoke of has members already.
        let stub = known.iter().find(|known| known.group_id == group_id).cloned();
        let known = Known {
            group_id,
            account: account.to_owned(),
            phone_number_id: number.to_owned(),
            ..stub.unwrap_or_default()
        };
        Found { known, read, differences: Vec::new() }
    });
    reads.buffer_unordered(AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(id: &str) -> GroupListed {
        GroupListed { group_id: id.to_owned(), subject: None, created_at_ms: None }
    }

    fn known(id: &str, status: &str) -> Known {
        Known { group_id: id.to_owned(), status: status.to_owned(), ..Known::default() }
    }

    #[test]
    fn groups_are_new_known_or_gone() {
        let known =
            [known("A", "active"), known("B", "unknown"), known("C", "suspended"), known("D", "deleted")];
        let rows = rows(vec![listed("A"), listed("B"), listed("E")], &known);
        let states: Vec<_> = rows.iter().map(|row| (row.group_id.as_str(), row.state)).collect();
        assert_eq!(states, [("A", State::Known), ("B", State::New), ("C", State::Gone), ("E", State::New)]);
    }
}
