//! The client of a provider's API: what can be asked of a group, in neutral words, and what became of asking.
//!
//! ```text
//! Call ─▶ validate ─▶ gate of the number ─▶ meta::request ─▶ HTTP ─▶ meta::answer ─▶ Answer
//!          (refused      (bounded, backs                              (accepted | done | partly |
//!           unsent)       off together)                                refused | unknown)
//! ```
//!
//! An [`Answer`] never guesses. *Refused* is said only where nothing was done, *unknown* wherever a call may have been
//! done without our hearing of it: no endpoint takes an idempotency key, so such a call is repeated by nobody here.
//! What cannot change anything (reading) or was refused before it was begun (too many calls, no connection) is
//! tried again within its patience.
//!
//! Another provider brings a room beside `meta` that turns the same calls into its requests and its answers into
//! the same [`Answer`]; gate, patience and checks stay.

mod answer;
mod call;
mod check;
mod gate;
mod meta;
mod metrics;
mod token;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use answer::{
    Advice, Answer, Done, GroupInfo, GroupListed, InviteLink, ItemFate, JoinRequest, Refusal, Unsure,
};
pub(crate) use call::{Call, Content, Message, Picture};
pub(crate) use check::validate;
pub(crate) use meta::{GROUP_UNKNOWN, NOT_FOUND};
pub(crate) use token::Tokens;

use tokio::time::Instant;

use crate::exit::Failure;
use crate::when::now_ms;
use gate::Gates;
use meta::{Meta, Sent};
use metrics::Metrics;

/// How often a call that is known not to have been done is tried, the first time included.
const ATTEMPTS_MAX: u32 = 5;
/// Pages of a list that are read at most: 10,000 groups in pages of a thousand, with room.
const PAGES_MAX: usize = 64;
/// How often a list is read anew because its cursor expired on the way.
const RESTARTS_MAX: usize = 3;

/// Times that the provider tells are whole seconds, and its answers are a while on their way.
pub(crate) const CLOCK_EARLY_MS: i64 = 2_000;

/// How the provider is reached.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Base of all addresses, with the version: `https://graph.facebook.com/v25.0`.
    pub(crate) meta_graph_url: reqwest::Url,
    /// Access tokens, by phone number.
    pub(crate) tokens: Tokens,
    /// How long one attempt may take, from the connection to the last byte of the answer.
    pub(crate) deadline: Duration,
    /// How long a call may wait in all, for its turn and between attempts.
    pub(crate) patience: Duration,
    /// Calls under way at once, of all numbers.
    pub(crate) calls_max: usize,
}

impl Settings {
    /// Turns all calls to a simulated provider.
    pub(crate) fn turn_to(&mut self, graph_url: &str, token: &str) -> Result<(), Failure> {
        let failed = |why: &str| Failure::Failed(format!("the demo's provider cannot be reached: {why}"));
        self.meta_graph_url = reqwest::Url::parse(graph_url).map_err(|error| failed(&error.to_string()))?;
        self.tokens = Tokens::parse([token]).map_err(failed)?;
        Ok(())
    }
}

/// The provider's API.
#[derive(Debug)]
pub(crate) struct Provider {
    meta: Meta,
    gates: Gates,
    patience: Duration,
    /// Of one attempt.
    deadline: Duration,
    metrics: Metrics,
}

impl Provider {
    /// Nothing is asked of the provider yet.
    pub(crate) fn new(settings: Settings) -> Result<Self, Failure> {
        Ok(Self {
            gates: Gates::new(settings.calls_max),
            patience: settings.patience,
            deadline: settings.deadline,
            metrics: Metrics::default(),
            meta: Meta::new(settings)?,
        })
    }

    /// True if there is a token to ask with on behalf of a number.
    pub(crate) fn knows(&self, phone_number_id: &str) -> bool {
        self.meta.knows(phone_number_id)
    }

    /// After so long a call has ended: the last attempt is begun within patience, and has a deadline.
    pub(crate) fn longest_call(&self) -> Duration {
        self.patience.saturating_add(self.deadline)
    }

    /// How far the provider's clock is ahead of ours, milliseconds, as its last answer told; its times are whole seconds.
    pub(crate) fn ahead_ms(&self) -> i64 {
        self.meta.ahead_ms()
    }

    /// The provider's clock, Unix milliseconds: late by nothing, early by [`CLOCK_EARLY_MS`] at most.
    pub(crate) fn clock_ms(&self) -> i64 {
        now_ms().saturating_add(self.ahead_ms())
    }

    /// Asks with these tokens from now on.
    pub(crate) fn replace_tokens(&self, tokens: Tokens) {
        self.meta.replace_tokens(tokens);
    }

    /// Lets what is asked be counted.
    pub(crate) fn register(&self, registry: &mut prometheus_client::registry::Registry) {
        self.metrics.register(registry);
    }

    /// Asks once on behalf of a number. Calls that are at fault by themselves are refused unsent. Dropped before
    /// it ends, a call may have been done or not.
    pub(crate) async fn call(&self, phone_number_id: &str, call: &Call) -> Answer {
        self.call_timed(phone_number_id, call, None).await.0
    }

    /// The same, but that no attempt begins after a time.
    pub(crate) async fn call_until(&self, phone_number_id: &str, call: &Call, until: Instant) -> Answer {
        self.call_timed(phone_number_id, call, Some(until)).await.0
    }

    /// The same, with when the attempt began that was answered, by [`Self::clock_ms`].
    pub(crate) async fn call_timed(
        &self,
        phone_number_id: &str,
        call: &Call,
        until: Option<Instant>,
    ) -> (Answer, i64) {
        let patient = Instant::now() + self.patience;
        let give_up = until.map_or(patient, |until| until.min(patient));
        let mut began_ms = now_ms();
        let answer = self.answer(phone_number_id, call, give_up, &mut began_ms).await;
        self.metrics.answered(call, &answer);
        (answer, began_ms.saturating_add(self.ahead_ms()))
    }

    async fn answer(
        &self,
        phone_number_id: &str,
        call: &Call,
        give_up: Instant,
        began_ms: &mut i64,
    ) -> Answer {
        if let Err(faults) = validate(call) {
            return Answer::Refused(Refusal::of_faults(&faults));
        }
        let mut attempt = 1;
        // What the provider said before tells more than that there was no time to ask it again.
        let mut held_back = Answer::Refused(Refusal::of("held_back", Advice::RetryLater));
        loop {
            let Ok(pass) = tokio::time::timeout_at(give_up, self.gates.enter(phone_number_id)).await else {
                return held_back;
            };
            *began_ms = now_ms();
            let sent = self.meta.send(phone_number_id, call).await;
            let answer = match sent {
                Sent::Answered(answer) => {
                    pass.open();
                    return answer;
                }
                Sent::Slow { answer, retry_after } => {
                    pass.close(retry_after);
                    answer
                }
                Sent::Failed(answer) => answer,
            };
            // Who pauses must not hold the places of others, nor the turn of whoever probes.
            drop(pass);
            let again = answer.is_certain() || call.is_reading();
            let pause = gate::pause(attempt);
            if !again || attempt >= ATTEMPTS_MAX || Instant::now() + pause >= give_up {
                return answer;
            }
            tracing::debug!(call = call.name(), phone_number_id, attempt, "asked again");
            held_back = answer;
            attempt += 1;
            tokio::time::sleep(pause).await;
        }
    }

    /// All groups of a number that are active, page by page; read anew when the cursor expires on the way.
    pub(crate) async fn all_groups(&self, phone_number_id: &str) -> Result<Vec<GroupListed>, Answer> {
        let mut groups = std::collections::BTreeMap::new();
        let mut restarts = 0;
        let (mut after, mut pages) = (None, 0);
        loop {
            let call = Call::ListGroups { limit: call::LIST_LIMIT_MAX, after: after.take() };
            let page = match self.call(phone_number_id, &call).await {
                Answer::Done(Done::Groups(page)) => page,
                Answer::Refused(refusal)
                    if refusal.code == meta::CURSOR_EXPIRED && restarts < RESTARTS_MAX =>
                {
                    restarts += 1;
                    pages = 0;
                    groups.clear();
                    continue;
                }
                other => return Err(other),
            };
            // A list that changes while it is read may show a group on two pages.
            groups.extend(page.items.into_iter().map(|group| (group.group_id.clone(), group)));
            pages += 1;
            match page.next {
                None => return Ok(groups.into_values().collect()),
                Some(_) if pages >= PAGES_MAX => return Err(Answer::Unknown(Unsure::TooLong)),
                next => after = next,
            }
        }
    }

    /// All pending join requests of a group, page by page. The list need not say where it ends: a page without requests
    /// does, and one that leads back to itself.
    pub(crate) async fn all_join_requests(
        &self,
        phone_number_id: &str,
        group: &str,
    ) -> Result<Vec<JoinRequest>, Answer> {
        let mut requests: Vec<JoinRequest> = Vec::new();
        let mut known = std::collections::HashSet::new();
        let mut restarts = 0;
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let call = Call::ListJoinRequests { group: group.to_owned(), after: after.clone() };
            match self.call(phone_number_id, &call).await {
                Answer::Done(Done::JoinRequests(page)) => {
                    // Whoever does not look at the cursor shows the same page again.
                    let new = page.items.into_iter().filter(|one| known.insert(one.join_request_id.clone()));
                    requests.extend(new);
                    if page.next.is_none() || page.next == after {
                        return Ok(requests);
                    }
                    after = page.next;
                }
                // The request that the cursor stands for may just have been dealt with.
                Answer::Refused(refusal)
                    if refusal.code == meta::CURSOR_EXPIRED && restarts < RESTARTS_MAX =>
                {
                    restarts += 1;
                    after = None;
                    requests.clear();
                    known.clear();
                }
                other => return Err(other),
            }
        }
        Err(Answer::Unknown(Unsure::TooLong))
    }
}

/// The last millisecond before a second: webhooks carry whole seconds, and one of the same second must win over what was
/// read or done in it.
pub(crate) fn before_second(ms: i64) -> i64 {
    ms.div_euclid(1000).saturating_mul(1000).saturating_sub(1)
}
