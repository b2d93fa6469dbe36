//! `groupfold group`: reads through the query API.

mod reach;
mod tables;

use clap::{Args, Subcommand};

pub(crate) use reach::Reach;

use crate::cli::Output;
use crate::exit::Failure;

/// Read the state of groups.
#[derive(Args, Debug)]
pub(crate) struct GroupArgs {
    #[command(subcommand)]
    verb: GroupVerb,
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
        reach: Reach,
    },
    /// Who is, was, or wants to be in a group
    Members {
        group_id: String,
        /// member, pending, left, removed or revoked
        #[arg(long)]
        status: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// What happened in a group
    Timeline {
        group_id: String,
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
        reach: Reach,
    },
}

/// Asks, and prints the answer as the person wants it.
pub(crate) async fn run(args: GroupArgs) -> Result<(), Failure> {
    let text = |value: u32| Some(value.to_string());
    let (reach, path, query, table): (Reach, Vec<&str>, Vec<(&str, Option<String>)>, tables::Table) =
        match &args.verb {
            GroupVerb::List { status, phone_number_id, limit, cursor, reach } => (
                reach.clone(),
                vec!["v1", "groups"],
                vec![
                    ("status", status.clone()),
                    ("phone_number_id", phone_number_id.clone()),
                    ("limit", text(*limit)),
                    ("cursor", cursor.clone()),
                ],
                tables::groups,
            ),
            GroupVerb::Show { group_id, reach } => {
                (reach.clone(), vec!["v1", "groups", group_id], vec![], tables::group)
            }
            GroupVerb::Members { group_id, status, reach } => (
                reach.clone(),
                vec!["v1", "groups", group_id, "members"],
                vec![("status", status.clone())],
                tables::members,
            ),
            GroupVerb::Timeline { group_id, lang, limit, cursor, reach } => (
                reach.clone(),
                vec!["v1", "groups", group_id, "timeline"],
                vec![("lang", Some(lang.clone())), ("limit", text(*limit)), ("cursor", cursor.clone())],
                tables::timeline,
            ),
            GroupVerb::Receipts { message_id, reach } => {
                (reach.clone(), vec!["v1", "messages", message_id, "receipts"], vec![], tables::receipts)
            }
        };
    let answer = reach.get(&path, &query).await?;
    let printed = match reach.output {
        Output::Json => serde_json::to_string_pretty(&answer).unwrap_or_default(),
        Output::Table => table(&answer),
    };
    print(&printed)
}

/// Prints to stdout; a reader that went away (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::failed("cannot print", &error))
        }
        _ => Ok(()),
    }
}
