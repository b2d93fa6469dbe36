//! The truth file: what the provider believes in the end, so that anyone can compare.
//!
//! ```text
//! {"seed":1,"account":"…","position":"0:12,3:40","undelivered_posts":0,
//!  "answers":{"appended":…,"duplicate":…,"failed":…,"ignored":…},
//!  "groups":{GROUP_ID:{"status":"active|suspended|deleted|create_failed","subject":…,"description":…,
//!    "picture_sha256":…,"join_approval_mode":…,"invite_link":…,"phone_number_id":…,
//!    "members":[{"wa_id":…,"user_id":…,"username":…,"status":"member|pending|left|removed|revoked"}],
//!    "counts":{"member":…,"pending":…},"window_open_until":UNIX_SECONDS,
//!    "pinned":[MESSAGE_ID],"timeline":[{"kind":"member_joined","at":UNIX_SECONDS}]}},
//!  "messages":{MESSAGE_ID:{"group_id":…,"sent_at":…,"failed":false,
//!    "members":[{"wa_id":…,"user_id":…,"delivered_at":…,"read_at":…,"played_at":…}],
//!    "counts":{"delivered":…,"read":…,"played":…}}}}
//! ```
//!
//! Whatever is not known is `null`. A person is listed once, under the latest of the names that events of
//! this group, or changes of number or user id, told. `delivered_at` of a message that was read without a
//! reported delivery is the time it was read. `position` is the furthest that the receiver's answers named.

use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::report::Report;
use super::world::{Group, Marks, MemberStatus, Membership, Message, Status, World};

/// Seconds that a member's message leaves the service window open.
const WINDOW_S: i64 = 24 * 60 * 60;

/// The truth of a world.
pub(crate) fn tell(world: &World, seed: u64, report: &Report) -> Value {
    let groups: Map<String, Value> =
        world.groups.values().map(|group| (group.id.clone(), of_group(world, group))).collect();
    let messages: Map<String, Value> =
        world.messages.values().map(|message| (message.id.clone(), of_message(world, message))).collect();
    json!({
        "seed": seed, "account": world.business.account, "position": report.position(),
        "undelivered_posts": report.undelivered_posts, "answers": report.answers.to_json(),
        "groups": groups, "messages": messages,
    })
}

/// Writes the truth so that a reader never sees half of it.
pub(crate) fn write(path: &Path, truth: &Value) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    std::fs::write(&beside, format!("{truth:#}\n"))?;
    std::fs::rename(&beside, path)
}

fn of_group(world: &World, group: &Group) -> Value {
    let members: Vec<Value> = group
        .members
        .iter()
        .map(|(person, member)| {
            let mut names = names(world, *person, member);
            names["status"] = json!(match member.status {
                MemberStatus::Member => "member",
                MemberStatus::Pending => "pending",
                MemberStatus::Left => "left",
                MemberStatus::Removed => "removed",
                MemberStatus::Revoked => "revoked",
            });
            names
        })
        .collect();
    let timeline: Vec<Value> =
        group.timeline.iter().map(|(kind, at)| json!({ "kind": kind, "at": at })).collect();
    json!({
        "status": match group.status {
            Status::Active => "active",
            Status::Suspended => "suspended",
            Status::Deleted => "deleted",
            Status::CreateFailed => "create_failed",
        },
        "subject": group.subject, "description": group.description, "picture_sha256": group.picture,
        "join_approval_mode": group.join_approval_mode, "invite_link": group.invite_link,
        "phone_number_id": world.business.phone_number_id,
        "members": members,
        "counts": {
            "member": group.count(MemberStatus::Member), "pending": group.count(MemberStatus::Pending),
        },
        "window_open_until": group.last_message_at.map(|at| at + WINDOW_S),
        "pinned": group.pins.iter().map(|(message, _)| message).collect::<Vec<_>>(),
        "timeline": timeline,
    })
}

fn names(world: &World, person: u64, member: &Membership) -> Value {
    let person = world.people.get(&person);
    let name = |known: bool, name: Option<&String>| name.filter(|_| known).cloned();
    let username = name(member.knows_username, person.map(|p| &p.username));
    json!({
        "wa_id": name(member.knows_number, person.map(|p| &p.number.wa_id)),
        "user_id": name(member.knows_user_id, person.map(|p| &p.user_id)),
        "username": username.map(|name| name.trim_start_matches('@').to_owned()),
    })
}

fn of_message(world: &World, message: &Message) -> Value {
    let group = world.groups.get(&message.group);
    let mut members = Vec::new();
    for (person, marks) in &message.marks {
        let Some(member) = group.and_then(|group| group.members.get(person)) else { continue };
        let mut line = names(world, *person, member);
        line["delivered_at"] = json!(delivered_at(marks));
        line["read_at"] = json!(marks.read_at);
        line["played_at"] = json!(marks.played_at);
        members.push(line);
    }
    let count = |of: fn(&Marks) -> Option<i64>| message.marks.values().filter_map(of).count();
    json!({
        "group_id": group.map(|group| &group.id), "sent_at": message.sent_at, "failed": message.failed,
        "members": members,
        "counts": {
            "delivered": count(delivered_at), "read": count(|m| m.read_at), "played": count(|m| m.played_at),
        },
    })
}

fn delivered_at(marks: &Marks) -> Option<i64> {
    marks.delivered_at.or([marks.read_at, marks.played_at].into_iter().flatten().min())
}
