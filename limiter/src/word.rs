//! The state word, and the limit that it is held against.
//!
//! ```text
//!  63        40 39      20 19       0      63          32 31           0
//! +------------+----------+----------+    +--------------+--------------+
//! | in flight  | preferred| ordinary |    |    in all    | for ordinary |
//! +------------+----------+----------+    +--------------+--------------+
//!              |       waiting       |
//! ```
//!
//! In flight and waiting in one word, because each side decides about the other: a permit is taken or given back without
//! the lock only while nobody waits who could use it, and a waiter takes a place only while there is no permit for it.
//! Whoever loses the race to change the word reads it again, so neither can miss the other. Preferred waiters, those above
//! the ordinary rank, are counted apart, because a preferred newcomer goes past the others.

use crate::class::Rank;
use crate::limits::{Limits, MAX_BUFFER, MAX_IN_FLIGHT};

/// One request in flight.
pub(crate) const IN_FLIGHT: u64 = 1 << 40;
/// One waiter above the ordinary rank.
const PREFERRED: u64 = 1 << 20;
/// One waiter of the ordinary rank.
const ORDINARY: u64 = 1;

// No count can reach the next.
const _: () = assert!((MAX_BUFFER as u64) < PREFERRED && (MAX_IN_FLIGHT as u64) < 1 << 24);

/// The state word as it was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Word(pub(crate) u64);

impl Word {
    /// One waiter of `rank`.
    pub(crate) const fn waiter(rank: Rank) -> u64 {
        if rank.is_preferred() { PREFERRED } else { ORDINARY }
    }

    pub(crate) const fn in_flight(self) -> u32 {
        (self.0 >> 40) as u32
    }

    pub(crate) const fn has_waiting(self) -> bool {
        self.0 & (IN_FLIGHT - 1) != 0
    }

    /// Whether a newcomer of `rank` may take a permit past the buffer: one is free for it, and nobody waits that it may
    /// not overtake.
    pub(crate) const fn is_free(self, rank: Rank, limit: Limit) -> bool {
        // Whom it would overtake. The lower ranks wait with a permit free only because that is not for them.
        let before = if rank.is_preferred() { IN_FLIGHT - PREFERRED } else { IN_FLIGHT - 1 };
        self.0 & before == 0 && self.in_flight() < limit.of(rank)
    }
}

/// Up to how many may be in flight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Limit(pub(crate) u64);

impl Limit {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self::of_numbers(limits.max_in_flight(), limits.reserved_permits())
    }

    /// `all` permits, of which `reserved` are not for the ordinary rank: at most one less.
    pub(crate) fn of_numbers(all: u32, reserved: u32) -> Self {
        let ordinary = all - reserved.min(all.saturating_sub(1));
        Self(u64::from(all) << 32 | u64::from(ordinary))
    }

    /// In all.
    pub(crate) const fn all(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// When one of the ordinary rank is to get a permit: less, by what is reserved.
    pub(crate) const fn ordinary(self) -> u32 {
        self.0 as u32
    }

    /// When one of `rank` is to get a permit.
    pub(crate) const fn of(self, rank: Rank) -> u32 {
        if rank.is_preferred() { self.all() } else { self.ordinary() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_side_by_side_do_not_touch() {
        let [ordinary, preferred] = [Rank::ORDINARY, Rank::new(3)];
        let limit = Limit(10 << 32 | 7);
        let word = |in_flight: u64, preferred: u64, ordinary: u64| {
            Word(in_flight * IN_FLIGHT + preferred * PREFERRED + ordinary * ORDINARY)
        };
        assert_eq!((limit.of(ordinary), limit.of(preferred)), (7, 10));
        assert!(word(6, 0, 0).is_free(ordinary, limit) && !word(7, 0, 0).is_free(ordinary, limit));
        assert!(!word(0, 0, 1).is_free(ordinary, limit) && !word(0, 1, 0).is_free(ordinary, limit));
        let most = u64::from(MAX_BUFFER);
        assert!(
            word(9, 0, most).is_free(preferred, limit) && !word(10, 0, 0).is_free(preferred, limit)
        );
        assert!(!word(0, 1, 0).is_free(preferred, limit));
        let full = word(u64::from(MAX_IN_FLIGHT), most, most);
        assert_eq!(full.in_flight(), MAX_IN_FLIGHT);
        assert!(full.has_waiting() && !word(10, 0, 0).has_waiting());
        assert_eq!(Word::waiter(preferred) + Word::waiter(ordinary), word(0, 1, 1).0);
    }
}
