//! `groupfold failed discard`: settled by a person's word.

use groupfold_ingest::replay;
use groupfold_schemas::v1::ResolutionOutcome;
use serde_json::json;

use super::DiscardArgs;
use super::catalog::{Catalog, outcome};
use super::replay::resolution;
use crate::exit::Failure;
use crate::print;

/// Settles failures, or says which it would settle.
pub(super) async fn run(args: DiscardArgs) -> Result<(), Failure> {
    let why = args.why.as_deref().unwrap_or_default().trim();
    if (args.execute || args.why.is_some()) && why.is_empty() {
        return Err(Failure::Usage("--why: is empty; say why they need no replay".to_owned()));
    }
    if args.ids.is_empty() && args.filter.is_empty() {
        return Err(super::no_selection("--group"));
    }
    // Whoever types an id and a reason has said all there is to say; what a selection takes is to be seen first.
    let execute = args.execute || (!why.is_empty() && args.filter.is_empty());
    let log = args.reach.open().await?;
    let mut entries = Catalog::read(&log).await?.chosen(&args.ids, &args.filter)?;
    // Of those that are named it is said that they are settled; others are not meant.
    entries.retain(|entry| !args.ids.is_empty() || entry.resolution.is_none());
    let writer = replay::Log::new(log.client.clone(), log.partitions);
    let mut rows = Vec::new();
    for entry in entries {
        let (state, open) = match &entry.resolution {
            Some(before) => (format!("was settled before: {}", outcome(before)), false),
            None if !execute => (format!("would be discarded: {}", entry.cause), true),
            None => {
                let resolution = resolution(&entry.failed_id, ResolutionOutcome::Discarded, why, Vec::new());
                let settled = writer.settle(&resolution).await;
                settled.map_err(|error| Failure::Again(format!("{}: {error}", entry.failed_id)))?;
                ("discarded".to_owned(), true)
            }
        };
        rows.push((entry.failed_id.clone(), state, open));
    }
    let as_json = || {
        let of = |open| rows.iter().filter(|row| row.2 == open).map(|row| &row.0).collect::<Vec<_>>();
        let now = if execute { "discarded" } else { "would_discard" };
        json!({ "execute": execute, now: of(true), "settled_before": of(false) }).to_string()
    };
    let as_text = || {
        let mut lines: Vec<String> = rows.iter().map(|(id, state, _)| format!("{id} {state}")).collect();
        if rows.is_empty() {
            lines.push("none that is not settled is selected".to_owned());
        } else if !execute {
            lines.push("Nothing is changed. To do it: the same with --execute --why TEXT".to_owned());
        }
        lines.join("\n")
    };
    print::either(args.output, as_json, as_text)
}
