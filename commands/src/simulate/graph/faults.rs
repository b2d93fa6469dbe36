//! What goes wrong on purpose: a list of faults, each for an operation, in so many of a hundred cases, so many
//! times; all from the seed.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::refusal::{Refusal, of_code};
use crate::simulate::dice::Dice;

/// Faults that are listed at once at most.
pub(super) const FAULTS_MAX: usize = 100;

/// What is asked of the provider, and what people do of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    Create,
    List,
    Info,
    Update,
    Delete,
    Link,
    ResetLink,
    DeleteLink,
    Requests,
    Approve,
    Reject,
    Remove,
    Add,
    Send,
    Pin,
    /// Webhooks of what nobody commanded: joins, requests, leaves, messages, receipts, suspensions.
    People,
    /// All but people.
    Any,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Refused with a code; nothing is done.
    Error(u32),
    /// Everything is done, and the answer never comes.
    Timeout,
    /// Nothing is done, and the answer never comes.
    TimeoutBefore,
    /// Everything is done, and the answer is a fault of the provider.
    FaultAfter,
    /// The webhook is delivered before the answer.
    WebhookFirst,
    /// The webhook never comes.
    WebhookNever,
    /// The webhook comes twice.
    WebhookTwice,
    /// Accepted, and the webhook tells that it failed.
    WebhookFailed,
    /// Done in part, where there are parts: removal, approval, settings.
    Partial,
    /// The answer has a request id where the documents show none.
    RequestId,
    /// The answer has no request id where the documents show one.
    NoRequestId,
}

/// A fault of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    #[serde(default = "any")]
    operation: Operation,
    #[serde(rename = "fault")]
    what: What,
    /// In so many of a hundred cases.
    #[serde(default = "always")]
    percent: f64,
    /// How often at most; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
}

fn any() -> Operation {
    Operation::Any
}

fn always() -> f64 {
    100.0
}

const NAMES: [(&str, What); 13] = [
    ("timeout", What::Timeout),
    ("timeout_before", What::TimeoutBefore),
    ("500_after", What::FaultAfter),
    ("webhook_first", What::WebhookFirst),
    ("webhook_never", What::WebhookNever),
    ("webhook_twice", What::WebhookTwice),
    ("webhook_failed", What::WebhookFailed),
    ("partial", What::Partial),
    ("request_id", What::RequestId),
    ("no_request_id", What::NoRequestId),
    ("500", What::Error(131_000)),
    ("503", What::Error(2)),
    ("429", What::Error(0)),
];

/// `429` is of groups or of messages, as the operation is.
const TOO_MANY: What = What::Error(0);

impl What {
    fn named(text: &str) -> Option<Self> {
        let code = text.strip_prefix("error:").and_then(|code| code.parse().ok());
        match code {
            Some(code) => of_code(code).filter(|_| code != 0).map(|_| Self::Error(code)),
            None => NAMES.into_iter().find(|(name, _)| *name == text).map(|(_, what)| what),
        }
    }
}

impl Serialize for What {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (NAMES.into_iter().find(|(_, what)| what == self), self) {
            (Some((name, _)), _) => serializer.serialize_str(name),
            (None, Self::Error(code)) => serializer.serialize_str(&format!("error:{code}")),
            (None, _) => serializer.serialize_str(""),
        }
    }
}

impl<'de> Deserialize<'de> for What {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::named(&text).ok_or_else(|| serde::de::Error::custom(format!("there is no fault {text:?}")))
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (operation, rest) = text.split_once('=').unwrap_or(("any", text));
        let operation = serde_json::from_value(operation.into())
            .map_err(|_| format!("there is no operation {operation:?}; see docs/simulator.md"))?;
        let (rest, times) = match rest.rsplit_once('x').map(|(rest, times)| (rest, times.parse())) {
            Some((rest, Ok(times))) => (rest, Some(times)),
            _ => (rest, None),
        };
        let (what, percent) = rest.split_once('@').unwrap_or((rest, "100"));
        let percent = percent.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
        Ok(Self {
            operation,
            what: What::named(what).ok_or(format!("there is no fault {what:?}; see docs/simulator.md"))?,
            percent: percent.ok_or("@ is followed by a percentage from 0 to 100")?,
            times,
        })
    }
}

/// When the webhooks of something go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Webhooks {
    /// Some time later.
    #[default]
    Later,
    /// Before the answer.
    First,
    Never,
    Twice,
}

/// What will go wrong with one call.
#[derive(Debug, Default)]
pub(super) struct Fate {
    pub(super) refuse: Option<Refusal>,
    /// Nothing is done, and nothing is answered.
    pub(super) deaf: bool,
    /// All is done, and nothing is answered.
    pub(super) silent: bool,
    /// All is done, and what is answered says nothing of it.
    pub(super) spoilt: bool,
    pub(super) webhooks: Webhooks,
    /// The webhook tells of a failure.
    pub(super) fails: bool,
    pub(super) partial: bool,
    /// Whether the answer has a request id, where that is not as documented.
    pub(super) request_id: Option<bool>,
}

/// The plan of failures.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) list: Vec<Fault>,
    dice: Dice,
}

impl Faults {
    pub(super) fn new(list: Vec<Fault>, seed: u64) -> Self {
        Self { list, dice: Dice::new(seed, "faults") }
    }

    /// Decides about one call.
    pub(super) fn draw(&mut self, operation: Operation) -> Fate {
        let mut fate = Fate::default();
        for fault in &mut self.list {
            let concerns = fault.operation == operation
                || (fault.operation == Operation::Any && operation != Operation::People);
            if !concerns || fault.times == Some(0) || !self.dice.percent(fault.percent) {
                continue;
            }
            fault.times = fault.times.map(|times| times - 1);
            match fault.what {
                TOO_MANY => fate.refuse = Some(too_many(operation)),
                What::Error(code) => {
                    fate.refuse = Some(Refusal::new(code, "As the plan of failures wants it"))
                }
                What::Timeout => fate.silent = true,
                What::TimeoutBefore => fate.deaf = true,
                What::FaultAfter => fate.spoilt = true,
                What::WebhookFirst => fate.webhooks = Webhooks::First,
                What::WebhookNever => fate.webhooks = Webhooks::Never,
                What::WebhookTwice => fate.webhooks = Webhooks::Twice,
                What::WebhookFailed => fate.fails = true,
                What::Partial => fate.partial = true,
                What::RequestId => fate.request_id = Some(true),
                What::NoRequestId => fate.request_id = Some(false),
            }
        }
        self.list.retain(|fault| fault.times != Some(0));
        fate
    }
}

/// The refusal of one call too many.
pub(super) fn too_many(operation: Operation) -> Refusal {
    match operation {
        Operation::Send | Operation::Pin => Refusal::new(130_429, "Too many messages from this number"),
        _ => Refusal::new(131_208, "Too many group operations from this number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_from_a_flag_and_from_json_alike() {
        let flag: Fault = "create=timeout@50x3".parse().unwrap();
        let json = r#"{"operation":"create","fault":"timeout","percent":50,"times":3}"#;
        assert_eq!(flag, serde_json::from_str(json).unwrap());
        assert_eq!("429".parse::<Fault>().unwrap().operation, Operation::Any);
        assert_eq!("create=error:131214".parse::<Fault>().unwrap().what, What::Error(131_214));
        for wrong in ["create=fire", "dance=500", "create=500@101", "create=error:7", "create=error:0"] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fault_ends_after_its_times_and_leaves_people_alone() {
        let mut faults = Faults::new(vec!["any=500x2".parse().unwrap()], 1);
        assert!(faults.draw(Operation::People).refuse.is_none());
        let refused = (0..4).filter(|_| faults.draw(Operation::List).refuse.is_some()).count();
        assert_eq!((refused, faults.list.len()), (2, 0));
    }

    #[test]
    fn too_many_is_told_by_what_was_asked() {
        let mut faults = Faults::new(vec!["429".parse().unwrap()], 1);
        assert_eq!(faults.draw(Operation::Send).refuse.unwrap().code, 130_429);
        assert_eq!(faults.draw(Operation::Create).refuse.unwrap().code, 131_208);
    }
}
