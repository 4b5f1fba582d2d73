//! How many of each tier are in flight: counted only where something is guaranteed to a tier.
//!
//! A permit remembers where it was counted, and is taken off there, whatever has become of the tiers meanwhile. So a tier
//! keeps its counter for as long as it lives, wherever it stands in the order of priority, and a counter that is still used
//! by permits of a tier that is gone is not given to another one while there are enough of them.
//!
//! A permit is counted after it is taken, and taken off before it is given back. So a count read under the lock is never too
//! high: what is below its guarantee is always seen to be.

use crate::class::Rank;
use crate::sync::{AtomicU64, Ordering};
use crate::tier::MAX_TIERS;

/// Counters: as many for tiers that are gone as for those there can be.
const COUNTERS: usize = 2 * MAX_TIERS;

/// One in flight.
const ONE: u64 = 1;
/// One of those in flight who is above the ordinary rank.
const PREFERRED: u64 = 1 << 32;

/// Where each tier is counted: a byte for each, the [`Share`] of its ordinary rank.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Places(pub(crate) u64);

/// Where a permit was counted: twice the number of the counter, and one more if it is above the ordinary rank.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Share(u8);

// Whatever is counted has a number below that of what is not.
const _: () = assert!(2 * COUNTERS < 1 << Share::BITS);

/// How many are in flight, by counter.
#[derive(Debug)]
pub(crate) struct Shares([AtomicU64; COUNTERS]);

// === impl Places ===

impl Places {
    /// Nobody is counted.
    pub(crate) const NOWHERE: Self = Self(u64::from_le_bytes([Share::NOWHERE.0; MAX_TIERS]));

    /// Each tier at its counter; tiers that do not exist at that of the last one.
    pub(crate) fn new(counters: impl Iterator<Item = u8>) -> Self {
        let (mut bytes, mut last) = ([0; MAX_TIERS], Share::NOWHERE.0);
        let mut counters = counters.fuse();
        for byte in &mut bytes {
            last = counters.next().map_or(last, |counter| counter << 1);
            *byte = last;
        }
        Self(u64::from_le_bytes(bytes))
    }

    /// Where one of `tier`, an index below [`MAX_TIERS`], and `rank` is counted.
    pub(crate) const fn of(self, tier: usize, rank: Rank) -> Share {
        // What is nowhere has this bit already.
        Share((self.0 >> (8 * tier)) as u8 | rank.is_preferred() as u8)
    }
}

// === impl Share ===

impl Share {
    const NOWHERE: Self = Self((1 << Self::BITS) - 1);

    /// The bits that it takes.
    pub(crate) const BITS: u32 = 6;

    /// What stands in these bits.
    pub(crate) const fn from_bits(word: u64) -> Self {
        Self(word as u8 & Self::NOWHERE.0)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0 as u64
    }

    /// The counter.
    const fn counter(self) -> usize {
        (self.0 >> 1) as usize
    }

    /// What one permit is there.
    const fn one(self) -> u64 {
        if self.0 & 1 == 0 { ONE } else { ONE | PREFERRED }
    }
}

// === impl Shares ===

impl Shares {
    /// Nobody is in flight.
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// A permit was taken.
    #[inline]
    pub(crate) fn enter(&self, share: Share) {
        if share != Share::NOWHERE {
            self.change(share, u64::wrapping_add);
        }
    }

    /// It is about to be given back.
    #[inline]
    pub(crate) fn leave(&self, share: Share) {
        if share != Share::NOWHERE {
            self.change(share, u64::wrapping_sub);
        }
    }

    /// Apart, since most limiters never come here.
    #[inline(never)]
    fn change(&self, share: Share, by: fn(u64, u64) -> u64) {
        // Relaxed: the numbers stand for themselves. What is given back is taken off before the state word says so,
        // which releases it.
        self.0[share.counter()].fetch_add(by(0, share.one()), Ordering::Relaxed);
    }

    /// How many are counted at `counter`.
    pub(crate) fn in_flight(&self, counter: u8) -> u32 {
        self.0[usize::from(counter)].load(Ordering::Relaxed) as u32
    }

    /// How many are counted in all that are above the ordinary rank.
    pub(crate) fn preferred(&self) -> u32 {
        let preferred = |counter: &AtomicU64| (counter.load(Ordering::Relaxed) >> 32) as u32;
        self.0.iter().map(preferred).fold(0, u32::wrapping_add)
    }

    /// A counter for a tier that is new, beside those that are `taken`: the one that is used least, so most likely by nobody.
    pub(crate) fn free(&self, taken: impl Fn(u8) -> bool) -> u8 {
        let free = (0..COUNTERS as u8).filter(|&counter| !taken(counter));
        // There are always some: twice as many as tiers.
        free.min_by_key(|&counter| self.in_flight(counter)).unwrap_or_default()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_taken_off_where_it_was_counted() {
        let shares = Shares::new();
        let places = Places::new([3, 15].into_iter());
        for (tier, rank, counter, preferred) in
            [(0, 0, 3, 0), (0, 7, 3, 1), (1, 1, 15, 1), (7, 0, 15, 0)]
        {
            let share = places.of(tier, Rank::new(rank));
            shares.enter(share);
            assert_eq!((shares.in_flight(counter), shares.preferred()), (1, preferred));
            shares.leave(share);
            assert_eq!((shares.in_flight(counter), shares.preferred()), (0, 0));
        }
        shares.enter(Places::NOWHERE.of(5, Rank::new(3)));
        assert!((0..COUNTERS as u8).all(|counter| shares.in_flight(counter) == 0));
    }

    #[test]
    fn a_new_tier_gets_a_counter_that_nobody_uses() {
        let shares = Shares::new();
        let places = Places::new([0, 1].into_iter());
        shares.enter(places.of(0, Rank::ORDINARY));
        assert_eq!(shares.free(|counter| counter == 1), 2);
    }
}
