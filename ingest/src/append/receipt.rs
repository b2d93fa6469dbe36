//! What became of the items of one webhook.

use std::collections::HashSet;

use groupfold_schemas::position::Position;

use super::message::{Fate, Message};
use super::wire::Stored;
use crate::meta::IgnoreCause;

/// What became of the items of one webhook.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) appended: u64,
    pub(crate) duplicate: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    pub(crate) position: Position,
    /// Messages that the log took as new: of events, and of failures.
    pub(crate) stored: u64,
    pub(crate) stored_failed: u64,
    /// Messages published more than once whose first copy may have been the new one.
    pub(crate) unsure: u64,
    /// Causes of the failed items, for counting.
    pub(crate) failed_causes: Vec<String>,
    pub(crate) ignored_causes: Vec<IgnoreCause>,
}

/// An acknowledgement of the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ack {
    pub(super) partition: Option<u16>,
    pub(super) stored: Stored,
    /// An attempt before this one ended unknown: the message may have been new then.
    pub(super) unsure: bool,
}

impl Receipt {
    /// An event that goes to every partition counts once, and is a duplicate if it is one everywhere.
    pub(super) fn count(&mut self, messages: &[Message], mut acks: Vec<(usize, Ack)>) {
        acks.sort_unstable_by_key(|(index, _)| *index);
        for (message, acks) in messages.iter().zip(acks.chunk_by(|a, b| a.0 == b.0)) {
            for (_, ack) in acks {
                if let Some(partition) = ack.partition {
                    self.position.raise(partition, ack.stored.sequence);
                }
                let stored = if ack.partition.is_some() { &mut self.stored } else { &mut self.stored_failed };
                *stored += u64::from(!ack.stored.duplicate);
                self.unsure += u64::from(ack.unsure);
            }
            match message.fate {
                Fate::Failed(_) => self.failed += 1,
                Fate::Event if acks.iter().all(|(_, ack)| ack.stored.duplicate) => self.duplicate += 1,
                Fate::Event => self.appended += 1,
            }
        }
    }

    /// Takes out what stands there a second time.
    pub(super) fn count_repeated(&mut self, messages: &mut Vec<Message>) {
        if messages.len() < 2 {
            return;
        }
        let mut seen = HashSet::with_capacity(messages.len());
        let mut first =
            messages.iter().map(|message| seen.insert(message.id.as_str())).collect::<Vec<_>>().into_iter();
        messages.retain(|message| {
            let first = first.next().unwrap_or(true);
            match message.fate {
                _ if first => {}
                Fate::Failed(_) => self.failed += 1,
                Fate::Event => self.duplicate += 1,
            }
            first
        });
    }
}
