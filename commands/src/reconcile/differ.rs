//! The projection's group and the provider's, compared.

use groupfold_schemas::v1::Participant;
use serde_json::{Value, json};

use super::known::Known;
use super::reading::Reading;
use crate::provider::InviteLink;

/// One thing that differs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// Stable name.
    pub(super) what: &'static str,
    pub(super) known: Option<String>,
    pub(super) provider: Option<String>,
}

impl Difference {
    fn new(what: &'static str, known: Option<String>, provider: Option<String>) -> Self {
        Self { what, known, provider }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "what": self.what, "known": self.known, "provider": self.provider })
    }
}

/// A group that the projection has and the provider has not.
pub(super) fn vanished(known: &Known) -> Vec<Difference> {
    vec![Difference::new("group_deleted", Some(known.status.clone()), None)]
}

/// All that differs about a group that both have.
pub(super) fn differences(known: &Known, reading: &Reading) -> Vec<Difference> {
    let info = &reading.info;
    let mut found = Vec::new();
    let mut texts = |what, known: &Option<String>, read: &Option<String>| {
        let told = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if told(known) != told(read) {
            found.push(Difference::new(what, told(known), told(read)));
        }
    };
    texts("subject", &known.subject, &info.subject);
    texts("description", &known.description, &info.description);
    if info.join_approval_mode.is_some() {
        texts("join_approval_mode", &known.join_approval_mode, &info.join_approval_mode);
    }
    let read_status = match info.suspended {
        Some(true) => Some("suspended"),
        Some(false) => Some("active"),
        None => None,
    };
    if let Some(status) = read_status.filter(|status| *status != known.status) {
        found.push(Difference::new("status", Some(known.status.clone()), Some(status.to_owned())));
    }
    if let Some(InviteLink(link)) = &reading.link
        && known.invite_link.as_ref() != Some(link)
    {
        // A link is a secret, also in a report.
        let told = |there: bool| there.then(|| "another".to_owned());
        found.push(Difference::new("invite_link", told(known.invite_link.is_some()), Some("set".to_owned())));
    }
    people(&mut found, known, reading);
    found
}

/// All members were listed, under names that tell whether a known one is among them: then whoever is not has gone.
pub(super) fn is_whole(known: &Known, reading: &Reading) -> bool {
    let listed: Vec<&Participant> = reading.info.participants.iter().flatten().collect();
    reading.is_whole()
        && are_told_apart(&missing(&listed, &known.members), &missing_of(&known.members, &listed))
}

/// The same of those who wait to be let in; who was is listed among the members.
pub(super) fn are_requests_whole(known: &Known, reading: &Reading) -> bool {
    let Some(requests) = &reading.requests else { return false };
    let members = reading.info.participants.iter().flatten();
    let listed: Vec<&Participant> =
        requests.iter().map(|request| &request.participant).chain(members).collect();
    let known_people: Vec<Participant> = known.pending.iter().chain(&known.members).cloned().collect();
    are_told_apart(&missing(&listed, &known_people), &missing_of(&known.pending, &listed))
}

/// None of the one is one of the others under another name: somebody who is known by the number alone may be listed
/// by the user id alone, and the other way round.
fn are_told_apart(some: &[&Participant], others: &[&Participant]) -> bool {
    some.iter().all(|one| others.iter().all(|other| are_two(one, other)))
}

/// Two who have a name of one kind, and not the same, are two.
pub(crate) fn are_two(a: &Participant, b: &Participant) -> bool {
    let both = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some();
    both(&a.wa_id, &b.wa_id) || both(&a.user_id, &b.user_id)
}

fn people(found: &mut Vec<Difference>, known: &Known, reading: &Reading) {
    let members: Option<Vec<&Participant>> =
        reading.info.participants.as_ref().map(|list| list.iter().collect());
    if let Some(members) = &members {
        for member in missing(members, &known.members) {
            found.push(Difference::new("member_missed", None, Some(name(member))));
        }
    }
    if let Some(members) = members.as_ref().filter(|_| is_whole(known, reading)) {
        for member in missing_of(&known.members, members) {
            found.push(Difference::new("member_gone", Some(name(member)), None));
        }
    }
    let Some(requests) = &reading.requests else { return };
    let waiting: Vec<&Participant> = requests.iter().map(|request| &request.participant).collect();
    let known_people: Vec<Participant> = known.pending.iter().chain(&known.members).cloned().collect();
    for person in missing(&waiting, &known_people) {
        found.push(Difference::new("join_request_missed", None, Some(name(person))));
    }
    let somewhere: Vec<&Participant> = waiting.iter().copied().chain(members.into_iter().flatten()).collect();
    if is_whole(known, reading) && are_requests_whole(known, reading) {
        for person in missing_of(&known.pending, &somewhere) {
            found.push(Difference::new("join_request_gone", Some(name(person)), None));
        }
    }
}

/// Those of `of` that are nobody of `among`.
fn missing<'a>(of: &[&'a Participant], among: &[Participant]) -> Vec<&'a Participant> {
    of.iter().copied().filter(|person| !among.iter().any(|other| is_same(person, other))).collect()
}

fn missing_of<'a>(of: &'a [Participant], among: &[&Participant]) -> Vec<&'a Participant> {
    of.iter().filter(|person| !among.iter().any(|other| is_same(person, other))).collect()
}

/// One firm name in common; the user name, where one of both has no other.
fn is_same(a: &Participant, b: &Participant) -> bool {
    let both =
        |a: &Option<String>, b: &Option<String>| a.as_ref().is_some_and(|text| !text.is_empty()) && a == b;
    let bare = |p: &Participant| p.wa_id.is_none() && p.user_id.is_none();
    both(&a.wa_id, &b.wa_id)
        || both(&a.user_id, &b.user_id)
        || ((bare(a) || bare(b)) && both(&a.username, &b.username))
}

fn name(person: &Participant) -> String {
    let named = |name: &Option<String>| name.clone().filter(|text| !text.is_empty());
    named(&person.wa_id)
        .map(|digits| format!("+{digits}"))
        .or_else(|| named(&person.username).map(|name| format!("@{name}")))
        .or_else(|| named(&person.user_id))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{GroupInfo, JoinRequest};

    fn who(wa_id: &str) -> Participant {
        Participant { wa_id: Some(wa_id.to_owned()), ..Default::default() }
    }

    fn known() -> Known {
        Known {
            group_id: "G".to_owned(),
            status: "active".to_owned(),
            subject: Some("Tea".to_owned()),
            members: vec![who("1"), who("2")],
            pending: vec![who("3")],
            ..Default::default()
        }
    }

    fn reading(members: &[&str], total: i32) -> Reading {
        let info = GroupInfo {
            group_id: "G".to_owned(),
            subject: Some("Tea".to_owned()),
            suspended: Some(false),
            participants_total: Some(total),
            participants: Some(members.iter().map(|wa_id| who(wa_id)).collect()),
            ..Default::default()
        };
        Reading { info, requests: None, link: None, taken_ms: 0, until_ms: 0 }
    }

    fn told(known: &Known, reading: &Reading) -> Vec<(&'static str, Option<String>, Option<String>)> {
        differences(known, reading).into_iter().map(|d| (d.what, d.known, d.provider)).collect()
    }

    #[test]
    fn what_agrees_is_no_difference() {
        assert_eq!(told(&known(), &reading(&["2", "1"], 2)), []);
        let user = Participant { user_id: Some("U".to_owned()), ..who("9") };
        let same = Participant { user_id: Some("U".to_owned()), ..who("1") };
        assert!(is_same(&user, &same), "a number may have changed");
    }

    #[test]
    fn joins_leaves_and_settings_that_were_missed_are_named() {
        let mut reading = reading(&["2", "4"], 2);
        reading.info.subject = Some("Coffee".to_owned());
        reading.info.suspended = Some(true);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            told(&known(), &reading),
            [
                ("subject", some("Tea"), some("Coffee")),
                ("status", some("active"), some("suspended")),
                ("member_missed", None, some("+4")),
                ("member_gone", some("+1"), None),
            ]
        );
    }

    #[test]
    fn a_list_shorter_than_its_count_tells_of_nobody_gone() {
        assert_eq!(told(&known(), &reading(&["2"], 2)), []);
    }

    #[test]
    fn somebody_who_hides_the_number_may_be_one_who_is_known_by_it() {
        let mut reading = reading(&["2"], 2);
        let hidden = Participant { user_id: Some("U".to_owned()), ..Default::default() };
        reading.info.participants.as_mut().unwrap().push(hidden);
        let what: Vec<_> = told(&known(), &reading).into_iter().map(|(what, ..)| what).collect();
        assert_eq!(what, ["member_missed"]);
        assert!(!is_whole(&known(), &reading));
    }

    #[test]
    fn somebody_known_by_the_user_id_alone_may_be_one_who_is_listed_by_the_number() {
        let hidden = || Participant { user_id: Some("U".to_owned()), ..Default::default() };
        let mut known = Known { members: vec![who("1"), hidden()], pending: Vec::new(), ..known() };
        let what = |known: &Known, reading: &Reading| -> Vec<_> {
            differences(known, reading).into_iter().map(|difference| difference.what).collect()
        };
        assert_eq!(what(&known, &reading(&["1", "2"], 2)), ["member_missed"]);
        assert!(!is_whole(&known, &reading(&["1", "2"], 2)));
        assert!(is_whole(&known, &reading(&["1"], 1)), "nobody is listed who may be the one");
        // Of those who wait it is the same.
        known.pending = vec![hidden()];
        known.members = vec![who("1")];
        let mut waiting = reading(&["1"], 1);
        waiting.requests = Some(Vec::new());
        assert_eq!(what(&known, &waiting), ["join_request_gone"]);
        let participant = who("2");
        let request = JoinRequest { join_request_id: "R".to_owned(), participant, created_at_ms: None };
        waiting.requests = Some(vec![request]);
        assert_eq!(what(&known, &waiting), ["join_request_missed"]);
        assert!(!waiting.snapshot(true, are_requests_whole(&known, &waiting)).join_requests_complete);
    }

    #[test]
    fn requests_are_compared_where_they_were_listed() {
        let mut reading = reading(&["1", "2"], 2);
        let request =
            JoinRequest { join_request_id: "R".to_owned(), participant: who("5"), created_at_ms: None };
        reading.requests = Some(vec![request]);
        let what: Vec<_> = told(&known(), &reading).into_iter().map(|(what, ..)| what).collect();
        assert_eq!(what, ["join_request_missed", "join_request_gone"]);
    }

    #[test]
    fn a_link_differs_without_being_told() {
        let mut reading = reading(&["1", "2"], 2);
        reading.link = Some(InviteLink("https://chat.whatsapp.com/X".to_owned()));
        let told = format!("{:?}", differences(&known(), &reading));
        assert!(told.contains("invite_link") && !told.contains("chat.whatsapp"), "{told}");
    }
}
