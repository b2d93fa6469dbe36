//! Two states of one thing, compared.

use std::collections::BTreeMap;

use groupfold_schemas::v1::change_value::Value as Of;
use groupfold_schemas::v1::{self, ChangeKind, ChangeValue};

use super::Difference;
use crate::view::{self, Group, Member, Policy};

/// Values of one kind, before and after.
struct Sides {
    kind: ChangeKind,
    member_id: Option<String>,
    before: Option<Of>,
    after: Option<Of>,
}

impl Sides {
    fn different(self) -> Option<Difference> {
        let Self { kind, member_id, before, after } = self;
        (before != after).then(|| Difference { member_id, ..plain(kind, before, after) })
    }
}

fn plain(kind: ChangeKind, before: Option<Of>, after: Option<Of>) -> Difference {
    Difference {
        kind,
        member_id: None,
        message_id: None,
        reported: None,
        before: before.map(|value| ChangeValue { value: Some(value) }),
        after: after.map(|value| ChangeValue { value: Some(value) }),
    }
}

/// What is different about a group: its properties in the order of their kinds, its members by id.
pub(super) fn groups(before: Option<&Group>, after: Option<&Group>) -> Vec<Difference> {
    let sides = |kind, of: fn(&Group) -> Option<Of>| Sides {
        kind,
        member_id: None,
        before: before.and_then(of),
        after: after.and_then(of),
    };
    let properties = [
        sides(ChangeKind::GroupStatus, |group| Some(Of::Group(group_state(group)))),
        sides(ChangeKind::GroupOrigin, |group| Some(Of::Origin(origin(group)))),
        sides(ChangeKind::Subject, |group| group.subject.clone().map(Of::Text)),
        sides(ChangeKind::Description, |group| group.description.clone().map(Of::Text)),
        sides(ChangeKind::Picture, |group| group.picture.clone().map(Of::Picture)),
        sides(ChangeKind::JoinApprovalMode, |group| group.join_approval_mode.clone().map(Of::Text)),
        sides(ChangeKind::UnconfirmedSettings, unconfirmed),
        sides(ChangeKind::ServiceWindow, |group| group.window.as_ref().map(|w| Of::Window(window(w)))),
        sides(ChangeKind::GroupFailure, |group| group.last_failure.clone().map(Box::new).map(Of::Failure)),
    ];
    let mut found: Vec<Difference> = properties.into_iter().filter_map(Sides::different).collect();
    found.extend(policies(before, after));
    found.extend(invite_link(before, after));
    let (old, new) = (members(before), members(after));
    let mut ids: Vec<&String> = old.keys().chain(new.keys()).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    found.extend(ids.into_iter().filter_map(|id| {
        let (before, after) = (old.get(id), new.get(id));
        let state =
            |member: Option<&&Member>| member.map(|member| Of::Member(Box::new(member_state(member))));
        let (before, after) = (state(before), state(after));
        Sides { kind: ChangeKind::Member, member_id: Some(id.clone()), before, after }.different()
    }));
    found
}

/// What the platform laid down. Never nothing: a group that it never spoke of is as the default says.
fn policies(before: Option<&Group>, after: Option<&Group>) -> impl Iterator<Item = Difference> {
    let policy = |group: Option<&Group>| group.map(|group| group.policy.clone()).unwrap_or_default();
    let (before, after) = (policy(before), policy(after));
    let texts = |texts: Vec<String>| Of::Texts(v1::TextsState { texts });
    let sides = |kind, of: &dyn Fn(&Policy) -> Of| Sides {
        kind,
        member_id: None,
        before: Some(of(&before)),
        after: Some(of(&after)),
    };
    let found = [
        sides(ChangeKind::Visibility, &|policy| Of::Visibility(policy.visibility.clone())),
        sides(ChangeKind::Moderators, &|policy| texts(policy.moderators.clone())),
        sides(ChangeKind::Labels, &|policy| texts(policy.labels.iter().cloned().collect())),
        sides(ChangeKind::Archived, &|policy| Of::Flag(policy.archived)),
        sides(ChangeKind::Blocked, &|policy| Of::Flag(policy.blocked)),
    ];
    found.into_iter().filter_map(Sides::different)
}

/// The link itself is a secret: that there is one is told, and that it is another.
fn invite_link(before: Option<&Group>, after: Option<&Group>) -> Option<Difference> {
    let link = |group: Option<&Group>| group.and_then(|group| group.invite_link.clone());
    let (before, after) = (link(before), link(after));
    let told = |link: &Option<String>| link.as_ref().map(|_| Of::Secret(true));
    (before != after).then(|| plain(ChangeKind::InviteLink, told(&before), told(&after)))
}

fn members(group: Option<&Group>) -> BTreeMap<&String, &Member> {
    group.into_iter().flat_map(|group| &group.members).map(|member| (&member.member_id, member)).collect()
}

fn group_state(group: &Group) -> v1::GroupState {
    v1::GroupState {
        status: group.status.name().to_owned(),
        created_at_ms: group.created_at_ms,
        deleted_at_ms: group.deleted_at_ms,
    }
}

fn origin(group: &Group) -> v1::OriginState {
    let origin = &group.origin;
    v1::OriginState {
        provider: origin.provider,
        account: origin.account.clone(),
        phone_number_id: origin.phone_number_id.clone(),
    }
}

fn unconfirmed(group: &Group) -> Option<Of> {
    let settings: Vec<i32> = group.unconfirmed.iter().map(|setting| i32::from(*setting)).collect();
    (!settings.is_empty()).then_some(Of::Settings(v1::SettingsState { settings }))
}

fn window(window: &view::ServiceWindow) -> v1::WindowState {
    v1::WindowState { opened_by: window.opened_by.member_id.clone(), open_until_ms: window.open_until_ms }
}

/// A member as far as it is shown: names that are not shown make no difference.
pub(super) fn member_state(member: &Member) -> v1::MemberState {
    v1::MemberState {
        names: Some(shown(&member.names)),
        status: member.status.name().to_owned(),
        role: member.role.into(),
        via: member.via.into(),
        joined_at_ms: member.joined_at_ms,
        left_at_ms: member.left_at_ms,
        join_request_id: member.join_request_id.clone(),
        joined_after_ms: member.joined_between.and_then(|between| between.after_ms),
        joined_by_ms: member.joined_between.map(|between| between.by_ms),
        left_after_ms: member.left_between.and_then(|between| between.after_ms),
        left_by_ms: member.left_between.map(|between| between.by_ms),
    }
}

fn shown(names: &v1::Participant) -> v1::Participant {
    v1::Participant {
        wa_id: names.wa_id.clone(),
        user_id: names.user_id.clone(),
        username: names.username.clone(),
        ..Default::default()
    }
}

/// What is different about a message as a whole.
pub(super) fn messages(
    message: &str,
    before: Option<&v1::MessageHead>,
    after: &v1::MessageHead,
) -> Vec<Difference> {
    let sent =
        |head: &v1::MessageHead| head.sent.as_ref()?.stamp.as_ref().map(|stamp| Of::TimeMs(stamp.time_ms));
    let failed = |head: &v1::MessageHead| head.failed.clone().map(Box::new).map(Of::Failure);
    let sides = |kind, before, after| Sides { kind, member_id: None, before, after };
    let found = [
        sides(ChangeKind::MessageSent, before.and_then(sent), sent(after)),
        sides(ChangeKind::MessageFailed, before.and_then(failed), failed(after)),
    ];
    let of_message = |difference| Difference { message_id: Some(message.to_owned()), ..difference };
    found.into_iter().filter_map(Sides::different).map(of_message).collect()
}

/// What is different about one name's receipt of a message.
pub(super) fn receipts(
    message: &str,
    reported: Option<&v1::Participant>,
    before: Option<&v1::MemberReceipt>,
    after: &v1::MemberReceipt,
) -> Option<Difference> {
    let of = |receipt: &v1::MemberReceipt| Of::Receipt(view::receipt_state(receipt));
    let (before, after) = (before.map(of), Some(of(after)));
    let sides = Sides { kind: ChangeKind::Receipt, member_id: None, before, after };
    let reported = reported.map(shown);
    Some(Difference { message_id: Some(message.to_owned()), reported, ..sides.different()? })
}

/// What is different about when a user of the platform first saw a message.
pub(super) fn views(
    message: &str,
    user: &str,
    before: Option<&v1::View>,
    after: &v1::View,
) -> Option<Difference> {
    let of = |view: &v1::View| {
        let viewed_at_ms = view.stamp.as_ref().map_or(0, |stamp| stamp.time_ms);
        Of::View(v1::ViewState { user_id: user.to_owned(), viewed_at_ms })
    };
    let (before, after) = (before.map(of), Some(of(after)));
    let sides = Sides { kind: ChangeKind::MessageView, member_id: None, before, after };
    Some(Difference { message_id: Some(message.to_owned()), ..sides.different()? })
}
