//! The gate word: what is refused right now, tier by tier, in one load.
//!
//! ```text
//!  41..34   33         32       31..24       23..16 15..8         7..0
//! +--------+----------+--------+------------+------+-------------+-----------+
//! | shadow | draining | closed | unbuffered | late | buffer full | watermark |
//! +--------+----------+--------+------------+------+-------------+-----------+
//! ```
//!
//! One bit per tier in each mask, for its ordinary rank; those of the shadow refuse nobody. A higher rank that finds its tier refused looks at a second
//! word, which has two numbers per tier: the lowest rank that there is room for, and the lowest that is let in.
//!
//! ```text
//!  63                         8 7        4 3      0
//! +----------------------------+----------+--------+
//! |  ... the same for each ... | let in   | room   |
//! +----------------------------+----------+--------+
//! ```
//!
//! Both are computed from the buffer, written under its lock and only when they
//! change, so that in a storm their cache line stays shared by all cores and a refusal is one load of it, or two. A reader may act
//! on a word that is a moment old; whoever gets past it is judged again under the lock.

use crate::class::Class;
use crate::rejection::Rejection;
use crate::tier::TierId;

const BUFFER_FULL: u32 = 8;
const LATE: u32 = 16;
const UNBUFFERED: u32 = 24;
const CLOSED: u64 = 1 << 32;
const DRAINING: u64 = 1 << 33;
const SHADOW: u32 = 34;
/// The bits of tier 0 that refuse whether or not a permit is free.
const REFUSED: u64 = 1 | 1 << BUFFER_FULL | 1 << LATE;

/// Which tiers are refused their ordinary rank at one moment: a bit each, bit 0 for tier 0. Tiers that do not exist read as the last one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// For whatever reason.
    pub at_all: u8,
    /// Because there are too many: [`Rejection::Watermark`] or [`Rejection::BufferFull`].
    pub for_capacity: u8,
}

/// The gate word as it was read or is to be written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Gate(pub(crate) u64);

impl Gate {
    pub(crate) const fn close(&mut self) {
        self.0 |= CLOSED;
    }

    pub(crate) const fn drain(&mut self) {
        self.0 |= DRAINING;
    }

    /// `tier` is refused for `rejection`: one of the three that a buffer gives.
    pub(crate) const fn refuse(&mut self, tier: usize, rejection: Rejection) {
        self.0 |= match rejection {
            Rejection::BufferFull => 1 << BUFFER_FULL,
            Rejection::QueueTimeout => 1 << LATE,
            _ => 1,
        } << tier;
    }

    /// `tier` never waits: without a free permit it is refused at once.
    pub(crate) const fn unbuffer(&mut self, tier: usize) {
        self.0 |= 1 << UNBUFFERED << tier;
    }

    /// The breakers would refuse `tier` if none of them were in the shadow.
    pub(crate) const fn would_refuse(&mut self, tier: usize) {
        self.0 |= 1 << SHADOW << tier;
    }

    /// Whether they would.
    pub(crate) const fn is_refused_in_shadow(self, tier: TierId) -> bool {
        self.0 >> SHADOW >> tier.index() & 1 != 0
    }

    /// Why the ordinary rank of `tier` is refused, if it is.
    pub(crate) const fn rejection(self, tier: TierId) -> Option<Rejection> {
        let tier = tier.index();
        // One test for the common case; which bit it was matters to the refused alone.
        if self.0 & (CLOSED | DRAINING | REFUSED << tier) == 0 {
            return None;
        }
        Some(if self.0 & DRAINING != 0 {
            Rejection::Draining
        } else if self.0 & CLOSED != 0 {
            Rejection::Closed
        } else if self.0 >> BUFFER_FULL >> tier & 1 != 0 {
            Rejection::BufferFull
        } else if self.0 >> tier & 1 != 0 {
            Rejection::Watermark
        } else {
            Rejection::QueueTimeout
        })
    }

    /// Whether all ranks are refused, whatever the buffer holds.
    pub(crate) const fn is_shut(self) -> bool {
        self.0 & (CLOSED | DRAINING) != 0
    }

    /// Which tiers are refused.
    pub(crate) const fn refused(self) -> Refused {
        let for_capacity = (self.0 | self.0 >> BUFFER_FULL) as u8;
        let all = if self.0 & (CLOSED | DRAINING) == 0 { 0 } else { u8::MAX };
        Refused { for_capacity, at_all: all | for_capacity | (self.0 >> LATE) as u8 }
    }

    /// Whether `tier` never waits.
    pub(crate) const fn is_unbuffered(self, tier: TierId) -> bool {
        self.0 >> UNBUFFERED >> tier.index() & 1 != 0
    }
}

/// Which ranks are let in to tiers that the gate refuses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Floors(pub(crate) u64);

impl Floors {
    /// `rank` of `tier` is refused for `rejection`. To be called for rank by rank, from the lowest on.
    pub(crate) const fn refuse(&mut self, tier: usize, rank: usize, rejection: Rejection) {
        let above = rank as u64 + 1;
        // A rank without room is not let in either.
        let both = match rejection {
            Rejection::BufferFull => above << 4 | above,
            _ => above << 4 | self.room(tier),
        };
        self.0 = self.0 & !(0xff << (8 * tier)) | both << (8 * tier);
    }

    /// Why `class` is refused, if it is.
    pub(crate) const fn rejection(self, class: Class) -> Option<Rejection> {
        let (tier, rank) = (class.tier.index(), class.rank.index() as u64);
        if rank < self.room(tier) {
            Some(Rejection::BufferFull)
        } else if rank < self.0 >> (8 * tier + 4) & 0xf {
            Some(Rejection::QueueTimeout)
        } else {
            None
        }
    }

    const fn room(self, tier: usize) -> u64 {
        self.0 >> (8 * tier) & 0xf
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::{MAX_RANKS, Rank};

    #[test]
    fn a_floor_refuses_the_ranks_below_it_of_its_own_tier() {
        for (tier, room, floor) in [(0, 0, 1), (3, 2, 5), (7, 8, 8), (7, 0, 8)] {
            let mut floors = Floors(0);
            for rank in 0..floor {
                let full = rank < room;
                floors.refuse(
                    tier,
                    rank,
                    if full { Rejection::BufferFull } else { Rejection::QueueTimeout },
                );
            }
            for other in 0..8 {
                for rank in 0..MAX_RANKS {
                    let id = TierId::new(other as u8).unwrap();
                    let class = Class { tier: id, rank: Rank::new(rank as u8) };
                    let expected = match rank {
                        _ if other != tier => None,
                        _ if rank < room => Some(Rejection::BufferFull),
                        _ if rank < floor => Some(Rejection::QueueTimeout),
                        _ => None,
                    };
                    assert_eq!(floors.rejection(class), expected, "{tier} {room} {floor}");
                }
            }
        }
    }

    #[test]
    fn a_bit_refuses_its_own_tier_for_its_own_reason() {
        for reason in [Rejection::BufferFull, Rejection::QueueTimeout, Rejection::Watermark] {
            for refused in 0..8u8 {
                let mut gate = Gate::default();
                gate.refuse(refused.into(), reason);
                for tier in 0..8 {
                    let expected = (tier == refused).then_some(reason);
                    assert_eq!(gate.rejection(TierId::new(tier).unwrap()), expected);
                }
            }
        }
    }

    #[test]
    fn the_shadow_refuses_nobody() {
        let mut gate = Gate::default();
        (0..8).for_each(|tier| gate.would_refuse(tier));
        for tier in (0..8).filter_map(TierId::new) {
            assert_eq!(gate.rejection(tier), None);
            assert!(gate.is_refused_in_shadow(tier) && !gate.is_unbuffered(tier));
        }
        assert_eq!(gate.refused(), Refused { at_all: 0, for_capacity: 0 });
        assert!(!gate.is_shut());
    }

    #[test]
    fn a_tier_that_never_waits_is_not_refused_by_that_alone() {
        let tier = TierId::new(7).unwrap();
        let mut gate = Gate::default();
        gate.unbuffer(7);
        assert_eq!(gate.rejection(tier), None);
        assert!(gate.is_unbuffered(tier));
        gate.close();
        assert_eq!(gate.rejection(tier), Some(Rejection::Closed));
        gate.drain();
        assert_eq!(gate.rejection(tier), Some(Rejection::Draining));
    }
}
