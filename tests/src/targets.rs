//! All that reads bytes from outside, by name: `tests/fuzz` throws bytes at it, led by coverage, and row 16 of the
//! fault table goes over the corpus in the tree and what chance makes of it.
//!
//! A target says more than that nothing panics: it holds what was read against a law.

mod door;
mod entries;
mod fold;
mod frames;
mod requests;
mod texts;
mod webhooks;

use std::path::PathBuf;

use groupfold_fold::entry::Memory;
use groupfold_ingest::meta::Item;
use groupfold_schemas::{frame, v1};
use prost::Message as _;

use crate::{fixture, fixtures, workspace};

/// One place that reads bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// Reads bytes.
    ///
    /// # Errors
    /// The law that what was read breaks.
    pub read: fn(&[u8]) -> Result<(), String>,
    seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 9] = [
    Target { name: "webhooks", read: webhooks::read, seeds: bodies },
    Target { name: "failures", read: webhooks::read_failure, seeds: failures },
    Target { name: "headers", read: door::read, seeds: door::seeds },
    Target { name: "records", read: fold::read, seeds: stories },
    Target { name: "entries", read: entries::read, seeds: entries::seeds },
    Target { name: "frames", read: frames::read, seeds: framed },
    Target { name: "subjects", read: texts::read_subject, seeds: texts::subjects },
    Target { name: "cursors", read: texts::read_cursor, seeds: texts::cursors },
    Target { name: "requests", read: requests::read, seeds: requests::seeds },
];

impl Target {
    /// The folder of inputs that are kept in the tree: the least that reach all that was ever reached, and what once
    /// broke something.
    #[must_use]
    pub fn corpus(&self) -> PathBuf {
        workspace().join("tests/fuzz/corpus").join(self.name)
    }

    /// Inputs to begin with: those of the tree, and what is made of the fixtures.
    ///
    /// # Panics
    /// The folder cannot be read.
    #[must_use]
    pub fn inputs(&self) -> Vec<Vec<u8>> {
        let listing = std::fs::read_dir(self.corpus()).expect("the corpus is in the tree");
        let mut paths: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let kept = paths.iter().map(|path| std::fs::read(path).expect("an input can be read"));
        kept.chain((self.seeds)()).collect()
    }
}

/// A broken law.
fn hold(law: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if law { Ok(()) } else { Err(otherwise()) }
}

fn bodies() -> Vec<Vec<u8>> {
    fixtures("meta").iter().map(|name| fixture(name)).collect()
}

/// The records that a body comes to.
#[must_use]
pub fn records_of(body: &[u8]) -> Vec<v1::Record> {
    let event = |item| if let Item::Event(record) = item { Some(*record) } else { None };
    webhooks::items(body).into_iter().filter_map(event).collect()
}

/// Those of each fixture.
fn records() -> Vec<Vec<v1::Record>> {
    bodies().iter().map(|body| records_of(body)).collect()
}

/// Records behind each other, as [`fold::read`] takes them.
fn stories() -> Vec<Vec<u8>> {
    let story = |records: &Vec<v1::Record>| records.iter().flat_map(fold::delimited).collect();
    let mut stories: Vec<Vec<u8>> = records().iter().map(story).collect();
    stories.extend(fold::ours());
    stories
}

fn failures() -> Vec<Vec<u8>> {
    let broken =
        |body: &Vec<u8>| String::from_utf8_lossy(body).replace("timestamp", "timestomp").into_bytes();
    let failed = |item| if let Item::Failed(failed) = item { Some(failed.encode_to_vec()) } else { None };
    bodies().iter().flat_map(|body| webhooks::items(&broken(body))).filter_map(failed).collect()
}

/// What the log and the store hold of the fixtures.
fn framed() -> Vec<Vec<u8>> {
    let records: Vec<_> = records().concat();
    records.iter().map(frame::encode).chain(folded().0.into_values()).collect()
}

/// All fixtures, folded.
fn folded() -> Memory {
    let mut memory = Memory::default();
    for record in records().concat() {
        memory.apply([&record]).expect("fixtures fold");
    }
    memory
}
