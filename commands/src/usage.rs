//! `groupfold usage`: deliveries and what they cost, through the query API.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::exit::Failure;
use crate::group::Reach;
use crate::print;
use crate::when::Moment;

const COUNTS: [&str; 5] = ["billable", "free", "free_in_window", "unpriced", "delivered"];
/// Most pages that are added up; each has as many messages as the server looks at for one.
const PAGES_MAX: usize = 10_000;

/// Count deliveries, billable and free
#[derive(clap::Args, Debug)]
#[command(
    after_help = "A delivery is one message that reached one member, once, however often it was reported; whoever \
                  read a message received it. Whether it is billable is what the provider's pricing says, in the \
                  member's own reports before the message's; without any it is unpriced."
)]
pub(crate) struct UsageArgs {
    /// Deliveries from this time, day (UTC) or age (-720h) on
    #[arg(long, visible_alias = "since", value_name = "TIME", allow_hyphen_values = true, value_parser = crate::when::time_ms)]
    from: Option<i64>,
    /// Deliveries before this time, day (UTC) or age
    #[arg(long, visible_alias = "until", value_name = "TIME", allow_hyphen_values = true, value_parser = crate::when::time_ms)]
    to: Option<i64>,
    /// What to count by
    #[arg(long, value_enum, default_value = "day")]
    by: By,
    #[command(flatten)]
    reach: Reach,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
enum By {
    /// Day of the delivery, UTC
    Day,
    Group,
    /// The pricing's category
    Category,
    /// Country of the member's number
    Country,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Group => "group",
            Self::Category => "category",
            Self::Country => "country",
        }
    }
}

/// Pages added up.
#[derive(Default)]
struct Sum {
    rows: BTreeMap<String, Row>,
    total: [u64; COUNTS.len()],
    messages: u64,
    position: Value,
}

#[derive(Default)]
struct Row {
    counts: [u64; COUNTS.len()],
    window_open_until: Value,
}

/// Asks for all pages, adds them up, and prints.
pub(crate) async fn run(args: UsageArgs) -> Result<(), Failure> {
    let UsageArgs { from, to, by, reach } = args;
    let time = |ms: Option<i64>| ms.map(|ms| Moment::Time(ms).for_api());
    let mut sum = Sum::default();
    let mut query = vec![("from", time(from)), ("to", time(to)), ("by", Some(by.name().to_owned()))];
    query.extend(reach.waits());
    let most = (PAGES_MAX, Duration::ZERO);
    if !reach.api.client()?.pages(&["v1", "usage"], &query, most, |page| sum.add(page)).await? {
        return Err(Failure::Failed(format!(
            "there are more than {PAGES_MAX} pages; ask for less with --from and --to"
        )));
    }
    print::either(
        reach.output,
        || serde_json::to_string_pretty(&sum.json(by)).unwrap_or_default(),
        || sum.table(by),
    )
}

fn counts(of: &Value) -> [u64; COUNTS.len()] {
    COUNTS.map(|name| of[name].as_u64().unwrap_or_default())
}

fn add(to: &mut [u64; COUNTS.len()], more: [u64; COUNTS.len()]) {
    to.iter_mut().zip(more).for_each(|(to, more)| *to += more);
}

impl Sum {
    fn add(&mut self, page: &Value) {
        for row in page["rows"].as_array().into_iter().flatten() {
            let one = self.rows.entry(row["key"].as_str().unwrap_or_default().to_owned()).or_default();
            add(&mut one.counts, counts(&row["counts"]));
            if !row["window_open_until"].is_null() {
                one.window_open_until = row["window_open_until"].clone();
            }
        }
        add(&mut self.total, counts(&page["total"]));
        self.messages += page["messages"].as_u64().unwrap_or_default();
        // That of the first page: the later ones reflect it too.
        if self.position.is_null() {
            self.position = page["position"].clone();
        }
    }

    fn json(&self, by: By) -> Value {
        let named = |counts: &[u64; COUNTS.len()]| -> Value { COUNTS.into_iter().zip(*counts).collect() };
        let row = |(key, row): (&String, &Row)| json!({ "key": key, "counts": named(&row.counts), "window_open_until": row.window_open_until });
        json!({ "by": by.name(), "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
                "total": named(&self.total), "messages": self.messages, "position": self.position })
    }

    fn table(&self, by: By) -> String {
        let by = by.name().to_uppercase();
        let mut table =
            print::table([&*by, "BILLABLE", "FREE", "IN WINDOW", "UNPRICED", "DELIVERED", "WINDOW UNTIL"]);
        for (key, row) in &self.rows {
            let counts = row.counts.iter().map(u64::to_string);
            let until = row.window_open_until.as_str().unwrap_or_default().to_owned();
            table.add_row([key.clone()].into_iter().chain(counts).chain([until]).collect::<Vec<_>>());
        }
        let total = self.total.iter().map(u64::to_string);
        table.add_row(
            ["total".to_owned()].into_iter().chain(total).chain([String::new()]).collect::<Vec<_>>(),
        );
        format!("{table}\n\n{} messages", self.messages)
    }
}
