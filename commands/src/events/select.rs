//! Which events: a stretch of the log and filters over it.

use clap::builder::NonEmptyStringValueParser;
use groupfold_schemas::log as words;
use groupfold_schemas::v1::Record;
use serde::{Deserialize, Serialize};

use super::{alias, catalogue};
use crate::exit::Failure;
use crate::when::Moment;

/// Filters that the broker applies, so that what is left out costs next to nothing, and one of our own.
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filters {
    /// Events of one group
    #[arg(long, value_name = "GROUP_ID", value_parser = NonEmptyStringValueParser::new())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// Events of one kind (see docs/events.md), or of the kinds that tell a line of a history: member_joined,
    /// subject_changed, number_changed, …; repeatable
    #[arg(long, value_name = "KIND")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kind: Vec<String>,
    /// Events of one account (Meta: the WhatsApp Business Account)
    #[arg(long, value_name = "ACCOUNT", value_parser = NonEmptyStringValueParser::new())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// Events of one business number
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phone_number_id: Option<String>,
}

impl Filters {
    /// With kinds of events in the place of kinds of lines. Refuses a kind that there is not: it would find nothing, which
    /// says something else.
    pub(crate) fn resolved(self) -> Result<Self, Failure> {
        let mut kind: Vec<String> = Vec::new();
        for name in &self.kind {
            let kinds = alias::kinds(name).ok_or_else(|| no_kind(name))?;
            kind.extend(kinds.into_iter().map(str::to_owned));
        }
        Ok(Self { kind, ..self })
    }

    /// The partitions in which such events can be.
    pub(crate) fn partitions(&self, partitions: u16) -> Vec<u16> {
        match &self.group {
            Some(group) => vec![words::partition_of(group, partitions)],
            None => (0..partitions).collect(),
        }
    }

    /// The subjects of such events in a partition; none if nothing is left out there.
    pub(crate) fn subjects(&self, partition: u16) -> Vec<String> {
        if self.group.is_none() && self.kind.is_empty() && self.account.is_none() {
            return Vec::new();
        }
        let account = self.account.as_deref().map_or_else(|| "*".to_owned(), words::token);
        let group = self.group.as_deref().map_or_else(|| "*".to_owned(), words::token);
        let any = ["*".to_owned()];
        let kinds = if self.kind.is_empty() { any.as_slice() } else { &self.kind };
        let mut kinds: Vec<&String> = kinds.iter().collect();
        // The broker refuses a filter that is there twice.
        kinds.sort();
        kinds.dedup();
        kinds.iter().map(|kind| format!("groupfold.event.{partition}.{account}.{kind}.{group}")).collect()
    }

    /// What the subject does not tell.
    pub(crate) fn takes(&self, record: &Record) -> bool {
        self.phone_number_id.as_ref().is_none_or(|id| *id == record.phone_number_id)
    }
}

fn no_kind(name: &str) -> Failure {
    let events: Vec<&str> = catalogue::names().collect();
    let lines: Vec<&str> = alias::ALIASES.iter().map(|(line, _)| *line).collect();
    Failure::Usage(format!(
        "--kind {name} is none of {}; nor of those of the lines of a history that are called otherwise: {}",
        events.join(", "),
        lines.join(", ")
    ))
}

/// From when to when.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Range {
    /// Begin here, by the time at which the log took the event: a time, an age (-1h), `beginning`, or after a position (3:1234,5:88; of the partitions
    /// that it names)
    #[arg(long, visible_alias = "since", value_name = "MOMENT", allow_hyphen_values = true)]
    pub(crate) from: Option<Moment>,
    /// End here, by the same time: before a time or an age, or with a position; default: what is there when it starts
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true, value_parser = end)]
    pub(crate) until: Option<Moment>,
}

/// A moment that something can be before.
fn end(text: &str) -> Result<Moment, String> {
    match text.parse()? {
        Moment::Beginning => {
            Err("nothing is before the beginning: expected a time, an age (-1h) or a position".to_owned())
        }
        moment => Ok(moment),
    }
}

/// A moment as it is written down, to be read again by [`Moment`].
pub(crate) fn moment_text(moment: &Moment) -> String {
    match moment {
        Moment::Beginning => "beginning".to_owned(),
        Moment::Time(ms) => {
            jiff::Timestamp::from_millisecond(*ms).map_or_else(|_| ms.to_string(), |t| t.to_string())
        }
        Moment::Position(position) => position.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_subjects_and_partitions() {
        let none = Filters::default();
        assert!(none.subjects(3).is_empty());
        assert_eq!(none.partitions(8).len(), 8);
        let some = Filters {
            group: Some("120363404694233820@g.us".to_owned()),
            kind: vec!["receipt_read".to_owned(), "group_created".to_owned(), "receipt_read".to_owned()],
            ..Filters::default()
        };
        assert_eq!(some.partitions(8), [1]);
        assert_eq!(
            some.subjects(1),
            [
                "groupfold.event.1.*.group_created.120363404694233820%40g%2eus",
                "groupfold.event.1.*.receipt_read.120363404694233820%40g%2eus"
            ]
        );
        assert_eq!(some.clone().resolved().unwrap(), some);
        let of = |kind: &str| Filters { kind: vec![kind.to_owned()], ..Filters::default() }.resolved();
        assert_eq!(
            of("member_joined").unwrap().kind,
            ["participants_joined", "group_created", "group_snapshot"]
        );
        assert!(of("receipts").is_err());
    }
}
