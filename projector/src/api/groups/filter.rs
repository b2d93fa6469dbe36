//! Groups by what the platform said of them.

use std::str::FromStr;

use groupfold_fold::view::Policy;

use crate::api::params::Params;
use crate::problem::Problem;

/// Labels or viewers in one question.
const REPEATED_MAX: usize = 20;

/// Which policies are asked for.
#[derive(Debug, PartialEq)]
pub(super) struct PolicyFilter {
    labels: Vec<String>,
    archived: Option<bool>,
    blocked: Option<bool>,
    visible_to: Vec<Viewer>,
}

#[derive(Debug, PartialEq)]
enum Viewer {
    User(String),
    Team(String),
}

impl FromStr for Viewer {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(':') {
            Some(("user", id)) if !id.is_empty() => Ok(Self::User(id.to_owned())),
            Some(("team", id)) if !id.is_empty() => Ok(Self::Team(id.to_owned())),
            _ => Err(()),
        }
    }
}

impl PolicyFilter {
    pub(super) fn new(params: &Params) -> Result<Self, Problem> {
        let expected = "user:ID or team:ID, at most 20 times";
        let wrong = |text: &str| Problem::parameter("bad_viewer", "visible_to", text, expected);
        let viewers = params.all("visible_to")?;
        let visible_to: Result<Vec<Viewer>, Problem> =
            viewers.iter().map(|text| text.parse().map_err(|()| wrong(text))).collect();
        let labels = params.all("label")?;
        if labels.len() > REPEATED_MAX {
            let found = labels.len().to_string();
            return Err(Problem::parameter("bad_label", "label", &found, "at most 20 labels"));
        }
        if viewers.len() > REPEATED_MAX {
            return Err(wrong(&viewers.len().to_string()));
        }
        Ok(Self {
            labels,
            archived: params.flag("archived")?,
            blocked: params.flag("blocked")?,
            visible_to: visible_to?,
        })
    }

    /// True if all policies pass.
    pub(super) fn is_empty(&self) -> bool {
        let Self { labels, archived, blocked, visible_to } = self;
        labels.is_empty() && archived.is_none() && blocked.is_none() && visible_to.is_empty()
    }

    pub(super) fn passes(&self, policy: &Policy) -> bool {
        let sees = |viewer: &Viewer| match viewer {
            Viewer::User(id) => policy.is_visible_to_user(id),
            Viewer::Team(id) => policy.is_visible_to_team(id),
        };
        self.labels.iter().all(|label| policy.labels.contains(label))
            && self.archived.is_none_or(|wanted| wanted == policy.archived)
            && self.blocked.is_none_or(|wanted| wanted == policy.blocked)
            && (self.visible_to.is_empty() || self.visible_to.iter().any(sees))
    }
}
