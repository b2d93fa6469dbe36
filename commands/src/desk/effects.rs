//! What a call changes and no webhook tells: rejections, and invite links. The answer alone tells of them, so they are
//! written as events of ours, at times by the provider's clock: those of webhooks stand beside them.

use groupfold_fold::view::Member;
use groupfold_projector::desk::Wish;
use groupfold_schemas::command::text_digest;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{self, Evidence, JoinRequestOutcome, Participant, Setting};
use tokio::time::timeout_at;

use super::Inner;
use super::run::Work;
use crate::provider::{Answer, CLOCK_EARLY_MS, Call, Done, InviteLink, JoinRequest, before_second};

/// What stood before a call. What it changes comes later, whatever the clocks say.
#[derive(Default)]
pub(super) struct Before {
    /// What tells the link that a reset replaces.
    pub(super) link: Option<String>,
    /// When the last link was told that is known here.
    link_told_ms: Option<i64>,
    /// The requests that a rejection names, as far as anybody knows them.
    requests: Vec<Asked>,
}

/// Somebody who asked to join.
struct Asked {
    request: String,
    person: Participant,
    /// When the request was told, if it is known to wait.
    told_ms: Option<i64>,
}

impl Asked {
    fn of_member(request: &str, member: &Member) -> Self {
        Self { request: request.to_owned(), person: member.names.clone(), told_ms: member.request_told_ms }
    }

    fn of_list(asks: JoinRequest) -> Self {
        Self { request: asks.join_request_id, person: asks.participant, told_ms: asks.created_at_ms }
    }
}

impl Inner {
    pub(super) async fn before(&self, work: &Work) -> Before {
        match &work.wish {
            Wish::ResetInviteLink => Before {
                link_told_ms: self.link_told_ms(&work.place.group_id).await,
                link: self.link_before(work).await,
                ..Before::default()
            },
            Wish::RejectJoinRequests { join_requests } => {
                Before { requests: self.requests_before(work, join_requests).await, ..Before::default() }
            }
            _ => Before::default(),
        }
    }

    /// When the link of a group was told that is known here.
    pub(super) async fn link_told_ms(&self, group: &str) -> Option<i64> {
        self.projector.group(group).await.ok().flatten()?.invite_link_told_ms
    }

    /// Others reset links too, and no webhook tells of it: the provider knows.
    async fn link_before(&self, work: &Work) -> Option<String> {
        let call = Call::GetInviteLink { group: work.place.group_id.clone() };
        let number = &work.place.phone_number_id;
        match self.provider.call_until(number, &call, work.deadline()).await {
            Answer::Done(Done::InviteLink(InviteLink(link))) => Some(text_digest(&link)),
            _ => None,
        }
    }

    /// Who asks by these requests. A webhook may be on its way still, or parked, or lost: then the provider is asked,
    /// as long as it lists them.
    async fn requests_before(&self, work: &Work, ids: &[String]) -> Vec<Asked> {
        let group = self.projector.group(&work.place.group_id).await.ok().flatten();
        let members = group.map(|group| group.members).unwrap_or_default();
        let known = |id: &String| {
            let named = members.iter().filter(|member| member.join_request_id.as_ref() == Some(id));
            named.max_by_key(|member| member.request_told_ms)
        };
        let of_id = |id: &String| known(id).map(|member| Asked::of_member(id, member));
        let mut asked: Vec<Asked> = ids.iter().filter_map(of_id).collect();
        let waits = |id: &String| asked.iter().any(|asked| asked.request == *id && asked.told_ms.is_some());
        if ids.iter().all(waits) {
            return asked;
        }
        let place = &work.place;
        let list = self.provider.all_join_requests(&place.phone_number_id, &place.group_id);
        if let Ok(Ok(list)) = timeout_at(work.deadline(), list).await {
            let open: Vec<Asked> = list.into_iter().map(Asked::of_list).collect();
            // What waits at the provider is newer than what has ended here.
            asked.retain(|one| one.told_ms.is_some() || open.iter().all(|asks| asks.request != one.request));
            asked.extend(open);
        }
        asked
    }

    /// What the answer tells that no webhook does. `began_ms` is when the call began, by the provider's clock.
    pub(super) fn effects(
        &self,
        work: &Work,
        answer: &Answer,
        began_ms: i64,
        before: &Before,
    ) -> Vec<v1::Record> {
        let rejects = matches!(work.wish, Wish::RejectJoinRequests { .. });
        let rejected: Vec<&String> = match answer {
            Answer::Done(Done::InviteLink(InviteLink(link))) => {
                let time_ms = later(self.provider.clock_ms(), before.link_told_ms);
                return vec![work.event(time_ms, "link", Evidence::ApiReply, new_link(link))];
            }
            Answer::Done(Done::JoinRequestsHandled(handled)) if rejects => handled.iter().collect(),
            Answer::Partly { items, .. } if rejects => {
                items.iter().filter(|item| item.refused.is_none()).map(|item| &item.item).collect()
            }
            _ => Vec::new(),
        };
        let event = |id: &String| {
            let asked = before.requests.iter().find(|asked| asked.request == *id);
            let time_ms = rejected_ms(began_ms, asked.and_then(|asked| asked.told_ms));
            work.event(time_ms, id, Evidence::ApiReply, rejected_request(id, asked))
        };
        rejected.into_iter().map(event).collect()
    }
}

/// A time that is not before another one, and after what was told already.
pub(super) fn later(time_ms: i64, told_ms: Option<i64>) -> i64 {
    told_ms.map_or(time_ms, |told_ms| time_ms.max(told_ms.saturating_add(1)))
}

/// When a request was rejected: who asks again does so after the call began, were it in the same second. Where it is not
/// known when the request was made, it was before the call began, whatever the clock was early by.
fn rejected_ms(began_ms: i64, told_ms: Option<i64>) -> i64 {
    match told_ms {
        Some(_) => later(before_second(began_ms), told_ms),
        None => began_ms.saturating_add(CLOCK_EARLY_MS),
    }
}

/// It names the request, so that its webhook may come later; and who asked, if that is known.
fn rejected_request(id: &str, asked: Option<&Asked>) -> Kind {
    Kind::JoinRequestClosed(v1::JoinRequestClosed {
        participant: asked.map(|asked| asked.person.clone()),
        join_request_id: Some(id.to_owned()),
        outcome: JoinRequestOutcome::Rejected.into(),
        ..Default::default()
    })
}

pub(super) fn new_link(link: &str) -> Kind {
    let value = v1::setting_value::Value::Text(link.to_owned());
    let change = v1::SettingChange {
        setting: Setting::InviteLink.into(),
        new: Some(v1::SettingValue { value: Some(value) }),
        outcome: v1::Outcome::Succeeded.into(),
        ..Default::default()
    };
    Kind::SettingsUpdated(v1::SettingsUpdated { changes: vec![change], errors: Vec::new() })
}
