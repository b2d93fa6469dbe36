//! What the platform laid down about a group: WhatsApp knows nothing of it, and none of it touches WhatsApp.

use std::collections::BTreeSet;

use groupfold_schemas::v1::{self, Fact, FactKind};

use super::group::head;
use crate::entry::{Key, Prefix, Source, Value};
use crate::merge::order;

/// Who of the platform may see and command a group, and how the platform files it.
///
/// Each part is as the last word about it left it, by (time, rank, event id).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Who may see the group; all, if nobody laid it down.
    pub visibility: v1::Visibility,
    /// Users who may command the group, by id; empty: everybody may.
    pub moderators: Vec<String>,
    /// Labels, by text.
    pub labels: BTreeSet<String>,
    /// Put aside, and no message came that is newer than those known then.
    pub archived: bool,
    /// Nothing is to be sent.
    pub blocked: bool,
    /// Time of the last word, Unix milliseconds; 0 if there is none. What is said next must be later to hold.
    pub said_at_ms: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            visibility: v1::Visibility { all: true, ..Default::default() },
            moderators: Vec::new(),
            labels: BTreeSet::new(),
            archived: false,
            blocked: false,
            said_at_ms: 0,
        }
    }
}

impl Policy {
    /// True if the actor may command the group: everybody where there are no moderators, else these alone.
    /// `None` is the platform itself, which may, as it says who its users are.
    #[must_use]
    pub fn may(&self, actor: Option<&str>) -> bool {
        let moderates = |actor: &str| self.moderators.iter().any(|user| user == actor);
        self.moderators.is_empty() || actor.is_none_or(moderates)
    }

    /// True if a user may see the group: they are named, or moderate it, or all may.
    #[must_use]
    pub fn is_visible_to_user(&self, user: &str) -> bool {
        let named = |ids: &[String]| ids.iter().any(|id| id == user);
        self.visibility.all || named(&self.visibility.users) || named(&self.moderators)
    }

    /// True if a team may see the group.
    #[must_use]
    pub fn is_visible_to_team(&self, team: &str) -> bool {
        self.visibility.all || self.visibility.teams.iter().any(|id| id == team)
    }

    /// From the facts of a group's history, in any order, and the stamp of its newest message.
    pub(super) fn of<'a>(facts: impl Iterator<Item = &'a Fact>, newest: Option<&v1::Stamp>) -> Self {
        let place = |fact: &'a Fact| (fact.time_ms, fact.kind, fact.event_id.as_str());
        let mut facts: Vec<&Fact> = facts.filter(|fact| is_policy(fact.kind())).collect();
        facts.sort_by(|a, b| place(a).cmp(&place(b)));
        let mut policy = Self::default();
        let mut archive: Option<&Fact> = None;
        for fact in facts {
            policy.said_at_ms = fact.time_ms;
            let label = || fact.text.clone().unwrap_or_default();
            match fact.kind() {
                FactKind::VisibilityChanged => {
                    policy.visibility = fact.visibility.clone().unwrap_or_default()
                }
                FactKind::ModeratorsChanged => policy.moderators.clone_from(&fact.users),
                FactKind::LabelAdded => drop(policy.labels.insert(label())),
                FactKind::LabelRemoved => drop(policy.labels.remove(&label())),
                FactKind::Archived => archive = Some(fact),
                FactKind::Unarchived => archive = None,
                FactKind::Blocked => policy.blocked = true,
                FactKind::Unblocked => policy.blocked = false,
                _ => {}
            }
        }
        policy.archived = archive.is_some_and(|archive| !is_reopened(archive, newest));
        policy
    }
}

/// What was not known when the group was put aside brings it back, whatever clocks say: nobody has seen it.
fn is_reopened(archive: &Fact, newest: Option<&v1::Stamp>) -> bool {
    let known = archive.newest.as_ref().map(|mark| (mark.time_ms, 0, mark.event_id.as_str()));
    newest.map(order) > known
}

/// True for the facts that [`Policy`] is derived from.
pub(crate) fn is_policy(kind: FactKind) -> bool {
    matches!(
        kind,
        FactKind::VisibilityChanged
            | FactKind::ModeratorsChanged
            | FactKind::LabelAdded
            | FactKind::LabelRemoved
            | FactKind::Archived
            | FactKind::Unarchived
            | FactKind::Blocked
            | FactKind::Unblocked
    )
}

/// The policy of a group; `None` if no event spoke of the group.
///
/// # Errors
/// The source cannot be read.
pub fn policy<S: Source>(source: &S, group_id: &str) -> Result<Option<Policy>, S::Error> {
    head(source, group_id)?.map(|head| policy_of(source, group_id, &head)).transpose()
}

/// The policy of a group whose head is at hand: a group that the platform never spoke of costs no further look.
///
/// # Errors
/// The source cannot be read.
pub fn policy_of<S: Source>(source: &S, group_id: &str, head: &v1::GroupHead) -> Result<Policy, S::Error> {
    if !head.policy {
        return Ok(Policy::default());
    }
    let group = group_id.to_owned();
    let entries = source.scan(&Prefix::OwnFacts { group: group.clone() })?;
    let facts: Vec<Fact> = entries
        .into_iter()
        .filter_map(|(_, value)| if let Value::Fact(fact) = value { Some(fact) } else { None })
        .collect();
    let newest = match source.get(&Key::Window { group })? {
        Some(Value::Window(window)) => window.stamp,
        _ => None,
    };
    Ok(Policy::of(facts.iter(), newest.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_seen_by_all_or_by_who_is_named_and_by_its_moderators() {
        let all = Policy::default();
        assert!(all.is_visible_to_user("u") && all.is_visible_to_team("t"));
        let some = Policy {
            visibility: v1::Visibility { all: false, users: vec!["u".into()], teams: vec!["t".into()] },
            moderators: vec!["m".into()],
            ..Policy::default()
        };
        let users = ["u", "m", "t", "x"].map(|user| some.is_visible_to_user(user));
        let teams = ["u", "m", "t", "x"].map(|team| some.is_visible_to_team(team));
        assert_eq!((users, teams), ([true, true, false, false], [false, false, true, false]));
    }

    #[test]
    fn a_group_is_blocked_until_it_is_not() {
        let fact = |kind: FactKind, time_ms| Fact { kind: kind.into(), time_ms, ..Fact::default() };
        let facts = [fact(FactKind::Unblocked, 2), fact(FactKind::Blocked, 1), fact(FactKind::Blocked, 3)];
        let blocked = |facts: &[Fact]| Policy::of(facts.iter(), None).blocked;
        assert!(blocked(&facts[1..2]) && !blocked(&facts[..2]) && blocked(&facts));
    }
}
