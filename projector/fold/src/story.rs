//! Telling the fold a story, for tests: reports of one group, named and timed briefly.

use groupfold_schemas::id::EventId;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{self, Participant, Record};

pub(crate) const GROUP: &str = "G1";

/// A record of [`GROUP`] at a second.
pub(crate) fn at(second: i64, kind: Kind) -> Record {
    let mut record = Record {
        provider: v1::Provider::Meta.into(),
        account: "WABA".into(),
        phone_number_id: "PN".into(),
        group_id: GROUP.into(),
        provider_time_ms: second * 1000,
        evidence: v1::Evidence::Webhook.into(),
        event: Some(v1::Event { kind: Some(kind) }),
        ..Default::default()
    };
    if let Some(v1::Event { kind: Some(Kind::IdentityChanged(_)) }) = &record.event {
        record.group_id.clear();
    }
    record.event_id = EventId::hash([prost::Message::encode_to_vec(&record).as_slice()]).to_string();
    record
}

/// A person by names: `w:` number, `u:` user id, `p:` parent user id, `n:` user name, `i:` input.
pub(crate) fn who(names: &[&str]) -> Participant {
    let mut participant = Participant::default();
    for name in names {
        let (tag, text) = name.split_once(':').expect("tag:name");
        let text = Some(text.to_owned());
        match tag {
            "w" => participant.wa_id = text,
            "u" => participant.user_id = text,
            "p" => participant.parent_user_id = text,
            "n" => participant.username = text,
            "i" => participant.input = text,
            _ => panic!("unknown tag {tag}"),
        }
    }
    participant
}

pub(crate) fn joined(second: i64, names: &[&str]) -> Record {
    let via = v1::JoinVia::InviteLink.into();
    at(
        second,
        Kind::ParticipantsJoined(v1::ParticipantsJoined {
            participants: vec![who(names)],
            via,
            reason: None,
        }),
    )
}

pub(crate) fn ended(second: i64, reason: v1::EndReason, names: &[&str]) -> Record {
    let reason = reason.into();
    at(
        second,
        Kind::ParticipantsEnded(v1::ParticipantsEnded {
            reason,
            ended: vec![who(names)],
            ..Default::default()
        }),
    )
}

pub(crate) fn requested(second: i64, names: &[&str]) -> Record {
    let join_request_id = Some("R".to_owned());
    at(
        second,
        Kind::JoinRequested(v1::JoinRequested {
            participant: Some(who(names)),
            join_request_id,
            reason: None,
        }),
    )
}

pub(crate) fn revoked(second: i64, names: &[&str]) -> Record {
    at(
        second,
        Kind::JoinRequestClosed(v1::JoinRequestClosed {
            participant: Some(who(names)),
            outcome: v1::JoinRequestOutcome::Revoked.into(),
            ..Default::default()
        }),
    )
}

pub(crate) fn renamed(second: i64, previous: &[&str], current: &[&str]) -> Record {
    changed(second, v1::IdentityChangeKind::Number, previous, current, "m")
}

/// A change of number or of user id, in a system message.
pub(crate) fn changed(
    second: i64,
    kind: v1::IdentityChangeKind,
    previous: &[&str],
    current: &[&str],
    message: &str,
) -> Record {
    at(
        second,
        Kind::IdentityChanged(v1::IdentityChanged {
            kind: kind.into(),
            previous: Some(who(previous)),
            current: Some(who(current)),
            message_id: Some(message.to_owned()),
            body: None,
        }),
    )
}

pub(crate) fn receipt(second: i64, status: v1::ReceiptStatus, names: &[&str]) -> Record {
    at(
        second,
        Kind::Receipt(v1::Receipt {
            message_id: "M1".into(),
            status: status.into(),
            participant: (!names.is_empty()).then(|| who(names)),
            ..Default::default()
        }),
    )
}

pub(crate) fn message(second: i64, names: &[&str]) -> Record {
    at(second, Kind::MessageReceived(v1::MessageReceived { from: Some(who(names)), ..Default::default() }))
}
