//! Names of a person, as reports print them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use groupfold_schemas::command::spelling;
use groupfold_schemas::v1::Participant;

/// What kind of name; the order is the one in which a report's names are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AliasKind {
    /// Business-scoped user id.
    UserId,
    /// Business-scoped user id of the parent portfolio.
    ParentUserId,
    /// Phone-like WhatsApp id, digits.
    WaId,
    /// Linked id of the multi-device protocol.
    Lid,
    /// A spelling that a command used: the digits of a number, or another id as it was written.
    Input,
    /// User name: mutable, so a name only where a report gives no other.
    Username,
}

/// A name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias {
    /// What kind of name.
    pub kind: AliasKind,
    /// The name.
    pub text: String,
}

const TAGS: [(AliasKind, u8); 6] = [
    (AliasKind::UserId, b'u'),
    (AliasKind::ParentUserId, b'p'),
    (AliasKind::WaId, b'w'),
    (AliasKind::Lid, b'l'),
    (AliasKind::Input, b'i'),
    (AliasKind::Username, b'n'),
];

impl Alias {
    /// One text for kind and name; the tags are assigned for ever.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("{}:{}", char::from(self.tag()), self.text)
    }

    /// What [`Alias::encode`] begins with, before a colon.
    pub(crate) fn tag(&self) -> u8 {
        TAGS.iter().find(|(kind, _)| *kind == self.kind).map_or(b'?', |(_, tag)| *tag)
    }

    /// Reads [`Alias::encode`] back.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let (tag, text) = text.split_once(':')?;
        let (kind, _) = TAGS.iter().find(|(_, known)| tag.as_bytes() == [*known])?;
        Some(Self { kind: *kind, text: text.to_owned() })
    }

    /// True if a spelling would mean this name, were it known.
    pub(crate) fn may_be_meant_by(&self, spelling: &Alias) -> bool {
        let are_numbers = self.is_number() && spelling.is_number();
        let is_same = || canonical_number(&self.text) == canonical_number(&spelling.text);
        self.text == spelling.text || (are_numbers && is_same())
    }

    pub(super) fn is_number(&self) -> bool {
        !self.text.is_empty() && self.text.bytes().all(|b| b.is_ascii_digit())
    }

    pub(crate) fn put_into(&self, names: &mut Participant) {
        let text = Some(self.text.clone());
        match self.kind {
            AliasKind::UserId => names.user_id = text,
            AliasKind::ParentUserId => names.parent_user_id = text,
            AliasKind::WaId => names.wa_id = text,
            AliasKind::Lid => names.lid = text,
            AliasKind::Input => names.input = text,
            AliasKind::Username => names.username = text,
        }
    }
}

/// The names of a report, most trusted first. Empty texts are no names.
#[must_use]
pub fn names(participant: &Participant) -> Vec<Alias> {
    let mut names = names_of_links(participant);
    if let Some(text) = &participant.input
        && !text.trim().is_empty()
    {
        names.push(Alias { kind: AliasKind::Input, text: spelling(text) });
    }
    if let (true, Some(text)) = (names.is_empty(), &participant.username)
        && !text.is_empty()
    {
        names.push(Alias { kind: AliasKind::Username, text: text.clone() });
    }
    names
}

/// The first of the names of a report.
#[must_use]
pub fn first_name(participant: &Participant) -> Option<Alias> {
    linked(participant).next().or_else(|| names(participant).into_iter().next())
}

/// The names of a report that say who somebody is: neither spellings nor user names.
#[must_use]
pub fn names_of_links(participant: &Participant) -> Vec<Alias> {
    linked(participant).collect()
}

fn linked(participant: &Participant) -> impl Iterator<Item = Alias> {
    [
        (AliasKind::UserId, &participant.user_id),
        (AliasKind::ParentUserId, &participant.parent_user_id),
        (AliasKind::WaId, &participant.wa_id),
        (AliasKind::Lid, &participant.lid),
    ]
    .into_iter()
    .filter_map(|(kind, text)| text.as_deref().filter(|text| !text.is_empty()).map(|text| (kind, text)))
    .map(|(kind, text)| Alias { kind, text: text.to_owned() })
}

/// The name that a command's spelling says by itself, with that spelling: a user id, or a number with the `+` before the
/// code of its country. Without it, eleven digits may be a number of Brazil without its code as well as one of the
/// United States with it.
pub(crate) fn spelled(participant: &Participant) -> Option<(Alias, Alias)> {
    let input = names(participant).into_iter().next().filter(|name| name.kind == AliasKind::Input)?;
    let is_whole = participant.input.as_ref()?.trim_start().starts_with('+');
    let kind = match user_id_kind(&input.text) {
        Some(kind) => kind,
        None if is_whole && input.is_number() => AliasKind::WaId,
        None => return None,
    };
    Some((Alias { kind, ..input.clone() }, input))
}

/// The spelling of a report that gives another name beside it, if it does not say that name by itself.
pub(crate) fn learned(participant: &Participant) -> Option<(Alias, Alias)> {
    // Most reports have none: their names need not be copied.
    participant.input.as_ref()?;
    let mut all = names(participant);
    let input = all.pop().filter(|name| name.kind == AliasKind::Input)?;
    let says = |name: &Alias| match name.kind {
        AliasKind::WaId => input.is_number() && canonical_number(&name.text) == canonical_number(&input.text),
        AliasKind::UserId | AliasKind::ParentUserId => !input.is_number() && name.text == input.text,
        AliasKind::Lid | AliasKind::Input | AliasKind::Username => false,
    };
    (!all.iter().any(says)).then_some((all.into_iter().next()?, input))
}

/// What a user id of Meta is told by: the code of a country, a dot, and letters and digits; those of a parent portfolio
/// have `ENT.` before these.
fn user_id_kind(text: &str) -> Option<AliasKind> {
    let (country, id) = text.split_once('.')?;
    let (kind, id) = match id.strip_prefix("ENT.") {
        Some(id) => (AliasKind::ParentUserId, id),
        None => (AliasKind::UserId, id),
    };
    let is_country = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
    let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_country && is_id).then_some(kind)
}

/// Names that a spelling in a command may mean.
#[derive(Debug, Default)]
pub(crate) struct Known {
    names: BTreeSet<Alias>,
    /// The least of the numbers that are the same, see [`canonical_number`].
    numbers: BTreeMap<String, Alias>,
    /// What spellings were reported beside, and when first, by time.
    learned: BTreeMap<String, BTreeSet<(i64, Alias)>>,
}

impl Known {
    pub(crate) fn has(&self, name: &Alias) -> bool {
        self.names.contains(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Alias> {
        self.names.iter()
    }

    /// Remembers that a spelling was reported beside a name.
    pub(crate) fn learn(&mut self, spelling: String, time_ms: i64, name: Alias) {
        self.learned.entry(spelling).or_default().insert((time_ms, name));
    }

    /// The name that a spelling means: one that is spelled so, else the one that it was reported beside last by that
    /// time, else first.
    pub(crate) fn meant(&self, input: &Alias, time_ms: i64) -> Option<&Alias> {
        let text = &input.text;
        let known = |kind| self.names.get(&Alias { kind, text: text.clone() });
        let spelled = if input.is_number() {
            known(AliasKind::WaId).or_else(|| self.numbers.get(&*canonical_number(text)))
        } else {
            known(AliasKind::UserId)
                .or_else(|| known(AliasKind::ParentUserId))
                .or_else(|| known(AliasKind::Username))
        };
        spelled.or_else(|| {
            let learned = self.learned.get(text)?;
            let last = learned.iter().rev().find(|(told_ms, _)| *told_ms <= time_ms);
            last.or_else(|| learned.first()).map(|(_, name)| name)
        })
    }
}

impl Extend<Alias> for Known {
    fn extend<T: IntoIterator<Item = Alias>>(&mut self, names: T) {
        for name in names {
            if name.kind == AliasKind::WaId {
                let least = self.numbers.entry(canonical_number(&name.text).into_owned());
                let least = least.or_insert_with(|| name.clone());
                if name < *least {
                    least.clone_from(&name);
                }
            }
            self.names.insert(name);
        }
    }
}

/// Some countries write a mobile number with a digit that WhatsApp ids may lack: Brazil a 9 after the
/// area code, Mexico a 1 and Argentina a 9 after the country code. Numbers that are equal without it are
/// the same number.
fn canonical_number(digits: &str) -> Cow<'_, str> {
    let without = |at: usize| Cow::Owned(format!("{}{}", &digits[..at], &digits[at + 1..]));
    let digit_at = |at: usize| digits.as_bytes().get(at).copied();
    match digits.len() {
        13 if digits.starts_with("55") && digit_at(4) == Some(b'9') => without(4),
        13 if digits.starts_with("521") || digits.starts_with("549") => without(2),
        _ => Cow::Borrowed(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_number_are_one_name() {
        for spelling in ["+55 (11) 98888-7777", "5511988887777", " +5511988887777"] {
            let named = Participant { input: Some(spelling.to_owned()), ..Participant::default() };
            assert_eq!(names(&named)[0].encode(), "i:5511988887777");
        }
    }

    #[test]
    fn numbers_with_and_without_the_national_mobile_digit_are_the_same() {
        assert_eq!(canonical_number("5511988887777"), canonical_number("551188887777"));
        assert_eq!(canonical_number("5215512345678"), canonical_number("525512345678"));
        assert_eq!(canonical_number("5491112345678"), canonical_number("541112345678"));
        // Others stay as they are, whatever digit stands there.
        for other in ["4915112345678", "4412945678901", "5511388887777", "551188887777", "521551234567"] {
            assert_eq!(canonical_number(other), other);
        }
    }

    /// Of those that are the same, the least one is meant, whichever was known first.
    #[test]
    fn a_spelling_means_the_number_that_is_the_same_but_for_the_national_mobile_digit() {
        let number = |text: &str| Alias { kind: AliasKind::WaId, text: text.to_owned() };
        let user = Alias { kind: AliasKind::UserId, text: "4915112345678".to_owned() };
        let all = [number("5511988887777"), number("551188887777"), number("15550001"), user];
        for names in [all.clone().to_vec(), all.into_iter().rev().collect()] {
            let mut known = Known::default();
            known.extend(names);
            let meant = |digits: &str| {
                let input = Alias { kind: AliasKind::Input, text: digits.to_owned() };
                known.meant(&input, 0).map(|alias| alias.text.as_str())
            };
            assert_eq!(meant("5511988887777"), Some("5511988887777"), "spelled just so");
            assert_eq!(meant("551188887777"), Some("551188887777"));
            assert_eq!(
                (meant("15550001"), meant("15550002"), meant("4915112345678")),
                (Some("15550001"), None, None)
            );
            assert_eq!(known.numbers[&*canonical_number("5511988887777")].text, "551188887777", "the least");
        }
    }

    #[test]
    fn an_id_of_a_country_is_a_user_id() {
        for (text, kind) in [
            ("BR.13491208655302741918", Some(AliasKind::UserId)),
            ("US.ENT.11815799212886844830", Some(AliasKind::ParentUserId)),
            ("BR.", None),
            ("br.1", None),
            ("BRA.1", None),
            ("BR.a.b", None),
            ("maria", None),
        ] {
            assert_eq!(user_id_kind(text), kind, "{text}");
        }
    }

    #[test]
    fn a_user_name_is_a_name_only_where_nothing_else_is_known() {
        let both =
            Participant { user_id: Some("U".into()), username: Some("m".into()), ..Participant::default() };
        assert_eq!(names(&both).len(), 1);
        let alone =
            Participant { wa_id: Some(String::new()), username: Some("m".into()), ..Participant::default() };
        assert_eq!(names(&alone)[0].kind, AliasKind::Username);
        assert_eq!(Alias::decode("n:m").as_ref(), names(&alone).first());
    }
}
