//! No outcome came in time: what the provider's state says became of a command.

use std::collections::HashSet;
use std::time::Duration;

use groupfold_fold::view::{Command, CommandStatus};
use groupfold_projector::Unanswered;
use groupfold_projector::desk::Wish;
use groupfold_schemas::v1::{self, CommandItem, CommandResult, Evidence, Outcome};
use tokio::time::sleep;

use super::record::{Station, of_items};
use super::run::{Work, new_link};
use super::{Inner, now_ms};
use crate::provider::{Answer, Call, Done, GroupInfo, InviteLink};

/// How often the provider is looked at before it is believed that nothing was done: it may still be at it.
const LOOKS: u32 = 3;
/// Our clock and the provider's may differ by so much.
const CLOCKS_MS: i64 = 60_000;

/// What was seen.
struct Seen {
    result: CommandResult,
    reason: String,
    items: Vec<CommandItem>,
    group_id: Option<String>,
    /// What is known besides.
    also: Option<v1::Record>,
}

impl Seen {
    fn new(result: CommandResult, reason: &str) -> Self {
        Self { result, reason: reason.to_owned(), items: Vec::new(), group_id: None, also: None }
    }

    /// Done for each, or not.
    fn of(items: Vec<(String, bool)>, reason: &str) -> Self {
        let item = |(name, done): (String, bool)| CommandItem {
            name,
            outcome: if done { Outcome::Succeeded } else { Outcome::Failed }.into(),
            errors: Vec::new(),
        };
        let items: Vec<_> = items.into_iter().map(item).collect();
        Self { items: items.clone(), ..Self::new(of_items(&items), reason) }
    }
}

/// What other commands created, or may have.
#[derive(Default)]
struct Others {
    /// Groups that they made.
    made: HashSet<String>,
    /// Names that were sent and whose outcome is awaited.
    open: HashSet<String>,
}

impl Others {
    fn note(&mut self, other: &Command) {
        let Some(Work { wish: Wish::CreateGroup { subject, .. }, .. }) = Work::of(other) else { return };
        match &other.group_id {
            Some(group) => _ = self.made.insert(group.clone()),
            None if matches!(other.status, CommandStatus::Sent | CommandStatus::Accepted) => {
                self.open.insert(subject.trim().to_owned());
            }
            None => {}
        }
    }
}

impl Inner {
    pub(super) async fn reconcile(&self, work: &Work, command: &Command) {
        let pause = (self.deadline / 8).clamp(Duration::from_millis(100), Duration::from_secs(15));
        let mut seen = Seen::new(CommandResult::Unknown, "the provider does not say");
        for look in 0..LOOKS {
            seen = self.seen(work, command).await;
            if seen.result == CommandResult::Succeeded || look + 1 == LOOKS {
                break;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
        }
        // A webhook may have come meanwhile, and knows better; what is written now does not contradict it.
        tracing::info!(
            command_id = work.command_id,
            result = seen.result.name(),
            "a command's outcome was looked for"
        );
        let told = v1::CommandReconciled {
            command_id: work.command_id.clone(),
            result: seen.result.into(),
            reason: seen.reason,
            items: seen.items,
            group_id: seen.group_id,
        };
        let mut records: Vec<_> = seen.also.into_iter().collect();
        records.push(work.record(now_ms(), Station::Reconciled(told)));
        self.write_at_last(records).await;
    }

    async fn seen(&self, work: &Work, command: &Command) -> Seen {
        if command.state.sent.is_none() {
            return Seen::new(CommandResult::Failed, "whoever was to send it ended before it did");
        }
        match &work.wish {
            Wish::CreateGroup { subject, .. } => self.created(work, command, subject).await,
            Wish::UpdateGroup { .. } | Wish::DeleteGroup | Wish::RemoveMembers { .. } => {
                self.by_info(work).await
            }
            Wish::ResetInviteLink => self.link_reset(work).await,
            Wish::ApproveJoinRequests { join_requests } | Wish::RejectJoinRequests { join_requests } => {
                self.requests_handled(work, join_requests).await
            }
            // A status that names the command proves that it left; nothing can be read to prove that it did not.
            Wish::SendMessage { .. }
            | Wish::PinMessage { .. }
            | Wish::UnpinMessage { .. }
            | Wish::SendInvite { .. } => {
                Seen::new(CommandResult::Unknown, "messages cannot be read from the provider")
            }
        }
    }

    /// A creation made the one group of that name that came up since and that no other command made.
    async fn created(&self, work: &Work, command: &Command, subject: &str) -> Seen {
        let groups = match self.provider.all_groups(&work.place.phone_number_id).await {
            Ok(groups) => groups,
            Err(answer) => return unanswered(&answer),
        };
        let asked_ms =
            command.state.requested.as_ref().and_then(|s| s.stamp.as_ref()).map_or(0, |s| s.time_ms);
        let Ok(others) = self.other_creations(work, asked_ms).await else {
            return Seen::new(CommandResult::Unknown, "what other commands made could not be read");
        };
        let found: Vec<_> = groups
            .into_iter()
            .filter(|group| {
                let named = group.subject.as_deref().is_some_and(|name| name.trim() == subject.trim());
                let since = group.created_at_ms.is_some_and(|ms| ms >= asked_ms - CLOCKS_MS);
                named && since && !others.made.contains(&group.group_id)
            })
            .collect();
        match found.as_slice() {
            [] => Seen::new(CommandResult::Failed, "the provider has no such group"),
            _ if others.open.contains(subject.trim()) => {
                Seen::new(CommandResult::Unknown, "another creation of that name has no outcome yet")
            }
            [group] => {
                let snapshot = v1::GroupSnapshot {
                    subject: group.subject.clone(),
                    created_at_ms: group.created_at_ms,
                    ..Default::default()
                };
                let kind = v1::event::Kind::GroupSnapshot(snapshot);
                let at = super::group::Place { group_id: group.group_id.clone(), ..work.place.clone() };
                let of_group = Work { place: at, ..work.clone() };
                let also = Some(of_group.event(now_ms(), "created", Evidence::Snapshot, kind));
                let group_id = Some(group.group_id.clone());
                Seen {
                    group_id,
                    also,
                    ..Seen::new(CommandResult::Succeeded, "the provider has a new group of that name")
                }
            }
            _ => Seen::new(CommandResult::Unknown, "the provider has several new groups of that name"),
        }
    }

    /// The other creations that may have been under way since this one was asked for. That a webhook told of a group does
    /// not say whose it is: the request that it names is known from an answer alone, and this one's never came.
    async fn other_creations(&self, work: &Work, asked_ms: i64) -> Result<Others, Unanswered> {
        let under_way_ms = i64::try_from(self.deadline.as_millis()).unwrap_or(i64::MAX);
        let oldest_ms = asked_ms.saturating_sub(CLOCKS_MS).saturating_sub(under_way_ms).max(0);
        let oldest = groupfold_schemas::command::command_id(oldest_ms, [0; 10]);
        let (mut others, mut before) = (Others::default(), None);
        loop {
            let page = self.projector.commands(before).await?;
            for other in page.commands.iter().filter(|other| other.command_id != work.command_id) {
                others.note(other);
            }
            match page.next {
                Some(next) if next > oldest => before = Some(next),
                _ => return Ok(others),
            }
        }
    }

    async fn by_info(&self, work: &Work) -> Seen {
        let group = work.place.group_id.clone();
        let call = Call::GroupInfo { group };
        let info = match self.provider.call(&work.place.phone_number_id, &call).await {
            Answer::Done(Done::Group(info)) => info,
            Answer::Refused(refusal) if matches!(refusal.code, "group_unknown" | "not_found") => {
                return match work.wish {
                    Wish::DeleteGroup => Seen::new(CommandResult::Succeeded, "the provider has it no longer"),
                    _ => Seen::new(CommandResult::Failed, "the provider has the group no longer"),
                };
            }
            answer => return unanswered(&answer),
        };
        of_info(&work.wish, &info)
    }

    async fn link_reset(&self, work: &Work) -> Seen {
        let call = Call::GetInviteLink { group: work.place.group_id.clone() };
        let answer = self.provider.call(&work.place.phone_number_id, &call).await;
        let Answer::Done(Done::InviteLink(InviteLink(link))) = answer else { return unanswered(&answer) };
        let known = self.projector.group(&work.place.group_id).await.ok().flatten();
        match known.and_then(|group| group.invite_link) {
            Some(before) if before == link => {
                Seen::new(CommandResult::Failed, "the link is still the one before")
            }
            before => {
                let also = Some(work.event(now_ms(), "link", Evidence::Snapshot, new_link(&link)));
                let (result, reason) = match before {
                    Some(_) => (CommandResult::Succeeded, "the link is another one"),
                    None => (CommandResult::Unknown, "the link before is not known"),
                };
                Seen { also, ..Seen::new(result, reason) }
            }
        }
    }

    /// A request that is no longer pending was handled, by this or by whoever sent it.
    async fn requests_handled(&self, work: &Work, asked: &[String]) -> Seen {
        let number = &work.place.phone_number_id;
        match self.provider.all_join_requests(number, &work.place.group_id).await {
            Ok(pending) => {
                let waits = |id: &String| pending.iter().any(|request| &request.join_request_id == id);
                let items = asked.iter().map(|id| (id.clone(), !waits(id))).collect();
                Seen::of(items, "requests that are no longer pending were handled")
            }
            Err(answer) => unanswered(&answer),
        }
    }
}

fn unanswered(answer: &Answer) -> Seen {
    let code = match answer {
        Answer::Refused(refusal) => refusal.code,
        Answer::Unknown(unsure) => unsure.name(),
        _ => "unreadable_answer",
    };
    Seen::new(CommandResult::Unknown, &format!("the provider does not say: {code}"))
}

fn of_info(wish: &Wish, info: &GroupInfo) -> Seen {
    match wish {
        Wish::UpdateGroup { subject, description, picture_sha256 } => {
            let same = |wanted: &Option<String>, has: &Option<String>| {
                let has = has.as_deref().unwrap_or_default().trim();
                wanted.as_ref().map(|wanted| wanted.trim() == has)
            };
            let told = [
                ("subject", same(subject, &info.subject)),
                ("description", same(description, &info.description)),
            ];
            let items: Vec<_> =
                told.into_iter().filter_map(|(name, done)| Some((name.to_owned(), done?))).collect();
            if items.is_empty() || picture_sha256.is_some() {
                return Seen::new(CommandResult::Unknown, "a picture cannot be read from the provider");
            }
            Seen::of(items, "the settings as the provider has them")
        }
        Wish::RemoveMembers { members } => {
            let Some(present) = &info.participants else {
                return Seen::new(CommandResult::Unknown, "the provider does not list the members");
            };
            let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
            let is = |name: &str, person: &v1::Participant| {
                let number = person.wa_id.as_deref().is_some_and(|wa_id| wa_id == digits(name));
                let names = [&person.wa_id, &person.user_id, &person.parent_user_id, &person.username];
                number || names.into_iter().flatten().any(|one| one == name)
            };
            let gone = |name: &String| !present.iter().any(|person| is(name, person));
            let items = members.iter().map(|name| (name.clone(), gone(name))).collect();
            Seen::of(items, "the members as the provider lists them")
        }
        _ => Seen::new(CommandResult::Failed, "the provider still has the group"),
    }
}
