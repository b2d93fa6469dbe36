//! `value.groups[]`: lifecycle and status, and the way to participants and settings.

use groupfold_schemas::failure::Cause;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{
    GroupCreateFailed, GroupCreated, GroupDeleteFailed, GroupDeleted, GroupSuspended, GroupSuspensionCleared,
    ProviderError,
};

use super::draft::{Around, Draft, Read, business};
use super::fault::{Fault, Result};
use super::node::Node;
use super::{participants, person, settings_update, time};

/// What every group event has.
pub(super) struct Common {
    /// The documented spelling of the type.
    pub(super) kind: &'static str,
    pub(super) group_id: Option<String>,
    pub(super) time_ms: i64,
    pub(super) request_id: Option<String>,
    pub(super) errors: Vec<ProviderError>,
}

/// Reads one element of `groups[]`.
pub(super) fn read(node: &Node<'_, '_>, around: &Around<'_, '_>) -> Result<Read> {
    let kind = canonical_type(node, around)?;
    let common = Common {
        kind,
        group_id: node.id("group_id")?,
        time_ms: time::required(node, "timestamp")?,
        request_id: node.id("request_id")?,
        errors: person::errors(node)?,
    };
    let may_lack_group = kind == "group_create" && !common.errors.is_empty();
    if common.group_id.is_none() && !may_lack_group {
        return Err(node.missing("group_id", "the id of the group"));
    }
    let draft = match kind {
        "group_create" => created(node, common)?,
        "group_delete" => deleted(common),
        "group_participants_add" => participants::joined(node, common)?,
        "group_participants_remove" => participants::ended(node, common)?,
        "group_join_request_created" => participants::requested(node, common)?,
        "group_join_request_revoked" => participants::request_revoked(node, common)?,
        "group_settings_update" => settings_update::read(node, common)?,
        "group_suspend" => status(common, Kind::GroupSuspended(GroupSuspended {})),
        _ => status(common, Kind::GroupSuspensionCleared(GroupSuspensionCleared {})),
    };
    Ok(Read::Event(Box::new(draft)))
}

fn canonical_type(node: &Node<'_, '_>, around: &Around<'_, '_>) -> Result<&'static str> {
    let kind = node.required_text("type")?;
    let removes = node.has("removed_participants") || node.has("failed_participants");
    Ok(match &*kind {
        // Meta's OpenAPI prints a removal with the type of a creation.
        "group_create" if around.field == "group_participants_update" && removes => {
            "group_participants_remove"
        }
        "group_create" => "group_create",
        "group_delete" => "group_delete",
        "group_participants_add" | "group_add_participants" => "group_participants_add",
        "group_participants_remove" | "group_remove_participants" => "group_participants_remove",
        "group_join_request_created" => "group_join_request_created",
        "group_join_request_revoked" => "group_join_request_revoked",
        "group_settings_update" => "group_settings_update",
        "group_suspend" => "group_suspend",
        "group_suspend_cleared" => "group_suspend_cleared",
        _ => return Err(Fault::new(Cause::UnknownType, node.at("type"), "a known type of group event")),
    })
}

impl Common {
    /// How the command went, as a part of the natural key: a success and a failure of one request are
    /// two facts.
    pub(super) fn outcome(&self, anything_done: bool) -> &'static str {
        match (self.errors.is_empty(), anything_done) {
            (true, _) => "ok",
            (false, true) => "partial",
            (false, false) => "failed",
        }
    }

    /// `(type, group, request, time, outcome, people, join request, more)`.
    pub(super) fn key(
        &self,
        outcome: &str,
        people: String,
        join_request_id: &str,
        more: String,
    ) -> Vec<String> {
        vec![
            self.kind.to_owned(),
            self.group_id.clone().unwrap_or_default(),
            self.request_id.clone().unwrap_or_default(),
            self.time_ms.to_string(),
            outcome.to_owned(),
            people,
            join_request_id.to_owned(),
            more,
        ]
    }

    pub(super) fn into_draft(self, kind: Kind, key: Vec<String>) -> Draft {
        // Only what the business asks for has a request id.
        let actor = self.request_id.is_some().then(business);
        Draft {
            kind,
            key,
            group_id: self.group_id,
            time_ms: Some(self.time_ms),
            provider_request_id: self.request_id,
            actor,
            contacts: Vec::new(),
        }
    }
}

fn created(node: &Node<'_, '_>, mut common: Common) -> Result<Draft> {
    let subject = node.subject("subject")?.or(node.subject("group_subject")?);
    let description = node.text("description")?.or(node.text("group_description")?);
    let people = person::participants(node, "added_participants")?;
    // Without a request or a group, what was asked for is all that tells two failures of one second apart.
    let nameless = common.request_id.is_none() && !common.errors.is_empty();
    let asked = if nameless { format!("{subject:?}{description:?}") } else { String::new() };
    let key = common.key(common.outcome(false), person::keys(&people), "", asked);
    let kind = if common.errors.is_empty() {
        Kind::GroupCreated(GroupCreated {
            subject,
            description,
            invite_link: node.short("invite_link")?,
            join_approval_mode: node.short("join_approval_mode")?,
            participants: people,
        })
    } else {
        let errors = std::mem::take(&mut common.errors);
        Kind::GroupCreateFailed(GroupCreateFailed { subject, description, errors })
    };
    Ok(common.into_draft(kind, key))
}

fn deleted(mut common: Common) -> Draft {
    let key = common.key(common.outcome(false), String::new(), "", String::new());
    let kind = if common.errors.is_empty() {
        Kind::GroupDeleted(GroupDeleted {})
    } else {
        Kind::GroupDeleteFailed(GroupDeleteFailed { errors: std::mem::take(&mut common.errors) })
    };
    common.into_draft(kind, key)
}

fn status(common: Common, kind: Kind) -> Draft {
    let key = common.key("ok", String::new(), "", String::new());
    // No business suspends its groups, whatever request id stands there.
    Draft { actor: None, ..common.into_draft(kind, key) }
}
