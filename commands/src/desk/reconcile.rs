//! No outcome came in time: what the provider's state says became of a command.

use std::collections::HashSet;
use std::time::Duration;

use groupfold_fold::view::{CLOCKS_MS, Command, CommandStatus, Group};
use groupfold_projector::Unanswered;
use groupfold_projector::desk::Wish;
use groupfold_schemas::command::text_digest;
use groupfold_schemas::v1::{self, CommandItem, CommandResult, Evidence, Outcome};
use tokio::time::sleep;

use super::effects::{later, new_link};
use super::people::{There, of_request, spelled};
use super::record::{Station, of_items};
use super::run::Work;
use super::{Inner, now_ms};
use crate::provider::{Answer, Call, Done, GroupListed, InviteLink, before_second};
use crate::reconcile::{Known, Read, Reading, read, record_of};

/// How often the provider is looked at before it is believed that nothing was done: it may still be at it.
const LOOKS: u32 = 3;

/// What was seen.
struct Seen {
    result: CommandResult,
    reason: String,
    items: Vec<CommandItem>,
    group_id: Option<String>,
    /// What is known besides.
    also: Vec<v1::Record>,
}

impl Seen {
    fn new(result: CommandResult, reason: &str) -> Self {
        Self { result, reason: reason.to_owned(), items: Vec::new(), group_id: None, also: Vec::new() }
    }

    /// Each by itself.
    fn of(items: Vec<(String, Outcome)>, reason: &str) -> Self {
        let item = |(name, outcome): (String, Outcome)| CommandItem {
            name,
            outcome: outcome.into(),
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
    /// Names that were sent and whose outcome is awaited, or known to nobody.
    open: HashSet<String>,
}

impl Others {
    fn note(&mut self, other: &Command, number: &str) {
        let Some(Work { wish: Wish::CreateGroup { subject, .. }, place, .. }) = Work::of(other) else {
            return;
        };
        let open =
            matches!(other.status, CommandStatus::Sent | CommandStatus::Accepted | CommandStatus::Unknown);
        match &other.group_id {
            Some(group) => _ = self.made.insert(group.clone()),
            None if open && place.phone_number_id == number => {
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
        // Refused, it is not at it any more.
        let refused = command.answered().is_some_and(|answered| !answered.errors.is_empty());
        let looks = if refused { 1 } else { LOOKS };
        for look in 1_u32.. {
            seen = self.seen(work, command).await;
            // No webhook corrects what is said of a creation without an answer: its time is waited out.
            let early = matches!(work.wish, Wish::CreateGroup { .. }) && !work.is_over();
            if seen.result == CommandResult::Succeeded || (look >= looks && !early) {
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
        let mut records = seen.also;
        records.push(work.record(now_ms(), Station::Reconciled(told)));
        self.write_at_last(records).await;
    }

    async fn seen(&self, work: &Work, command: &Command) -> Seen {
        if command.state.sent.is_none() {
            return Seen::new(CommandResult::Failed, "whoever was to send it ended before it did");
        }
        match &work.wish {
            Wish::CreateGroup { subject, .. } => self.created(work, command, subject).await,
            Wish::UpdateGroup { .. }
            | Wish::DeleteGroup
            | Wish::RemoveMembers { .. }
            | Wish::ApproveJoinRequests { .. }
            | Wish::RejectJoinRequests { .. } => self.by_reading(work).await,
            Wish::ResetInviteLink => self.link_reset(work, command).await,
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
        // By the provider's clock, as it told it with the list.
        let since_ms = asked_ms.saturating_add(self.provider.ahead_ms()).saturating_sub(CLOCKS_MS);
        let found: Vec<_> = groups
            .into_iter()
            .filter(|group| {
                let named = group.subject.as_deref().is_some_and(|name| name.trim() == subject.trim());
                let since = group.created_at_ms.is_none_or(|ms| ms >= since_ms);
                named && since && !others.made.contains(&group.group_id)
            })
            .collect();
        match found.as_slice() {
            [] => Seen::new(CommandResult::Failed, "the provider has no such group"),
            _ if others.open.contains(subject.trim()) => {
                Seen::new(CommandResult::Unknown, "another creation of that name has no outcome yet")
            }
            [GroupListed { group_id, subject, created_at_ms: Some(created_at_ms) }] => {
                let snapshot = v1::GroupSnapshot {
                    subject: subject.clone(),
                    created_at_ms: Some(*created_at_ms),
                    ..Default::default()
                };
                let kind = v1::event::Kind::GroupSnapshot(snapshot);
                let at = super::group::Place { group_id: group_id.clone(), ..work.place.clone() };
                let of_group = Work { place: at, ..work.clone() };
                // So it was called when it was made, by the provider's clock: whatever came later wins.
                let also = vec![of_group.event(*created_at_ms, "created", Evidence::Snapshot, kind)];
                let group_id = Some(group_id.clone());
                Seen {
                    group_id,
                    also,
                    ..Seen::new(CommandResult::Succeeded, "the provider has a new group of that name")
                }
            }
            _ => Seen::new(
                CommandResult::Unknown,
                "the provider has several new groups of that name, or does not say how old they are",
            ),
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
                others.note(other, &work.place.phone_number_id);
            }
            match page.next {
                Some(next) if next > oldest => before = Some(next),
                _ => return Ok(others),
            }
        }
    }

    /// What the group is now. It goes into the log as well: no webhook told it.
    async fn by_reading(&self, work: &Work) -> Seen {
        let (number, group_id) = (&work.place.phone_number_id, &work.place.group_id);
        // What is listed is told apart from those who are known here: not by half of them.
        let Ok(Some(group)) = self.projector.group_now(group_id).await else {
            return Seen::new(CommandResult::Unknown, "the group could not be read here");
        };
        let read = read(&self.provider, number, group_id, false).await;
        let seen = match &read {
            Read::Present(reading) => of_reading(&work.wish, reading, &group),
            Read::Absent { .. } => match self.is_gone(work).await {
                Ok(()) if work.wish == Wish::DeleteGroup => {
                    Seen::new(CommandResult::Succeeded, "the provider has it no longer")
                }
                Ok(()) => Seen::new(CommandResult::Failed, "the provider has the group no longer"),
                Err(doubt) => return doubt,
            },
            Read::Failed(why) => return silent(why),
        };
        let also = record_of(&Known::of_view(&group), &read, &work.command_id).into_iter().collect();
        Seen { also, ..seen }
    }

    /// That a group's own page does not know it may be for want of a permission: the list must not have it either.
    async fn is_gone(&self, work: &Work) -> Result<(), Seen> {
        let listed = self.provider.all_groups(&work.place.phone_number_id).await;
        let listed = listed.map_err(|answer| unanswered(&answer))?;
        if listed.iter().any(|group| group.group_id == work.place.group_id) {
            return Err(silent("the group is listed, but its own page does not know it"));
        }
        Ok(())
    }

    async fn link_reset(&self, work: &Work, command: &Command) -> Seen {
        let call = Call::GetInviteLink { group: work.place.group_id.clone() };
        let told_ms = self.link_told_ms(&work.place.group_id).await;
        let (answer, began_ms) = self.provider.call_timed(&work.place.phone_number_id, &call, None).await;
        let Answer::Done(Done::InviteLink(InviteLink(link))) = answer else { return unanswered(&answer) };
        let sent = command.state.sent.as_ref().and_then(|station| station.value.as_ref());
        let (result, reason) = match sent.and_then(|sent| sent.link_before.as_ref()) {
            Some(before) if *before == text_digest(&link) => {
                return Seen::new(CommandResult::Failed, "the link is still the one before");
            }
            Some(_) => (CommandResult::Succeeded, "the link is another one"),
            None => (CommandResult::Unknown, "the link before is not known"),
        };
        let time_ms = later(before_second(began_ms), told_ms);
        let also = vec![work.event(time_ms, "link", Evidence::Snapshot, new_link(&link))];
        Seen { also, ..Seen::new(result, reason) }
    }
}

fn unanswered(answer: &Answer) -> Seen {
    let code = match answer {
        Answer::Refused(refusal) => refusal.code,
        Answer::Unknown(unsure) => unsure.name(),
        _ => "unreadable_answer",
    };
    silent(code)
}

fn silent(why: &str) -> Seen {
    Seen::new(CommandResult::Unknown, &format!("the provider does not say: {why}"))
}

fn of_reading(wish: &Wish, reading: &Reading, group: &Group) -> Seen {
    let info = &reading.info;
    match wish {
        Wish::UpdateGroup { subject, description, picture_sha256 } => {
            let same = |wanted: &Option<String>, has: &Option<String>| {
                let has = text_digest(has.as_deref().unwrap_or_default());
                let done = |wanted: &String| text_digest(wanted) == has;
                wanted.as_ref().map(|wanted| if done(wanted) { Outcome::Succeeded } else { Outcome::Failed })
            };
            let told = [
                ("subject", same(subject, &info.subject)),
                ("description", same(description, &info.description)),
                ("picture", picture_sha256.as_ref().map(|_| Outcome::Unknown)),
            ];
            let items = told.into_iter().filter_map(|(name, outcome)| Some((name.to_owned(), outcome?)));
            let reason = match picture_sha256 {
                Some(_) => "a picture cannot be read from the provider",
                None => "the settings as the provider has them",
            };
            Seen::of(items.collect(), reason)
        }
        Wish::RemoveMembers { members } => {
            let item = |name: &String| {
                let outcome = match spelled(name, group, reading) {
                    There::No => Outcome::Succeeded,
                    There::Yes => Outcome::Failed,
                    There::CannotSay => Outcome::Unknown,
                };
                (name.clone(), outcome)
            };
            Seen::of(members.iter().map(item).collect(), "the members as the provider lists them")
        }
        Wish::ApproveJoinRequests { join_requests } | Wish::RejectJoinRequests { join_requests } => {
            let Some(pending) = &reading.requests else {
                return silent("join requests are not listed");
            };
            let lets_in = matches!(wish, Wish::ApproveJoinRequests { .. });
            let item = |id: &String| {
                let waits = pending.iter().any(|request| request.join_request_id == *id);
                let outcome = match (waits, of_request(id, group, reading), lets_in) {
                    (true, ..) | (_, There::No, true) | (_, There::Yes, false) => Outcome::Failed,
                    (_, There::CannotSay, true) => Outcome::Unknown,
                    (_, There::Yes, true) | (_, There::No | There::CannotSay, false) => Outcome::Succeeded,
                };
                (id.clone(), outcome)
            };
            let items = join_requests.iter().map(item).collect();
            Seen::of(items, "who waits and who is in, as the provider lists them")
        }
        _ => Seen::new(CommandResult::Failed, "the provider still has the group"),
    }
}
