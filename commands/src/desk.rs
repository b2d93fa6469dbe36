//! The desk: what the API takes to be written goes into the log from here, and what a platform asks of a group goes
//! to the provider.
//!
//! ```text
//! ask ─▶ rules ─▶ requested (in the log) ─▶ claim ─▶ sent (in the log) ─▶ provider ─▶ answered (in the log)
//!           │                                  │                            │             │
//!        refused                     one process alone                 once, ever    webhook │ deadline
//!                                                                                            ▼
//!                                                                     looked for at the provider ─▶ reconciled
//! ```
//!
//! A command is sent by whoever has its claim, and never again: a process that dies with it leaves a command whose
//! outcome is looked for at the provider, by whoever finds it.

mod call;
mod claims;
mod effects;
mod fitting;
mod group;
mod in_hand;
mod look;
mod people;
mod reconcile;
mod record;
mod recover;
mod rules;
mod run;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use groupfold_fold::view;
use groupfold_ingest::replay::Log;
use groupfold_projector::Projector;
use groupfold_projector::desk::{Ask, Handed, Look, Looked, Refusal, Taken, Unwritten};
use groupfold_schemas::crash::{self, Point};
use groupfold_schemas::position::Position;
use groupfold_schemas::{command, v1};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::exit::with_causes;
use crate::provider::{Provider, validate};
use crate::when::now_ms;
use claims::{Claims, Key};
use in_hand::InHand;
use record::Station;
use run::Work;
use turns::Turns;

/// Commands that one process has under way; more are refused for now.
const OPEN_MAX: usize = 4096;
/// How long calls under way may take once it is time to end.
const DRAIN: Duration = Duration::from_secs(10);

/// The writing hand behind the API of this process.
#[derive(Debug, Clone)]
pub(crate) struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    log: Log,
    claims: Claims,
    provider: Arc<Provider>,
    projector: Projector,
    /// How long the outcome of a command may take before it is looked for.
    deadline: Duration,
    turns: Turns,
    open: Arc<Semaphore>,
    /// Commands that this process has in hand.
    in_hand: InHand,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Desk {
    /// Begins to look for commands that nobody has in hand.
    pub(crate) fn start(
        client: async_nats::Client,
        partitions: u16,
        provider: Arc<Provider>,
        projector: Projector,
        deadline: Duration,
    ) -> Self {
        let desk = Self(Arc::new(Inner {
            log: Log::new(client.clone(), partitions),
            claims: Claims::new(async_nats::jetstream::new(client)),
            provider,
            projector,
            deadline,
            turns: Turns::default(),
            open: Arc::new(Semaphore::new(OPEN_MAX)),
            in_hand: InHand::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }));
        let inner = Arc::clone(&desk.0);
        desk.0.tasks.spawn(async move { inner.recover().await });
        desk
    }

    /// Takes no more, and waits for answers under way, a while at most: what is cut is looked for at the next start.
    pub(crate) async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(DRAIN, self.0.tasks.wait()).await.is_err() {
            tracing::warn!(
                "calls to the provider were cut; what became of them is looked for at the next start"
            );
        }
    }
}

impl groupfold_projector::desk::Desk for Desk {
    fn append(&self, records: Vec<v1::Record>) -> Handed<'_, Result<Position, Unwritten>> {
        Box::pin(self.0.append(records))
    }

    fn ask(&self, ask: Ask) -> Handed<'_, Result<Taken, Refusal>> {
        Box::pin(Arc::clone(&self.0).ask(ask))
    }

    fn look(&self, group: view::Group, look: Look) -> Handed<'_, Result<Looked, Refusal>> {
        Box::pin(self.0.look(group, look))
    }
}

impl Inner {
    async fn append(&self, records: Vec<v1::Record>) -> Result<Position, Unwritten> {
        let mut position = Position::default();
        for record in &records {
            let appended = self.log.append_ours(record).await.map_err(|error| {
                let error_text = with_causes("append", &error);
                tracing::warn!(error = %error_text, "an event of ours is not written");
                Unwritten { reason: error.reason }
            })?;
            appended.position.iter().for_each(|(partition, sequence)| position.raise(partition, sequence));
        }
        Ok(position)
    }

    async fn ask(self: Arc<Self>, ask: Ask) -> Result<Taken, Refusal> {
        if self.stop.is_cancelled() {
            return Err(Refusal::Busy);
        }
        let command_id = new_id()?;
        let work = self.work_of(&ask, command_id).await?;
        let permit = Arc::clone(&self.open).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let (mut work, before) = self.under_key(work, &ask).await?;
        if before {
            return Ok(Taken { command_id: work.command_id, position: Position::default() });
        }
        let (actor, idempotency_key) = (ask.actor.clone(), ask.idempotency_key.clone());
        let asked = work.record(now_ms(), Station::Requested { actor, idempotency_key });
        if let Some(broken) = rules::broken(&ask) {
            // The refusal first: cut off between the two, nobody knows of a command, and nobody sends it.
            let refused = work.record(now_ms(), Station::Refused(broken));
            let position = self.append(vec![refused, asked]).await?;
            let command_id = work.command_id;
            tracing::info!(command_id, code = broken.code, position = %position, "a command is refused");
            return Err(Refusal::Rule {
                code: broken.code,
                detail: broken.rule.to_owned(),
                command_id: Some(command_id),
            });
        }
        let position = self.append(vec![asked]).await?;
        crash::at(Point::CommandRequested);
        let command_id = work.command_id.clone();
        work.position = position.clone();
        self.take_in_hand(work, Some(permit));
        Ok(Taken { command_id, position })
    }

    /// The command as it is to be carried out; checked as far as it can be by itself.
    async fn work_of(&self, ask: &Ask, command_id: String) -> Result<Work, Refusal> {
        let place = self.place_of(ask).await?;
        let work =
            Work::new(command_id, place, ask.wish.clone(), ask.upload.clone(), now_ms(), self.deadline);
        validate(&work.call()).map_err(|faults| {
            Refusal::Fields(faults.into_iter().map(|fault| (call::field(&fault.field), fault.rule)).collect())
        })?;
        if work.asked_bytes() > record::ASKED_BYTES_MAX {
            let rule = format!("at most {} bytes as JSON", record::ASKED_BYTES_MAX);
            return Err(Refusal::Fields(vec![("body".to_owned(), rule)]));
        }
        if !self.provider.knows(&work.place.phone_number_id) {
            return Err(Refusal::NoProvider(format!(
                "there is no access token for phone_number_id {}: set meta_access_token",
                work.place.phone_number_id
            )));
        }
        Ok(work)
    }

    /// The same request under the same key is the same command. True if that one is in the log already.
    async fn under_key(&self, work: Work, ask: &Ask) -> Result<(Work, bool), Refusal> {
        let Some(key) = &ask.idempotency_key else {
            self.keep_upload(&work).await?;
            return Ok((work, false));
        };
        let claimed = self.claims.key(key, &work.fingerprint(), &work.command_id).await?;
        let work = match claimed {
            Key::New => work,
            Key::Reused => return Err(Refusal::KeyReused),
            Key::Same(command_id) => {
                match self.projector.command_now(&work.place.group_id, &command_id).await {
                    Ok(Some(known)) => {
                        let refused = rules::refused_before(&known);
                        return refused.map_or(Ok((Work { command_id, ..work }, true)), Err);
                    }
                    // Whoever took it died before it was in the log.
                    Ok(None) => Work { command_id, ..work },
                    Err(error) => {
                        tracing::warn!(%error, "a command cannot be looked up");
                        let what = "what became of the command under this key";
                        return Err(Refusal::NotKnown { what, why: error });
                    }
                }
            }
        };
        self.keep_upload(&work).await?;
        Ok((work, false))
    }

    async fn keep_upload(&self, work: &Work) -> Result<(), Refusal> {
        match &work.upload {
            Some(picture) => Ok(self.claims.keep(picture).await?),
            None => Ok(()),
        }
    }
}

fn new_id() -> Result<String, Refusal> {
    let mut random = [0; 10];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random)
        .map_err(|_| Refusal::Busy)?;
    Ok(command::command_id(now_ms(), random))
}
