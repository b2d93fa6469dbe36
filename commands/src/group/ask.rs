//! `groupfold group create|update|…`: what a platform asks of a group, through the API of the running pipeline.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::reach::{Plain, Reach, ended, is_open};
use super::tables;
use crate::api::{Body, Request};
use crate::cli::Output;
use crate::data::random_hex;
use crate::exit::Failure;
use crate::print;

/// How every command is asked for.
#[derive(Args, Debug)]
pub(super) struct Asked {
    /// Wait for what becomes of it, this long at most; ends with 1 if it failed, 75 if it is still open: then look
    /// by `group commands`, for the same again is a second command
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30")]
    wait: Option<u64>,
    /// The same key is the same command: repeat it after a lost connection; if absent one is made up, and told where it is needed
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Who asks, as your platform names them
    #[arg(long, env = "GROUPFOLD_ACTOR", value_name = "NAME")]
    actor: Option<String>,
    #[command(flatten)]
    reach: Plain,
}

#[derive(Subcommand, Debug)]
pub(super) enum AskVerb {
    /// Create a group
    Create {
        /// The business number that makes it
        #[arg(long, value_name = "ID")]
        phone_number_id: String,
        /// 1 to 128 characters
        #[arg(long)]
        subject: String,
        /// At most 2,048 characters
        #[arg(long)]
        description: Option<String>,
        /// auto_approve or approval_required, for the group's life
        #[arg(long, value_name = "MODE")]
        join_approval_mode: Option<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Change subject, description or picture
    Update {
        group_id: String,
        #[arg(long)]
        subject: Option<String>,
        #[arg(long)]
        description: Option<String>,
        /// A square JPEG, at least 192 pixels wide, at most 5 MB
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Delete a group, for good
    Delete {
        group_id: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Print the invite link as the provider has it
    Link {
        group_id: String,
        /// Make a new one: all earlier links die
        #[arg(long)]
        reset: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Who asks to be let in, as the provider has it
    Requests {
        group_id: String,
        #[command(flatten)]
        reach: Plain,
    },
    /// Let people in
    Approve {
        group_id: String,
        #[arg(required = true, value_name = "JOIN_REQUEST_ID")]
        join_requests: Vec<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Turn people down
    Reject {
        group_id: String,
        #[arg(required = true, value_name = "JOIN_REQUEST_ID")]
        join_requests: Vec<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Put 1 to 8 members out, by number, wa_id or user id
    Remove {
        group_id: String,
        #[arg(required = true, value_name = "MEMBER")]
        members: Vec<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Send a text, a file, a template, or an invitation to one person
    Send {
        group_id: String,
        /// The text
        #[arg(long, conflicts_with_all = ["message", "invite"])]
        text: Option<String>,
        /// The message as JSON, as the API takes it: media and templates
        #[arg(long, value_name = "JSON", conflicts_with = "invite")]
        message: Option<String>,
        /// Invite this number by a template that carries the group's link
        #[arg(long, value_name = "NUMBER", requires = "template")]
        invite: Option<String>,
        /// The template of an invitation
        #[arg(long, value_name = "NAME")]
        template: Option<String>,
        /// The template's language
        #[arg(long, default_value = "en")]
        language: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Pin a message
    Pin {
        group_id: String,
        message_id: String,
        /// 1 to 30
        #[arg(long, default_value_t = 7)]
        days: u32,
        #[command(flatten)]
        asked: Asked,
    },
    /// Take a pinned message down
    Unpin {
        group_id: String,
        message_id: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// What was asked for, the last first, and what became of it
    Commands {
        /// One command alone
        command_id: Option<String>,
        /// Only about this group
        #[arg(long, value_name = "ID")]
        group: Option<String>,
        /// requested, refused, sent, accepted, succeeded, partly, failed or unknown
        #[arg(long)]
        status: Option<String>,
        /// Where the last page ended
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
}

/// A request to the API, and how its answer is laid out.
struct Asking<'a> {
    method: Method,
    path: Vec<String>,
    body: Body,
    asked: &'a Asked,
}

/// Asks, waits if that is wanted, and prints what became of it.
pub(super) async fn run(verb: AskVerb) -> Result<(), Failure> {
    match &verb {
        AskVerb::Requests { group_id, reach } => {
            let answer = reach.api.client()?.get(&["v1", "groups", group_id, "join-requests"], &[]).await?;
            return show(reach.output, &answer, tables::join_requests);
        }
        AskVerb::Link { group_id, reset: false, asked } => {
            let path = ["v1", "groups", group_id, "invite-link"];
            let answer = asked.reach.api.client()?.get(&path, &[]).await?;
            return show(asked.reach.output, &answer, tables::invite_link);
        }
        AskVerb::Commands { command_id: Some(id), reach, .. } => {
            let answer = reach.get(&["v1", "commands", id], &[]).await?;
            return show(reach.output, &answer, tables::command);
        }
        AskVerb::Commands { command_id: None, group, status, cursor, reach } => {
            let query = [("group", group.clone()), ("status", status.clone()), ("cursor", cursor.clone())];
            let answer = reach.get(&["v1", "commands"], &query).await?;
            return show(reach.output, &answer, tables::commands);
        }
        _ => {}
    }
    let asking = asking(&verb)?;
    let asked = asking.asked;
    let key = asked.idempotency_key.clone().map_or_else(random_hex, Ok)?;
    let mut answer = asking.ask(&key).await?;
    let id = answer["command_id"].as_str().unwrap_or_default().to_owned();
    let mut unseen = Ok(());
    if let Some(seconds) = asked.wait {
        // Before the wait, which may be ended from without: who has lost the id would ask again.
        let _ = writeln!(std::io::stderr(), "groupfold: command {id}: waiting {seconds} s at most");
        let position = answer["position"].as_str().map(str::to_owned);
        match ended(&asked.reach.api.client()?, &id, position, seconds).await {
            Ok(mut end) => {
                if let (Some(link), Some(fields)) = (answer.get("invite_link"), end.as_object_mut()) {
                    fields.insert("invite_link".to_owned(), link.clone());
                }
                answer = end;
            }
            Err(failure) => {
                let stands =
                    |line| format!("{line}; the command is taken all the same: {}", asked.next(&id, &key));
                unseen = Err(failure.reworded(stands));
            }
        }
    }
    show(asked.reach.output, &answer, tables::command)?;
    unseen?;
    verdict(&answer, asked, &key)
}

impl Asking<'_> {
    /// The answer to a request under a key; where it is not known whether it was taken, the failure tells the key.
    async fn ask(self, key: &str) -> Result<Value, Failure> {
        let Self { method, path, body, asked } = self;
        let headers = [("Idempotency-Key", Some(key.to_owned())), ("Groupfold-Actor", asked.actor.clone())];
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let request = Request { method, path: &path, headers: &headers, body, ..Request::default() };
        let client = asked.reach.api.client()?;
        let sent = client.try_send(request).await;
        let may_be_taken = match &sent {
            Ok(answer) => !answer.status.is_client_error(),
            Err(unanswered) => unanswered.may_have_come,
        };
        let answer = sent.map_err(|unanswered| unanswered.failure).and_then(|answer| client.judge(answer));
        answer.map_err(|failure| match may_be_taken {
            false => failure,
            true => failure.reworded(|line| {
                format!(
                    "{line}; whether it was taken is not known: repeat it with --idempotency-key {key}, by which it is the \
                     same command"
                )
            }),
        })
    }
}

impl Asked {
    /// What to do about a command that has no end yet.
    fn next(&self, id: &str, key: &str) -> String {
        let again = match &self.idempotency_key {
            Some(_) => "the same again waits for the same command".to_owned(),
            None => format!("the same again is a second command, unless with --idempotency-key {key}"),
        };
        format!("`groupfold group commands {id}` tells what becomes of it; {again}")
    }
}

fn asking(verb: &AskVerb) -> Result<Asking<'_>, Failure> {
    let of = |group: &str, rest: &[&str]| {
        let head = ["v1", "groups", group].into_iter();
        head.chain(rest.iter().copied()).map(str::to_owned).collect::<Vec<_>>()
    };
    let post = |path, body, asked| Ok(Asking { method: Method::POST, path, body: Body::Json(body), asked });
    match verb {
        AskVerb::Create { phone_number_id, subject, description, join_approval_mode, asked } => {
            let body = given(json!({
                "phone_number_id": phone_number_id, "subject": subject, "description": description,
                "join_approval_mode": join_approval_mode,
            }));
            post(vec!["v1".to_owned(), "groups".to_owned()], body, asked)
        }
        AskVerb::Update { group_id, subject, description, picture, asked } => {
            let fields = given(json!({ "subject": subject, "description": description }));
            let body = match picture {
                None => Body::Json(fields),
                Some(path) => Body::Form { fields, picture: read(path)? },
            };
            Ok(Asking { method: Method::PATCH, path: of(group_id, &[]), body, asked })
        }
        AskVerb::Delete { group_id, asked } => {
            Ok(Asking { method: Method::DELETE, path: of(group_id, &[]), body: Body::None, asked })
        }
        AskVerb::Link { group_id, asked, .. } => {
            let path = of(group_id, &["invite-link"]);
            Ok(Asking { method: Method::POST, path, body: Body::None, asked })
        }
        AskVerb::Approve { group_id, join_requests, asked } => {
            post(of(group_id, &["join-requests:approve"]), json!({ "join_requests": join_requests }), asked)
        }
        AskVerb::Reject { group_id, join_requests, asked } => {
            post(of(group_id, &["join-requests:reject"]), json!({ "join_requests": join_requests }), asked)
        }
        AskVerb::Remove { group_id, members, asked } => {
            post(of(group_id, &["members:remove"]), json!({ "members": members }), asked)
        }
        AskVerb::Send { group_id, text, message, invite, template, language, asked } => {
            let body = match (text, message, invite) {
                (Some(text), _, _) => json!({ "type": "text", "text": { "body": text } }),
                (_, Some(message), _) => serde_json::from_str(message)
                    .map_err(|error| Failure::Usage(format!("--message: is no JSON ({error})")))?,
                (_, _, Some(invite)) => {
                    json!({ "invite": invite, "template": template, "language": language })
                }
                _ => return Err(Failure::Usage("give one of --text, --message and --invite".to_owned())),
            };
            post(of(group_id, &["messages"]), body, asked)
        }
        AskVerb::Pin { group_id, message_id, days, asked } => {
            let path = of(group_id, &["messages", &format!("{message_id}:pin")]);
            post(path, json!({ "expiration_days": days }), asked)
        }
        AskVerb::Unpin { group_id, message_id, asked } => {
            let path = of(group_id, &["messages", &format!("{message_id}:unpin")]);
            Ok(Asking { method: Method::POST, path, body: Body::None, asked })
        }
        AskVerb::Requests { .. } | AskVerb::Commands { .. } => {
            Err(Failure::Usage("this asks for nothing".to_owned()))
        }
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::Usage(format!("--picture: cannot read {}: {error}", path.display())))
}

/// Without what was not given.
fn given(fields: Value) -> Value {
    let Value::Object(fields) = fields else { return fields };
    Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}

fn show(output: Output, answer: &Value, table: tables::Table) -> Result<(), Failure> {
    print::either(output, || serde_json::to_string_pretty(answer).unwrap_or_default(), || table(answer))
}

/// How the program ends: by what became of the command.
fn verdict(answer: &Value, asked: &Asked, key: &str) -> Result<(), Failure> {
    let id = answer["command_id"].as_str().unwrap_or_default();
    match answer["status"].as_str().unwrap_or_default() {
        "succeeded" => Ok(()),
        // What nobody can say yet must not be asked for again.
        "unknown" if is_open(answer) => {
            Err(Failure::Again(format!("command {id} is being looked for: {}", asked.next(id, key))))
        }
        "requested" | "sent" | "accepted" if asked.wait.is_some() => {
            Err(Failure::Again(format!("command {id} is still open: {}", asked.next(id, key))))
        }
        "requested" | "sent" | "accepted" => Ok(()),
        status => {
            let code = answer["code"].as_str().map(|code| format!(" ({code})")).unwrap_or_default();
            Err(Failure::Failed(format!("the command ended: {status}{code}")))
        }
    }
}
