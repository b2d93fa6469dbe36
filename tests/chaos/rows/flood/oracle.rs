//! What each receipt, told once and in order, comes to: folded block by block, so that nothing but groups is remembered.

use groupfold_fold::apply::Digest;
use groupfold_fold::entry::{Key, Memory};
use groupfold_schemas::v1::Record;
use groupfold_tests::receipts::{RECEIPTS_OF_A_BLOCK, Shape, body};
use groupfold_tests::targets::records_of;

use super::GROUPS;

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Digest of all entries.
    pub(crate) digest: Digest,
    pub(crate) entries: u64,
    /// Receipts that could be read.
    pub(crate) receipts: u64,
}

impl Oracle {
    /// Of the receipts from zero on, so many.
    pub(crate) fn of(receipts: u64) -> Self {
        let mut expected = Self::default();
        let mut memory = Memory::default();
        for first in (0..receipts).step_by(RECEIPTS_OF_A_BLOCK as usize) {
            let block = first..receipts.min(first + RECEIPTS_OF_A_BLOCK);
            let records: Vec<Record> = records_of(body(block, GROUPS, Shape::Short).as_bytes());
            expected.receipts += records.len() as u64;
            let added = memory.apply(&records).expect("what was just folded is not damaged");
            expected.digest = expected.digest.plus(added);
            // No later receipt is of a message of this block.
            let before = memory.0.len();
            memory
                .0
                .retain(|key, _| !matches!(Key::decode(key), Ok(Key::Message { .. } | Key::Receipt { .. })));
            expected.entries += (before - memory.0.len()) as u64;
        }
        expected.entries += memory.0.len() as u64;
        expected
    }
}
