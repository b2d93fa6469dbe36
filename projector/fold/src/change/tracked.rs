//! A group followed event by event, so that its history is read once for all events of a commit and not for each.

use groupfold_schemas::v1;

use super::reach::is_beside;
use crate::apply::{Made, Working};
use crate::entry::{Key, Source, Value};
use crate::identity::{AliasKind, names};
use crate::membership::{News, is_of_members};
use crate::view::{Group, Loaded, account_of, is_policy};

/// A group as it is after the last event.
#[derive(Debug)]
pub(super) struct Tracked(Loaded);

/// What a step adds, as far as it can be followed.
#[derive(Default)]
struct Added<'a> {
    head: Option<&'a v1::GroupHead>,
    window: Option<&'a v1::Window>,
    news: News<'a>,
}

impl Tracked {
    /// Reads a group; `None` if no event spoke of it.
    pub(super) fn load<S: Source>(source: &S, group: &str) -> Result<Option<Self>, S::Error> {
        Ok(Loaded::from(source, group)?.map(|mut loaded| {
            // Of its lines a group shows what the policy is derived from.
            loaded.roster.lines.retain(|line| is_policy(line.fact.kind()));
            Self(loaded)
        }))
    }

    pub(super) fn weight(&self) -> usize {
        self.0.roster.weight()
    }

    pub(super) fn group(&self) -> Group {
        self.0.group()
    }

    /// Its head alone is another.
    pub(super) fn set_head(&mut self, head: &v1::GroupHead) {
        self.0.head = head.clone();
    }

    /// Takes what an event makes of the group, and tells how that looked before and looks after, with those members alone
    /// that may be different. `None` if the group must be loaded anew: nothing is taken then.
    pub(super) fn follow<S: Source>(
        &mut self,
        source: &S,
        made: &[Made],
        working: &Working,
    ) -> Result<Option<(Group, Group)>, S::Error> {
        let Some(Added { head, window, news }) = self.added(made, working) else { return Ok(None) };
        let account = account_of(&self.0.head);
        if window.is_some() {
            for window in self.0.window.as_ref().into_iter().chain(window) {
                for name in window.by.as_ref().map(names).unwrap_or_default() {
                    if !self.0.roster.is_beside(source, account, name)? {
                        return Ok(None);
                    }
                }
            }
        }
        if !self.0.roster.can_follow(source, account, &news)? {
            return Ok(None);
        }
        let persons = self.0.roster.concerned(&news);
        let before = self.0.with(&persons);
        self.0.roster.follow(&news);
        if let Some(head) = head {
            self.set_head(head);
        }
        if let Some(window) = window {
            self.0.window = Some(window.clone());
        }
        Ok(Some((before, self.0.with(&persons))))
    }

    /// `None` for what moves more than it names.
    fn added<'a>(&self, made: &'a [Made], working: &Working) -> Option<Added<'a>> {
        let mut added = Added::default();
        for made in made {
            match (&made.key, working.before(made), &*made.new) {
                (Key::Head { .. }, Some(_), Value::Head(new))
                    if account_of(new) == account_of(&self.0.head) =>
                {
                    added.head = Some(new);
                }
                (Key::Window { .. }, _, Value::Window(new)) => added.window = Some(new),
                (Key::Link { a, b, .. }, old, Value::Link(new)) => {
                    let old = if let Some(Value::Link(old)) = old { Some(old) } else { None };
                    link(&mut added.news, (a, b), old, new)?;
                }
                (_, old, new) if is_beside(new) && old.is_none_or(is_beside) => {}
                (Key::Fact { at, .. }, None, Value::Fact(fact)) if is_of_members(fact) => {
                    added.news.facts.push((at, fact));
                }
                _ => return None,
            }
        }
        Some(added)
    }
}

fn link<'a>(
    news: &mut News<'a>,
    (a, b): (&'a crate::identity::Alias, &'a crate::identity::Alias),
    old: Option<&v1::Link>,
    new: &v1::Link,
) -> Option<()> {
    let told = |link: &v1::Link| link.first_seen_ms.max(link.last_seen_ms);
    match (b.kind, old) {
        (AliasKind::Username, old) => news.user_names.push((a, old.map(told), told(new), &b.text)),
        // A spelling may mean somebody else since.
        (AliasKind::Input, _) => return None,
        (_, None) => news.links.push((a, b, new.first_seen_ms)),
        (_, Some(old)) if old.first_seen_ms == new.first_seen_ms => {}
        (_, Some(_)) => return None,
    }
    Some(())
}
