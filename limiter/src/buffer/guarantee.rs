//! What tiers are guaranteed: permits that come back to them, and places that are kept for them.
//!
//! A tier may enter while *those before it* are fewer than there are places: the waiters of its own and of the tiers above,
//! and the places that are kept for the tiers below. If that holds for a tier and for all those below it, whose waiters it
//! would come before as well, nobody has to leave; else the newest of a tier below makes room that is beyond its guarantee
//! and without whom it holds again. So who is below its guarantee always finds a place, or somebody below to make room.

use std::time::Duration;

use super::Buffer;
use crate::class::Rank;
use crate::counters::Service;
use crate::limits::Limits;
use crate::shares::{Places, Share, Shares};
use crate::tier::{MAX_TIERS, Tier};
use crate::timestamp::saturating_nanos;

/// What stands behind one tier, in those below it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lower {
    /// Waiters that it cannot push aside.
    immovable: u32,
    /// Places that are kept for others who may come.
    kept: u32,
}

// === impl Lower ===

impl Lower {
    /// The part of the places a tier may have that it cannot make room in, with those of its own and of higher tiers who wait.
    pub(super) fn occupancy(self, higher: u32, capacity: u32) -> f64 {
        let within_reach = capacity.saturating_sub(self.kept).max(1);
        f64::from(higher + self.immovable) / f64::from(within_reach)
    }
}

// === impl Buffer ===

impl Buffer {
    /// Takes over what `limits` guarantee, for the same tiers.
    pub(crate) fn guarantee(&mut self, limits: &Limits) {
        if !self.has_guarantees {
            return;
        }
        for (index, tier) in self.tiers.iter_mut().enumerate() {
            if !tier.limits.max_wait.is_zero() {
                tier.guarantee = limits.guarantee(index);
            }
        }
    }

    pub(crate) const fn has_guarantees(&self) -> bool {
        self.has_guarantees
    }

    /// Gives each tier that has none a counter of `shares`, and says where permits are counted.
    pub(crate) fn count_at(&mut self, shares: &Shares) -> Places {
        for index in 0..self.tiers.len() {
            if self.tiers[index].counter == u8::MAX {
                let taken = |counter| self.tiers.iter().any(|tier| tier.counter == counter);
                self.tiers[index].counter = shares.free(taken);
            }
        }
        self.places()
    }

    fn places(&self) -> Places {
        if !self.has_guarantees {
            return Places::NOWHERE;
        }
        Places::new(self.tiers.iter().map(|tier| tier.counter))
    }

    /// Where the waiter at `entry` is counted once it has a permit.
    pub(crate) fn share(&mut self, entry: u32) -> Share {
        let (tier, rank) = (self.slab.entry(entry).tier, self.slab.entry(entry).rank);
        self.places().of(usize::from(tier), rank)
    }

    /// The waiter to be served next of those of rank `lowest` or above whose tiers are below their guarantee: of the first
    /// such tier.
    pub(crate) fn next_guaranteed(&self, lowest: Rank, shares: &Shares) -> Option<u32> {
        self.tiers.iter().find_map(|tier| {
            let next = tier.queue.next(lowest)?;
            (shares.in_flight(tier.counter) < tier.guarantee.permits).then_some(next)
        })
    }

    /// Whether one more of tier `index` may wait whatever its breaker says. Memory that runs out is nobody's fault, and
    /// nobody is let in by a guarantee then.
    pub(super) fn is_guaranteed_a_place(&self, index: usize) -> bool {
        let tier = &self.tiers[index];
        let is_pressed = tier.is_pressed_from_outside() && !tier.is_shadow();
        tier.queue.len() < tier.guarantee.places && !is_pressed
    }

    /// Whether a newcomer of tier `index` finds no place unless somebody makes room.
    pub(super) fn is_full(&self, index: usize) -> bool {
        if !self.has_guarantees {
            return self.waiting >= self.capacity.max(1);
        }
        self.first_full(index).is_some()
    }

    /// The lowest tier that can make room for a newcomer of tier `index`.
    pub(super) fn last_to_make_room(&self, index: usize) -> usize {
        let last = self.tiers.len() - 1;
        if !self.has_guarantees {
            return last;
        }
        self.first_full(index).unwrap_or(last)
    }

    /// The first tier, from `index` downwards, before whom are as many as there are places.
    // Apart from what calls it, as the next: most limiters never come here.
    #[inline(never)]
    fn first_full(&self, index: usize) -> Option<usize> {
        let kept: u32 = self.tiers.iter().map(|tier| tier.guarantee.places).sum();
        let mut before = kept;
        for (at, tier) in self.tiers.iter().enumerate() {
            before = before - tier.guarantee.places + tier.queue.len();
            if at >= index && before >= self.capacity.max(1) {
                return Some(at);
            }
        }
        None
    }

    /// What stands behind each tier.
    pub(super) fn lower(&self) -> [Lower; MAX_TIERS] {
        let (mut lower, mut sum) = ([Lower::default(); MAX_TIERS], Lower::default());
        for (index, tier) in self.tiers.iter().enumerate().rev() {
            lower[index] = sum;
            let (waiting, places) = (tier.queue.len(), tier.guarantee.places);
            sum.immovable += waiting.min(places);
            sum.kept += places.saturating_sub(waiting);
        }
        lower
    }

    /// Takes over how many permits each tier does not have of those that it is guaranteed.
    pub(super) fn see_owed(&mut self, shares: &Shares) {
        if !self.has_guarantees {
            return;
        }
        for tier in &mut self.tiers {
            tier.owed = match tier.guarantee.permits {
                0 => 0,
                permits => permits.saturating_sub(shares.in_flight(tier.counter)),
            };
        }
    }

    /// Expected wait of a newcomer of tier `index` and `rank`: who is below its guarantee gets the next permits that come
    /// back, whosever they are; behind that it is served by turns.
    #[inline(never)]
    pub(super) fn guaranteed_estimate(
        &self,
        index: usize,
        rank: Rank,
        service: Service,
    ) -> Duration {
        let own = &self.tiers[index];
        let turns = own.queue.at_or_above(rank) + 1;
        let mut rounds = self.rounds(index, rank, turns, service);
        let owed = own.owed.min(turns);
        if owed > 0 {
            let earlier = self.tiers[..index].iter();
            let before: u32 = earlier.map(|tier| tier.owed.min(tier.queue.len())).sum();
            let next = f64::from(before + owed) / f64::from(service.limit.of(rank).max(1));
            rounds = rounds.min(next + self.rounds(index, rank, turns - owed, service));
        }
        // From a float by saturation.
        Duration::from_nanos((rounds * saturating_nanos(service.mean) as f64) as u64)
    }

    /// In how many service times tier `index` has had so many turns: the first tier is served with what the others are not
    /// guaranteed; the others with that, and by weight with what the first leaves when it is served.
    fn rounds(&self, index: usize, rank: Rank, turns: u32, service: Service) -> f64 {
        let [first, lower @ ..] = self.tiers.as_slice() else { return 0.0 };
        if turns == 0 {
            return 0.0;
        }
        let own = &self.tiers[index];
        let permits = f64::from(service.limit.of(rank));
        let is_served = |tier: &&Tier| !tier.queue.is_empty() || std::ptr::eq(*tier, own);
        let served = || lower.iter().filter(is_served);
        let guaranteed: u32 = served().map(|tier| tier.guarantee.permits).sum();
        let left = (permits - f64::from(guaranteed)).max(0.0);
        let turns = f64::from(turns);
        let least = f64::from(own.guarantee.permits);
        if index == 0 {
            return turns / left.max(least).max(1.0);
        }
        // In rounds of one service each: how long the first tier takes, and what this one gets meanwhile.
        let firsts = f64::from(first.queue.len()) / left.max(1.0);
        if turns <= least * firsts {
            return turns / least;
        }
        let weights: f64 = served().map(|tier| f64::from(tier.limits.weight.get())).sum();
        let share = left * f64::from(own.limits.weight.get()) / weights;
        firsts + (turns - least * firsts) / (least + share).max(1.0 / weights)
    }
}
