//! Who received and read a message, as lines.

use std::collections::BTreeMap;

use super::Story;
use super::group::name_of;
use super::said::{self, Status, Who};

/// The lines of a message.
pub(super) fn of(story: &Story<'_>, message: &str, views: &[String]) -> Vec<String> {
    let statuses: Vec<Status> =
        story.records.iter().filter_map(|r| said::receipt(r)).filter(|s| s.message == message).collect();
    let sent = statuses.iter().filter(|s| s.status == 1).map(|s| s.time).min();
    let failed = statuses.iter().find(|s| s.status == 5).map(|s| s.codes.clone());
    let group = story.records.first().map(|r| r.group_id.clone());
    let mut lines = vec![format!("message of {group:?} sent {sent:?} failed {failed:?}")];
    let mut people: BTreeMap<usize, (Who, [Option<i64>; 3])> = BTreeMap::new();
    for status in &statuses {
        let Some(who) = status.who.as_ref().filter(|_| is_told(status)) else { continue };
        let first = statuses
            .iter()
            .filter(|other| is_told(other) && other.who.as_ref().and_then(Who::best) == who.best());
        let first = first.map(|other| other.time).min().unwrap_or(status.time);
        let came = |one: usize| {
            let mut came =
                story.lived.iter().filter(|fact| [8, 11].contains(&fact.said.rank) && !fact.silent);
            came.any(|fact| fact.person == Some(one) && fact.said.time <= status.time)
        };
        let Some(person) = story.persons.receiver(who, (first, status.time), came) else { continue };
        let (_, marks) = people.entry(person).or_insert_with(|| (who.clone(), [None; 3]));
        let mark = &mut marks[usize::try_from(status.status - 2).expect("2 to 4")];
        *mark = Some(mark.map_or(status.time, |earlier| earlier.min(status.time)));
    }
    for (person, (who, [delivered, read, played])) in people {
        let implied = read.into_iter().chain(played).min();
        lines.push(format!(
            "{}: delivered {:?} implied {} read {read:?} played {played:?}",
            name_of(story, person, &who),
            delivered.or(implied),
            delivered.is_none(),
        ));
    }
    lines.extend(views.iter().cloned());
    lines.sort();
    lines
}

/// It says what one person did.
fn is_told(status: &Status) -> bool {
    (2..=4).contains(&status.status)
}
