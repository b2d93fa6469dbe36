//! What is told of a command, cut to what the store keeps of it: what is longer would be no part of the state, and the
//! command would be looked for again and again.

use groupfold_schemas::v1::{self, CommandItem};
use prost::Message;

/// Most that an answer, or a look at the provider, may tell: it must fit the store's entry of the command.
const TOLD_BYTES_MAX: usize = 5 * 1024;
/// Bytes of each text of the provider that are kept: one error and the ids beside it always fit.
const TEXT_BYTES_MAX: usize = 512;
const ERRORS_MAX: usize = 4;

/// An answer within its bound: what the provider prints has none. What says least of the outcome is left out first.
pub(super) fn answered(mut told: v1::CommandAnswered) -> v1::CommandAnswered {
    for error in told.items.iter_mut().flat_map(|item| &mut item.errors).chain(&mut told.errors) {
        for text in
            [&mut error.code, &mut error.title, &mut error.message, &mut error.details, &mut error.href]
        {
            cut(text);
        }
    }
    for id in [&mut told.request_id, &mut told.message_id] {
        // A part of an id is another id. No webhook that is read names one as long as this.
        id.take_if(|id| id.len() > TEXT_BYTES_MAX);
    }
    for item in &mut told.items {
        item.errors.truncate(1);
    }
    told.errors.truncate(ERRORS_MAX);
    if told.encoded_len() > TOLD_BYTES_MAX {
        told.items.iter_mut().for_each(|item| item.errors.clear());
    }
    while told.encoded_len() > TOLD_BYTES_MAX && told.errors.len() > 1 {
        told.errors.pop();
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
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
}

/// Leaves out the last items until the rest fits.
fn drop_items<M: Message>(mut told: M, items: impl Fn(&mut M) -> &mut Vec<CommandItem>) -> M {
    while told.encoded_len() > TOLD_BYTES_MAX && items(&mut told).pop().is_some() {}
    told
}

#[cfg(test)]
mod tests {
    use groupfold_schemas::v1::{CommandResult, Outcome, ProviderError};

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
        assert_eq!((fits.result, fits.reason), (seen.result, "é".repeat(TEXT_BYTES_MAX / 2)));
        assert!(!fits.items.is_empty() && seen.items.starts_with(&fits.items));
        let short = v1::CommandReconciled { reason: "why".to_owned(), items: vec![item(0)], ..seen };
        assert_eq!(reconciled(short.clone()), short);
    }

    /// Three bytes to a character, and nothing but errors: they were counted by characters, and never left out.
    #[test]
    fn an_answer_in_any_script_fits_whatever_it_is_made_of() {
        let thai = "ไม่ได้รับอนุญาต".repeat(1_000);
        let error = || ProviderError {
            code: thai.clone(),
            title: thai.clone(),
            message: thai.clone(),
            details: thai.clone(),
            href: thai.clone(),
        };
        let item = |n: usize| CommandItem {
            name: format!("{n:0>256}"),
            outcome: Outcome::Failed.into(),
            errors: vec![error(), error()],
        };
        let told = v1::CommandAnswered {
            command_id: "c".to_owned(),
            result: CommandResult::Partly.into(),
            request_id: Some("r".repeat(512)),
            message_id: Some("m".repeat(512)),
            errors: (0..9).map(|_| error()).collect(),
            ..Default::default()
        };
        let fits = answered(told.clone());
        assert!(fits.encoded_len() <= TOLD_BYTES_MAX, "{}", fits.encoded_len());
        assert_eq!((&fits.request_id, &fits.message_id), (&told.request_id, &told.message_id));
        let [kept] = &fits.errors[..] else { panic!("{fits:?}") };
        assert!(thai.starts_with(&kept.details) && (510..=512).contains(&kept.details.len()));
        // Items say more than a second error does.
        let with_items = v1::CommandAnswered { items: (0..64).map(item).collect(), ..told.clone() };
        let fits = answered(with_items.clone());
        assert!(fits.encoded_len() <= TOLD_BYTES_MAX, "{}", fits.encoded_len());
        assert!(!fits.items.is_empty() && fits.errors.len() == 1);
        assert!(fits.items.iter().zip(&with_items.items).all(|(kept, item)| kept.name == item.name));
        // A part of an id would be another one.
        let endless = v1::CommandAnswered { request_id: Some("r".repeat(100_000)), ..told };
        let fits = answered(endless);
        assert!(fits.encoded_len() <= TOLD_BYTES_MAX && fits.request_id.is_none());
    }

    #[test]
    fn an_answer_of_the_usual_size_is_told_whole() {
        let error = |code: &str| ProviderError {
            code: code.to_owned(),
            title: "ไม่ได้รับอนุญาต".to_owned(),
            ..ProviderError::default()
        };
        let told = v1::CommandAnswered {
            command_id: "c".to_owned(),
            result: CommandResult::Partly.into(),
            request_id: Some("r".to_owned()),
            items: vec![CommandItem {
                name: "1".to_owned(),
                outcome: Outcome::Failed.into(),
                errors: vec![error("1")],
            }],
            errors: ["1", "2", "3", "4"].map(error).to_vec(),
            ..Default::default()
        };
        assert_eq!(answered(told.clone()), told);
    }
}
