//! What the platform says of a group: labels, archive, block, who may see and command it. WhatsApp hears nothing of it.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::reach::Plain;
use super::tables;
use crate::api::{Body, Request};
use crate::exit::Failure;
use crate::print;

/// Who says it, and under which key.
#[derive(Args, Debug)]
pub(super) struct Said {
    /// The platform's id of the user who asks; refused if the group has moderators and this is none
    #[arg(long, value_name = "USER")]
    actor: Option<String>,
    /// The same request again under the same key changes nothing
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Longest wait until it is folded; 1000 if absent
    #[arg(long, value_name = "MS")]
    wait_ms: Option<u64>,
    #[command(flatten)]
    reach: Plain,
}

#[derive(Subcommand, Debug)]
pub(super) enum PolicyVerb {
    /// Put a label on a group, or take it off
    Label {
        group_id: String,
        label: String,
        /// Take it off
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        said: Said,
    },
    /// Put a group aside until a newer message comes; nothing happens in WhatsApp
    Archive {
        group_id: String,
        #[command(flatten)]
        said: Said,
    },
    /// Take a group back that was put aside
    Unarchive {
        group_id: String,
        #[command(flatten)]
        said: Said,
    },
    /// Forbid sending to a group; what arrives is logged as ever
    Block {
        group_id: String,
        #[command(flatten)]
        said: Said,
    },
    /// Allow sending to a group again
    Unblock {
        group_id: String,
        #[command(flatten)]
        said: Said,
    },
    /// Say who of the platform's users may see a group, instead of what was said before
    #[command(group = clap::ArgGroup::new("who").required(true).multiple(true))]
    Visibility {
        group_id: String,
        /// Everybody
        #[arg(long, group = "who", conflicts_with_all = ["moderators_only", "team", "user"])]
        all: bool,
        /// Nobody but the moderators
        #[arg(long, group = "who", conflicts_with_all = ["team", "user"])]
        moderators_only: bool,
        /// Members of this team; repeatable
        #[arg(long, group = "who", value_name = "ID")]
        team: Vec<String>,
        /// This user; repeatable
        #[arg(long, group = "who", value_name = "ID")]
        user: Vec<String>,
        #[command(flatten)]
        said: Said,
    },
    /// Say who of the platform's users may command a group, instead of who might before
    #[command(group = clap::ArgGroup::new("who").required(true))]
    Moderators {
        group_id: String,
        /// This user; repeatable
        #[arg(long, group = "who", value_name = "ID")]
        user: Vec<String>,
        /// Everybody may
        #[arg(long, group = "who")]
        everybody: bool,
        #[command(flatten)]
        said: Said,
    },
}

/// What to send.
struct Order<'a> {
    said: &'a Said,
    method: Method,
    path: Vec<&'a str>,
    body: Option<Value>,
}

impl PolicyVerb {
    fn order(&self) -> Order<'_> {
        let plain = |said, method, group, what| Order {
            said,
            method,
            path: vec!["v1", "groups", group, what],
            body: None,
        };
        match self {
            Self::Label { group_id, label, remove, said } => Order {
                said,
                method: if *remove { Method::DELETE } else { Method::PUT },
                path: vec!["v1", "groups", group_id, "labels", label],
                body: None,
            },
            Self::Archive { group_id, said } => plain(said, Method::PUT, group_id, "archive"),
            Self::Unarchive { group_id, said } => plain(said, Method::DELETE, group_id, "archive"),
            Self::Block { group_id, said } => plain(said, Method::PUT, group_id, "block"),
            Self::Unblock { group_id, said } => plain(said, Method::DELETE, group_id, "block"),
            Self::Visibility { group_id, all, moderators_only: _, team, user, said } => Order {
                body: Some(json!({ "all": all, "teams": team, "users": user })),
                ..plain(said, Method::PUT, group_id, "visibility")
            },
            Self::Moderators { group_id, user, everybody: _, said } => Order {
                body: Some(json!({ "users": user })),
                ..plain(said, Method::PUT, group_id, "moderators")
            },
        }
    }
}

/// Says it, and prints where it stands in the log.
pub(super) async fn run(verb: &PolicyVerb) -> Result<(), Failure> {
    let Order { said, method, path, body } = verb.order();
    let headers =
        [("groupfold-actor", said.actor.clone()), ("idempotency-key", said.idempotency_key.clone())];
    let body = body.map_or(Body::None, Body::Json);
    let waits = [("wait_ms", said.wait_ms.map(|wait_ms| wait_ms.to_string()))];
    let request =
        Request { method, path: &path, query: &waits, headers: &headers, body, ..Request::default() };
    let answer = said.reach.api.client()?.ask(request).await?;
    print::either(
        said.reach.output,
        || serde_json::to_string_pretty(&answer).unwrap_or_default(),
        || tables::written(&answer),
    )
}
