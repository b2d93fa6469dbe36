//! Whether somebody whom a command names is among those that the provider lists. It lists each person under the names that
//! it shows: the number of one person may be hidden behind a user id, and be spelled otherwise than it was asked for.

use groupfold_fold::view::Group;
use groupfold_schemas::command::spelling;
use groupfold_schemas::v1::Participant;

use crate::reconcile::{Reading, are_two};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    Yes,
    No,
    CannotSay,
}

/// Somebody by a name as a command spells it.
pub(super) fn spelled(name: &str, group: &Group, reading: &Reading) -> There {
    let wanted = spelling(name);
    let is = |person: &Participant| names(person).any(|one| spelling(one) == wanted);
    let listed = reading.info.participants.iter().flatten();
    let known = group.members.iter().map(|member| &member.names).find(|names| is(names));
    if listed.clone().any(is) { There::Yes } else { among(known, reading) }
}

/// Whoever asked to join by a request.
pub(super) fn of_request(id: &str, group: &Group, reading: &Reading) -> There {
    let asked = group.members.iter().find(|member| member.join_request_id.as_deref() == Some(id));
    among(asked.map(|member| &member.names), reading)
}

/// A person under the names that are known of them; `None` if nobody here knows any.
fn among(person: Option<&Participant>, reading: &Reading) -> There {
    let Some(listed) = &reading.info.participants else { return There::CannotSay };
    let nobody = Participant::default();
    let person = person.unwrap_or(&nobody);
    let known: Vec<_> = names(person).collect();
    if listed.iter().any(|other| names(other).any(|name| known.contains(&name))) {
        return There::Yes;
    }
    if reading.is_whole() && listed.iter().all(|other| are_two(person, other)) {
        There::No
    } else {
        There::CannotSay
    }
}

fn names(person: &Participant) -> impl Iterator<Item = &str> {
    let Participant { wa_id, user_id, parent_user_id, username, input, .. } = person;
    [wa_id, user_id, parent_user_id, username, input]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::GroupInfo;

    fn who(wa_id: Option<&str>, user_id: Option<&str>) -> Participant {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Participant { wa_id: text(wa_id), user_id: text(user_id), ..Default::default() }
    }

    fn listed(people: Vec<Participant>, total: i32) -> Reading {
        let info =
            GroupInfo { participants: Some(people), participants_total: Some(total), ..Default::default() };
        Reading { info, requests: None, link: None, taken_ms: 0, until_ms: 0 }
    }

    #[test]
    fn whoever_is_not_listed_is_gone_only_where_the_list_could_show_them() {
        let (ada, hidden) = (who(Some("1"), None), who(None, Some("U")));
        let others = || vec![who(Some("2"), None), who(Some("3"), Some("V"))];
        let with = |person: &Participant| [others(), vec![person.clone()]].concat();
        assert_eq!(among(Some(&ada), &listed(with(&ada), 3)), There::Yes);
        assert_eq!(among(Some(&ada), &listed(others(), 2)), There::No);
        assert_eq!(among(Some(&ada), &listed(Vec::new(), 0)), There::No);
        // The list has a hole, or shows somebody who may be the one.
        assert_eq!(among(Some(&ada), &listed(others(), 3)), There::CannotSay);
        assert_eq!(among(Some(&ada), &listed(with(&hidden), 3)), There::CannotSay);
        let both = who(Some("1"), Some("W"));
        assert_eq!(among(Some(&both), &listed(with(&hidden), 3)), There::No);
        // Nobody here knows who it is, or the provider lists nobody.
        assert_eq!(among(None, &listed(others(), 2)), There::CannotSay);
        let mut unlisted = listed(Vec::new(), 0);
        unlisted.info.participants = None;
        assert_eq!(among(Some(&ada), &unlisted), There::CannotSay);
    }
}
