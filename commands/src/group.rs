//! `groupfold group`: reads through the query API, what a platform asks of a group, and what it says of one.

mod ask;
mod policy;
mod reach;
mod tables;

use clap::{Args, Subcommand};

pub(crate) use reach::Reach;

use crate::exit::Failure;
use crate::print;
use crate::when::Moment;

/// Read the state of groups, ask a group to change, and say who may see and command it.
#[derive(Args, Debug)]
pub(crate) struct GroupArgs {
    #[command(subcommand)]
    verb: GroupVerb,
}

/// The moment that an answer is to reflect.
#[derive(Args, Debug)]
struct At {
    /// As the log had it at this position (3:1234), time (2026-01-31T12:00:00Z) or age (-1h)
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    at: Option<Moment>,
}

impl At {
    fn query(&self) -> (&'static str, Option<String>) {
        ("at", self.at.as_ref().map(Moment::for_api))
    }
}

#[derive(Subcommand, Debug)]
enum GroupVerb {
    /// Groups, by id
    List {
        /// active, suspended, deleted, create_failed or unknown
        #[arg(long)]
        status: Option<String>,
        /// Groups of one business number
        #[arg(long)]
        phone_number_id: Option<String>,
        /// Groups with a label; repeated: with all of them
        #[arg(long)]
        label: Vec<String>,
        /// Groups that are archived, or (false) that are not
        #[arg(long, num_args = 0..=1, default_missing_value = "true")]
        archived: Option<bool>,
        /// Groups that are blocked, or (false) that are not
        #[arg(long, num_args = 0..=1, default_missing_value = "true")]
        blocked: Option<bool>,
        /// Groups that user:ID or team:ID may see; repeated: that one of them may
        #[arg(long, value_name = "user:ID|team:ID")]
        visible_to: Vec<String>,
        /// Most groups of a page
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Where the last page ended
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// One group
    Show {
        group_id: String,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        reach: Reach,
    },
    /// Who is, was, or wants to be in a group
    Members {
        group_id: String,
        #[command(flatten)]
        at: At,
        /// member, pending, left, removed or revoked
        #[arg(long)]
        status: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// What happened in a group
    Timeline {
        group_id: String,
        #[command(flatten)]
        at: At,
        /// en, pt-BR or es
        #[arg(long, default_value = "en")]
        lang: String,
        /// Most lines of a page
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Where the last page ended
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Who received and read a message
    Receipts {
        message_id: String,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        reach: Reach,
    },
    #[command(flatten)]
    Ask(ask::AskVerb),
    #[command(flatten)]
    Policy(policy::PolicyVerb),
}

/// What to ask and how to lay the answer out.
struct Question<'a> {
    reach: &'a Reach,
    path: Vec<&'a str>,
    query: Vec<(&'static str, Option<String>)>,
    table: tables::Table,
}

impl GroupVerb {
    /// `None` for what is no question.
    fn question(&self) -> Option<Question<'_>> {
        let text = |value: &u32| Some(value.to_string());
        Some(match self {
            Self::Ask(_) | Self::Policy(_) => return None,
            Self::List {
                status,
                phone_number_id,
                label,
                archived,
                blocked,
                visible_to,
                limit,
                cursor,
                reach,
            } => {
                let flag = |flag: &Option<bool>| flag.map(|flag| flag.to_string());
                let mut query = vec![
                    ("status", status.clone()),
                    ("phone_number_id", phone_number_id.clone()),
                    ("archived", flag(archived)),
                    ("blocked", flag(blocked)),
                    ("limit", text(limit)),
                    ("cursor", cursor.clone()),
                ];
                query.extend(label.iter().map(|label| ("label", Some(label.clone()))));
                query.extend(visible_to.iter().map(|viewer| ("visible_to", Some(viewer.clone()))));
                Question { reach, path: vec!["v1", "groups"], query, table: tables::groups }
            }
            Self::Show { group_id, at, reach } => Question {
                reach,
                path: vec!["v1", "groups", group_id],
                query: vec![at.query()],
                table: tables::group,
            },
            Self::Members { group_id, at, status, reach } => Question {
                reach,
                path: vec!["v1", "groups", group_id, "members"],
                query: vec![("status", status.clone()), at.query()],
                table: tables::members,
            },
            Self::Timeline { group_id, at, lang, limit, cursor, reach } => Question {
                reach,
                path: vec!["v1", "groups", group_id, "timeline"],
                query: vec![
                    ("lang", Some(lang.clone())),
                    ("limit", text(limit)),
                    ("cursor", cursor.clone()),
                    at.query(),
                ],
                table: tables::timeline,
            },
            Self::Receipts { message_id, at, reach } => Question {
                reach,
                path: vec!["v1", "messages", message_id, "receipts"],
                query: vec![at.query()],
                table: tables::receipts,
            },
        })
    }
}

/// Asks, and prints the answer as the person wants it.
pub(crate) async fn run(args: GroupArgs) -> Result<(), Failure> {
    if let GroupVerb::Policy(verb) = &args.verb {
        return policy::run(verb).await;
    }
    if let GroupVerb::Ask(verb) = args.verb {
        return ask::run(verb).await;
    }
    let Some(Question { reach, path, query, table }) = args.verb.question() else { return Ok(()) };
    let answer = reach.get(&path, &query).await?;
    print::either(
        reach.output,
        || serde_json::to_string_pretty(&answer).unwrap_or_default(),
        || table(&answer),
    )
}
