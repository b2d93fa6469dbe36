//! Random histories: what may be reported of a few people in two groups of one account.
//!
//! Memberships, settings and receipts are as contradictory as can be, also within a second. Names are
//! honest: each report calls people as they are called at the time, or by a user id of before, and a number changes
//! hands in a second in which its old holder has it still and its new one does not use it yet. A change may be told
//! late, in two messages of nearly one time, in part or not at all.

mod people;
mod policy;
mod reports;
mod snapshots;

use groupfold_schemas::id::EventId;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{self, Record};

use super::dice::Dice;
use people::Person;

const GROUPS: [&str; 2] = ["G1", "G2"];

/// A story in the making.
pub(crate) struct Story {
    dice: Dice,
    second: i64,
    serial: usize,
    people: Vec<Person>,
    /// Numbers given up, and when.
    free: Vec<(i64, String)>,
    /// Numbers with a second holder.
    had_been: Vec<String>,
    /// Messages: their number, the group and the second they were sent in.
    messages: Vec<(usize, &'static str, i64)>,
    records: Vec<Record>,
}

/// The history of a seed, in order of time.
pub(crate) fn random(seed: u64) -> Vec<Record> {
    let mut dice = Dice::new(seed);
    let steps = if dice.percent(30) { dice.between(1, 10) } else { dice.between(10, 60) };
    let mut story = Story {
        dice,
        second: 1_000,
        serial: 0,
        people: Vec::new(),
        free: Vec::new(),
        had_been: Vec::new(),
        messages: Vec::new(),
        records: Vec::new(),
    };
    for _ in 0..story.dice.between(2, 6) {
        story.somebody_new();
    }
    for _ in 0..steps {
        if !story.dice.percent(30) {
            story.second += i64::try_from(story.dice.between(1, 90)).expect("it is small");
        }
        match story.dice.below(112) {
            0..44 => story.membership(),
            44..50 => story.snapshot(),
            50..58 => story.message(),
            58..75 => story.receipt(),
            75..83 => story.settings(),
            83..90 => story.lifecycle(),
            90..96 => story.rename(),
            96..98 => story.number_is_passed_on(),
            98 => story.number_changes_silently(),
            100.. => story.policy(),
            _ => story.somebody_new(),
        }
    }
    story.records.sort_by_key(|record| record.provider_time_ms);
    story.records
}

impl Story {
    fn group(&mut self) -> &'static str {
        if self.dice.percent(75) { GROUPS[0] } else { GROUPS[1] }
    }

    fn tell(&mut self, group: &str, kind: Kind) {
        let actor = self.dice.percent(40).then(|| v1::Actor {
            kind: i32::try_from(self.dice.below(3)).expect("it is small"),
            ..Default::default()
        });
        self.records.push(record(self.second, group, actor, kind));
    }

    fn errors(&mut self) -> Vec<v1::ProviderError> {
        let code = self.dice.between(1, 99).to_string();
        vec![v1::ProviderError { code, ..Default::default() }]
    }
}

/// A record as the door would write it.
pub(crate) fn record(second: i64, group: &str, actor: Option<v1::Actor>, kind: Kind) -> Record {
    reported(second * 1000, v1::Evidence::Webhook, group, actor, kind)
}

/// A record of what was read from the provider just before a second: it says nothing about that second.
pub(crate) fn read(second: i64, group: &str, kind: Kind) -> Record {
    reported(second * 1000 - 1, v1::Evidence::Snapshot, group, None, kind)
}

fn reported(
    time_ms: i64,
    evidence: v1::Evidence,
    group: &str,
    actor: Option<v1::Actor>,
    kind: Kind,
) -> Record {
    let group = if matches!(kind, Kind::IdentityChanged(_)) { "" } else { group };
    let mut record = Record {
        provider: v1::Provider::Meta.into(),
        account: "WABA".to_owned(),
        phone_number_id: "PN".to_owned(),
        group_id: group.to_owned(),
        provider_time_ms: time_ms,
        received_time_ms: 1,
        request_id: "first".to_owned(),
        actor,
        evidence: evidence.into(),
        event: Some(v1::Event { kind: Some(kind) }),
        ..Default::default()
    };
    record.event_id = EventId::hash([prost::Message::encode_to_vec(&record).as_slice()]).to_string();
    record
}

/// A history for people to read.
pub(crate) fn told(records: &[Record]) -> String {
    let line = |r: &Record| {
        let kind = r.kind();
        let text = format!("{kind:?}");
        let brief = ["None, ", "Some(", "parent_user_id: None", "errors: [], "]
            .iter()
            .fold(text, |text, noise| if *noise == "Some(" { text } else { text.replace(noise, "") });
        format!("  {} {} {}… {brief}", r.provider_time_ms / 1000, r.group_id, &r.event_id[..4])
    };
    records.iter().map(line).collect::<Vec<_>>().join("\n")
}
