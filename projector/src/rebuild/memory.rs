//! What a rebuild may take of memory, and what becomes of it.

const MIB: usize = 1024 * 1024;

/// Memory that a rebuild takes, in bytes, where nothing else is set.
pub const MEMORY_DEFAULT: usize = 512 * MIB;

/// The program itself, its threads, and what was freed and is not given back yet.
const AROUND_BYTES: usize = 64 * MIB;
/// Of a partition at work, beside what is shared out: the buffers and indexes of two databases, what they read beyond their
/// caches, messages that the broker sent ahead, and what is decoded of them.
const BESIDE_BYTES: usize = 80 * MIB;
/// With so much for each one more partition is worked on at a time: while one waits for the broker or the device, another
/// folds.
const ROOM_BYTES: usize = 224 * MIB;
/// The least that is shared out: of less, entries are written nearly as they come.
const SHARED_BYTES_MIN: usize = 24 * MIB;
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
    /// Shares out what a program may take in all that does nothing else. Of less than [`Self::least`], entries are written as
    /// they come: it takes as little as it can, and is slow. Where it is not said how many partitions are worked on `at_once`,
    /// it is as many as there is room for, no more than processors, but for a second one.
    #[must_use]
    pub fn alone(memory_bytes: usize, at_once: Option<usize>) -> Self {
        Self::among(memory_bytes.saturating_sub(AROUND_BYTES), at_once, processors())
    }

    /// Shares out what may be taken beside a process that serves the stores.
    #[must_use]
    pub fn beside(memory_bytes: usize) -> Self {
        Self::among(memory_bytes, None, processors())
    }

    /// Bytes of memory that a program needs at least for so many partitions at once.
    #[must_use]
    pub const fn least(at_once: usize) -> usize {
        AROUND_BYTES + at_once * (BESIDE_BYTES + SHARED_BYTES_MIN)
    }

    fn among(bytes: usize, at_once: Option<usize>, processors: usize) -> Self {
        let at_once = at_once.unwrap_or_else(|| (bytes / ROOM_BYTES).min(processors.max(2))).max(1);
        // For entries, and for the caches of two databases.
        let third = (bytes / at_once).saturating_sub(BESIDE_BYTES) / 3;
        let third = third.min(SHARE_BYTES_MAX);
        Self { at_once, portion_bytes: third, cache_bytes: third.max(CACHE_BYTES_MIN) as u64 }
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(mib: usize, at_once: Option<usize>, processors: usize) -> (usize, usize, u64) {
        let bytes = (mib * MIB).saturating_sub(AROUND_BYTES);
        let Shares { at_once, portion_bytes, cache_bytes } = Shares::among(bytes, at_once, processors);
        (at_once, portion_bytes / MIB, cache_bytes / MIB as u64)
    }

    #[test]
    fn a_rebuild_takes_no_more_than_its_memory_and_less_of_it_means_fewer_partitions_at_once() {
        for mib in [Shares::least(1) / MIB, 200, 256, 400, 512, 777, 1024, 4096] {
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
        for at_once in 1..=64 {
            assert_eq!(shares(Shares::least(at_once) / MIB, Some(at_once), 8), (at_once, 8, 8));
        }
    }

    #[test]
    fn what_is_taken_beside_a_process_is_not_diminished_by_the_process() {
        assert_eq!(Shares::beside(BESIDE_BYTES + SHARED_BYTES_MIN).portion_bytes, 8 * MIB);
        assert_eq!(Shares::beside(4_096), Shares { at_once: 1, portion_bytes: 0, cache_bytes: 4 << 20 });
    }
}
