//! Phone numbers that look real and are nobody's, and how businesses spell them.

use std::collections::{BTreeSet, VecDeque};

use super::dice::Dice;

/// A number under its two forms, which differ in Brazil and Mexico.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Number {
    /// As WhatsApp names the account.
    pub(crate) wa_id: String,
    /// As people dial it, country code first.
    pub(crate) dialled: String,
    /// Lengths of the groups that people print the dialled digits in.
    cut: &'static [usize],
}

/// Gives numbers out, each once until it is given back.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    given: [u64; COUNTRIES.len()],
    freed: VecDeque<(i64, Number)>,
    /// Accounts of people who were there before.
    taken: BTreeSet<String>,
}

struct Country {
    /// Share of all people, in percent.
    share: u64,
    capacity: u64,
    number: fn(u64) -> Number,
}

const COUNTRIES: [Country; 5] = [
    Country { share: 50, capacity: 28 * 10_000, number: brazil },
    Country { share: 20, capacity: 20 * 100, number: united_states },
    Country { share: 12, capacity: 4 * 10_000, number: mexico },
    Country { share: 13, capacity: 100_000, number: india },
    Country { share: 5, capacity: 300, number: germany },
];

/// Numbers given back that are remembered for the next holder.
const FREED_MAX: usize = 256;

/// Seconds that a number rests before somebody else gets it.
const REST_S: i64 = 60;

fn brazil(n: u64) -> Number {
    const AREAS: [u64; 28] = [
        11, 12, 13, 19, 21, 22, 24, 27, 31, 32, 34, 41, 43, 47, 48, 51, 54, 61, 62, 65, 71, 75, 81, 83, 85,
        91, 92, 98,
    ];
    let (area, line) = (AREAS[(n % 28) as usize], n / 28 % 10_000);
    // Accounts outside the south-east are older than the ninth digit and go without it.
    let nine = if area < 30 { "9" } else { "" };
    Number {
        wa_id: format!("55{area}{nine}0000{line:04}"),
        dialled: format!("55{area}90000{line:04}"),
        cut: &[2, 2, 5, 4],
    }
}

fn united_states(n: u64) -> Number {
    const AREAS: [u64; 20] =
        [202, 212, 213, 214, 303, 305, 310, 312, 404, 415, 503, 512, 602, 615, 617, 646, 650, 702, 713, 917];
    let digits = format!("1{}55501{:02}", AREAS[(n % 20) as usize], n / 20 % 100);
    Number { wa_id: digits.clone(), dialled: digits, cut: &[1, 3, 3, 4] }
}

fn mexico(n: u64) -> Number {
    const AREAS: [u64; 4] = [33, 55, 56, 81];
    let (area, line) = (AREAS[(n % 4) as usize], n / 4 % 10_000);
    // Old accounts have the 1 that mobiles were once dialled with.
    let one = if line % 2 == 0 { "1" } else { "" };
    Number {
        wa_id: format!("52{one}{area}0000{line:04}"),
        dialled: format!("52{area}0000{line:04}"),
        cut: &[2, 2, 4, 4],
    }
}

fn india(n: u64) -> Number {
    let digits = format!("9190000{:05}", n % 100_000);
    Number { wa_id: digits.clone(), dialled: digits, cut: &[2, 5, 5] }
}

fn germany(n: u64) -> Number {
    const DRAMA: [&str; 3] = ["17139200", "17299259", "176040690"];
    let digits = format!("49{}{:02}", DRAMA[(n % 3) as usize], n / 3 % 100);
    Number { wa_id: digits.clone(), dialled: digits, cut: &[2, 3, 9] }
}

impl Numbers {
    /// Gives nobody this number.
    pub(crate) fn take(&mut self, wa_id: &str) {
        self.taken.insert(wa_id.to_owned());
    }

    /// A number that nobody ever had; when all of a country are given, one of Brazil.
    pub(crate) fn fresh(&mut self, dice: &mut Dice) -> Number {
        let mut number = self.next(dice);
        for _ in 0..self.taken.len() {
            if !self.taken.contains(&number.wa_id) {
                break;
            }
            number = self.next(dice);
        }
        number
    }

    fn next(&mut self, dice: &mut Dice) -> Number {
        let mut roll = dice.below(100);
        let mut country = 0;
        while let Some(share) = COUNTRIES.get(country).map(|c| c.share).filter(|share| roll >= *share) {
            roll -= share;
            country += 1;
        }
        if self.given[country] >= COUNTRIES[country].capacity {
            country = 0;
        }
        let n = self.given[country];
        self.given[country] += 1;
        (COUNTRIES[country].number)(n)
    }

    /// Takes back a number whose holder moved on.
    pub(crate) fn free(&mut self, number: Number, now: i64) {
        if self.freed.len() == FREED_MAX {
            self.freed.pop_front();
        }
        self.freed.push_back((now, number));
    }

    /// The number that has rested longest, if long enough.
    pub(crate) fn rested(&mut self, now: i64) -> Option<Number> {
        let (since, _) = self.freed.front()?;
        if since + REST_S > now { None } else { self.freed.pop_front().map(|(_, number)| number) }
    }
}

impl Number {
    /// One that somebody else gave out, in any spelling: Meta tells digits alone.
    pub(crate) fn named(number: &str) -> Self {
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        Self { wa_id: digits.clone(), dialled: digits, cut: &[15] }
    }

    /// As a business may have typed it.
    pub(crate) fn spelled(&self, dice: &mut Dice) -> String {
        match dice.below(4) {
            0 => self.wa_id.clone(),
            1 => format!("+{}", self.dialled),
            2 => self.in_groups(" "),
            _ => self.in_groups("-"),
        }
    }

    fn in_groups(&self, between: &str) -> String {
        let mut rest = self.dialled.as_str();
        let mut groups = Vec::new();
        for &len in self.cut {
            let (group, tail) = rest.split_at(len.min(rest.len()));
            groups.push(group);
            rest = tail;
        }
        let (country, local) = groups.split_first().map_or(("", &[][..]), |(c, l)| (*c, l));
        format!("+{country} {}", local.join(between)).trim_end_matches([' ', '-']).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_given_twice_and_none_means_two_accounts() {
        let (mut numbers, mut dice) = (Numbers::default(), Dice::new(3, "numbers"));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20_000 {
            let number = numbers.fresh(&mut dice);
            let forms: std::collections::BTreeSet<_> = [number.wa_id, number.dialled].into();
            assert!(forms.into_iter().all(|form| seen.insert(form)));
        }
    }

    #[test]
    fn spellings_keep_all_digits() {
        assert_eq!(brazil(0).in_groups(" "), "+55 11 90000 0000");
        assert_eq!(united_states(16).in_groups("-"), "+1 650-555-0100");
        assert_eq!(brazil(8).wa_id, "553100000000");
        assert_eq!(mexico(0).wa_id, "5213300000000");
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        for number in [brazil(5), mexico(7), india(9), germany(8), germany(1)] {
            assert_eq!(digits(&number.in_groups(" ")), number.dialled);
        }
    }

    #[test]
    fn a_number_that_somebody_of_before_has_is_given_to_nobody() {
        let mut fresh = (Numbers::default(), Dice::new(3, "numbers"));
        let theirs: Vec<String> = (0..100).map(|_| fresh.0.fresh(&mut fresh.1).wa_id).collect();
        let (mut numbers, mut dice) = (Numbers::default(), Dice::new(3, "numbers"));
        theirs.iter().for_each(|wa_id| numbers.take(wa_id));
        assert!((0..1_000).all(|_| !theirs.contains(&numbers.fresh(&mut dice).wa_id)));
    }

    #[test]
    fn a_number_rests_before_it_is_given_again() {
        let mut numbers = Numbers::default();
        numbers.free(india(1), 100);
        assert_eq!(numbers.rested(159), None);
        assert_eq!(numbers.rested(160), Some(india(1)));
        assert_eq!(numbers.rested(160), None);
    }
}
