//! What a request says, read once and within bounds.

use groupfold_schemas::v1;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::problem::Problem;

/// Longest id of a user or team, in bytes.
pub(super) const USER_ID_BYTES_MAX: usize = 128;
/// Ids in one list.
const IDS_MAX: usize = 100;
/// Longest label, in characters: a tag, not a text.
const LABEL_CHARS_MAX: usize = 64;

/// Who of the platform may see a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VisibilityWanted {
    /// Everybody; excludes the lists.
    all: Option<bool>,
    /// Ids of teams, at most 100.
    teams: Option<Vec<String>>,
    /// Ids of users, at most 100.
    users: Option<Vec<String>>,
}

impl VisibilityWanted {
    pub(super) fn visibility(self) -> Result<v1::Visibility, Problem> {
        let Self { all, teams, users } = self;
        if all.is_none() && teams.is_none() && users.is_none() {
            return Err(Problem::bad_body("one of all, teams and users is needed"));
        }
        let (all, teams, users) = (
            all.unwrap_or(false),
            Ids::parse("teams", teams.unwrap_or_default())?.0,
            Ids::parse("users", users.unwrap_or_default())?.0,
        );
        if all && !(teams.is_empty() && users.is_empty()) {
            return Err(Problem::bad_body("all is true: teams and users must be absent or empty"));
        }
        Ok(v1::Visibility { all, teams, users })
    }
}

/// Who of the platform may command a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModeratorsWanted {
    /// Ids of users, at most 100; empty: everybody may.
    pub(super) users: Vec<String>,
}

/// Who of the platform saw a message.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewWanted {
    /// The platform's id of the user; who asks, if absent.
    pub(super) user_id: Option<String>,
    /// The group that the message belongs to; needed for one that no receipt speaks of, as those of members.
    pub(super) group_id: Option<String>,
}

/// Ids of the platform: sorted, each once.
pub(super) struct Ids(pub(super) Vec<String>);

impl Ids {
    pub(super) fn parse(field: &str, mut ids: Vec<String>) -> Result<Self, Problem> {
        if ids.len() > IDS_MAX {
            let found = ids.len();
            let detail = format!("{field} has {found} ids, at most {IDS_MAX} are accepted");
            return Err(Problem::bad_body(&detail));
        }
        for id in &ids {
            user_id(field, id).map_err(|wrong| Problem::bad_body(&wrong))?;
        }
        ids.sort();
        ids.dedup();
        Ok(Self(ids))
    }
}

/// Checks an id of the platform's: 1 to [`USER_ID_BYTES_MAX`] bytes without control characters.
pub(super) fn user_id(field: &str, id: &str) -> Result<(), String> {
    if id.is_empty() || id.len() > USER_ID_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(format!(
            "{field} holds {id:?}: expected 1 to {USER_ID_BYTES_MAX} bytes without control characters"
        ));
    }
    Ok(())
}

/// Checks a label; blanks around it are no part of it.
pub(super) fn label_of(text: String) -> Result<String, Problem> {
    let label = text.trim();
    if label.is_empty() || label.chars().count() > LABEL_CHARS_MAX || label.chars().any(char::is_control) {
        let detail = format!(
            "label is {label:?}: expected 1 to {LABEL_CHARS_MAX} characters, none of which controls anything"
        );
        return Err(Problem::bad_label(detail));
    }
    Ok(label.to_owned())
}
