//! The bounded buffer: who gets a place, who is next, and what is refused at the gate.
//!
//! Everything here runs under the limiter's lock and touches no atomic.

mod guarantee;

use std::task::Waker;
use std::time::Duration;

use crate::class::{MAX_RANKS, Rank};
use crate::counters::Service;
use crate::delay::WaitWindow;
use crate::gate::{Floors, Gate};
use crate::limits::Limits;
use crate::permit::Given;
use crate::rejection::Rejection;
use crate::shares::Shares;
use crate::slab::{Entry, Slab, State};
use crate::tier::{MAX_TIERS, Marks, Tier, TierId};
use crate::timestamp::{Timestamp, saturating_nanos};
use crate::word::Limit;

/// What a weight of 1 moves a tier's pass on by when it is served.
const STRIDE: u64 = 1 << 32;

/// What becomes of a newcomer that found no permit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// It takes the place of this waiter.
    Displace(u32),
    /// It takes a free one.
    Free,
    Refuse(Rejection),
}

/// The waiter that a permit goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    pub(crate) entry: u32,
    /// It is within what is guaranteed to its tier.
    pub(crate) is_guaranteed: bool,
}

#[derive(Debug)]
pub(crate) struct Buffer {
    slab: Slab,
    tiers: Vec<Tier>,
    waiting: u32,
    /// Those of them above the ordinary rank.
    preferred: u32,
    capacity: u32,
    /// Whether anything is guaranteed to any tier.
    has_guarantees: bool,
    /// Whether the breaker of any tier is in the shadow.
    has_shadows: bool,
    queue_delay_target: Duration,
    trip_spacing: Duration,
    /// Pass of the lower tier that was served last: where one that begins to wait joins.
    pass: u64,
    waits: WaitWindow,
    queue_delay: Duration,
    external_pressure: f64,
    draining: bool,
}

impl Buffer {
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut buffer = Self {
            slab: Slab::new(),
            tiers: Vec::new(),
            waiting: 0,
            preferred: 0,
            capacity: 0,
            has_guarantees: false,
            has_shadows: false,
            queue_delay_target: Duration::ZERO,
            trip_spacing: Duration::ZERO,
            pass: 0,
            waits: WaitWindow::default(),
            queue_delay: Duration::ZERO,
            external_pressure: 0.0,
            draining: false,
        };
        buffer.apply(limits, &[]);
        buffer
    }

    /// Takes over new limits. Nobody is evicted. The tier at each index goes on as the one at the index that `from` says,
    /// with its waiters and its breaker, or begins anew; waiters of a tier that is gone go to the end of the last one.
    pub(crate) fn apply(&mut self, limits: &Limits, from: &[Option<usize>]) {
        self.capacity = limits.buffer();
        self.slab.reserve(self.capacity);
        self.has_guarantees = limits.has_guarantees();
        self.has_shadows = limits.tiers().iter().any(|tier| tier.watermarks.is_shadow());
        self.queue_delay_target = limits.delay_target();
        self.trip_spacing = limits.spacing();

        let mut old: Vec<Option<Tier>> =
            std::mem::take(&mut self.tiers).into_iter().map(Some).collect();
        let mut higher = Marks::default();
        for (index, &tier_limits) in limits.tiers().iter().enumerate() {
            let guarantee = limits.guarantee(index);
            let new = Tier::new(tier_limits, higher, guarantee, self.capacity, self.pass);
            higher = higher.and(tier_limits.watermarks);
            let earlier = from.get(index).copied().flatten();
            let carried = earlier.and_then(|earlier| old.get_mut(earlier)?.take());
            self.tiers.push(match carried {
                Some(tier) => {
                    if earlier != Some(index) {
                        tier.queue.relabel(&mut self.slab, index as u8);
                    }
                    new.carry(tier)
                }
                None => new,
            });
        }
        if let Some(last) = self.tiers.len().checked_sub(1) {
            for gone in old.into_iter().flatten() {
                self.tiers[last].queue.append(&mut self.slab, gone.queue, last as u8);
            }
        }
    }

    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    pub(crate) fn set_external_pressure(&mut self, pressure: f64) {
        // A NaN is no pressure.
        self.external_pressure = if pressure > 0.0 { pressure.min(1.0) } else { 0.0 };
    }

    /// Where a newcomer of `tier` and `rank` goes that has to be served by `deadline`. Judges by the last
    /// [`refresh`](Self::refresh).
    pub(crate) fn place(
        &self,
        tier: usize,
        rank: Rank,
        service: Service,
        now: Timestamp,
        deadline: Timestamp,
    ) -> Place {
        if let Some(rejection) = self.refusal(tier, rank, service) {
            return Place::Refuse(rejection);
        }
        if self.is_unbuffered(tier) {
            return Place::Refuse(Rejection::BufferFull);
        }
        if now + self.estimate(tier, rank, service) > deadline {
            return Place::Refuse(Rejection::Deadline);
        }
        match self.newest_below(tier, rank) {
            Some(newest) if self.is_blocked(tier, rank) => Place::Displace(newest),
            _ => Place::Free,
        }
    }

    /// Adds a waiter at the end of `rank` in `tier`.
    pub(crate) fn push(
        &mut self,
        tier: usize,
        rank: Rank,
        now: Timestamp,
        deadline: Timestamp,
    ) -> u32 {
        let waits = &mut self.tiers[tier];
        if waits.queue.is_empty() {
            // The later of the two: having been idle earns nothing, and neither does coming back at once.
            waits.pass = waits.pass.max(self.pass);
        }
        let timeout = now + waits.limits.max_wait;
        let (expires, cause) = if deadline <= timeout {
            (deadline, Rejection::Deadline)
        } else {
            (timeout, Rejection::QueueTimeout)
        };
        self.waiting += 1;
        self.preferred += u32::from(rank.is_preferred());
        waits.queue.push(&mut self.slab, Entry::new(tier as u8, rank, now, expires, cause))
    }

    /// The waiter to be served next, of those of rank `lowest` or above: the first tier strictly first, then the lower one
    /// whose pass is the least (stride scheduling: Waldspurger and Weihl, 1995).
    pub(crate) fn next(&self, lowest: Rank) -> Option<u32> {
        let [first, lower @ ..] = self.tiers.as_slice() else { return None };
        first.queue.next(lowest).or_else(|| {
            let heads = lower.iter().filter_map(|tier| Some((tier.pass, tier.queue.next(lowest)?)));
            heads.min_by_key(|&(pass, _)| pass).map(|(_, next)| next)
        })
    }

    /// Takes a waiter off its queue, and gives its rank.
    pub(crate) fn unlink(&mut self, index: u32) -> Rank {
        let &mut Entry { tier, rank, .. } = self.slab.entry(index);
        self.tiers[usize::from(tier)].queue.unlink(&mut self.slab, index);
        self.waiting -= 1;
        self.preferred -= u32::from(rank.is_preferred());
        rank
    }

    /// Gives the waiter that is `next`, off its queue, a permit; and how long it waited.
    pub(crate) fn grant(&mut self, next: Next, given: Given) -> (Option<Waker>, Duration) {
        let entry = self.slab.entry(next.entry);
        let (tier, wait) = (usize::from(entry.tier), given.since().saturating_since(entry.since));
        let waker = entry.settle(State::Granted(given));
        self.waits.record(wait, given.since());
        // The weights divide what is left beyond the guarantees.
        if !next.is_guaranteed {
            self.charge(tier);
        }
        (waker, wait)
    }

    /// Refuses the waiter at `index`, off its queue.
    pub(crate) fn refuse(&mut self, index: u32, rejection: Rejection) -> Option<Waker> {
        self.slab.entry(index).settle(State::Refused(rejection))
    }

    /// What the waiter at `index` is refused for if it has expired, which counts as a wait.
    pub(crate) fn expiry(&mut self, index: u32, now: Timestamp) -> Option<Rejection> {
        let &mut Entry { since, expires, cause, .. } = self.slab.entry(index);
        if expires > now {
            return None;
        }
        self.waits.record(now.saturating_since(since), now);
        Some(cause)
    }

    pub(crate) fn entry(&mut self, index: u32) -> &mut Entry {
        self.slab.entry(index)
    }

    /// Gives the entry at `index`, off its queue, back for reuse.
    pub(crate) fn free(&mut self, index: u32) -> State {
        self.slab.free(index)
    }

    /// The largest pressure of any tier, as of the last refresh.
    pub(crate) fn pressure(&self) -> f64 {
        self.tiers().iter().map(|tier| tier.pressure).fold(0.0, f64::max)
    }

    /// Brings pressures, breakers and estimates up to `now`.
    pub(crate) fn refresh(&mut self, now: Timestamp, service: Service, shares: &Shares) {
        self.see_owed(shares);
        // The time that the newest has to wait for the others: with one waiter left there is no delay, however slow the
        // upstream, or shedding would empty the buffer and leave the upstream idle (as CoDel, RFC 8289, never drops the
        // last packet).
        let others = u64::from(self.waiting.saturating_sub(1));
        self.queue_delay = self.waits.mean().min(service.time_for(others, service.limit.all()));
        let delay = if self.queue_delay_target.is_zero() {
            f64::from(u8::from(!self.queue_delay.is_zero()))
        } else {
            self.queue_delay.as_secs_f64() / self.queue_delay_target.as_secs_f64()
        };
        let lower = self.has_guarantees.then(|| self.lower());
        let mut immovable = 0;
        for index in 0..self.tiers.len() {
            let estimate = self.estimate(index, Rank::ORDINARY, service);
            let tier = &mut self.tiers[index];
            immovable += tier.queue.len();
            let occupancy = match &lower {
                None => f64::from(immovable) / f64::from(self.capacity.max(1)),
                Some(lower) => lower[index].occupancy(immovable, self.capacity),
            };
            let pressure = if index == 0 { occupancy } else { occupancy.max(delay) };
            tier.press(pressure, self.external_pressure, now, self.trip_spacing);
            tier.estimate = estimate;
        }
    }

    /// The words of the gate as of the last [`refresh`](Self::refresh). Tiers that do not exist read as the last one.
    pub(crate) fn gate(&self, service: Service) -> (Gate, Floors) {
        let (mut gate, mut floors) = (Gate::default(), Floors::default());
        if service.limit.all() == 0 {
            gate.close();
        }
        if self.draining {
            gate.drain();
        }
        for index in 0..self.tiers.len() {
            let end = if index + 1 == self.tiers.len() { MAX_TIERS } else { index + 1 };
            if self.is_unbuffered(index) {
                (index..end).for_each(|bit| gate.unbuffer(bit));
            }
            if self.has_shadows && self.would_refuse(index) {
                (index..end).for_each(|bit| gate.would_refuse(bit));
            }
            for (rank, rejection) in self.refusals(index, service).enumerate() {
                for bit in index..end {
                    if rank == 0 {
                        gate.refuse(bit, rejection);
                    }
                    floors.refuse(bit, rank, rejection);
                }
            }
        }
        (gate, floors)
    }

    /// Expected waits of ordinary newcomers, tier by tier.
    pub(crate) fn estimates(&self) -> impl Iterator<Item = Duration> {
        self.tiers.iter().map(|tier| tier.estimate)
    }

    /// Expected wait of a newcomer of tier `index` and `rank`.
    #[inline]
    pub(crate) fn estimate(&self, index: usize, rank: Rank, service: Service) -> Duration {
        if self.has_guarantees {
            return self.guaranteed_estimate(index, rank, service);
        }
        let ahead = u64::from(self.ahead(index, rank, service.limit));
        service.time_for(ahead + 1, service.limit.of(rank))
    }

    pub(crate) const fn is_draining(&self) -> bool {
        self.draining
    }

    /// The place of `tier` among those that exist.
    pub(crate) fn index_of(&self, tier: TierId) -> usize {
        tier.index().min(self.tiers.len() - 1)
    }

    pub(crate) const fn waiting(&self) -> u32 {
        self.waiting
    }

    pub(crate) const fn capacity(&self) -> u32 {
        self.capacity
    }

    pub(crate) const fn queue_delay(&self) -> Duration {
        self.queue_delay
    }

    pub(crate) fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// What newcomers of tier `index` are refused for at the gate, from the ordinary rank up to the last that is refused:
    /// whatever refuses a rank refuses those below it.
    fn refusals(&self, index: usize, service: Service) -> impl Iterator<Item = Rejection> {
        // While nobody preferred waits there may be a permit for one who comes, whoever else waits.
        let ranks = if self.preferred > 0 { MAX_RANKS } else { 1 };
        (0..ranks as u8).map_while(move |rank| self.refusal(index, Rank::new(rank), service))
    }

    /// Why a newcomer of tier `index` and `rank` that finds no permit is refused whoever it is, if it is. One of the ordinary
    /// rank then finds none, or is not to have it.
    fn refusal(&self, index: usize, rank: Rank, service: Service) -> Option<Rejection> {
        let tier = &self.tiers[index];
        let is_full = self.is_full(index);
        // A breaker sheds those who are too many. The preferred are few: they may use what is left above its mark.
        let sheds = !rank.is_preferred()
            && self.tiers[..=index].iter().any(Tier::is_shedding)
            && !self.is_guaranteed_a_place(index);
        let has_no_place = (is_full || !rank.is_preferred())
            && self.is_blocked(index, rank)
            && self.newest_below(index, rank).is_none();
        if sheds || has_no_place {
            let is_full = is_full && (rank.is_preferred() || tier.places == self.capacity);
            return Some(if is_full { Rejection::BufferFull } else { Rejection::Watermark });
        }
        // An estimate can be far off after the upstream froze for a while. With a round of permits ahead, it
        // is corrected by their coming back before this newcomer would have its turn; with fewer, it could refuse
        // everybody and so never be corrected.
        let is_late = |estimate| {
            saturating_nanos(estimate).saturating_mul(9) / 8
                > saturating_nanos(tier.limits.max_wait)
        };
        let estimate =
            if rank.is_preferred() { self.estimate(index, rank, service) } else { tier.estimate };
        (self.waiting > 0
            && is_late(estimate)
            && self.ahead(index, rank, service.limit) >= service.limit.of(rank))
        .then_some(Rejection::QueueTimeout)
    }

    /// Whether the breakers would refuse the ordinary rank of tier `index` if none of them were in the shadow.
    fn would_refuse(&self, index: usize) -> bool {
        let tier = &self.tiers[index];
        let at_or_above = &self.tiers[..=index];
        let is_above_mark = at_or_above.iter().any(Tier::is_meant_to_hold)
            || self.waiting >= tier.meant_places.max(1);
        let is_guaranteed =
            tier.queue.len() < tier.guarantee.places && !tier.is_pressed_from_outside();
        let has_no_place = is_above_mark && self.newest_below(index, Rank::ORDINARY).is_none();
        (at_or_above.iter().any(Tier::is_meant_to_shed) || has_no_place) && !is_guaranteed
    }

    /// Whether tier `index` is to let a newcomer of `rank` in only in the place of another.
    fn is_blocked(&self, index: usize, rank: Rank) -> bool {
        let tier = &self.tiers[index];
        // At least 1: where there are no places, a newcomer may still find a permit.
        // What is in the shadow itself is held by who is above it: those are not to be refused before it.
        let is_held =
            tier.is_held() || (tier.is_shadow() && self.tiers[..index].iter().any(Tier::is_held));
        let is_above_mark = (is_held && !rank.is_preferred()) || self.waiting >= tier.places.max(1);
        (is_above_mark && !self.is_guaranteed_a_place(index)) || self.is_full(index)
    }

    fn is_unbuffered(&self, index: usize) -> bool {
        self.capacity == 0 || self.tiers[index].limits.max_wait.is_zero()
    }

    /// Who makes room for a newcomer of tier `index` and `rank`: the newest of the lowest rank in the lowest tier below, or
    /// else of the lowest rank below in its own.
    fn newest_below(&self, index: usize, rank: Rank) -> Option<u32> {
        let lower = &self.tiers[index + 1..=self.last_to_make_room(index)];
        let newest = |tier: &Tier| {
            if tier.queue.len() > tier.guarantee.places { tier.queue.newest() } else { None }
        };
        let lowest = lower.iter().rev().find_map(newest);
        lowest.or_else(|| self.tiers[index].queue.newest_below(rank))
    }

    /// How many waiters are to be expected served before a newcomer of tier `index` and `rank`.
    fn ahead(&self, index: usize, rank: Rank, limit: Limit) -> u32 {
        let own = self.tiers[index].queue.at_or_above(rank);
        let [first, lower @ ..] = self.tiers.as_slice() else { return 0 };
        if index == 0 {
            return own;
        }
        // While one waits who may have what is reserved, nothing comes back that others may have.
        let is_past_ordinary = rank.is_preferred() && limit.ordinary() < limit.all();
        let firsts = if is_past_ordinary { first.queue.preferred() } else { first.queue.len() };
        if own == 0 {
            return firsts;
        }
        let weights: u64 = lower
            .iter()
            .filter(|tier| !tier.queue.is_empty())
            .map(|tier| u64::from(tier.limits.weight.get()))
            .sum();
        // At most 2^20 waiters times 7 weights of 32 bits.
        let own_turns = u64::from(own) * weights / u64::from(self.tiers[index].limits.weight.get());
        let ahead = u64::from(firsts) + own_turns;
        u32::try_from(ahead).unwrap_or(u32::MAX).min(self.waiting)
    }

    /// Moves the pass of `tier` on by one service.
    fn charge(&mut self, tier: usize) {
        if tier == 0 {
            return;
        }
        let served = &mut self.tiers[tier];
        self.pass = served.pass;
        served.pass += (STRIDE / u64::from(served.limits.weight.get())).max(1);
        // Only differences count.
        if self.pass > u64::MAX / 2 {
            for tier in &mut self.tiers {
                tier.pass = tier.pass.saturating_sub(self.pass);
            }
            self.pass = 0;
        }
    }
}
