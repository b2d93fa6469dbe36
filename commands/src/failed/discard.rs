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
    if args.execute && why.is_empty() {
        return Err(Failure::Usage("--why: is empty; say why they need no replay".to_owned()));
    }
    let log = args.reach.open().await?;
    let catalog = Catalog::read(&log).await?;
    let entries = args.ids.iter().map(|id| catalog.find(id)).collect::<Result<Vec<_>, _>>()?;
    let writer = replay::Log::new(log.client.clone(), log.partitions);
    let mut rows = Vec::new();
    for entry in entries {
        let (state, open) = match &entry.resolution {
            Some(before) => (format!("was settled before: {}", outcome(before)), false),
            None if !args.execute => (format!("would be discarded: {}", entry.cause), true),
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
        let now = if args.execute { "discarded" } else { "would_discard" };
        json!({ "execute": args.execute, now: of(true), "settled_before": of(false) }).to_string()
    };
    let as_text = || {
        let mut lines: Vec<String> = rows.iter().map(|(id, state, _)| format!("{id} {state}")).collect();
        if !args.execute {
            lines.push("Nothing is changed. To do it: the same with --execute --why TEXT".to_owned());
        }
        lines.join("\n")
    };
    print::either(args.output, as_json, as_text)
}
