//! What the projection has of a number's groups, read through the query API.

use std::time::Duration;

use groupfold_fold::view::{self, MemberStatus};
use groupfold_schemas::v1::Participant;
use serde_json::Value;

use crate::api::{Client, PAGE};
use crate::exit::Failure;

/// A group as the projection has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Known {
    pub(super) group_id: String,
    pub(super) account: String,
    pub(super) phone_number_id: String,
    pub(super) status: String,
    pub(super) subject: Option<String>,
    pub(super) description: Option<String>,
    pub(super) join_approval_mode: Option<String>,
    pub(super) invite_link: Option<String>,
    /// Those who are in the group, by their present names.
    pub(super) members: Vec<Participant>,
    /// Those who wait to be let in.
    pub(super) pending: Vec<Participant>,
}

impl Known {
    /// Facts tell of it, nobody told what it is.
    pub(super) fn is_stub(&self) -> bool {
        self.status == "unknown"
    }

    /// It is at the provider, as far as is known.
    pub(super) fn lives(&self) -> bool {
        matches!(self.status.as_str(), "active" | "suspended" | "unknown")
    }

    /// A group as it is folded here.
    pub(crate) fn of_view(group: &view::Group) -> Self {
        let people = |status: MemberStatus| {
            let stands = group.members.iter().filter(|member| member.status == status);
            stands.map(|member| member.names.clone()).collect()
        };
        Self {
            group_id: group.group_id.clone(),
            account: group.origin.account.clone(),
            phone_number_id: group.origin.phone_number_id.clone(),
            status: group.status.name().to_owned(),
            subject: group.subject.clone(),
            description: group.description.clone(),
            join_approval_mode: group.join_approval_mode.clone(),
            invite_link: group.invite_link.clone(),
            members: people(MemberStatus::Member),
            pending: people(MemberStatus::Pending),
        }
    }

    fn of(group: &Value) -> Self {
        let text = |name: &str| group.get(name).and_then(Value::as_str).map(str::to_owned);
        let members = group.get("members").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let people = |status: &str| {
            let stands = |member: &&Value| member.get("status").and_then(Value::as_str) == Some(status);
            members.iter().filter(stands).map(participant).collect()
        };
        Self {
            group_id: text("group_id").unwrap_or_default(),
            account: text("account").unwrap_or_default(),
            phone_number_id: text("phone_number_id").unwrap_or_default(),
            status: text("status").unwrap_or_default(),
            subject: text("subject"),
            description: text("description"),
            join_approval_mode: text("join_approval_mode"),
            invite_link: text("invite_link"),
            members: people("member"),
            pending: people("pending"),
        }
    }
}

fn participant(member: &Value) -> Participant {
    let text = |name: &str| member.get(name).and_then(Value::as_str).map(str::to_owned);
    Participant {
        wa_id: text("wa_id"),
        user_id: text("user_id"),
        username: text("username"),
        ..Default::default()
    }
}

/// All groups, of one number or of all, page by page.
pub(super) async fn groups(api: &Client, phone_number_id: Option<&str>) -> Result<Vec<Known>, Failure> {
    let mut groups = Vec::new();
    let query = [("phone_number_id", phone_number_id.map(str::to_owned)), ("limit", Some(PAGE.to_owned()))];
    let page = |page: &Value| groups.extend(page["groups"].as_array().into_iter().flatten().map(Known::of));
    api.pages(&["v1", "groups"], &query, (usize::MAX, Duration::ZERO), page).await?;
    Ok(groups)
}

/// One group.
pub(super) async fn group(api: &Client, group_id: &str) -> Result<Known, Failure> {
    api.get(&["v1", "groups", group_id], &[]).await.map(|group| Known::of(&group))
}
