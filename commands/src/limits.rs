//! How near the provider's limits the groups are (members of a group, groups of a number), and which commands wait for
//! longer than they may.

use std::collections::BTreeMap;
use std::slice;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::api::{Client, PAGE};
use crate::exit::Failure;

/// Members of a group, without the business (Meta, groups overview).
const MEMBERS_MAX: u64 = 8;
/// Members from which on a group is nearly full.
const MEMBERS_NEAR: u64 = MEMBERS_MAX - 1;
/// Groups of one business number (Meta, groups overview).
pub(crate) const GROUPS_MAX: u64 = 10_000;
/// Groups from which on a number is nearly full.
pub(crate) const GROUPS_NEAR: u64 = 9_500;
/// Pages of groups, and of commands of one status, that are looked through at most: commands that have no end are few.
const PAGES_MAX: [usize; 2] = [1000, 20];
/// Between pages, so that a census is nothing that other readers feel.
const BETWEEN_PAGES: Duration = Duration::from_millis(20);
/// After its deadline a command's outcome is looked for; that takes some time too.
const GRACE: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
const FIRST: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_secs(300);

/// Groups that are at the provider, counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) groups: u64,
    /// Groups with room for one more member at most.
    pub(crate) nearly_full: u64,
    by_number: BTreeMap<String, u64>,
    /// Commands whose deadline has passed, and that have no end.
    pub(crate) overdue: u64,
    /// There are more pages than are looked through: what was counted is the least.
    pub(crate) is_cut_off: bool,
}

impl Census {
    /// Counts all groups of a pipeline.
    pub(crate) async fn take(api: &Client) -> Result<Self, Failure> {
        Self::within(api, PAGES_MAX).await
    }

    async fn within(api: &Client, [groups_max, commands_max]: [usize; 2]) -> Result<Self, Failure> {
        let mut census = Self::default();
        let page = |page: &Value| list(page, "groups").for_each(|group| census.count(group));
        let limit = ("limit", Some(PAGE.to_owned()));
        let mut whole =
            api.pages(&["v1", "groups"], slice::from_ref(&limit), (groups_max, BETWEEN_PAGES), page).await?;
        let late = jiff::Timestamp::now().saturating_sub(GRACE).unwrap_or_default();
        for status in ["requested", "sent", "accepted"] {
            let query = [("status", Some(status.to_owned())), limit.clone()];
            let is_late = |command: &&Value| is_late(command, late);
            let page = |page: &Value| census.overdue += list(page, "commands").filter(is_late).count() as u64;
            whole &= api.pages(&["v1", "commands"], &query, (commands_max, Duration::ZERO), page).await?;
        }
        census.is_cut_off = !whole;
        Ok(census)
    }

    /// What is not counted, if anything.
    pub(crate) fn cut_off(&self) -> Option<String> {
        let groups = self.groups;
        self.is_cut_off.then(|| {
            let [pages, commands] = PAGES_MAX;
            format!(
                "not all groups or commands were counted ({groups} groups were): {pages} pages of {PAGE} groups are looked through, and {commands} of commands of a status"
            )
        })
    }

    /// The number with the most groups, and how many they are.
    pub(crate) fn fullest(&self) -> Option<(&str, u64)> {
        let fullest = self.by_number.iter().max_by_key(|(_, groups)| **groups);
        fullest.map(|(number, groups)| (number.as_str(), *groups))
    }

    fn count(&mut self, group: &Value) {
        let text = |name: &str| group.get(name).and_then(Value::as_str).unwrap_or_default();
        if !matches!(text("status"), "active" | "suspended" | "unknown") {
            return;
        }
        self.groups += 1;
        let members = group.pointer("/counts/member").and_then(Value::as_u64).unwrap_or_default();
        if members >= MEMBERS_NEAR {
            self.nearly_full += 1;
        }
        *self.by_number.entry(text("phone_number_id").to_owned()).or_default() += 1;
    }
}

fn list<'a>(page: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    page[name].as_array().into_iter().flatten()
}

/// Its outcome should have been looked for at the provider by then.
fn is_late(command: &Value, late: jiff::Timestamp) -> bool {
    let deadline = command.get("deadline_at").and_then(Value::as_str);
    deadline.and_then(|at| at.parse::<jiff::Timestamp>().ok()).is_some_and(|at| at < late)
}

/// A census every so often, as metrics.
pub(crate) struct Watch {
    api: Client,
    nearly_full: Gauge,
    fullest: Gauge,
    overdue: Gauge,
    stale: Gauge,
}

impl Watch {
    pub(crate) fn new(api: Client, registry: &mut Registry) -> Self {
        let [nearly_full, fullest, overdue, stale] = std::array::from_fn(|_| Gauge::default());
        let watch = Self { api, nearly_full, fullest, overdue, stale };
        registry.register(
            "groupfold_groups_nearly_full",
            "Groups with at least 7 of the 8 members that a group may have",
            watch.nearly_full.clone(),
        );
        registry.register(
            "groupfold_groups_of_fullest_number",
            "Groups of the business number that has most; 10,000 is the provider's limit",
            watch.fullest.clone(),
        );
        registry.register(
            "groupfold_commands_overdue",
            "Commands without an end whose deadline has passed by more than a minute",
            watch.overdue.clone(),
        );
        registry.register(
            "groupfold_census_stale",
            "1: groups and commands could not be counted, or not all: what is told of them is from before, or the least",
            watch.stale.clone(),
        );
        watch
    }

    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut pause = FIRST;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = EVERY;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.look() => {}
            }
        }
    }

    async fn look(&self) {
        self.note(Census::take(&self.api).await);
    }

    fn note(&self, census: Result<Census, Failure>) {
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        // What was counted before stays: an alert on it tells of a fault that may well last.
        self.stale.set(i64::from(census.as_ref().map_or(true, |census| census.is_cut_off)));
        match census {
            Ok(census) => {
                if let Some(reason) = census.cut_off() {
                    tracing::warn!(reason, "groups and commands could not be counted");
                }
                self.overdue.set(gauge(census.overdue));
                self.nearly_full.set(gauge(census.nearly_full));
                self.fullest.set(gauge(census.fullest().map_or(0, |(_, groups)| groups)));
            }
            Err(error) => tracing::warn!(%error, "groups and commands could not be counted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The gauges stayed as they were, and an alert on them saw nothing.
    #[tokio::test]
    async fn what_could_not_be_counted_is_told() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let nobody = Client::new("http://127.0.0.1:9", None).unwrap();
        let watch = Watch::new(nobody, &mut Registry::default());
        watch.look().await;
        assert_eq!(watch.stale.get(), 1);
    }

    /// It was taken for all there is.
    #[tokio::test]
    async fn a_census_that_was_cut_off_says_so() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Pages enough, for ever.
        let group = json!({ "phone_number_id": "1", "status": "active" });
        let page = json!({ "groups": [group], "commands": [], "cursor": "next" });
        let router = axum::Router::new().fallback(async move || axum::Json(page));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let api = Client::new(&url, None).unwrap();
        let census = Census::within(&api, [3, 2]).await.unwrap();
        assert_eq!((census.groups, census.is_cut_off), (3, true));
        let told = census.cut_off().unwrap();
        assert!(told.contains("(3 groups were)") && !told.contains("  "), "{told}");
        let watch = Watch::new(api, &mut Registry::default());
        watch.note(Ok(census));
        assert_eq!((watch.stale.get(), watch.fullest.get()), (1, 3));
        watch.note(Ok(Census::default()));
        assert_eq!((watch.stale.get(), watch.fullest.get()), (0, 0));
    }

    #[test]
    fn only_groups_at_the_provider_count_and_those_with_little_room_are_told() {
        let group = |number: &str, status: &str, members: u64| json!({ "phone_number_id": number, "status": status, "counts": { "member": members } });
        let mut census = Census::default();
        for group in [
            group("1", "active", 8),
            group("1", "suspended", 6),
            group("2", "active", 7),
            group("2", "deleted", 8),
        ] {
            census.count(&group);
        }
        let command = json!({ "deadline_at": "2026-01-01T00:00:00Z" });
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        assert!(
            is_late(&command, at("2026-01-01T00:00:01Z")) && !is_late(&command, at("2026-01-01T00:00:00Z"))
        );
        assert_eq!((census.groups, census.nearly_full, census.fullest()), (3, 2, Some(("1", 2))));
    }
}
