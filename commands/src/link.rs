//! Readiness of a process that asks the log and receives nothing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::Client;
use async_nats::connection::State;

/// How long it may be away before readiness says so, as of the connection that reads the log.
const GRACE: Duration = Duration::from_secs(3);

/// The connection over which what is asked for is looked up: it may be refused where the one that reads the log is not.
pub(crate) struct Link {
    client: Client,
    /// Since when it has been seen away.
    away: Mutex<Option<Instant>>,
}

impl Link {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, away: Mutex::default() }
    }

    /// Why requests should rather go elsewhere; none if they need not.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let connected = self.client.connection_state() == State::Connected;
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = is_away(&mut away, connected, Instant::now()).then(|| "broker: disconnected".to_owned());
        reason.into_iter().collect()
    }
}

fn is_away(away: &mut Option<Instant>, connected: bool, now: Instant) -> bool {
    if connected {
        *away = None;
        return false;
    }
    now.duration_since(*away.get_or_insert(now)) > GRACE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_away_for_longer_than_a_restart_takes_is_no_longer_ready() {
        let (begin, mut away) = (Instant::now(), None);
        let mut at = |seconds, connected| is_away(&mut away, connected, begin + Duration::from_secs(seconds));
        assert!(!at(0, true) && !at(10, false) && !at(13, false) && at(14, false));
        assert!(!at(15, true) && !at(16, false) && !at(19, false) && at(20, false));
    }
}
