//! What a rebuild may take of memory, and what becomes of it.

const MIB: usize = 1024 * 1024;

/// Memory that a rebuild takes, in bytes, where nothing else is set.
pub const MEMORY_DEFAULT: usize = 512 * MIB;
/// The least that it can do with.
pub const MEMORY_MIN: usize = AROUND_BYTES + BESIDE_BYTES + 24 * MIB;

/// The program itself, its threads, and what was freed and is not given back yet.
const AROUND_BYTES: usize = 64 * MIB;
/// Of a partition at work, beside what is shared out: the buffers and indexes of two databases, what they read beyond their
/// caches, messages that the broker sent ahead, and what is decoded of them.
const BESIDE_BYTES: usize = 80 * MIB;
/// With so much for each one more partition is worked on at a time: while one waits for the broker or the device, another
/// folds.
const ROOM_BYTES: usize = 224 * MIB;
/// What a cache must have room for: the upper pages of a database, which all that is looked up goes through.
const CACHE_BYTES_MIN: usize = 4 * MIB;
/// Of a larger share no rebuild is faster.
const SHARE_BYTES_MAX: usize = 64 * MIB;

/// How much of a rebuild's memory is for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Partitions worked on at a time.
    pub(super) at_once: usize,
    /// Entries of each before they are written, in bytes.
    pub(super) portion_bytes: usize,
    /// Bound of the caches of both of its databases.
    pub(super) cache_bytes: u64,
}

impl Shares {
    /// Shares so many bytes out. Of less than [`MEMORY_MIN`], or for more partitions `at_once` than it has room for, entries
    /// are written as they come: it takes as little as it can, and is slow. Without a word there are as many at once as there
    /// is room for, no more than processors, but for a second one.
    #[must_use]
    pub fn of(memory_bytes: usize, at_once: Option<usize>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::among(memory_bytes, at_once, processors)
    }

    fn among(memory_bytes: usize, at_once: Option<usize>, processors: usize) -> Self {
        let bytes = memory_bytes.saturating_sub(AROUND_BYTES);
        let at_once = at_once.unwrap_or_else(|| (bytes / ROOM_BYTES).min(processors.max(2))).max(1);
        // For entries, and for the caches of two databases.
        let third = (bytes / at_once).saturating_sub(BESIDE_BYTES) / 3;
        let third = third.min(SHARE_BYTES_MAX);
        Self { at_once, portion_bytes: third, cache_bytes: third.max(CACHE_BYTES_MIN) as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(mib: usize, at_once: Option<usize>, processors: usize) -> (usize, usize, u64) {
        let Shares { at_once, portion_bytes, cache_bytes } = Shares::among(mib * MIB, at_once, processors);
        (at_once, portion_bytes / MIB, cache_bytes / MIB as u64)
    }

    #[test]
    fn a_rebuild_takes_no_more_than_its_memory_and_less_of_it_means_fewer_partitions_at_once() {
        for mib in [MEMORY_MIN / MIB, 200, 256, 400, 512, 777, 1024, 4096] {
            for processors in [1, 2, 4, 64] {
                let (at_once, portion, cache) = shares(mib, None, processors);
                let each = BESIDE_BYTES / MIB + portion + 2 * cache as usize;
                assert!(AROUND_BYTES / MIB + at_once * each <= mib, "{mib} MiB, {processors} processors");
                assert!(portion >= 8 && cache >= 8 && (1..=processors.max(2)).contains(&at_once));
            }
        }
        for processors in [1, 2, 64] {
            assert_eq!(shares(MEMORY_DEFAULT / MIB, None, processors), (2, 48, 48));
        }
        assert_eq!(shares(300, None, 64), (1, 52, 52));
        assert_eq!(shares(4096, None, 8), (8, 64, 64));
        assert_eq!(shares(4096, None, 1).0, 2);
    }

    #[test]
    fn so_many_at_once_as_are_asked_for_share_what_there_is() {
        assert_eq!(shares(512, Some(1), 8), (1, 64, 64));
        assert_eq!(shares(512, Some(3), 8).0, 3);
        assert_eq!(shares(512, Some(0), 8).0, 1);
        assert_eq!(shares(512, Some(8), 8), (8, 0, 4));
        assert_eq!(shares(0, None, 8), (1, 0, 4));
    }
}
