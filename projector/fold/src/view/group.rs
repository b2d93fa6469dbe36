//! A group and its members.

use groupfold_schemas::v1;

use super::{Group, Member, Person, Policy, ServiceWindow, Status};
use crate::entry::{Key, Source, Value};
use crate::identity::{PersonKey, names};
use crate::membership::{Membership, Roster};
use crate::merge::order;

/// A member's message opens a window of 24 hours in which the business may answer the group freely
/// (Meta, groups pricing).
pub(super) const SERVICE_WINDOW_MS: i64 = 24 * 60 * 60 * 1000;

/// A group; `None` if no event spoke of it.
///
/// # Errors
/// The source cannot be read.
pub fn group<S: Source>(source: &S, group_id: &str) -> Result<Option<Group>, S::Error> {
    Ok(Loaded::from(source, group_id)?.map(|loaded| loaded.group()))
}

/// What a group is shown from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) group_id: String,
    pub(crate) head: v1::GroupHead,
    pub(crate) window: Option<v1::Window>,
    pub(crate) roster: Roster,
}

impl Loaded {
    /// Reads all of a group; `None` if no event spoke of it.
    pub(crate) fn from<S: Source>(source: &S, group_id: &str) -> Result<Option<Self>, S::Error> {
        let Some(head) = head(source, group_id)? else { return Ok(None) };
        let group_id = group_id.to_owned();
        let window = match source.get(&Key::Window { group: group_id.clone() })? {
            Some(Value::Window(window)) => Some(window),
            _ => None,
        };
        let by = window.as_ref().and_then(|window| window.by.as_ref()).map(names).unwrap_or_default();
        let roster = Roster::load(source, &group_id, account_of(&head), by)?;
        Ok(Some(Self { group_id, head, window, roster }))
    }

    pub(crate) fn group(&self) -> Group {
        self.with(self.roster.members.keys())
    }

    /// The group with no other members than some persons, where they are members.
    pub(crate) fn with<'a>(&self, persons: impl IntoIterator<Item = &'a PersonKey>) -> Group {
        let roster = &self.roster;
        let named = |person: &PersonKey| {
            let names = roster.identity.names(person);
            let username = roster.user_name(person).or(names.username);
            v1::Participant { username, ..names }
        };
        let of = |person: &PersonKey| {
            let membership = roster.members.get(person)?;
            Some(member(roster.identity.member_id(person), named(person), membership))
        };
        let mut members: Vec<Member> = persons.into_iter().filter_map(of).collect();
        members.sort_by(|a, b| a.member_id.cmp(&b.member_id));
        let newest = self.window.as_ref().and_then(|window| window.stamp.as_ref());
        let policy = Policy::of(roster.lines.iter().map(|line| &line.fact), newest);
        let window = self.window.clone().and_then(|window| service_window(roster, window));
        Group { members, window, policy, ..bare(&self.group_id, self.head.clone()) }
    }
}

pub(crate) fn account_of(head: &v1::GroupHead) -> &str {
    head.origin.as_ref().map_or("", |origin| &origin.account)
}

/// What a group's head says by itself: no members, no window, the default policy.
pub(crate) fn bare(group_id: &str, head: v1::GroupHead) -> Group {
    let status = status_of(&head);
    let unconfirmed = unconfirmed(&head);
    let told_ms = |register: &v1::TextRegister| register.stamp.as_ref().map(|stamp| stamp.time_ms);
    let requested_subject = head.create_failed.and_then(|failed| failed.value);
    Group {
        group_id: group_id.to_owned(),
        origin: head.origin.unwrap_or_default(),
        status,
        subject: match status {
            Status::CreateFailed => requested_subject,
            _ => head.subject.and_then(|register| register.value),
        },
        description: head.description.and_then(|register| register.value),
        picture: head.picture.and_then(|register| register.value),
        join_approval_mode: head.join_approval_mode.and_then(|register| register.value),
        invite_link_told_ms: head.invite_link.as_ref().and_then(told_ms),
        invite_link: head.invite_link.and_then(|register| register.value),
        created_at_ms: head.created.and_then(|register| register.stamp).map(|stamp| stamp.time_ms),
        deleted_at_ms: head.deleted.and_then(|register| register.stamp).map(|stamp| stamp.time_ms),
        members: Vec::new(),
        window: None,
        last_failure: head.last_failure,
        unconfirmed,
        policy: Policy::default(),
    }
}

/// The status that a group's registers mean, see the diagram at [`Status`].
#[must_use]
pub fn status_of(head: &v1::GroupHead) -> Status {
    let suspended = head.suspended.as_ref().map(|register| register.value);
    if head.deleted.is_some() {
        Status::Deleted
    } else if suspended == Some(true) {
        Status::Suspended
    } else if head.created.is_some() || suspended == Some(false) {
        Status::Active
    } else if head.create_failed.is_some() {
        Status::CreateFailed
    } else {
        Status::Unknown
    }
}

pub(super) fn head<S: Source>(source: &S, group_id: &str) -> Result<Option<v1::GroupHead>, S::Error> {
    Ok(match source.get(&Key::Head { group: group_id.to_owned() })? {
        Some(Value::Head(head)) => Some(*head),
        _ => None,
    })
}

fn member(member_id: String, names: v1::Participant, membership: &Membership) -> Member {
    Member {
        member_id,
        names: v1::Participant { display_name: membership.display_name.clone(), ..names },
        status: membership.status,
        role: membership.role,
        via: membership.via,
        joined_at_ms: membership.joined_at_ms,
        left_at_ms: membership.left_at_ms,
        joined_between: membership.joined_between,
        left_between: membership.left_between,
        join_request_id: membership.join_request_id.clone(),
        request_told_ms: membership.requested_ms,
    }
}

fn service_window(roster: &Roster, window: v1::Window) -> Option<ServiceWindow> {
    let time_ms = window.stamp?.time_ms;
    let opened_by = person(roster, &window.by?, time_ms)?;
    Some(ServiceWindow { opened_by, open_until_ms: time_ms.saturating_add(SERVICE_WINDOW_MS) })
}

/// The person that a report means.
pub(super) fn person(roster: &Roster, reported: &v1::Participant, time_ms: i64) -> Option<Person> {
    roster.identity.person(&names(reported), time_ms).map(|key| person_of(roster, &key))
}

pub(super) fn person_of(roster: &Roster, key: &PersonKey) -> Person {
    let present = roster.identity.names(key);
    let username = roster.user_name(key).or(present.username);
    Person { member_id: roster.identity.member_id(key), names: v1::Participant { username, ..present } }
}

/// Settings whose last report left the outcome open.
fn unconfirmed(head: &v1::GroupHead) -> Vec<v1::Setting> {
    let text = |register: &Option<v1::TextRegister>| register.as_ref().and_then(|r| r.stamp.clone());
    let picture = |register: &Option<v1::PictureRegister>| register.as_ref().and_then(|r| r.stamp.clone());
    [
        (v1::Setting::Subject, text(&head.subject), text(&head.subject_unconfirmed)),
        (v1::Setting::Description, text(&head.description), text(&head.description_unconfirmed)),
        (v1::Setting::Picture, picture(&head.picture), picture(&head.picture_unconfirmed)),
    ]
    .into_iter()
    .filter(|(_, known, open)| open.as_ref().map(order) > known.as_ref().map(order))
    .map(|(setting, _, _)| setting)
    .collect()
}

#[cfg(test)]
mod tests {
    use groupfold_schemas::v1::event::Kind;

    use crate::entry::Memory;
    use crate::story::{GROUP, joined};
    use crate::view;

    #[test]
    fn a_member_is_shown_under_the_name_that_a_report_displays() {
        let mut record = joined(1, &["w:1"]);
        if let Some(Kind::ParticipantsJoined(event)) = record.event.as_mut().and_then(|e| e.kind.as_mut()) {
            event.participants[0].display_name = Some("Maria".to_owned());
        }
        let mut memory = Memory::default();
        memory.apply(&[record]).unwrap();
        let group = view::group(&memory, GROUP).unwrap().unwrap();
        assert_eq!(group.members[0].names.display_name.as_deref(), Some("Maria"));
    }
}
