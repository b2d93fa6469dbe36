//! What one record contributes to state: keys and values to be merged into what is there.
//!
//! To add an event kind, add its message to `event.proto`, a line to the `match` below, and a row to the
//! tests; merging, storing and deriving need no change unless the kind brings a new property.

mod command;
mod link;
mod membership;
mod policy;
mod settings;

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{self, FactKind, FailureType, Record};

use crate::apply::{Contributed, Known};
use crate::entry::{FactAt, Key, Value};
use crate::identity::{Alias, first_name, names_of_rename};
use crate::view::is_policy;

/// All contributions of a record. Total: a record without an event contributes nothing.
#[must_use]
pub fn contributions(record: &Record) -> Vec<(Key, Value)> {
    let all = unknown(record, &Known::default());
    all.into_iter().map(|Contributed { key, value, .. }| (key, *value)).collect()
}

/// The contributions of a record save for those that are known to make no difference.
pub(crate) fn unknown(record: &Record, known: &Known) -> Vec<Contributed> {
    let Some(kind) = record.kind() else { return Vec::new() };
    let mut out = Contribution { record, known, entries: Vec::new() };
    if out.command(kind) {
        return out.entries;
    }
    // The platform's word says where a group belongs only as the state had it.
    let by_provider = record.evidence() != v1::Evidence::Platform;
    if !record.group_id.is_empty() && by_provider && !known.has_origin(record) {
        let origin = v1::OriginRegister {
            stamp: out.stamp(0),
            provider: record.provider,
            account: record.account.clone(),
            phone_number_id: record.phone_number_id.clone(),
            display_phone_number: record.display_phone_number.clone(),
        };
        out.head(v1::GroupHead { origin: Some(origin), ..Default::default() });
    }
    match kind {
        Kind::GroupCreated(event) => out.group_created(event),
        Kind::GroupCreateFailed(event) => out.group_create_failed(event),
        Kind::GroupDeleted(_) => out.group_deleted(),
        Kind::GroupDeleteFailed(event) => {
            out.failure(FailureType::GroupDelete, FactKind::GroupDeleteFailed, &event.errors);
        }
        Kind::ParticipantsJoined(event) => out.joined(event),
        Kind::ParticipantsEnded(event) => out.ended(event),
        Kind::JoinRequested(event) => out.join_requested(event),
        Kind::JoinRequestClosed(event) => out.join_request_closed(event),
        Kind::RoleChanged(event) => out.role_changed(event),
        Kind::SettingsUpdated(event) => out.settings_updated(event),
        Kind::GroupSuspended(_) => out.suspended(true),
        Kind::GroupSuspensionCleared(_) => out.suspended(false),
        Kind::Receipt(event) => {
            out.receipt(event);
            out.command_message(kind, event);
        }
        Kind::MessageReceived(event) => out.message_from(event.from.as_ref()),
        Kind::MessageUnsupported(event) => out.message_from(event.from.as_ref()),
        Kind::IdentityChanged(event) => out.identity_changed(event),
        Kind::AccountError(event) => out.fact(FactKind::AccountError, "", fact_of_errors(&event.errors)),
        Kind::GroupSnapshot(event) => out.snapshot(event),
        Kind::CommandRequested(_)
        | Kind::CommandRefused(_)
        | Kind::CommandSent(_)
        | Kind::CommandAnswered(_)
        | Kind::CommandReconciled(_) => {}
        Kind::VisibilitySet(event) => out.visibility_set(event),
        Kind::ModeratorsSet(event) => out.moderators_set(event),
        Kind::LabelSet(event) => out.label_set(event),
        Kind::ArchiveSet(event) => out.archive_set(event),
        Kind::BlockSet(event) => out.block_set(event),
        Kind::MessageViewed(event) => out.message_viewed(event),
    }
    out.outcome(kind);
    out.entries
}

fn fact_of_errors(errors: &[v1::ProviderError]) -> v1::Fact {
    v1::Fact { errors: errors.to_vec(), ..Default::default() }
}

struct Contribution<'a> {
    record: &'a Record,
    known: &'a Known,
    entries: Vec<Contributed>,
}

impl Contribution<'_> {
    fn put(&mut self, key: Key, value: Value) {
        self.entries.push(Contributed::new(key, value));
    }

    #[expect(clippy::unnecessary_wraps, reason = "every register holds its stamp as an optional message")]
    fn stamp(&self, rank: u32) -> Option<v1::Stamp> {
        let Record { provider_time_ms, event_id, .. } = self.record;
        Some(v1::Stamp { time_ms: *provider_time_ms, rank, event_id: event_id.clone() })
    }

    fn stamp_of(&self, kind: FactKind) -> Option<v1::Stamp> {
        self.stamp(kind as u32)
    }

    fn group(&self) -> String {
        self.record.group_id.clone()
    }

    fn head(&mut self, head: v1::GroupHead) {
        if !self.record.group_id.is_empty() {
            self.put(Key::Head { group: self.group() }, Value::Head(Box::new(head)));
        }
    }

    fn text(&self, kind: FactKind, value: Option<&String>) -> v1::TextRegister {
        v1::TextRegister { stamp: self.stamp_of(kind), value: value.cloned() }
    }

    /// Adds a line to the history of the group, or of the account where there is no group.
    fn fact(&mut self, kind: FactKind, about: &str, fact: v1::Fact) {
        let record = self.record;
        // A time that is our own clock's differs each time the provider says the same again: it may stand in
        // the fact, where the earliest wins, but not in its key.
        let ours = record.time_quality() == v1::TimeQuality::Received || is_policy(kind);
        let at = FactAt {
            time_ms: if ours { 0 } else { record.provider_time_ms },
            rank: kind as u32,
            event_id: record.event_id.clone(),
            about: about.to_owned(),
        };
        let of_account = record.group_id.is_empty();
        let fact = v1::Fact {
            kind: kind.into(),
            phone_number_id: if of_account { record.phone_number_id.clone() } else { String::new() },
            time_ms: record.provider_time_ms,
            event_id: record.event_id.clone(),
            actor: record.actor.clone(),
            request_id: record.provider_request_id.clone(),
            evidence: record.evidence,
            ..fact
        };
        let key = if of_account {
            Key::AccountFact { account: record.account.clone(), at }
        } else {
            Key::Fact { group: self.group(), at }
        };
        self.put(key, Value::Fact(fact));
    }

    fn last_failure(&mut self, failure: FailureType, fact: FactKind, errors: &[v1::ProviderError]) {
        let register = v1::FailureRegister {
            stamp: self.stamp_of(fact),
            r#type: failure.into(),
            request_id: self.record.provider_request_id.clone(),
            errors: errors.to_vec(),
        };
        self.head(v1::GroupHead { last_failure: Some(register), ..Default::default() });
    }

    fn failure(&mut self, failure: FailureType, fact: FactKind, errors: &[v1::ProviderError]) {
        self.last_failure(failure, fact, errors);
        self.fact(fact, "", fact_of_errors(errors));
    }

    fn group_created(&mut self, event: &v1::GroupCreated) {
        let kind = FactKind::GroupCreated;
        let register = |value: &Option<String>| value.as_ref().map(|text| self.text(kind, Some(text)));
        self.head(v1::GroupHead {
            created: Some(self.text(kind, self.record.provider_request_id.as_ref())),
            subject: register(&event.subject),
            description: register(&event.description),
            invite_link: register(&event.invite_link),
            join_approval_mode: register(&event.join_approval_mode),
            ..Default::default()
        });
        self.fact(kind, "", v1::Fact { text: event.subject.clone(), ..Default::default() });
        for participant in &event.participants {
            let via = v1::JoinVia::Added.into();
            self.member(FactKind::MemberJoined, participant, v1::Fact { via, ..Default::default() });
        }
    }

    fn group_create_failed(&mut self, event: &v1::GroupCreateFailed) {
        let kind = FactKind::GroupCreateFailed;
        self.head(v1::GroupHead {
            create_failed: Some(self.text(kind, event.subject.as_ref())),
            ..Default::default()
        });
        self.last_failure(FailureType::GroupCreate, kind, &event.errors);
        self.fact(kind, "", v1::Fact { text: event.subject.clone(), ..fact_of_errors(&event.errors) });
    }

    fn group_deleted(&mut self) {
        let kind = FactKind::GroupDeleted;
        let deleted = self.text(kind, self.record.provider_request_id.as_ref());
        self.head(v1::GroupHead { deleted: Some(deleted), ..Default::default() });
        self.fact(kind, "", v1::Fact::default());
    }

    fn suspended(&mut self, value: bool) {
        let kind = if value { FactKind::GroupSuspended } else { FactKind::GroupUnsuspended };
        let register = v1::FlagRegister { stamp: self.stamp_of(kind), value };
        self.head(v1::GroupHead { suspended: Some(register), ..Default::default() });
        self.fact(kind, "", v1::Fact::default());
    }

    fn receipt(&mut self, event: &v1::Receipt) {
        let status = event.status();
        let mark = v1::Mark {
            stamp: self.stamp(0),
            pricing: event.pricing.clone(),
            conversation: event.conversation.clone(),
        };
        self.message(event, &mark);
        let Some(participant) = &event.participant else { return };
        self.link(participant);
        let mut receipt = v1::MemberReceipt::default();
        match status {
            v1::ReceiptStatus::Delivered => receipt.delivered = Some(mark),
            v1::ReceiptStatus::Read => receipt.read = Some(mark),
            v1::ReceiptStatus::Played => receipt.played = Some(mark),
            v1::ReceiptStatus::Sent | v1::ReceiptStatus::Failed | v1::ReceiptStatus::Unspecified => return,
        }
        if let Some(alias) = first_name(participant) {
            let key = Key::Receipt { message: event.message_id.clone(), alias };
            self.put(key, Value::Receipt(receipt));
        }
    }

    /// What a receipt says of the message as a whole: which group it is of, that it was sent, or failed.
    fn message(&mut self, event: &v1::Receipt, mark: &v1::Mark) {
        let (sent, failed) = match event.status() {
            v1::ReceiptStatus::Sent => (Some(mark.clone()), None),
            v1::ReceiptStatus::Failed => {
                let r#type = FailureType::Message.into();
                let stamp = self.stamp(0);
                let errors = event.errors.clone();
                (None, Some(v1::FailureRegister { stamp, r#type, request_id: None, errors }))
            }
            _ if self.known.has_message(&event.message_id, self.record) => return,
            _ => (None, None),
        };
        let group_id = Some(v1::TextRegister { stamp: self.stamp(0), value: Some(self.group()) });
        let head = v1::MessageHead { group_id, sent, failed, viewed_in: None };
        self.put(Key::Message { message: event.message_id.clone() }, Value::Message(head));
    }

    fn message_from(&mut self, from: Option<&v1::Participant>) {
        let Some(from) = from.filter(|_| !self.record.group_id.is_empty()) else { return };
        self.link(from);
        let window = v1::Window { stamp: self.stamp(0), by: Some(from.clone()) };
        self.put(Key::Window { group: self.group() }, Value::Window(window));
    }

    fn identity_changed(&mut self, event: &v1::IdentityChanged) {
        let rename = v1::Rename {
            stamp: self.stamp(0),
            kind: event.kind,
            previous: event.previous.clone(),
            current: event.current.clone(),
        };
        for alias in names_of_rename(&rename) {
            let key = Key::Rename {
                account: self.record.account.clone(),
                alias,
                time_ms: self.record.provider_time_ms,
                event_id: self.record.event_id.clone(),
            };
            self.put(key, Value::Rename(rename.clone()));
        }
    }
}
