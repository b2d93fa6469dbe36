//! What became of a call.

use std::time::Duration;

use groupfold_schemas::v1;
pub(crate) use groupfold_schemas::verdict::Advice;

use super::check::FieldFault;

/// What is known after a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// The provider took it and tells the outcome by webhook, under one of these ids if it gave any.
    Accepted { request_id: Option<String>, message_id: Option<String> },
    /// It is done, and this is what came of it.
    Done(Done),
    /// Done for some, refused for others, or not told for whom (`items` empty: read the provider, or wait for
    /// the webhook).
    Partly { items: Vec<ItemFate>, request_id: Option<String>, errors: Vec<v1::ProviderError> },
    /// Nothing was done.
    Refused(Refusal),
    /// It may have been done or not: read the provider before asking again.
    Unknown(Unsure),
}

impl Answer {
    /// It is known whether anything was done.
    pub(crate) fn is_certain(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

/// What a call that is answered at once brings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Done {
    InviteLink(InviteLink),
    /// The join requests that were approved or rejected: all that were named.
    JoinRequestsHandled(Vec<String>),
    JoinRequests(Page<JoinRequest>),
    Groups(Page<GroupListed>),
    Group(Box<GroupInfo>),
}

/// Whoever has it may join: never printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct InviteLink(pub(crate) String);

impl std::fmt::Debug for InviteLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InviteLink(****)")
    }
}

/// One page of a list, and the cursor of the next if there is one, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// Somebody who asks to be let in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JoinRequest {
    pub(crate) join_request_id: String,
    pub(crate) participant: v1::Participant,
    /// Unix milliseconds.
    pub(crate) created_at_ms: Option<i64>,
}

/// A group as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupListed {
    pub(crate) group_id: String,
    pub(crate) subject: Option<String>,
    /// Unix milliseconds.
    pub(crate) created_at_ms: Option<i64>,
}

/// A group as the provider has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct GroupInfo {
    pub(crate) group_id: String,
    pub(crate) subject: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) join_approval_mode: Option<String>,
    pub(crate) suspended: Option<bool>,
    /// Unix milliseconds.
    pub(crate) created_at_ms: Option<i64>,
    /// Without the business itself.
    pub(crate) participants_total: Option<i32>,
    /// `None`: the answer holds no list, which says nothing about who is in the group.
    pub(crate) participants: Option<Vec<v1::Participant>>,
}

/// What became of one of several.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ItemFate {
    /// As it was named in the call.
    pub(crate) item: String,
    /// `None`: it was done.
    pub(crate) refused: Option<Refusal>,
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    /// Stable and snake case, whatever the provider calls it.
    pub(crate) code: &'static str,
    pub(crate) advice: Advice,
    /// Before this it is no use to try again, where that is known.
    pub(crate) retry_after: Option<Duration>,
    /// As the provider printed them; of our own making where the call was never sent.
    pub(crate) errors: Vec<v1::ProviderError>,
    /// What the provider's support asks for.
    pub(crate) trace_id: Option<String>,
}

impl Refusal {
    /// A refusal that no provider pronounced.
    pub(crate) fn of(code: &'static str, advice: Advice) -> Self {
        Self { code, advice, retry_after: None, errors: Vec::new(), trace_id: None }
    }

    /// A call that is at fault by itself; each fault names its field and the rule.
    pub(crate) fn of_faults(faults: &[FieldFault]) -> Self {
        let error = |fault: &FieldFault| v1::ProviderError {
            code: "invalid_field".to_owned(),
            title: fault.field.clone(),
            details: fault.rule.clone(),
            ..Default::default()
        };
        let errors = faults.iter().map(error).collect();
        Self { errors, ..Self::of("invalid_call", Advice::DoNotRetry) }
    }
}

/// Why it is not known what became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsure {
    /// No answer in time.
    TimedOut,
    /// The connection broke after the call had begun.
    ConnectionLost,
    /// The provider reports a fault of its own (5xx).
    ProviderFault,
    /// An answer that says neither yes nor no, or cannot be read.
    Unreadable,
    /// A list that does not end within the bound on pages.
    TooLong,
}

impl Unsure {
    /// Stable name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::ConnectionLost => "connection_lost",
            Self::ProviderFault => "provider_fault",
            Self::Unreadable => "unreadable_answer",
            Self::TooLong => "list_too_long",
        }
    }
}
