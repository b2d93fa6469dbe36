//! Answers of the Graph API as what became of a call.

use std::time::Duration;

use groupfold_schemas::v1;
use groupfold_schemas::verdict::{PERMISSION_MISSING, is_permission, of_errors, verdict};
use reqwest::StatusCode;
use serde_json::Value;

use super::error::{self, GraphError};
use super::table;
use crate::provider::answer::{
    Advice, Answer, Done, GroupInfo, GroupListed, InviteLink, ItemFate, JoinRequest, Page, Refusal, Unsure,
};
use crate::provider::call::Call;

/// Which key of an answer lists what was done, which what was not, and what names an item.
struct Lists {
    done: &'static str,
    failed: &'static str,
    names: &'static [&'static str],
}

const APPROVED: Lists =
    Lists { done: "approved_join_requests", failed: "failed_join_requests", names: &["join_request_id"] };
const REJECTED: Lists =
    Lists { done: "rejected_join_requests", failed: "failed_join_requests", names: &["join_request_id"] };
/// The answer's body is not documented; these are the names of the webhook that tells the same.
const REMOVED: Lists = Lists {
    done: "removed_participants",
    failed: "failed_participants",
    names: &["input", "user", "wa_id", "user_id", "parent_user_id"],
};

/// What an answer says.
pub(super) fn of(call: &Call, status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Answer {
    let json = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    if status == StatusCode::PARTIAL_CONTENT {
        return partly(call, &json);
    }
    if status.is_success() {
        return success(call, &json);
    }
    if status.is_server_error() {
        return Answer::Unknown(Unsure::ProviderFault);
    }
    if status == StatusCode::REQUEST_TIMEOUT {
        return Answer::Unknown(Unsure::TimedOut);
    }
    if !status.is_client_error() {
        return Answer::Unknown(Unsure::Unreadable);
    }
    Answer::Refused(match error::graph(&json) {
        Some(error) if table::is_fault(&error.error.code) => return Answer::Unknown(Unsure::ProviderFault),
        Some(error) => refusal(error, status, retry_after),
        None => {
            let (code, advice) = super::by_status(status);
            Refusal { retry_after, errors: error::webhook(json.get("errors")), ..Refusal::of(code, advice) }
        }
    })
}

fn refusal(graph: GraphError, status: StatusCode, retry_after: Option<Duration>) -> Refusal {
    let code = graph.error.code.as_str();
    let (name, advice) = if graph.subcode == Some(table::SUBCODE_NO_OBJECT) {
        (table::NOT_FOUND, Advice::Reconcile)
    } else if is_permission(code) {
        (PERMISSION_MISSING, Advice::DoNotRetry)
    } else {
        verdict(code).unwrap_or_else(|| super::by_status(status))
    };
    let retry_after = retry_after.or_else(|| table::wait(code));
    Refusal { code: name, advice, retry_after, errors: vec![graph.error], trace_id: graph.trace_id }
}

/// A refusal of one item, by its errors.
fn refusal_of_item(errors: Vec<v1::ProviderError>) -> Refusal {
    let code = errors.first().map(|error| error.code.clone()).unwrap_or_default();
    let (name, advice) = of_errors(errors.first());
    Refusal { retry_after: table::wait(&code), errors, ..Refusal::of(name, advice) }
}

fn success(call: &Call, json: &Value) -> Answer {
    let done = match call {
        Call::CreateGroup { .. } | Call::UpdateGroup { .. } | Call::DeleteGroup { .. } => {
            return accepted(json);
        }
        Call::Send { .. } | Call::Pin { .. } | Call::Unpin { .. } | Call::Invite { .. } => {
            return accepted(json);
        }
        // Told item by item where the provider does, else by webhook.
        Call::RemoveParticipants { .. } if has_failures(json, &REMOVED) => return partly(call, json),
        Call::RemoveParticipants { .. } => return accepted(json),
        Call::ApproveJoinRequests { requests, .. } => return handled(call, json, &APPROVED, requests),
        Call::RejectJoinRequests { requests, .. } => return handled(call, json, &REJECTED, requests),
        Call::GetInviteLink { .. } | Call::ResetInviteLink { .. } => {
            text(json, "invite_link").map(|link| Done::InviteLink(InviteLink(link)))
        }
        Call::ListJoinRequests { .. } => {
            page(json, json.get("data"), Paging::CursorsAlone, join_request).map(Done::JoinRequests)
        }
        Call::ListGroups { .. } => {
            // An object with the list inside, unlike all other lists.
            let data = json.get("data");
            let list = data.and_then(|data| data.get("groups")).or(data);
            page(json, list, Paging::SaysNext, listed).map(Done::Groups)
        }
        Call::GroupInfo { group } => {
            info(json).filter(|info| info.group_id == *group).map(|info| Done::Group(Box::new(info)))
        }
    };
    done.map_or(Answer::Unknown(Unsure::Unreadable), Answer::Done)
}

fn accepted(json: &Value) -> Answer {
    Answer::Accepted {
        request_id: text(json, "request_id"),
        message_id: json.pointer("/messages/0").and_then(|message| text(message, "id")),
    }
}

fn has_failures(json: &Value, lists: &Lists) -> bool {
    let any = |name: &str| json.get(name).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    any(lists.failed) || any("errors")
}

/// An approval or rejection answered with 200: done for all, unless the body tells otherwise.
fn handled(call: &Call, json: &Value, lists: &Lists, requests: &[String]) -> Answer {
    if has_failures(json, lists) {
        return partly(call, json);
    }
    // Whoever is in neither list has no fate: only a whole list is a yes.
    let done = names(json, lists);
    if requests.iter().all(|request| done.contains(request)) {
        return Answer::Done(Done::JoinRequestsHandled(requests.to_vec()));
    }
    if done.is_empty() { Answer::Unknown(Unsure::Unreadable) } else { partly(call, json) }
}

fn names(json: &Value, lists: &Lists) -> Vec<String> {
    let items = json.get(lists.done).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| name(item, lists)).collect()
}

/// Items are texts, or objects that name themselves.
fn name(item: &Value, lists: &Lists) -> Option<String> {
    let named = || lists.names.iter().find_map(|name| text(item, name));
    item.as_str().map(str::to_owned).or_else(named)
}

/// HTTP 206, or an answer that names failures: it is 2xx, and no success.
fn partly(call: &Call, json: &Value) -> Answer {
    let lists = match call {
        Call::ApproveJoinRequests { .. } => &APPROVED,
        Call::RejectJoinRequests { .. } => &REJECTED,
        _ => &REMOVED,
    };
    let mut errors = error::webhook(json.get("errors"));
    errors.extend(error::graph(json).map(|graph| graph.error));
    let mut items: Vec<ItemFate> =
        names(json, lists).into_iter().map(|item| ItemFate { item, refused: None }).collect();
    let failed = json.get(lists.failed).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for item in failed {
        let of_item = error::webhook(item.get("errors"));
        // An item without errors of its own failed for those of the whole.
        let of_item = if of_item.is_empty() { errors.clone() } else { of_item };
        if let Some(item) = name(item, lists) {
            items.push(ItemFate { item, refused: Some(refusal_of_item(of_item)) });
        }
    }
    Answer::Partly { items, request_id: text(json, "request_id"), errors }
}

/// How a list says that it goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Paging {
    /// By `paging.next`, as the list of groups is documented.
    SaysNext,
    /// Of requests to join `paging.cursors` alone is documented: whatever has a cursor may go on.
    CursorsAlone,
}

fn page<T>(
    json: &Value,
    list: Option<&Value>,
    paging: Paging,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<Page<T>> {
    // One item that cannot be read makes the page unreadable: a list with a hole would tell that somebody is gone.
    let items = list?.as_array()?.iter().map(read).collect::<Option<Vec<T>>>()?;
    let more = json.pointer("/paging/next").is_some_and(|next| !next.is_null());
    let may_go_on = more || (paging == Paging::CursorsAlone && !items.is_empty());
    let after = json.pointer("/paging/cursors/after").and_then(Value::as_str);
    let next = after.filter(|after| may_go_on && !after.is_empty()).map(str::to_owned);
    // More to come and no cursor to come by.
    if more && next.is_none() { None } else { Some(Page { items, next }) }
}

fn listed(group: &Value) -> Option<GroupListed> {
    Some(GroupListed {
        group_id: text(group, "id")?,
        subject: text(group, "subject"),
        created_at_ms: seconds(group.get("created_at")),
    })
}

fn join_request(request: &Value) -> Option<JoinRequest> {
    Some(JoinRequest {
        join_request_id: text(request, "join_request_id")?,
        participant: participant(request)?,
        created_at_ms: seconds(request.get("creation_timestamp")),
    })
}

fn info(group: &Value) -> Option<GroupInfo> {
    let participants = match group.get("participants") {
        None | Some(Value::Null) => None,
        Some(list) => Some(list.as_array()?.iter().map(participant).collect::<Option<Vec<_>>>()?),
    };
    let suspended = match group.get("suspended") {
        Some(Value::Bool(flag)) => Some(*flag),
        // The reference prints it in quotes.
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    Some(GroupInfo {
        group_id: text(group, "id")?,
        subject: text(group, "subject"),
        description: text(group, "description"),
        join_approval_mode: text(group, "join_approval_mode"),
        suspended,
        created_at_ms: seconds(group.get("creation_timestamp")),
        participants_total: number(group.get("total_participant_count")).and_then(|n| n.try_into().ok()),
        participants,
    })
}

/// A person under any of the names that Meta gives; `None` without one.
fn participant(person: &Value) -> Option<v1::Participant> {
    let participant = v1::Participant {
        wa_id: text(person, "wa_id"),
        user_id: text(person, "user_id"),
        parent_user_id: text(person, "parent_user_id"),
        username: text(person, "username"),
        ..Default::default()
    };
    (participant != v1::Participant::default()).then_some(participant)
}

/// Ids are printed with and without quotes.
fn text(object: &Value, name: &str) -> Option<String> {
    match object.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// Numbers are printed with and without quotes.
fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Unix seconds as milliseconds.
fn seconds(value: Option<&Value>) -> Option<i64> {
    number(value)?.checked_mul(1000)
}
