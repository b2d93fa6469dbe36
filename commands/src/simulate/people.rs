//! The people of the simulated world: what they are called, and which of their names a webhook shows.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::numbers::Number;

/// Which of a person's names the business may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The number alone, as it was before 2026.
    Number,
    /// Number and user id.
    NumberAndUserId,
    /// User id and username: the person hides the number.
    UserId,
}

/// A person.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) number: Number,
    pub(crate) user_id: String,
    /// Of businesses with linked portfolios.
    pub(crate) parent_user_id: Option<String>,
    pub(crate) username: String,
    pub(crate) name: String,
    pub(crate) shown: Shown,
    /// A change told number and user id as one person's: who knows the one knows the other since.
    pub(crate) number_told: bool,
    /// A hidden number is left out, or printed as an empty text.
    empty_number: bool,
    /// Groups that ever knew the person.
    pub(crate) groups: BTreeSet<u64>,
    /// Second from which on webhooks may speak of the person: none does in the second of a change.
    pub(crate) settled_at: i64,
}

const FIRST: [&str; 16] = [
    "Maria", "José", "Ana", "João", "Pablo", "Sheena", "Tiago", "Priya", "Jürgen", "Çağla", "Zoë", "Miguel",
    "Aarav", "Lucía", "Inês", "Søren",
];
const LAST: [&str; 12] = [
    "Silva", "Souza", "Nelson", "Müller", "García", "Patel", "O'Brien", "Araújo", "Lima", "Núñez", "Iyer",
    "Weiß",
];

impl Person {
    /// Somebody new under a number.
    pub(crate) fn new(dice: &mut Dice, number: Number, serial: u64) -> Self {
        let shown = match dice.below(10) {
            0..4 => Shown::Number,
            4..8 => Shown::NumberAndUserId,
            _ => Shown::UserId,
        };
        let (first, last) = (dice.word(&FIRST), dice.word(&LAST));
        let sign = if dice.percent(20.0) { "@" } else { "" };
        let plain: String = first.to_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
        let linked = dice.percent(15.0);
        let mut person = Self {
            user_id: String::new(),
            parent_user_id: linked.then(String::new),
            username: format!("{sign}{plain}.{serial}"),
            name: format!("{first} {last}"),
            shown,
            number_told: false,
            empty_number: dice.percent(30.0),
            groups: BTreeSet::new(),
            settled_at: i64::MIN,
            number,
        };
        person.new_user_id(dice);
        person
    }

    /// Meta makes new ids when a number changes.
    pub(crate) fn new_user_id(&mut self, dice: &mut Dice) {
        let country = match self.number.wa_id.get(..2) {
            Some("55") => "BR",
            Some("52") => "MX",
            Some("91") => "IN",
            Some("49") => "DE",
            _ => "US",
        };
        self.user_id = format!("{country}.{}", dice.text("0123456789", 20));
        if let Some(parent) = &mut self.parent_user_id {
            *parent = format!("{country}.ENT.{}", dice.text("0123456789", 18));
        }
    }

    /// Is this a name of theirs: the number in any spelling, the user id or the parent user id?
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let digits: String = name.chars().filter(char::is_ascii_digit).collect();
        let is_number = !digits.is_empty() && name.chars().all(|c| c.is_ascii_digit() || "+ -()".contains(c));
        let of_number = self.number.wa_id == digits || self.number.dialled == digits;
        (is_number && of_number) || self.user_id == name || self.parent_user_id.as_deref() == Some(name)
    }

    pub(crate) fn shows_number(&self) -> bool {
        self.shown != Shown::UserId
    }

    pub(crate) fn shows_user_id(&self) -> bool {
        self.shown != Shown::Number
    }

    /// The person's fields in a group event.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        self.put_number(&mut fields, "wa_id");
        if self.shows_user_id() {
            fields.insert("user_id".into(), json!(self.user_id));
            if let Some(parent) = &self.parent_user_id {
                fields.insert("parent_user_id".into(), json!(parent));
            }
        }
        if self.shown == Shown::UserId {
            fields.insert("username".into(), json!(self.username));
        }
        fields
    }

    /// The number under a key, or what a webhook has where the number is hidden.
    pub(crate) fn put_number(&self, fields: &mut Map<String, Value>, key: &str) {
        if self.shows_number() {
            fields.insert(key.into(), json!(self.number.wa_id));
        } else if self.empty_number {
            fields.insert(key.into(), json!(""));
        }
    }

    /// The person's element of `contacts[]`.
    pub(crate) fn contact(&self) -> Value {
        let mut contact = self.fields();
        let mut profile = json!({ "name": self.name });
        if let Some(username) = contact.remove("username") {
            profile["username"] = username;
        }
        contact.insert("profile".into(), profile);
        Value::Object(contact)
    }

    /// What a business may name the person by in a command.
    pub(crate) fn input(&self, dice: &mut Dice) -> String {
        let by_id = self.shows_user_id() && (!self.shows_number() || dice.percent(30.0));
        match (&self.parent_user_id, by_id) {
            (Some(parent), true) if dice.percent(25.0) => parent.clone(),
            (_, true) => self.user_id.clone(),
            (_, false) => self.number.spelled(dice),
        }
    }
}
