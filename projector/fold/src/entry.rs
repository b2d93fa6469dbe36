//! Entries: the keys and values that state consists of, and how they are laid out in bytes.
//!
//! Prefix bytes are assigned once for ever:
//!
//! | byte | key | value |
//! |---|---|---|
//! | `a` | account, time, rank, event id | [`v1::Fact`]: events of an account without a group |
//! | `c` | command | [`v1::CommandState`] |
//! | `f` | group, time, rank, event id, name | [`v1::Fact`]: a group's history |
//! | `g` | group | [`v1::GroupHead`] |
//! | `l` | group, name, name | [`v1::Link`] |
//! | `m` | message | [`v1::MessageHead`] |
//! | `n` | account, name, time, event id | [`v1::Rename`] |
//! | `o` | group, event id | [`v1::CommandOutcome`]: by the group it is about |
//! | `q` | provider's request, event id | [`v1::CommandOutcome`]: by the request it answers |
//! | `r` | message, name | [`v1::MemberReceipt`] |
//! | `v` | message, user of the platform, group | [`v1::View`] |
//! | `w` | group | [`v1::Window`] |
//!
//! The store keeps its own keys under `P` (progress), `U` (unreadable records), `D` (digests of groups), `O`
//! (changes to publish) and `V` (version of the fold).

mod bytes;

use std::collections::BTreeMap;

use bytes::{KeyReader, KeyWriter};
use groupfold_schemas::{frame, v1};

use crate::identity::Alias;

/// The key of an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A group but its members.
    Head {
        /// Group id.
        group: String,
    },
    /// A group's service window.
    Window {
        /// Group id.
        group: String,
    },
    /// A line of a group's history.
    Fact {
        /// Group id.
        group: String,
        /// Where it stands in the history.
        at: FactAt,
    },
    /// A line of an account's history.
    AccountFact {
        /// Account id.
        account: String,
        /// Where it stands in the history.
        at: FactAt,
    },
    /// Two names of one person, the lesser first.
    Link {
        /// Group id.
        group: String,
        /// The lesser name.
        a: Alias,
        /// The greater name.
        b: Alias,
    },
    /// An identity change that mentions a name.
    Rename {
        /// Account id.
        account: String,
        /// The name mentioned.
        alias: Alias,
        /// Provider time, Unix milliseconds.
        time_ms: i64,
        /// The event.
        event_id: String,
    },
    /// A message as a whole.
    Message {
        /// Message id.
        message: String,
    },
    /// What one name did with one message.
    Receipt {
        /// Message id.
        message: String,
        /// The name reported.
        alias: Alias,
    },
    /// The stations of a command.
    Command {
        /// Command id.
        command: String,
    },
    /// What became of a request to the provider, by its id.
    Outcome {
        /// The provider's request id.
        request: String,
        /// The event that tells it.
        event_id: String,
    },
    /// The same, by the group.
    GroupOutcome {
        /// Group id.
        group: String,
        /// The event that tells it.
        event_id: String,
    },
    /// That a user of the platform saw a message.
    View {
        /// Message id.
        message: String,
        /// The platform's id of the user.
        user: String,
        /// The group that it was told in.
        group: String,
    },
}

/// The place of a fact in a history; its order is the order of the history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FactAt {
    /// Provider time, Unix milliseconds.
    pub time_ms: i64,
    /// Rank among facts of one second, see [`v1::FactKind`].
    pub rank: u32,
    /// The event.
    pub event_id: String,
    /// Tells the facts of one event apart: the name of the person, or empty.
    pub about: String,
}

/// The value of an entry.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is the protobuf message of its name")]
pub enum Value {
    Head(Box<v1::GroupHead>),
    Window(v1::Window),
    Fact(v1::Fact),
    Link(v1::Link),
    Rename(v1::Rename),
    Message(v1::MessageHead),
    Receipt(v1::MemberReceipt),
    Command(Box<v1::CommandState>),
    Outcome(v1::CommandOutcome),
    View(v1::View),
}

/// Keys that belong together, for scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prefix {
    /// All group heads, by group id.
    Heads,
    /// The history of a group, by time.
    Facts {
        /// Group id.
        group: String,
    },
    /// The part of a group's history that has no time of the provider: what the platform laid down, and the like.
    OwnFacts {
        /// Group id.
        group: String,
    },
    /// The history of an account, by time.
    AccountFacts {
        /// Account id.
        account: String,
    },
    /// The links of a group.
    Links {
        /// Group id.
        group: String,
    },
    /// The identity changes that mention a name, by time.
    Renames {
        /// Account id.
        account: String,
        /// The name.
        alias: Alias,
    },
    /// All messages, by message id.
    Messages,
    /// The receipts of a message.
    Receipts {
        /// Message id.
        message: String,
    },
    /// All commands, by id, which is by time.
    Commands,
    /// The outcomes of a request to the provider.
    Outcomes {
        /// The provider's request id.
        request: String,
    },
    /// The outcomes about a group.
    GroupOutcomes {
        /// Group id.
        group: String,
    },
    /// Which users of the platform saw a message.
    Views {
        /// Message id.
        message: String,
    },
}

/// Where entries are read from.
pub trait Source {
    /// Why a read failed.
    type Error;

    /// One entry.
    ///
    /// # Errors
    /// The entry cannot be read.
    fn get(&self, key: &Key) -> Result<Option<Value>, Self::Error>;

    /// All entries under a prefix, by key.
    ///
    /// # Errors
    /// An entry cannot be read.
    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Value)>, Self::Error>;

    /// Tells each key under a prefix, in any order and maybe twice, without reading what stands there.
    ///
    /// # Errors
    /// A key cannot be read.
    fn keys(&self, prefix: &Prefix, visit: &mut dyn FnMut(Key)) -> Result<(), Self::Error> {
        self.scan(prefix)?.into_iter().for_each(|(key, _)| visit(key));
        Ok(())
    }

    /// Commands whose ids are less than one, by id backwards, `most` at most.
    ///
    /// # Errors
    /// An entry cannot be read.
    fn commands_before(
        &self,
        before: Option<&str>,
        most: usize,
    ) -> Result<Vec<(String, v1::CommandState)>, Self::Error> {
        let entries = self.scan(&Prefix::Commands)?.into_iter().rev();
        let states = entries.filter_map(|entry| match entry {
            (Key::Command { command }, Value::Command(state)) => Some((command, *state)),
            _ => None,
        });
        Ok(states.filter(|(id, _)| before.is_none_or(|before| id.as_str() < before)).take(most).collect())
    }

    /// Tells each group and the account it belongs to, without holding them all.
    ///
    /// # Errors
    /// An entry cannot be read.
    fn groups(&self, visit: &mut dyn FnMut(String, &str)) -> Result<(), Self::Error> {
        for entry in self.scan(&Prefix::Heads)? {
            if let (Key::Head { group }, Value::Head(head)) = entry {
                visit(group, head.origin.as_ref().map_or("", |origin| &origin.account));
            }
        }
        Ok(())
    }
}

/// Why bytes are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The key is none of ours.
    #[error("key is not one of the fold's")]
    Key,
    /// The value cannot be read.
    #[error("value cannot be read")]
    Value(#[source] frame::Error),
}

impl Key {
    /// The key's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Head { group } => KeyWriter::new(b'g').text(group),
            Self::Window { group } => KeyWriter::new(b'w').text(group),
            Self::Fact { group, at } => KeyWriter::new(b'f').text(group).fact_at(at),
            Self::AccountFact { account, at } => KeyWriter::new(b'a').text(account).fact_at(at),
            Self::Link { group, a, b } => KeyWriter::new(b'l').text(group).alias(a).alias(b),
            Self::Rename { account, alias, time_ms, event_id } => {
                KeyWriter::new(b'n').text(account).alias(alias).time(*time_ms).text(event_id)
            }
            Self::Message { message } => KeyWriter::new(b'm').text(message),
            Self::Receipt { message, alias } => KeyWriter::new(b'r').text(message).alias(alias),
            Self::Command { command } => KeyWriter::new(b'c').text(command),
            Self::Outcome { request, event_id } => KeyWriter::new(b'q').text(request).text(event_id),
            Self::GroupOutcome { group, event_id } => KeyWriter::new(b'o').text(group).text(event_id),
            Self::View { message, user, group } => KeyWriter::new(b'v').text(message).text(user).text(group),
        }
        .0
    }

    /// Reads a key back.
    ///
    /// # Errors
    /// [`Error::Key`] for bytes that [`Key::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).ok_or(Error::Key)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (&prefix, rest) = bytes.split_first()?;
        let mut reader = KeyReader(rest);
        let text = reader.text()?;
        let key = match prefix {
            b'g' => Self::Head { group: text },
            b'w' => Self::Window { group: text },
            b'f' => Self::Fact { group: text, at: reader.fact_at()? },
            b'a' => Self::AccountFact { account: text, at: reader.fact_at()? },
            b'l' => Self::Link { group: text, a: reader.alias()?, b: reader.alias()? },
            b'n' => Self::Rename {
                account: text,
                alias: reader.alias()?,
                time_ms: reader.time()?,
                event_id: reader.text()?,
            },
            b'm' => Self::Message { message: text },
            b'r' => Self::Receipt { message: text, alias: reader.alias()? },
            b'c' => Self::Command { command: text },
            b'q' => Self::Outcome { request: text, event_id: reader.text()? },
            b'o' => Self::GroupOutcome { group: text, event_id: reader.text()? },
            b'v' => Self::View { message: text, user: reader.text()?, group: reader.text()? },
            _ => return None,
        };
        reader.0.is_empty().then_some(key)
    }

    /// Reads the value that stands under this key.
    ///
    /// # Errors
    /// [`Error::Value`] if the bytes are damaged or of another version.
    pub fn decode_value(&self, bytes: &[u8]) -> Result<Value, Error> {
        let value = match self {
            Self::Head { .. } => frame::decode(bytes).map(|head| Value::Head(Box::new(head))),
            Self::Window { .. } => frame::decode(bytes).map(Value::Window),
            Self::Fact { .. } | Self::AccountFact { .. } => frame::decode(bytes).map(Value::Fact),
            Self::Link { .. } => frame::decode(bytes).map(Value::Link),
            Self::Rename { .. } => frame::decode(bytes).map(Value::Rename),
            Self::Message { .. } => frame::decode(bytes).map(Value::Message),
            Self::Receipt { .. } => frame::decode(bytes).map(Value::Receipt),
            Self::Command { .. } => frame::decode(bytes).map(|state| Value::Command(Box::new(state))),
            Self::Outcome { .. } | Self::GroupOutcome { .. } => frame::decode(bytes).map(Value::Outcome),
            Self::View { .. } => frame::decode(bytes).map(Value::View),
        };
        value.map_err(Error::Value)
    }
}

/// The group that an entry's key names: those of heads, windows, facts, links and outcomes do.
#[must_use]
pub fn group_of(key: &[u8]) -> Option<String> {
    match key.split_first()? {
        (b'g' | b'w' | b'f' | b'l' | b'o', rest) => KeyReader(rest).text(),
        _ => None,
    }
}

/// Splits a receipt's key into what the keys of all receipts of its message begin with, and the rest; `None` for keys of
/// anything else.
#[must_use]
pub fn receipt_of(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = KeyReader(key.strip_prefix(b"r")?);
    reader.written_text()?;
    key.split_at_checked(key.len() - reader.0.len())
}

impl Value {
    /// The value's bytes, framed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Head(value) => frame::encode(&**value),
            Self::Window(value) => frame::encode(value),
            Self::Fact(value) => frame::encode(value),
            Self::Link(value) => frame::encode(value),
            Self::Rename(value) => frame::encode(value),
            Self::Message(value) => frame::encode(value),
            Self::Receipt(value) => frame::encode(value),
            Self::Command(value) => frame::encode(&**value),
            Self::Outcome(value) => frame::encode(value),
            Self::View(value) => frame::encode(value),
        }
    }

    /// How many bytes [`Value::encode`] makes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Head(value) => frame::encoded_len(&**value),
            Self::Window(value) => frame::encoded_len(value),
            Self::Fact(value) => frame::encoded_len(value),
            Self::Link(value) => frame::encoded_len(value),
            Self::Rename(value) => frame::encoded_len(value),
            Self::Message(value) => frame::encoded_len(value),
            Self::Receipt(value) => frame::encoded_len(value),
            Self::Command(value) => frame::encoded_len(&**value),
            Self::Outcome(value) => frame::encoded_len(value),
            Self::View(value) => frame::encoded_len(value),
        }
    }
}

impl Prefix {
    /// The bytes that all keys under the prefix begin with.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Heads => KeyWriter::new(b'g'),
            Self::Facts { group } => KeyWriter::new(b'f').text(group),
            Self::OwnFacts { group } => KeyWriter::new(b'f').text(group).time(0),
            Self::AccountFacts { account } => KeyWriter::new(b'a').text(account),
            Self::Links { group } => KeyWriter::new(b'l').text(group),
            Self::Renames { account, alias } => KeyWriter::new(b'n').text(account).alias(alias),
            Self::Messages => KeyWriter::new(b'm'),
            Self::Receipts { message } => KeyWriter::new(b'r').text(message),
            Self::Commands => KeyWriter::new(b'c'),
            Self::Outcomes { request } => KeyWriter::new(b'q').text(request),
            Self::GroupOutcomes { group } => KeyWriter::new(b'o').text(group),
            Self::Views { message } => KeyWriter::new(b'v').text(message),
        }
        .0
    }
}

/// Entries in memory, in their stored bytes: what tests, rebuilds and time travel fold into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl Memory {
    fn under(&self, prefix: &[u8]) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.0.range(prefix.to_vec()..).take_while(move |(key, _)| key.starts_with(prefix))
    }
}

impl Source for Memory {
    type Error = Error;

    fn get(&self, key: &Key) -> Result<Option<Value>, Error> {
        self.0.get(&key.encode()).map(|bytes| key.decode_value(bytes)).transpose()
    }

    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Value)>, Error> {
        self.under(&prefix.encode())
            .map(|(key, value)| {
                let key = Key::decode(key)?;
                let value = key.decode_value(value)?;
                Ok((key, value))
            })
            .collect()
    }

    fn keys(&self, prefix: &Prefix, visit: &mut dyn FnMut(Key)) -> Result<(), Error> {
        self.under(&prefix.encode()).try_for_each(|(key, _)| Key::decode(key).map(&mut *visit))
    }
}
