//! What the fold answers, as the lines that the oracle tells.

use std::collections::{BTreeMap, BTreeSet};

use groupfold_fold::entry::Memory;
use groupfold_fold::view::{self, EntryKind};
use groupfold_schemas::v1::{FactKind, FailureType, Participant};

fn called(names: &Participant) -> String {
    let kinds = [
        ('i', &names.input),
        ('l', &names.lid),
        ('n', &names.username),
        ('p', &names.parent_user_id),
        ('u', &names.user_id),
        ('w', &names.wa_id),
    ];
    let named = kinds.into_iter().filter_map(|(kind, text)| Some(format!("{kind}:{}", text.as_ref()?)));
    named.collect::<Vec<_>>().join(" ")
}

fn between(between: Option<view::Between>) -> Option<(Option<i64>, i64)> {
    between.map(|between| (between.after_ms, between.by_ms))
}

/// A group and its members.
pub(crate) fn group(memory: &Memory, group: &str) -> Vec<String> {
    let Some(group) = view::group(memory, group).expect("entries can be read") else { return Vec::new() };
    let mut lines = vec![
        format!("status {:?}", group.status),
        format!("created {:?} deleted {:?}", group.created_at_ms, group.deleted_at_ms),
        format!("subject {:?}", group.subject),
        format!("Description {:?}", group.description),
        format!("Picture {:?}", group.picture.and_then(|picture| picture.sha256)),
        format!("JoinApprovalMode {:?}", group.join_approval_mode),
        format!("InviteLink {:?}", group.invite_link),
    ];
    let policy = view::policy(memory, &group.group_id).expect("entries can be read");
    assert_eq!(policy.as_ref(), Some(&group.policy), "a policy reads alike by itself");
    let view::Policy { visibility, moderators, labels, archived, blocked, .. } = group.policy;
    let groupfold_schemas::v1::Visibility { all, teams, users } = visibility;
    lines.push(format!("visible to all {all} teams {teams:?} users {users:?}"));
    lines.push(format!("moderators {moderators:?}"));
    lines.push(format!("labels {labels:?}"));
    lines.push(format!("archived {archived} blocked {blocked}"));
    lines.extend(group.unconfirmed.iter().map(|setting| format!("unconfirmed {setting:?}")));
    let failure = group.last_failure.map(|failure| {
        let kind = match failure.r#type() {
            FailureType::GroupCreate => "create",
            FailureType::GroupDelete => "delete",
            FailureType::Settings => "settings",
            FailureType::Remove => "remove",
            FailureType::JoinRequest => "join_request",
            FailureType::Message | FailureType::Unspecified => "another",
        };
        (kind, failure.errors.iter().map(|error| error.code.clone()).collect::<Vec<_>>())
    });
    lines.push(format!("failure {failure:?}"));
    let window = group.window;
    lines.extend(
        window.map(|w| format!("window until {} by {}", w.open_until_ms, called(&w.opened_by.names))),
    );
    lines.extend(group.members.iter().map(|member| {
        let role = if member.role == groupfold_schemas::v1::Role::Admin { "Admin" } else { "Member" };
        format!(
            "member {}: {:?} {role} via {:?} joined {:?} {:?} left {:?} {:?} request {:?}",
            called(&member.names),
            member.status,
            member.via,
            member.joined_at_ms,
            between(member.joined_between),
            member.left_at_ms,
            between(member.left_between),
            member.join_request_id,
        )
    }));
    lines.sort();
    lines
}

/// A group's history. Its own order and its ids are checked here: the oracle knows neither.
pub(crate) fn timeline(memory: &Memory, group: &str) -> Result<Vec<String>, String> {
    let members = view::group(memory, group).expect("entries can be read").map(|group| group.members);
    let members = members.unwrap_or_default();
    let persons = members.len();
    let members: BTreeMap<String, String> =
        members.into_iter().map(|member| (member.member_id, called(&member.names))).collect();
    if members.len() != persons {
        return Err(format!("two members of {group} have one id"));
    }
    let entries = view::timeline(memory, group).expect("entries can be read").unwrap_or_default();
    let ids: BTreeSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    if ids.len() != entries.len() {
        return Err(format!("two lines of the timeline of {group} have one id"));
    }
    if !entries.is_sorted_by_key(|entry| entry.at_ms) {
        return Err(format!("the timeline of {group} is not sorted by time"));
    }
    let mut lines: Vec<(i64, i32, String)> = entries
        .into_iter()
        .map(|entry| {
            let kind = match entry.kind {
                EntryKind::Fact(kind) => kind.into(),
                EntryKind::NumberChanged => 1000,
                EntryKind::UserIdChanged => 1001,
            };
            let about = match &entry.member {
                None => "-",
                Some(person) => members.get(&person.member_id).map_or("somebody", String::as_str),
            };
            // Which settings failed is put in words there.
            let text = entry.text.filter(|_| kind != i32::from(FactKind::SettingsFailed));
            let (actor, via) = (i32::from(entry.actor), entry.via);
            let between = between(entry.between);
            (entry.at_ms, kind, format!("{about} actor {actor} via {via:?} {text:?} {between:?}"))
        })
        .collect();
    lines.sort();
    Ok(lines.into_iter().map(|(time, kind, line)| format!("{time} kind {kind} {line}")).collect())
}

/// A message's receipts.
pub(crate) fn receipts(memory: &Memory, message: &str) -> Vec<String> {
    let Some(receipts) = view::receipts(memory, message).expect("entries can be read") else {
        return Vec::new();
    };
    let codes = |errors: Vec<groupfold_schemas::v1::ProviderError>| {
        errors.into_iter().map(|error| error.code).collect::<Vec<_>>()
    };
    let failed = receipts.failed.map(|failure| codes(failure.errors));
    let mut lines =
        vec![format!("message of {:?} sent {:?} failed {failed:?}", receipts.group_id, receipts.sent_at_ms)];
    lines.extend(receipts.users.iter().map(|u| format!("seen by {} at {}", u.user_id, u.viewed_at_ms)));
    lines.extend(receipts.members.iter().map(|member| {
        format!(
            "{}: delivered {:?} implied {} read {:?} played {:?}",
            called(&member.person.names),
            member.delivered_at_ms,
            member.delivered_implied,
            member.read_at_ms,
            member.played_at_ms,
        )
    }));
    lines.sort();
    lines
}
