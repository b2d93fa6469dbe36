//! A group, its members and its history, as lines.

use std::collections::BTreeMap;

use groupfold_schemas::v1::{Outcome, Setting};

use super::Story;
use super::lived::{Lived, of_person};
use super::said;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The names of a person as one text.
pub(crate) fn called(names: &BTreeMap<char, String>) -> String {
    names.iter().map(|(kind, text)| format!("{kind}:{text}")).collect::<Vec<_>>().join(" ")
}

/// All of a group but its members.
pub(super) fn head(story: &Story<'_>) -> Vec<String> {
    let times = |rank| story.facts.iter().filter(move |f| f.rank == rank).map(|f| f.time);
    let read = |r: &&groupfold_schemas::v1::Record| said::read_of(r).map(|read| (r.provider_time_ms, read));
    let made = story.records.iter().filter_map(read).filter_map(|(_, (_, created))| created);
    let created = times(1).chain(made).min();
    let deleted = times(21).min();
    let failed = story.facts.iter().find(|fact| fact.rank == 2);
    let reported = story.facts.iter().filter(|fact| [18, 19].contains(&fact.rank));
    let reported = reported.map(|f| (f.time, f.rank, &f.event, f.rank == 19));
    let found =
        story.records.iter().filter_map(|r| Some((r.provider_time_ms, 0, &r.event_id, said::read_of(r)?.0?)));
    let suspended = reported.chain(found).max().map(|(.., suspended)| suspended);
    let status = if deleted.is_some() {
        "Deleted"
    } else if suspended == Some(true) {
        "Suspended"
    } else if created.is_some() || suspended.is_some() {
        "Active"
    } else if failed.is_some() {
        "CreateFailed"
    } else {
        "Unknown"
    };
    let text = |of| {
        let value = setting(story, of, Outcome::Succeeded).map(|(_, text)| text);
        value.filter(|text| !text.is_empty())
    };
    let mut subject = text(Setting::Subject);
    if status == "CreateFailed" {
        subject = failed.and_then(|fact| fact.text.clone());
    }
    let mut lines = vec![
        format!("status {status}"),
        format!("created {created:?} deleted {deleted:?}"),
        format!("subject {subject:?}"),
    ];
    for of in [Setting::Description, Setting::Picture, Setting::JoinApprovalMode, Setting::InviteLink] {
        lines.push(format!("{of:?} {:?}", text(of)));
    }
    for of in [Setting::Subject, Setting::Description, Setting::Picture] {
        let stamp = |outcome| setting(story, of, outcome).map(|(stamp, _)| stamp);
        if stamp(Outcome::Unknown) > stamp(Outcome::Succeeded) {
            lines.push(format!("unconfirmed {of:?}"));
        }
    }
    let failures = story.records.iter().filter_map(|r| {
        let (rank, kind, codes) = said::failure(r)?;
        Some(((r.provider_time_ms, rank, &r.event_id), kind, codes))
    });
    let failure = failures.max_by_key(|(stamp, ..)| *stamp).map(|(_, kind, codes)| (kind, codes));
    lines.push(format!("failure {failure:?}"));
    lines.extend(window(story));
    lines
}

type Stamp = (i64, u32, String);

/// The last report of a setting that went so.
fn setting(story: &Story<'_>, of: Setting, outcome: Outcome) -> Option<(Stamp, String)> {
    let mut reports = Vec::new();
    for record in &story.records {
        for (setting, how, value, rank) in said::settings_of(record) {
            if setting == of && how == outcome {
                reports.push(((record.provider_time_ms, rank, record.event_id.clone()), value));
            }
        }
    }
    reports.into_iter().max()
}

fn window(story: &Story<'_>) -> Option<String> {
    let messages =
        story.records.iter().filter_map(|r| Some((r.provider_time_ms, &r.event_id, said::sender(r)?)));
    let (time, _, who) = messages.max_by_key(|(time, event, _)| (*time, *event))?;
    let person = story.persons.person(&who, time)?;
    Some(format!("window until {} by {}", time + DAY_MS, name_of(story, person, &who)))
}

/// A person's names, the user name as it was told last.
pub(super) fn name_of(story: &Story<'_>, person: usize, who: &super::Who) -> String {
    let mut names = story.persons.names(person, who);
    if let Some(username) = told_last(story, person).or_else(|| username(&facts_of(story, person))) {
        names.insert('n', username);
    }
    called(&names)
}

/// The user name told last beside another name. Of the receipts that say it again only the day counts.
fn told_last(story: &Story<'_>, person: usize) -> Option<String> {
    let mut told: BTreeMap<(said::Name, String), i64> = BTreeMap::new();
    let mut first: BTreeMap<(said::Name, String), i64> = BTreeMap::new();
    for record in &story.records {
        let day = said::receipt(record).map_or(1, |_| DAY_MS);
        for (time, who) in said::people(record) {
            let (Some(name), Some(username)) = (who.firm().first().cloned(), who.username()) else {
                continue;
            };
            let both = (name, username);
            let known = first.entry(both.clone()).or_insert(time);
            *known = time.min(*known);
            let last = told.entry(both).or_insert(i64::MIN);
            *last = (time - time % day).max(*last);
        }
    }
    let of = |((name, username), last): ((said::Name, String), i64)| {
        let time = last.max(first[&(name.clone(), username.clone())]);
        let told_of = story.persons.person(&super::Who(vec![name]), time);
        (told_of == Some(person)).then_some((time, username))
    };
    told.into_iter().filter_map(of).max().map(|(_, username)| username)
}

/// What was said of a person's membership, by time and rank.
fn facts_of<'a>(story: &'a Story<'_>, person: usize) -> Vec<&'a Lived> {
    of_person(&story.lived, person)
}

fn username(facts: &[&Lived]) -> Option<String> {
    // A role alone makes nobody known.
    let begin = facts.iter().position(is_firm)?;
    facts[begin..].iter().rev().find_map(|fact| fact.said.who.as_ref().and_then(super::Who::username))
}

/// One line per person with a membership fact.
pub(super) fn members(story: &Story<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for person in persons(story) {
        let facts = facts_of(story, person);
        let Some(status) = status(&facts) else { continue };
        let who = facts.iter().rev().find_map(|fact| fact.said.who.clone()).unwrap_or_default();
        let is = |fact: &Lived, ranks: &[u32]| ranks.contains(&fact.said.rank);
        let last = |ranks: &[u32]| facts.iter().rposition(|fact| is(fact, ranks));
        let joined = facts.iter().rposition(|fact| is(fact, &[11]) && !fact.silent);
        let ended = last(&[14, 15, 16]);
        let left_at = ended.filter(|ended| joined.is_none_or(|joined| joined < *ended));
        let admin = match (last(&[12]), last(&[13]), joined) {
            (Some(up), down, joined) => {
                Some(up) > down && Some(up) > joined && facts[..up].iter().any(is_firm)
            }
            (None, ..) => false,
        };
        lines.push(format!(
            "member {}: {status} {} via {} joined {} left {} request {:?}",
            name_of(story, person, &who),
            if admin { "Admin" } else { "Member" },
            joined.map_or("Unknown".to_owned(), |joined| via(&facts[..=joined])),
            when(joined.map(|joined| facts[joined])),
            when(left_at.map(|ended| facts[ended])),
            request(&facts),
        ));
    }
    lines
}

/// The last request to join that was named, unless a join since came by none.
pub(super) fn request(facts: &[&Lived]) -> Option<String> {
    for (i, fact) in facts.iter().enumerate().rev() {
        let names = fact.said.join_request.is_some();
        match fact.said.rank {
            8 if names || !fact.silent => return fact.said.join_request.clone(),
            9 | 10 if names => return fact.said.join_request.clone(),
            11 if !fact.silent && via(&facts[..=i]) != "JoinRequest" => return None,
            _ => {}
        }
    }
    None
}

fn when(fact: Option<&Lived>) -> String {
    let time = fact.filter(|fact| fact.between.is_none()).map(|fact| fact.said.time);
    format!("{time:?} {:?}", fact.and_then(|fact| fact.between))
}

fn is_firm(fact: &&Lived) -> bool {
    ![12, 13].contains(&fact.said.rank)
}

/// How the membership that the last fact begins came about.
fn via(until_joined: &[&Lived]) -> String {
    let (joined, before) = until_joined.split_last().expect("there is a join");
    let last = before.iter().rev().find(|fact| is_firm(fact));
    if last.is_some_and(|fact| fact.said.rank == 8) {
        "JoinRequest".to_owned()
    } else {
        format!("{:?}", joined.said.via)
    }
}

pub(super) fn status(facts: &[&Lived]) -> Option<&'static str> {
    let last = facts.iter().rev().find(|fact| is_firm(fact))?;
    Some(match last.said.rank {
        8 => "Pending",
        9 | 10 => "Revoked",
        11 => "Member",
        16 => "Removed",
        _ => "Left",
    })
}

fn persons(story: &Story<'_>) -> Vec<usize> {
    let mut persons: Vec<usize> = story.lived.iter().filter_map(|fact| fact.person).collect();
    persons.sort_unstable();
    persons.dedup();
    persons
}

/// A deletion that was found out tells nothing where one was reported, or one was found out before.
fn is_old_news(story: &Story<'_>, fact: &Lived) -> bool {
    let deletions = || story.lived.iter().filter(|fact| fact.said.rank == 21);
    let first = deletions().next().is_some_and(|first| std::ptr::eq(first, fact));
    fact.said.rank == 21 && fact.said.read && (deletions().any(|fact| !fact.said.read) || !first)
}

/// The history, sorted as lines within a second: the order there is a matter of ids.
pub(super) fn timeline(story: &Story<'_>) -> Vec<String> {
    let mut lines: Vec<(i64, u32, String)> = Vec::new();
    for (i, fact) in story.lived.iter().enumerate() {
        if fact.silent || is_old_news(story, fact) {
            continue;
        }
        let Lived { said, person, between, .. } = fact;
        let about = match person {
            Some(person) if status(&facts_of(story, *person)).is_none() => "somebody".to_owned(),
            Some(person) => {
                let facts = facts_of(story, *person);
                let known = facts.iter().rev().find_map(|fact| fact.said.who.clone()).unwrap_or_default();
                name_of(story, *person, said.who.as_ref().unwrap_or(&known))
            }
            None => "-".to_owned(),
        };
        let via = match person {
            Some(person) if said.rank == 11 => via(&of_person(&story.lived[..=i], *person)),
            _ => "Unknown".to_owned(),
        };
        let text = if said.rank == 7 { &None } else { &said.text };
        // Nobody is told to have approved a request, whoever asked.
        let actor = if said.actor == 2 && via == "JoinRequest" { 0 } else { said.actor };
        let line = format!("{about} actor {actor} via {via} {text:?} {between:?}");
        lines.push((said.time, said.rank, line));
    }
    for (change, person) in &story.persons.changes {
        let facts: Vec<&Lived> =
            facts_of(story, *person).into_iter().filter(|fact| fact.said.time <= change.time).collect();
        if matches!(status(&facts), Some("Member" | "Pending")) {
            let kind = if change.of_number { 'w' } else { 'u' };
            let text = change.current.iter().find(|name| name.0 == kind).map(|name| name.1.clone());
            let about = name_of(story, *person, &super::Who::default());
            let rank = if change.of_number { 1000 } else { 1001 };
            lines.push((change.time, rank, format!("{about} actor 2 via Unknown {text:?} None")));
        }
    }
    lines.sort();
    lines.into_iter().map(|(time, rank, line)| format!("{time} kind {rank} {line}")).collect()
}
