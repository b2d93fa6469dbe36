//! A command on its way: claimed, sent once, answered, and its outcome awaited.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use groupfold_fold::view::{CLOCKS_MS, Command, CommandStatus};
use groupfold_projector::desk::Wish;
use groupfold_schemas::crash::{self, Point};
use groupfold_schemas::id::{hex, sha256};
use groupfold_schemas::position::Position;
use groupfold_schemas::v1;
use groupfold_schemas::v1::CommandType;
use prost::Message as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout_at};

use super::group::Place;
use super::record::Station;
use super::rules::Broken;
use super::{Inner, call, now_ms, turns};
use crate::provider::Call;

/// Between attempts to write what the provider answered: it is told nowhere else.
const WRITE_AGAIN: Duration = Duration::from_secs(1);
/// A command whose time was over before anybody could send it.
const EXPIRED: Broken =
    Broken { code: "expired", field: "deadline_at", rule: "it could not be sent in time, and was not sent" };

/// A picture is kept for a day, unless somebody removes it.
const PICTURE_GONE: Broken = Broken {
    code: "picture_gone",
    field: "picture",
    rule: "the picture is kept no longer, and nothing was sent: send the command again with its picture",
};

/// A command to carry out.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) command_id: String,
    pub(super) place: Place,
    pub(super) wish: Wish,
    pub(super) upload: Option<Bytes>,
    /// Unix milliseconds.
    pub(super) deadline_ms: i64,
    /// Where it stands in the log; empty of one that was found there.
    pub(super) position: Position,
}

impl Work {
    pub(super) fn new(
        command_id: String,
        place: Place,
        wish: Wish,
        upload: Option<Bytes>,
        now_ms: i64,
        deadline: Duration,
    ) -> Self {
        let deadline_ms = now_ms.saturating_add(i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX));
        Self { command_id, place, wish, upload, deadline_ms, position: Position::default() }
    }

    /// A command that stands in the log; `None` if this build cannot read what it asks for.
    pub(super) fn of(command: &Command) -> Option<Self> {
        let station = command.state.requested.clone()?;
        let requested = station.value?;
        Some(Self {
            command_id: command.command_id.clone(),
            place: Place {
                account: station.account,
                phone_number_id: station.phone_number_id,
                group_id: station.group_id,
            },
            wish: serde_json::from_slice(&requested.body).ok()?,
            upload: None,
            deadline_ms: requested.deadline_ms,
            position: Position::default(),
        })
    }

    pub(super) fn call(&self) -> Call {
        call::of(&self.wish, &self.place.group_id, self.upload.as_ref(), &self.command_id)
    }

    /// What is asked for, as it is kept.
    pub(super) fn asked(&self) -> Vec<u8> {
        serde_json::to_vec(&self.wish).unwrap_or_default()
    }

    pub(super) fn asked_bytes(&self) -> usize {
        let items = self.wish.items().iter().map(|item| item.encoded_len() + 2).sum::<usize>();
        self.asked().len() + items
    }

    /// Tells one request from another.
    pub(super) fn fingerprint(&self) -> String {
        let place = &self.place;
        hex(&sha256([place.phone_number_id.as_bytes(), place.group_id.as_bytes(), &self.asked()]))
    }

    /// A message, whose fate receipts tell.
    pub(super) fn sends(&self) -> bool {
        matches!(
            self.wish.command_type(),
            CommandType::MessageSend
                | CommandType::MessagePin
                | CommandType::MessageUnpin
                | CommandType::InviteSend
        )
    }

    pub(super) fn is_over(&self) -> bool {
        now_ms() > self.deadline_ms
    }

    /// The picture that it needs and does not have: it was found in the log.
    fn lacks(&self) -> Option<&str> {
        match &self.wish {
            Wish::UpdateGroup { picture_sha256, .. } if self.upload.is_none() => picture_sha256.as_deref(),
            _ => None,
        }
    }

    /// When its outcome is looked for.
    pub(super) fn deadline(&self) -> Instant {
        let left = u64::try_from(self.deadline_ms - now_ms()).unwrap_or_default();
        Instant::now() + Duration::from_millis(left)
    }
}

impl Inner {
    /// Carries a command out in the background, unless this process does so already.
    pub(super) fn take_in_hand(self: &Arc<Self>, work: Work, permit: Option<OwnedSemaphorePermit>) {
        let Some(held) = self.in_hand.take(&work.command_id) else { return };
        let inner = Arc::clone(self);
        // In the order in which they are taken in hand, whichever task runs first.
        let turn = self.turns.queue(&work.place.group_id, work.wish.command_type());
        self.tasks.spawn(async move {
            let (_permit, _held) = (permit, held);
            inner.carry_out(work, turn).await;
        });
    }

    async fn carry_out(&self, mut work: Work, turn: turns::Queued) {
        let _turn = tokio::select! {
            turn = turn => turn,
            () = self.stop.cancelled() => return,
        };
        // Whoever refused it told so before: what is folded up to its own place knows.
        let folded = tokio::select! {
            folded = self.projector.reached(&work.position, work.deadline()) => folded,
            () = self.stop.cancelled() => return,
        };
        let group = &work.place.group_id;
        let status = match self.projector.command(group, &work.command_id).await {
            Ok(known) if folded => known.map_or(CommandStatus::Requested, |command| command.status),
            // A creation breaks no rule, and may stand in a partition that cannot be read from here.
            _ if group.is_empty() => CommandStatus::Requested,
            // Whoever looks next tries again.
            _ => return,
        };
        if status == CommandStatus::Requested && !self.stop.is_cancelled() {
            // Before it is claimed: whoever looks next tries again, until its time is over.
            if let Some(name) = work.lacks().filter(|_| !work.is_over()) {
                match timeout_at(work.deadline(), self.claims.kept(name)).await {
                    Ok(Ok(kept)) => work.upload = kept,
                    Ok(Err(_)) | Err(_) => return,
                }
            }
            match self.claims.claim(&work.command_id).await {
                Ok(true) => self.send(&work).await,
                // Somebody else has it, or died with it: its outcome is awaited like any other's.
                Ok(false) => {}
                // Whoever looks next tries again.
                Err(_) => return,
            }
        }
        self.settle(&work).await;
    }

    /// Sends it. In this order, so that a process killed at any point leaves a command that is never sent again and
    /// whose outcome is looked for.
    async fn send(&self, work: &Work) {
        if work.is_over() {
            return self.write_at_last(vec![work.record(now_ms(), Station::Refused(EXPIRED))]).await;
        }
        if work.lacks().is_some() {
            return self.write_at_last(vec![work.record(now_ms(), Station::Refused(PICTURE_GONE))]).await;
        }
        crash::at(Point::CommandClaimed);
        let of = work.wish.command_type();
        let since = now_ms() - CLOCKS_MS;
        let known = self.projector.outcomes_since(&work.place.group_id, of, since).await;
        let mut before = self.before(work).await;
        let sent = Station::Sent(known.unwrap_or_default(), before.link.take());
        if self.append(vec![work.record(now_ms(), sent)]).await.is_err() {
            return;
        }
        crash::at(Point::CommandSent);
        let number = &work.place.phone_number_id;
        // Once its time is over it is looked for: it is not begun any more.
        let (answer, began_ms) = self.provider.call_timed(number, &work.call(), Some(work.deadline())).await;
        let mut records = self.effects(work, &answer, began_ms, &before);
        crash::at(Point::CommandCalled);
        let told = work.answered(&answer);
        tracing::info!(
            command_id = work.command_id,
            result = told.result().name(),
            code = told.code,
            "a command is answered"
        );
        records.push(work.record(now_ms(), Station::Answered(told)));
        self.write_at_last(records).await;
        crash::at(Point::CommandAnswered);
    }

    /// Writes what is told nowhere else, however long the broker is away.
    pub(super) async fn write_at_last(&self, records: Vec<v1::Record>) {
        while self.append(records.clone()).await.is_err() {
            tokio::select! {
                () = sleep(WRITE_AGAIN) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Waits for its outcome, and looks for it when none comes. No answer comes after the longest call: somebody else was to
    /// write it and is dead, and what webhooks told of it is no end without.
    async fn settle(&self, work: &Work) {
        let deadline = work.deadline();
        let mut until = deadline.min(Instant::now() + self.provider.longest_call());
        let command = loop {
            let ended = tokio::select! {
                ended = self.projector.command_ended(&work.place.group_id, &work.command_id, until) => ended,
                () = self.stop.cancelled() => return,
            };
            let Ok(Some(command)) = ended else { return };
            let unanswered = command.state.sent.is_some() && command.state.answered.is_none();
            if command.status.is_end() || unanswered || until >= deadline {
                break command;
            }
            until = deadline;
        };
        if is_to_be_looked_for(&command) {
            self.reconcile(work, &command).await;
        }
    }
}

/// The provider has not been asked yet how it ended; or what was so already, which no webhook tells of.
pub(super) fn is_to_be_looked_for(command: &Command) -> bool {
    command.state.reconciled.is_none() && (command.is_open() || command.was_so_already())
}
