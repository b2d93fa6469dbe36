//! What the provider has of a group, read at one moment.

use groupfold_schemas::v1::{GroupSnapshot, Role, SnapshotParticipant};

use crate::provider::{
    Answer, CLOCK_EARLY_MS, Call, Done, GROUP_UNKNOWN, GroupInfo, InviteLink, JoinRequest, NOT_FOUND,
    Provider, Refusal, before_second,
};

/// A group as the provider has it.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) info: GroupInfo,
    /// `None`: not asked for, or the provider did not say.
    pub(crate) requests: Option<Vec<JoinRequest>>,
    pub(crate) link: Option<InviteLink>,
    /// The last moment that the reading surely speaks of, by the provider's clock, Unix milliseconds.
    pub(crate) taken_ms: i64,
    /// Nothing is in it that happened after this, by the same clock.
    pub(crate) until_ms: i64,
}

/// What became of reading a group.
#[derive(Debug)]
pub(crate) enum Read {
    Present(Box<Reading>),
    /// The provider does not know it, or does not know us in it.
    Absent {
        taken_ms: i64,
    },
    /// Why it could not be read.
    Failed(String),
}

/// Reads a group: settings and members, pending requests where there can be any, the invite link if wanted.
pub(crate) async fn read(provider: &Provider, phone_number_id: &str, group: &str, link: bool) -> Read {
    let call = Call::GroupInfo { group: group.to_owned() };
    let (answer, began_ms) = provider.call_timed(phone_number_id, &call, None).await;
    let taken_ms = before_second(began_ms);
    let info = match answer {
        Answer::Done(Done::Group(info)) => *info,
        Answer::Refused(Refusal { code: GROUP_UNKNOWN | NOT_FOUND, .. }) => return Read::Absent { taken_ms },
        other => return Read::Failed(reason(&other)),
    };
    let mut requests = None;
    if info.join_approval_mode.as_deref() == Some("approval_required") {
        match provider.all_join_requests(phone_number_id, group).await {
            Ok(all) => requests = Some(all),
            // A suspended group tells none.
            Err(Answer::Refused(_)) => {}
            Err(answer) => return Read::Failed(reason(&answer)),
        }
    }
    let mut found = None;
    if link {
        let call = Call::GetInviteLink { group: group.to_owned() };
        match provider.call(phone_number_id, &call).await {
            Answer::Done(Done::InviteLink(link)) => found = Some(link),
            // A suspended group has none to give.
            Answer::Refused(_) => {}
            other => return Read::Failed(reason(&other)),
        }
    }
    let until_ms = provider.clock_ms().saturating_add(CLOCK_EARLY_MS);
    Read::Present(Box::new(Reading { info, requests, link: found, taken_ms, until_ms }))
}

/// Why an answer is not the one hoped for, in words without secrets.
pub(super) fn reason(answer: &Answer) -> String {
    match answer {
        Answer::Refused(refusal) => {
            let said = refusal.errors.first().map(|error| format!(": {} ({})", error.message, error.code));
            format!("{}{}", refusal.code, said.unwrap_or_default())
        }
        Answer::Unknown(unsure) => unsure.name().to_owned(),
        Answer::Accepted { .. } | Answer::Done(_) | Answer::Partly { .. } => "unexpected_answer".to_owned(),
    }
}

impl Reading {
    /// All members were listed: their number agrees with the count beside it.
    pub(crate) fn is_whole(&self) -> bool {
        let listed = self.info.participants.as_ref().map(Vec::len);
        let total = self.info.participants_total.and_then(|total| usize::try_from(total).ok());
        listed.is_some() && (total.is_none() || total == listed)
    }

    /// As an event tells it: whether all members of the group were listed, and all who wait.
    pub(super) fn snapshot(&self, members_whole: bool, requests_whole: bool) -> GroupSnapshot {
        let info = &self.info;
        let members = info.participants.iter().flatten().map(|participant| SnapshotParticipant {
            participant: Some(participant.clone()),
            role: Role::Unspecified.into(),
            pending: false,
            join_request_id: None,
        });
        let is_member = |request: &JoinRequest| {
            info.participants.iter().flatten().any(|member| *member == request.participant)
        };
        // Two calls see two moments: who was let in between them is a member.
        let waiting = self.requests.iter().flatten().filter(|request| !is_member(request));
        let pending = waiting.map(|request| SnapshotParticipant {
            participant: Some(request.participant.clone()),
            role: Role::Unspecified.into(),
            pending: true,
            join_request_id: Some(request.join_request_id.clone()),
        });
        GroupSnapshot {
            subject: info.subject.clone(),
            // It was asked for: absent, there is none.
            description: Some(info.description.clone().unwrap_or_default()),
            join_approval_mode: info.join_approval_mode.clone(),
            invite_link: self.link.as_ref().map(|InviteLink(link)| link.clone()),
            suspended: info.suspended,
            created_at_ms: info.created_at_ms,
            participants_total: info.participants_total,
            participants: members.chain(pending).collect(),
            participants_complete: members_whole,
            join_requests_complete: requests_whole,
            read_until_ms: self.until_ms,
        }
    }
}
