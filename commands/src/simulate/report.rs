//! What was sent and how it was answered.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::plan::{Post, Why};

/// Sums of the receiver's answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) appended: u64,
    pub(crate) duplicate: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Answers {
    /// Reads the body of a 200; `None` if it does not tell the fates of the items.
    pub(crate) fn read(body: &Value) -> Option<Self> {
        let count = |key: &str| body.get(key).and_then(Value::as_u64);
        Some(Self {
            appended: count("appended")?,
            duplicate: count("duplicate")?,
            failed: count("failed")?,
            ignored: count("ignored")?,
        })
    }

    pub(crate) fn total(self) -> u64 {
        self.appended + self.duplicate + self.failed + self.ignored
    }

    fn add(&mut self, other: Self) {
        self.appended += other.appended;
        self.duplicate += other.duplicate;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }

    pub(crate) fn to_json(self) -> Value {
        json!({
            "appended": self.appended, "duplicate": self.duplicate,
            "failed": self.failed, "ignored": self.ignored,
        })
    }
}

/// How one POST ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) post: Post,
    /// The last status; `None` if there was no answer.
    pub(crate) status: Option<u16>,
    pub(crate) attempts: u64,
    pub(crate) answers: Option<Answers>,
    /// Position in the log that the answer named.
    pub(crate) position: Option<String>,
}

/// What a run of the simulator did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// POSTs with a right signature, without those of `retried`.
    pub(crate) posts: u64,
    /// Items in them, bad ones and those of duplicates included.
    pub(crate) items: u64,
    /// POSTs answered 200.
    pub(crate) acknowledged_posts: u64,
    /// Items in those.
    pub(crate) acknowledged_items: u64,
    /// POSTs never answered 200, whatever was tried.
    pub(crate) undelivered_posts: u64,
    /// Attempts beyond the first.
    pub(crate) retried: u64,
    /// POSTs sent a second time on purpose.
    pub(crate) duplicates: u64,
    /// POSTs held back until later ones had gone.
    pub(crate) reordered: u64,
    /// Unreadable items, those of duplicates included.
    pub(crate) bad: u64,
    /// POSTs with a wrong signature.
    pub(crate) wrong_signatures: u64,
    /// Those answered 401.
    pub(crate) wrong_signatures_refused: u64,
    /// Those answered 200.
    pub(crate) wrong_signatures_accepted: u64,
    /// What the receiver said of the items.
    pub(crate) answers: Answers,
    /// POSTs whose answer does not add up to their items, or counts other failures than the bad ones.
    pub(crate) unexpected_answers: u64,
    /// The first of them, in words.
    pub(crate) unexpected: Vec<String>,
    /// How often each kind of thing happened.
    pub(crate) kinds: BTreeMap<&'static str, u64>,
    /// Furthest position that answers named, by partition.
    pub(crate) positions: BTreeMap<u64, u64>,
    /// From the first POST to the last answer.
    pub(crate) elapsed: Duration,
    /// What `--check` found, by name.
    pub(crate) differences: Vec<String>,
}

/// Examples that a report names.
const EXAMPLES_MAX: usize = 20;

impl Report {
    pub(crate) fn note(&mut self, outcome: &Outcome) {
        let post = &outcome.post;
        self.retried += outcome.attempts.saturating_sub(1);
        if post.why == Why::Forged {
            self.wrong_signatures += 1;
            match outcome.status {
                Some(401) => self.wrong_signatures_refused += 1,
                Some(200) => self.wrong_signatures_accepted += 1,
                status => self.surprise(format!("a wrong signature was answered {}", name(status))),
            }
            return;
        }
        self.posts += 1;
        self.items += post.items as u64;
        self.bad += post.bad as u64;
        self.duplicates += u64::from(post.why == Why::Duplicate);
        self.reordered += u64::from(post.late);
        if outcome.status != Some(200) {
            self.undelivered_posts += 1;
            self.surprise(format!(
                "a POST of {} items was last answered {}",
                post.items,
                name(outcome.status)
            ));
            return;
        }
        self.acknowledged_posts += 1;
        self.acknowledged_items += post.items as u64;
        if let Some(answers) = outcome.answers {
            self.answers.add(answers);
            self.weigh(outcome, answers);
        }
        outcome.position.iter().for_each(|position| self.reached(position));
    }

    /// Adds what others sent beside.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.posts += other.posts;
        self.items += other.items;
        self.acknowledged_posts += other.acknowledged_posts;
        self.acknowledged_items += other.acknowledged_items;
        self.undelivered_posts += other.undelivered_posts;
        self.retried += other.retried;
        self.duplicates += other.duplicates;
        self.answers.add(other.answers);
        self.unexpected_answers += other.unexpected_answers;
        other.unexpected.into_iter().for_each(|what| self.surprise(what));
        for (partition, sequence) in other.positions {
            let reached = self.positions.entry(partition).or_default();
            *reached = sequence.max(*reached);
        }
    }

    fn weigh(&mut self, outcome: &Outcome, answers: Answers) {
        let (items, bad) = (outcome.post.items as u64, outcome.post.bad as u64);
        let again = outcome.post.why == Why::Duplicate || outcome.attempts > 1;
        let failures_fit =
            if again { answers.failed + answers.duplicate >= bad } else { answers.failed == bad };
        if answers.total() != items || answers.failed > bad || !failures_fit {
            self.unexpected_answers += 1;
            let answers = answers.to_json();
            self.surprise(format!("a POST of {items} items, {bad} of them bad, was answered {answers}"));
        }
    }

    fn surprise(&mut self, what: String) {
        if self.unexpected.len() < EXAMPLES_MAX {
            self.unexpected.push(what);
        }
    }

    fn reached(&mut self, position: &str) {
        for part in position.split(',') {
            if let Some((partition, sequence)) = part.split_once(':')
                && let (Ok(partition), Ok(sequence)) = (partition.parse(), sequence.parse::<u64>())
            {
                let reached = self.positions.entry(partition).or_default();
                *reached = sequence.max(*reached);
            }
        }
    }

    /// The furthest position that answers named.
    pub(crate) fn position(&self) -> String {
        let parts: Vec<String> = self.positions.iter().map(|(p, s)| format!("{p}:{s}")).collect();
        parts.join(",")
    }

    /// True if everything ended as it must.
    pub(crate) fn is_clean(&self) -> bool {
        self.undelivered_posts == 0
            && self.unexpected_answers == 0
            && self.wrong_signatures == self.wrong_signatures_refused
            && self.differences.is_empty()
    }

    /// For scripts.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "posts": self.posts, "items": self.items,
            "acknowledged_posts": self.acknowledged_posts, "acknowledged_items": self.acknowledged_items,
            "undelivered_posts": self.undelivered_posts, "retried": self.retried,
            "duplicates": self.duplicates, "reordered": self.reordered, "bad": self.bad,
            "wrong_signatures": self.wrong_signatures,
            "wrong_signatures_refused": self.wrong_signatures_refused,
            "wrong_signatures_accepted": self.wrong_signatures_accepted,
            "answers": self.answers.to_json(), "unexpected_answers": self.unexpected_answers,
            "unexpected": self.unexpected, "kinds": self.kinds, "position": self.position(),
            "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            "differences": self.differences,
        })
    }
}

fn name(status: Option<u16>) -> String {
    status.map_or_else(|| "not at all".to_owned(), |status| status.to_string())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let rate = if seconds > 0.0 { self.items as f64 / seconds } else { 0.0 };
        let Answers { appended, duplicate, failed, ignored } = self.answers;
        writeln!(f, "POSTs               {:>10}   acknowledged {}", self.posts, self.acknowledged_posts)?;
        writeln!(f, "items               {:>10}   acknowledged {}", self.items, self.acknowledged_items)?;
        writeln!(f, "  appended          {appended:>10}")?;
        writeln!(f, "  duplicate         {duplicate:>10}")?;
        writeln!(f, "  failed            {failed:>10}   bad ones sent {}", self.bad)?;
        writeln!(f, "  ignored           {ignored:>10}")?;
        writeln!(f, "undelivered POSTs   {:>10}", self.undelivered_posts)?;
        writeln!(f, "retries             {:>10}", self.retried)?;
        writeln!(f, "duplicate POSTs     {:>10}", self.duplicates)?;
        writeln!(f, "late POSTs          {:>10}", self.reordered)?;
        let refused = self.wrong_signatures_refused;
        writeln!(f, "wrong signatures    {:>10}   refused {refused}", self.wrong_signatures)?;
        writeln!(f, "unexpected answers  {:>10}", self.unexpected_answers)?;
        write!(f, "time                {seconds:>9.1}s   {rate:.0} items/s")?;
        for example in self.unexpected.iter().chain(&self.differences) {
            write!(f, "\n! {example}")?;
        }
        Ok(())
    }
}
