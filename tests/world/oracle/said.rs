//! What a record says, in plain values.

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{
    self, EndReason, JoinRequestOutcome, JoinVia, Outcome, Participant, ProviderError, Record, Role, Setting,
};

/// Kind (`w`a_id, `u`ser id, `p`arent user id, `l`id, `n`ame, `i`nput) and text.
pub(crate) type Name = (char, String);

/// A person as one report names them. Empty texts are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Who(pub(crate) Vec<Name>);

/// One thing said of a group, with its rank among the things of one second.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) time: i64,
    pub(crate) rank: u32,
    pub(crate) event: String,
    pub(crate) who: Option<Who>,
    pub(crate) via: JoinVia,
    pub(crate) actor: i32,
    pub(crate) join_request: Option<String>,
    pub(crate) text: Option<String>,
    /// It was read from the provider, not reported.
    pub(crate) read: bool,
    /// Of a snapshot: all members, and all requests, were listed.
    pub(crate) whole: (bool, bool),
    /// Of a snapshot: when it had been read.
    pub(crate) until: i64,
}

/// A change of number or user id.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) time: i64,
    pub(crate) event: String,
    pub(crate) of_number: bool,
    pub(crate) previous: Vec<Name>,
    pub(crate) current: Vec<Name>,
}

/// One status of a message.
pub(crate) struct Status {
    pub(crate) message: String,
    pub(crate) status: i32,
    pub(crate) time: i64,
    pub(crate) who: Option<Who>,
    pub(crate) codes: Vec<String>,
}

impl Who {
    pub(crate) fn new(participant: &Participant) -> Self {
        let p = participant;
        let names = [
            ('u', &p.user_id),
            ('p', &p.parent_user_id),
            ('w', &p.wa_id),
            ('l', &p.lid),
            ('i', &p.input),
            ('n', &p.username),
        ];
        let named = |(kind, text): (char, &Option<String>)| Some((kind, text.clone()?));
        Self(names.into_iter().filter_map(named).filter(|(_, text)| !text.is_empty()).collect())
    }

    /// The names that say who somebody is.
    pub(crate) fn firm(&self) -> Vec<Name> {
        self.0.iter().filter(|(kind, _)| "upwl".contains(*kind)).cloned().collect()
    }

    /// The one name to know the person by: a firm one, else the spelling of a command, else the user name.
    pub(crate) fn best(&self) -> Option<Name> {
        let (kind, text) = self.0.first()?;
        if *kind != 'i' {
            return Some((*kind, text.clone()));
        }
        self.spelling().map(|text| ('i', text))
    }

    /// How a command spelled the person, plain.
    pub(crate) fn spelling(&self) -> Option<String> {
        let (_, text) = self.0.iter().find(|(kind, _)| *kind == 'i')?;
        let blanks = "+-(). ";
        let phone = text.chars().all(|c| c.is_ascii_digit() || blanks.contains(c));
        Some(if phone { text.replace(|c| blanks.contains(c), "") } else { text.replace('@', "") })
    }

    /// The name that a spelling says by itself, where there is nothing else: a number with the code of its country, or a
    /// user id, which has the country's letters.
    pub(crate) fn spelled(&self) -> Option<Name> {
        let (_, text) = self.0.first().filter(|(kind, _)| *kind == 'i')?;
        let plain = self.spelling()?;
        if text.starts_with('+') && plain.chars().all(|c| c.is_ascii_digit()) {
            return Some(('w', plain));
        }
        let parts: Vec<&str> = plain.split('.').collect();
        let is_id = |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric());
        let is_country = |code: &str| code.len() == 2 && code.chars().all(|c| c.is_ascii_uppercase());
        match parts[..] {
            [country, id] if is_country(country) && is_id(id) => Some(('u', plain)),
            [country, "ENT", id] if is_country(country) && is_id(id) => Some(('p', plain)),
            _ => None,
        }
    }

    pub(crate) fn username(&self) -> Option<String> {
        self.0.iter().find(|(kind, _)| *kind == 'n').map(|(_, text)| text.clone())
    }
}

fn codes(errors: &[ProviderError]) -> Vec<String> {
    errors.iter().map(|error| error.code.clone()).collect()
}

pub(super) fn kind(record: &Record) -> &Kind {
    record.kind().expect("records of tests have events")
}

/// The lines of history that a record adds.
pub(crate) fn facts(record: &Record) -> Vec<Said> {
    let blank = Said {
        time: record.provider_time_ms,
        rank: 0,
        event: record.event_id.clone(),
        who: None,
        via: JoinVia::Unknown,
        actor: record.actor.as_ref().map_or(0, |actor| actor.kind),
        join_request: None,
        text: None,
        read: record.evidence() == v1::Evidence::Snapshot,
        whole: (false, false),
        until: 0,
    };
    let one = |rank| vec![Said { rank, ..blank.clone() }];
    let about = |rank, who: &Participant| Said { rank, who: Some(Who::new(who)), ..blank.clone() };
    let request = |rank, who: &Option<Participant>, id: &Option<String>| {
        vec![Said { join_request: id.clone(), ..about(rank, who.as_ref().expect("somebody asks")) }]
    };
    match kind(record) {
        Kind::GroupCreated(e) => {
            let joined = |who| Said { via: JoinVia::Added, ..about(11, who) };
            let created = Said { rank: 1, text: e.subject.clone(), ..blank.clone() };
            std::iter::once(created).chain(e.participants.iter().map(joined)).collect()
        }
        Kind::GroupCreateFailed(e) => vec![Said { rank: 2, text: e.subject.clone(), ..blank.clone() }],
        Kind::GroupDeleted(_) => one(21),
        Kind::GroupDeleteFailed(_) => one(20),
        Kind::ParticipantsJoined(e) => {
            e.participants.iter().map(|who| Said { via: e.via(), ..about(11, who) }).collect()
        }
        Kind::ParticipantsEnded(e) => {
            let rank = match e.reason() {
                EndReason::Unknown => 14,
                EndReason::Left => 15,
                EndReason::Removed => 16,
            };
            let failed = e.failed.iter().map(|f| about(17, f.participant.as_ref().expect("somebody stays")));
            let whole = e.failed.is_empty() && !e.errors.is_empty();
            let nobody = if whole { one(17) } else { Vec::new() };
            e.ended.iter().map(|who| about(rank, who)).chain(failed).chain(nobody).collect()
        }
        Kind::JoinRequested(e) => request(8, &e.participant, &e.join_request_id),
        Kind::JoinRequestClosed(e) => match e.outcome() {
            JoinRequestOutcome::Revoked => request(9, &e.participant, &e.join_request_id),
            JoinRequestOutcome::Rejected => request(10, &e.participant, &e.join_request_id),
            JoinRequestOutcome::Failed | JoinRequestOutcome::Unknown => Vec::new(),
        },
        Kind::RoleChanged(e) => {
            let rank = if e.role() == Role::Admin { 12 } else { 13 };
            e.participants.iter().map(|who| about(rank, who)).collect()
        }
        Kind::SettingsUpdated(e) => settings(e, &blank),
        Kind::GroupSnapshot(e) => snapshot(e, &blank),
        Kind::GroupSuspended(_) => one(19),
        Kind::GroupSuspensionCleared(_) => one(18),
        _ => super::policy::fact(record, &blank),
    }
}

/// The rank of what says how whole a snapshot is.
pub(crate) const TAKEN: u32 = 60;

fn snapshot(event: &v1::GroupSnapshot, blank: &Said) -> Vec<Said> {
    let mut facts = Vec::new();
    for person in &event.participants {
        let who = person.participant.as_ref().map(Who::new);
        let rank = if person.pending { 8 } else { 11 };
        let join_request = person.join_request_id.clone();
        facts.push(Said { rank, who: who.clone(), join_request, ..blank.clone() });
        match person.role() {
            Role::Admin => facts.push(Said { rank: 12, who, ..blank.clone() }),
            Role::Member => facts.push(Said { rank: 13, who, ..blank.clone() }),
            Role::Unspecified => {}
        }
    }
    let whole = (event.participants_complete, event.join_requests_complete);
    facts.push(Said { rank: TAKEN, whole, until: event.read_until_ms, ..blank.clone() });
    facts
}

/// The group as a snapshot has it: whether it is suspended, and when it was created.
pub(crate) fn read_of(record: &Record) -> Option<(Option<bool>, Option<i64>)> {
    let Kind::GroupSnapshot(e) = kind(record) else { return None };
    Some((e.suspended, e.created_at_ms))
}

fn settings(event: &v1::SettingsUpdated, blank: &Said) -> Vec<Said> {
    let of = |outcome| event.changes.iter().filter(move |change| change.outcome() == outcome);
    let mut facts: Vec<Said> = of(Outcome::Succeeded)
        .map(|change| {
            // A picture is no text, and an invite link is a secret of the group, not of its history.
            let untold = [Setting::Picture, Setting::InviteLink];
            let text = Some(value(change)).filter(|_| !untold.contains(&change.setting()));
            Said { rank: rank_of(change.setting()), text, ..blank.clone() }
        })
        .collect();
    if of(Outcome::Failed).next().is_some() || !event.errors.is_empty() {
        facts.push(Said { rank: 7, ..blank.clone() });
    }
    facts
}

fn rank_of(setting: Setting) -> u32 {
    match setting {
        Setting::Subject => 3,
        Setting::Description => 4,
        Setting::Picture => 5,
        _ => 6,
    }
}

fn value(change: &v1::SettingChange) -> String {
    match change.new.as_ref().and_then(|new| new.value.as_ref()).expect("settings have values") {
        v1::setting_value::Value::Text(text) => text.clone(),
        v1::setting_value::Value::Picture(picture) => picture.sha256.clone().unwrap_or_default(),
        other => panic!("histories have no setting like {other:?}"),
    }
}

/// Settings that a record speaks of: which, how it went, what it is or was to be, and the rank.
pub(crate) fn settings_of(record: &Record) -> Vec<(Setting, Outcome, String, u32)> {
    match kind(record) {
        Kind::GroupCreated(e) => [
            (Setting::Subject, &e.subject),
            (Setting::Description, &e.description),
            (Setting::JoinApprovalMode, &e.join_approval_mode),
            (Setting::InviteLink, &e.invite_link),
        ]
        .into_iter()
        .filter_map(|(setting, text)| Some((setting, Outcome::Succeeded, text.clone()?, 1)))
        .collect(),
        Kind::GroupSnapshot(e) => [
            (Setting::Subject, &e.subject),
            (Setting::Description, &e.description),
            (Setting::JoinApprovalMode, &e.join_approval_mode),
            (Setting::InviteLink, &e.invite_link),
        ]
        .into_iter()
        .filter_map(|(setting, text)| Some((setting, Outcome::Succeeded, text.clone()?, 0)))
        .collect(),
        Kind::SettingsUpdated(e) => {
            e.changes.iter().map(|c| (c.setting(), c.outcome(), value(c), rank_of(c.setting()))).collect()
        }
        _ => Vec::new(),
    }
}

/// The failure that a record reports: its rank, its type and the errors' codes.
pub(crate) fn failure(record: &Record) -> Option<(u32, &'static str, Vec<String>)> {
    match kind(record) {
        Kind::GroupCreateFailed(e) => Some((2, "create", codes(&e.errors))),
        Kind::GroupDeleteFailed(e) => Some((20, "delete", codes(&e.errors))),
        Kind::SettingsUpdated(e) => {
            let failed = e.changes.iter().any(|change| change.outcome() == Outcome::Failed);
            (failed || !e.errors.is_empty()).then(|| (7, "settings", codes(&e.errors)))
        }
        Kind::ParticipantsEnded(e) => {
            let failed = !e.failed.is_empty() || !e.errors.is_empty();
            failed.then(|| (17, "remove", codes(&e.errors)))
        }
        Kind::JoinRequestClosed(e) if e.outcome() == JoinRequestOutcome::Failed => {
            Some((10, "join_request", codes(&e.errors)))
        }
        _ => None,
    }
}

/// The people that a record names.
pub(crate) fn people(record: &Record) -> Vec<(i64, Who)> {
    let said = facts(record).into_iter().filter_map(|fact| fact.who);
    let others = receipt(record).and_then(|receipt| receipt.who).into_iter().chain(sender(record));
    said.chain(others).map(|who| (record.provider_time_ms, who)).collect()
}

/// Who wrote the message that a record tells of.
pub(crate) fn sender(record: &Record) -> Option<Who> {
    match kind(record) {
        Kind::MessageReceived(e) => e.from.as_ref().map(Who::new),
        Kind::MessageUnsupported(e) => e.from.as_ref().map(Who::new),
        _ => None,
    }
}

pub(crate) fn receipt(record: &Record) -> Option<Status> {
    let Kind::Receipt(e) = kind(record) else { return None };
    Some(Status {
        message: e.message_id.clone(),
        status: e.status,
        time: record.provider_time_ms,
        who: e.participant.as_ref().map(Who::new),
        codes: codes(&e.errors),
    })
}

pub(crate) fn change(record: &Record) -> Option<Change> {
    let Kind::IdentityChanged(e) = kind(record) else { return None };
    let firm = |who: &Option<Participant>| who.as_ref().map(|who| Who::new(who).firm()).unwrap_or_default();
    Some(Change {
        time: record.provider_time_ms,
        event: record.event_id.clone(),
        of_number: e.kind() == v1::IdentityChangeKind::Number,
        previous: firm(&e.previous),
        current: firm(&e.current),
    })
}
