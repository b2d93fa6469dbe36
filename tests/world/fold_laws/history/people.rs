//! The people of a history and how their names change.

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{self, IdentityChangeKind, Participant};

use super::Story;

/// A person under all present names.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) names: Participant,
    /// Names given up in this second, which reports of the same second may still use.
    pub(crate) before: Option<(i64, Participant)>,
    /// A user id of before, which a report may use at any later time: nobody else gets it.
    pub(crate) once: Option<String>,
    /// No receipt of a message sent before this second is told: the name may have been another's then, and
    /// receipts are kept by message and name.
    pub(crate) since: i64,
}

impl Story {
    pub(super) fn somebody_new(&mut self) {
        let kind = self.dice.below(12);
        let mut names = Participant::default();
        let (number, user, parent, lid, username) =
            (self.number(), self.fresh("U"), self.fresh("P"), self.fresh("L"), self.fresh("name"));
        match kind {
            0..4 => names.wa_id = Some(number),
            4..7 => (names.wa_id, names.user_id) = (Some(number), Some(user)),
            7 | 8 => {
                (names.wa_id, names.user_id, names.parent_user_id) = (Some(number), Some(user), Some(parent));
            }
            9 => (names.user_id, names.username) = (Some(user), Some(username)),
            10 => names.username = Some(username),
            _ => (names.wa_id, names.lid) = (Some(number), Some(lid)),
        }
        self.people.push(Person { names, before: None, once: None, since: self.second });
    }

    fn fresh(&mut self, tag: &str) -> String {
        self.serial += 1;
        format!("{tag}{}", self.serial)
    }

    /// A number nobody has: a new one, or one that somebody gave up, with time for all to hear of it.
    fn number(&mut self) -> String {
        let rested = self.free.iter().position(|(freed, _)| *freed + 1 < self.second);
        if let Some(i) = rested.filter(|_| self.dice.percent(50)) {
            let number = self.free.remove(i).1;
            self.had_been.push(number.clone());
            return number;
        }
        self.serial += 1;
        let n = self.serial;
        match self.dice.below(5) {
            0 => format!("55119{n:08}"),
            1 => format!("5531{n:08}"),
            2 => format!("52155{n:08}"),
            3 => format!("54911{n:08}"),
            _ => format!("1650555{n:04}"),
        }
    }

    /// How a report calls somebody: by all names, or by one alone.
    pub(super) fn called(&mut self, person: usize) -> Participant {
        let person = &self.people[person];
        let mut names = match &person.before {
            Some((second, before)) if *second == self.second && self.dice.percent(40) => before.clone(),
            _ => person.names.clone(),
        };
        match self.dice.below(10) {
            0 if names.wa_id.is_some() => {
                (names.user_id, names.parent_user_id, names.lid) = (None, None, None)
            }
            1 if names.user_id.is_some() => (names.wa_id, names.parent_user_id) = (None, None),
            // The empty text stands for a hidden number.
            2 if names.wa_id.is_none() => names.wa_id = Some(String::new()),
            3 if person.once.is_some() => {
                names = Participant { user_id: person.once.clone(), ..Default::default() };
            }
            _ => {}
        }
        names
    }

    /// How a command calls somebody.
    pub(super) fn spelled(&mut self, person: usize) -> Participant {
        let names = self.people[person].names.clone();
        let number = names.wa_id.map(|digits| match self.dice.below(3) {
            0 => digits,
            1 => format!("+{} ({}) {}-{}", &digits[..2], &digits[2..4], &digits[4..7], &digits[7..]),
            // With or without the digit that Brazil, Mexico and Argentina put before mobiles.
            _ if digits.starts_with("5531") => format!("+55 31 9{}", &digits[4..]),
            _ if digits.starts_with("521") => format!("+52 {}", &digits[3..]),
            _ => format!("+{digits}"),
        });
        let at_name = names.username.map(|name| format!("@{name}"));
        let mut inputs: Vec<String> =
            [number, names.user_id, names.parent_user_id, at_name].into_iter().flatten().collect();
        if inputs.is_empty() {
            inputs.push("+49 171 3920099".to_owned());
        }
        let input = Some(self.dice.pick(&inputs).clone());
        Participant { input, ..Default::default() }
    }

    /// A change of number or user id is told, sometimes more than once.
    pub(super) fn rename(&mut self) {
        let i = self.dice.below(self.people.len());
        if self.people[i].before.as_ref().is_some_and(|(second, _)| *second == self.second) {
            self.second += 1;
        }
        // All is told of the change before.
        self.second = self.second.max(self.people[i].since);
        let whole = self.people[i].names.clone();
        let (mut previous, mut current) = (Participant::default(), Participant::default());
        let has_user = whole.user_id.is_some();
        let of_number = whole.wa_id.is_some() && (!has_user || self.dice.percent(60));
        let with_user = has_user && (!of_number || self.dice.percent(60));
        if of_number {
            (previous.wa_id, current.wa_id) = (whole.wa_id.clone(), Some(self.number()));
        } else if whole.wa_id.is_some() && self.dice.percent(50) {
            (previous.wa_id, current.wa_id) = (whole.wa_id.clone(), whole.wa_id.clone());
        }
        if with_user {
            (previous.user_id, current.user_id) = (whole.user_id.clone(), Some(self.fresh("U")));
            if whole.parent_user_id.is_some() {
                let parent = Some(self.fresh("P"));
                (previous.parent_user_id, current.parent_user_id) = (whole.parent_user_id.clone(), parent);
            }
        }
        if current == previous {
            return;
        }
        // A change may also tell a name that no other is given up for.
        match self.dice.below(12) {
            0 if with_user && previous.wa_id.is_some() => previous.user_id = None,
            1 if !of_number && previous.wa_id.is_some() => previous.wa_id = None,
            _ => {}
        }
        let now = self.second;
        // Now and then a change is told when the new names are in use already.
        let told = if self.dice.percent(20) { now + self.dice.seconds(1, 2) } else { now };
        let both = of_number && with_user;
        let shape = self.dice.below(10);
        match shape {
            // The old number is hidden, or the new one.
            0 if both && previous.user_id.is_some() => previous.wa_id = None,
            1 if both => current.wa_id = None,
            _ => {}
        }
        if of_number {
            self.free.extend(whole.wa_id.clone().map(|number| (told, number)));
        }
        let number = if of_number { current.wa_id.clone() } else { whole.wa_id.clone() };
        let after = Participant {
            wa_id: number,
            user_id: current.user_id.clone().or(whole.user_id.clone()),
            parent_user_id: current.parent_user_id.clone().or(whole.parent_user_id.clone()),
            ..whole.clone()
        };
        let used_before = current.wa_id.as_ref().is_some_and(|number| self.had_been.contains(number));
        if used_before || told > now || both {
            // A second more: what tells of the user id alone may come then.
            self.people[i].since = told + 1;
        }
        if with_user {
            self.people[i].once.clone_from(&whole.user_id);
        }
        self.people[i].names = after;
        self.people[i].before = Some((now, whole.clone()));
        self.second = told;
        // The number's own message may be lost.
        if !(shape == 2 && both) {
            self.tell_change(&previous, &current, of_number);
            if self.dice.percent(30) {
                // Each number of the business hears of it.
                self.tell_change(&previous, &current, of_number);
            }
            if self.dice.percent(15) {
                self.second += 1;
                self.tell_change(&previous, &current, of_number);
            }
        }
        if both && (shape == 2 || self.dice.percent(50)) {
            // The user id has a message of its own, which names any number or none.
            let numbers = [whole.wa_id, current.wa_id.clone(), None];
            let wa_id = self.dice.pick(&numbers).clone();
            self.second = told + self.dice.seconds(-1, 1);
            let previous = Participant { wa_id: None, user_id: self.people[i].once.clone(), ..previous };
            self.tell_change(&previous, &Participant { wa_id, ..current }, false);
        }
        self.second = now;
    }

    fn tell_change(&mut self, previous: &Participant, current: &Participant, of_number: bool) {
        let kind = if of_number { IdentityChangeKind::Number } else { IdentityChangeKind::UserId };
        let message_id = Some(self.fresh("system"));
        let change = v1::IdentityChanged {
            kind: kind.into(),
            previous: Some(previous.clone()),
            current: Some(current.clone()),
            message_id,
            body: None,
        };
        self.tell("", Kind::IdentityChanged(change));
    }

    /// The provider gives a number to somebody else and tells nobody.
    pub(super) fn number_is_passed_on(&mut self) {
        let i = self.dice.below(self.people.len());
        let (Some(number), Some(_)) = (self.people[i].names.wa_id.clone(), &self.people[i].names.user_id)
        else {
            return;
        };
        self.second += 2;
        self.people[i].names.wa_id = None;
        let user_id = Some(self.fresh("U"));
        let linked = self.dice.percent(40);
        let parent_user_id = linked.then(|| self.fresh("P"));
        let names = Participant { wa_id: Some(number), user_id, parent_user_id, ..Default::default() };
        self.people.push(Person { names: names.clone(), before: None, once: None, since: self.second });
        let group = self.group();
        self.tell(group, super::reports::joined(vec![names], v1::JoinVia::InviteLink));
        self.second += 1;
    }

    /// Somebody turns up under another number and the same user id.
    pub(super) fn number_changes_silently(&mut self) {
        let i = self.dice.below(self.people.len());
        let (Some(number), Some(_)) = (self.people[i].names.wa_id.clone(), &self.people[i].names.user_id)
        else {
            return;
        };
        self.second += 2;
        self.people[i].names.wa_id = Some(self.number());
        self.people[i].since = self.second;
        self.free.push((self.second, number));
        let names = self.people[i].names.clone();
        let group = self.group();
        self.tell(group, super::reports::joined(vec![names], v1::JoinVia::InviteLink));
    }
}
