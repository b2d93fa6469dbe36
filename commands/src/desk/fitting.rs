//! What is told of a command, cut to what the store keeps of it: what is longer would be no part of the state, and the
//! command would be looked for again and again.

use groupfold_schemas::v1::{self, CommandItem};
use prost::Message;

/// Most that an answer, or a look at the provider, may tell: it must fit the store's entry of the command.
const TOLD_BYTES_MAX: usize = 5 * 1024;
/// Characters of each text of the provider that are kept.
const TEXT_CHARS_MAX: usize = 256;

/// An answer within its bound: what the provider prints has none.
pub(super) fn answered(mut told: v1::CommandAnswered) -> v1::CommandAnswered {
    let all = told.items.iter_mut().flat_map(|item| &mut item.errors).chain(&mut told.errors);
    for error in all {
        for text in
            [&mut error.code, &mut error.title, &mut error.message, &mut error.details, &mut error.href]
        {
            cut(text);
        }
    }
    for item in &mut told.items {
        item.errors.truncate(1);
    }
    told.errors.truncate(4);
    if told.encoded_len() > TOLD_BYTES_MAX {
        told.items.iter_mut().for_each(|item| item.errors.clear());
    }
    drop_items(told, |told| &mut told.items)
}

/// A look at the provider within its bound: its result speaks for all, the items that fit for themselves, and its reason
/// may be the provider's own words.
pub(super) fn reconciled(mut seen: v1::CommandReconciled) -> v1::CommandReconciled {
    cut(&mut seen.reason);
    drop_items(seen, |seen| &mut seen.items)
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(end);
    }
}

/// Leaves out the last items until the rest fits.
fn drop_items<M: Message>(mut told: M, items: impl Fn(&mut M) -> &mut Vec<CommandItem>) -> M {
    while told.encoded_len() > TOLD_BYTES_MAX && items(&mut told).pop().is_some() {}
    told
}

#[cfg(test)]
mod tests {
    use groupfold_schemas::v1::{CommandResult, Outcome};

    use super::*;

    /// As many ids of 256 bytes as a request may name: what became of each was more than the store takes.
    #[test]
    fn what_was_seen_of_the_most_that_can_be_asked_for_fits() {
        let item = |n: usize| CommandItem {
            name: format!("{n:0>256}"),
            outcome: Outcome::Unknown.into(),
            errors: Vec::new(),
        };
        let seen = v1::CommandReconciled {
            command_id: "c".to_owned(),
            result: CommandResult::Partly.into(),
            reason: "é".repeat(100_000),
            items: (0..64).map(item).collect(),
            group_id: None,
        };
        let fits = reconciled(seen.clone());
        assert!(fits.encoded_len() <= TOLD_BYTES_MAX, "{}", fits.encoded_len());
        assert_eq!((fits.result, fits.reason), (seen.result, "é".repeat(TEXT_CHARS_MAX)));
        assert!(!fits.items.is_empty() && seen.items.starts_with(&fits.items));
        let short = v1::CommandReconciled { reason: "why".to_owned(), items: vec![item(0)], ..seen };
        assert_eq!(reconciled(short.clone()), short);
    }
}
