//! What was delivered and what it costs, counted from receipts. Counts come from sets of (message, person): no
//! repeated, late or contradictory receipt bills a delivery twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use groupfold_fold::entry::{Key, Source as _, Value};
use groupfold_fold::view::{self, Delivery};
use groupfold_schemas::position::Position;
use groupfold_schemas::v1;

use crate::caller::Caller;
use crate::partition::Partition;
pub(crate) use crate::shape::{UsageBy as By, UsageCounts as Counts};
use crate::store::{self, ReadView};

/// Messages looked at for one page.
pub(crate) const MESSAGES_MAX: usize = 100_000;
/// Messages looked at under one view: the writer waits that long.
const PORTION_MESSAGES: usize = 250;
/// A page ends early after this.
const PAGE_TIME_MAX: Duration = Duration::from_secs(10);

/// What to count.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// Deliveries not before this, Unix milliseconds.
    pub(crate) from_ms: i64,
    /// Deliveries before this, Unix milliseconds.
    pub(crate) to_ms: i64,
    pub(crate) by: By,
    /// Where the page before ended.
    pub(crate) after: Option<Place>,
    /// Who asks: messages of groups that they may not see are not counted.
    pub(crate) caller: Caller,
}

/// How far a count is: messages of earlier partitions, and of this one up to this, are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) partition: u16,
    pub(crate) message: String,
}

/// A page of a count. Each message is in one page alone, so pages add up.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) rows: BTreeMap<String, Counts>,
    pub(crate) total: Counts,
    /// Messages with a delivery in the time asked for.
    pub(crate) messages: u64,
    /// End of the service window, by group, when counted by group.
    pub(crate) windows: BTreeMap<String, i64>,
    pub(crate) next: Option<Place>,
    pub(crate) position: Position,
}

/// Counts a page. Blocks; the stores are looked at in portions, so that writers get their turn.
///
/// # Errors
/// A store is closed or cannot be read.
pub(crate) fn count(partitions: &[Partition], question: &Question) -> Result<Page, store::Error> {
    page(partitions, question, MESSAGES_MAX)
}

fn page(partitions: &[Partition], question: &Question, most: usize) -> Result<Page, store::Error> {
    let begun = Instant::now();
    let mut page = Page::default();
    let mut looked_at = 0;
    for partition in partitions {
        let mut after = match &question.after {
            Some(place) if partition.id < place.partition => continue,
            Some(place) if partition.id == place.partition => Some(place.message.clone()),
            _ => None,
        };
        // What the first portion reflects, the later ones reflect too.
        page.position.raise(partition.id, partition.store.view()?.sequence());
        loop {
            let found = portion(partition, partitions, after.as_deref(), question, &mut page)?;
            looked_at += found.looked_at;
            let Some(last) = found.last else { break };
            if looked_at >= most || begun.elapsed() >= PAGE_TIME_MAX {
                page.next = Some(Place { partition: partition.id, message: last });
                return Ok(page);
            }
            after = Some(last);
        }
    }
    Ok(page)
}

struct Portion {
    looked_at: usize,
    /// Where the next one begins; absent at the end.
    last: Option<String>,
}

fn portion(
    partition: &Partition,
    all: &[Partition],
    after: Option<&str>,
    question: &Question,
    page: &mut Page,
) -> Result<Portion, store::Error> {
    let view = partition.store.view()?;
    let messages: Result<Vec<_>, _> = view.messages_after(after)?.take(PORTION_MESSAGES).collect();
    let (with_group, without): (Vec<_>, Vec<_>) =
        messages?.into_iter().partition(|(_, head)| names_group(head));
    let looked_at = with_group.len() + without.len();
    let ids = with_group.iter().chain(&without).map(|(id, _)| id);
    let last = (looked_at == PORTION_MESSAGES).then(|| ids.max().cloned()).flatten();
    let with_group = seen(&view, with_group, &question.caller)?;
    let deliveries = view::deliveries(&view, with_group)?;
    add(page, deliveries, question, Some(&view))?;
    // One view at a time: two could wait for writers that wait for each other's readers.
    drop(view);
    let mut alone = Vec::new();
    // Of which group they are is not known, so whose they are is not either.
    let without = if question.caller.sees_all() { without } else { Vec::new() };
    for (id, head) in without {
        if !known_elsewhere(&id, partition, all)? {
            alone.push((id, head));
        }
    }
    if !alone.is_empty() {
        let deliveries = view::deliveries(&partition.store.view()?, alone)?;
        add(page, deliveries, question, None)?;
    }
    Ok(Portion { looked_at, last })
}

/// Those of groups that who asks may see.
fn seen(
    view: &ReadView<'_>,
    messages: Vec<(String, v1::MessageHead)>,
    caller: &Caller,
) -> Result<Vec<(String, v1::MessageHead)>, store::Error> {
    let mut seen = Vec::with_capacity(messages.len());
    for (id, head) in messages {
        if caller.may_see_group(view, group_of(&head))? {
            seen.push((id, head));
        }
    }
    Ok(seen)
}

fn group_of(head: &v1::MessageHead) -> &str {
    head.group_id.as_ref().and_then(|register| register.value.as_deref()).unwrap_or_default()
}

fn names_group(head: &v1::MessageHead) -> bool {
    !group_of(head).is_empty()
}

/// A report that left the group out went to the account's partition: the message is counted in its group's.
fn known_elsewhere(id: &str, home: &Partition, all: &[Partition]) -> Result<bool, store::Error> {
    for partition in all.iter().filter(|partition| partition.id != home.id) {
        let head = partition.store.view()?.get(&Key::Message { message: id.to_owned() })?;
        if matches!(head, Some(Value::Message(head)) if names_group(&head)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn add(
    page: &mut Page,
    deliveries: Vec<Delivery>,
    question: &Question,
    view: Option<&ReadView<'_>>,
) -> Result<(), store::Error> {
    let mut messages = std::collections::BTreeSet::new();
    for delivery in deliveries {
        if !(question.from_ms..question.to_ms).contains(&delivery.delivered_at_ms) {
            continue;
        }
        let key = key(&delivery, question.by);
        if let (By::Group, Some(view), false) = (question.by, view, page.rows.contains_key(&key))
            && let Some(until) = view::window_until(view, &key)?
        {
            page.windows.insert(key.clone(), until);
        }
        let one = Counts::of(&delivery);
        page.total.add(one);
        page.rows.entry(key).or_default().add(one);
        messages.insert(delivery.message_id);
    }
    page.messages += messages.len() as u64;
    Ok(())
}

/// What is not known stands under this.
const UNKNOWN: &str = "unknown";

fn key(delivery: &Delivery, by: By) -> String {
    let known = |text: String| if text.is_empty() { UNKNOWN.to_owned() } else { text };
    match by {
        By::Day => jiff::Timestamp::from_millisecond(delivery.delivered_at_ms)
            .map_or_else(|_| UNKNOWN.to_owned(), |time| time.strftime("%Y-%m-%d").to_string()),
        By::Group => known(delivery.group_id.clone()),
        By::Category => known(category(delivery.pricing.as_ref())),
        By::Country => delivery.number.as_deref().and_then(country).unwrap_or_else(|| UNKNOWN.to_owned()),
    }
}

/// The provider prints `group_marketing` on one page and `marketing` on another: one category.
fn category(pricing: Option<&v1::Pricing>) -> String {
    let category = pricing.and_then(|pricing| pricing.category.clone()).unwrap_or_default();
    category.strip_prefix("group_").map_or(category.clone(), str::to_owned)
}

/// The country of a number, as ISO 3166 has it; where several share a calling code, or none has it, the code.
fn country(number: &str) -> Option<String> {
    let number = phonenumber::parse(None, format!("+{}", number.trim_start_matches('+'))).ok()?;
    let country = number.country();
    Some(country.id().map_or_else(|| format!("+{}", country.code()), |id| id.as_ref().to_owned()))
}

impl Counts {
    fn of(delivery: &Delivery) -> Self {
        let kind =
            delivery.pricing.as_ref().and_then(|pricing| pricing.r#type.as_deref()).unwrap_or_default();
        let billable = delivery.pricing.as_ref().and_then(|pricing| pricing.billable).or(match kind {
            "regular" => Some(true),
            kind if kind.starts_with("free_") => Some(false),
            _ => None,
        });
        let free = billable == Some(false);
        Self {
            delivered: 1,
            billable: u64::from(billable == Some(true)),
            free: u64::from(free),
            free_in_window: u64::from(
                free && kind.starts_with("free_") && kind.ends_with("customer_service"),
            ),
            unpriced: u64::from(billable.is_none()),
        }
    }

    fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.billable += other.billable;
        self.free += other.free;
        self.free_in_window += other.free_in_window;
        self.unpriced += other.unpriced;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, put, receipt};

    #[test]
    fn pages_add_up_to_the_whole_and_overlap_in_nothing() {
        let folder = Folder::new();
        let partitions = [folder.open(0), folder.open(1)];
        for (partition, count) in partitions.iter().zip([620, 130]) {
            let delivered = |n: i64| {
                let (group, message) = (format!("G{}", n % 3), format!("m{}-{n:04}", partition.id));
                receipt(&group, 1_000 + n, &message, v1::ReceiptStatus::Delivered, Some("5511900000000"))
            };
            let records: Vec<_> = (0..count).map(delivered).collect();
            records.chunks(100).for_each(|batch| put(partition, batch));
        }
        let caller = Caller::anyone();
        let mut question = Question { from_ms: 0, to_ms: i64::MAX, by: By::Group, after: None, caller };
        let whole = count(&partitions, &question).unwrap();
        assert_eq!((whole.total.delivered, whole.messages, &whole.next), (750, 750, &None));
        let (mut rows, mut pages) = (BTreeMap::<String, Counts>::new(), 0);
        loop {
            let page = page(&partitions, &question, 1).unwrap();
            pages += 1;
            page.rows.into_iter().for_each(|(key, counts)| rows.entry(key).or_default().add(counts));
            question.after = page.next;
            if question.after.is_none() {
                break;
            }
        }
        assert_eq!((rows, pages), (whole.rows, 3));
    }

    #[test]
    fn countries_are_told_by_calling_code_and_area() {
        for (number, expected) in [
            ("5511900000000", Some("BR")),
            ("14155552671", Some("US")),
            ("16135550123", Some("CA")),
            ("447400123456", Some("GB")),
            ("x", None),
        ] {
            assert_eq!(country(number).as_deref(), expected, "{number}");
        }
    }

    #[test]
    fn a_price_without_a_flag_is_told_by_its_type() {
        let counts = |billable, kind: &str| {
            let pricing = v1::Pricing { billable, r#type: Some(kind.to_owned()), ..v1::Pricing::default() };
            Counts::of(&Delivery {
                message_id: String::new(),
                group_id: String::new(),
                member_id: String::new(),
                number: None,
                delivered_at_ms: 0,
                pricing: Some(pricing),
            })
        };
        let of = |c: Counts| [c.billable, c.free, c.free_in_window, c.unpriced];
        assert_eq!(of(counts(None, "regular")), [1, 0, 0, 0]);
        assert_eq!(of(counts(None, "free_group_customer_service")), [0, 1, 1, 0]);
        assert_eq!(of(counts(None, "free_entry_point")), [0, 1, 0, 0]);
        assert_eq!(of(counts(Some(true), "free_entry_point")), [1, 0, 0, 0], "the flag decides");
        assert_eq!(of(counts(None, "")), [0, 0, 0, 1]);
    }
}
