//! The class of service of a request, and what a buffer keeps of each.

use std::time::Duration;

use crate::breaker::{Breaker, State as BreakerState};
use crate::limits::{Guarantee, TierLimits};
use crate::queue::Queue;
use crate::status::TierStatus;
use crate::timestamp::Timestamp;
use crate::watermarks::Watermarks;

/// The most tiers one limiter can have: one bit mask of the gate is this wide.
pub const MAX_TIERS: usize = 8;

/// How far below the high watermark a pressure from outside has to fall to count no more. It knows nothing of the low one: that
/// is what is left in the buffer when the breaker resets, and memory need never fall that far.
const EXTERNAL_HYSTERESIS: f64 = 0.05;

/// A tier by its place in the order of priority: 0 is served first.
///
/// An index beyond the tiers a limiter has means its last tier.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TierId(u8);

/// One tier's queue and breaker.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(crate) limits: TierLimits,
    /// Its own, or a higher tier's where that is the lower and not in the shadow: a higher tier is never refused before a lower one.
    pub(crate) watermarks: Watermarks,
    /// It may enter while fewer than this wait in all.
    pub(crate) places: u32,
    /// The same if no breaker were in the shadow.
    pub(crate) meant_places: u32,
    /// What it gets whoever else is there.
    pub(crate) guarantee: Guarantee,
    /// Where those of it that are in flight are counted, if they are.
    pub(crate) counter: u8,
    /// How many of the permits that it is guaranteed it did not have when that was last looked at.
    pub(crate) owed: u32,
    pub(crate) queue: Queue,
    /// Where it stands in the order of service among the lower tiers: the least is next.
    pub(crate) pass: u64,
    breaker: Breaker,
    /// The pressure from outside counts.
    is_pressed_from_outside: bool,
    pub(crate) pressure: f64,
    /// Expected wait of an ordinary newcomer.
    pub(crate) estimate: Duration,
}

/// The lowest watermarks of a tier and of those above it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    /// Of those that are not in the shadow.
    enforced: Option<Watermarks>,
    /// Of all.
    meant: Option<Watermarks>,
}

impl Marks {
    /// With those of the next tier.
    pub(crate) fn and(self, own: Watermarks) -> Self {
        let enforced = match own.is_shadow() {
            true => self.enforced,
            false => Some(own.lowered_to(self.enforced)),
        };
        Self { enforced, meant: Some(own.lowered_to(self.meant)) }
    }
}

impl TierId {
    /// The tier at `index`; `None` from [`MAX_TIERS`] on.
    #[must_use]
    pub const fn new(index: u8) -> Option<Self> {
        if (index as usize) < MAX_TIERS { Some(Self(index)) } else { None }
    }

    /// The place in the order of priority, below [`MAX_TIERS`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Tier {
    /// One that nobody has waited in, below tiers with these marks, in a buffer of `capacity`.
    pub(crate) fn new(
        limits: TierLimits,
        higher: Marks,
        guarantee: Guarantee,
        capacity: u32,
        pass: u64,
    ) -> Self {
        let Marks { enforced, meant } = higher.and(limits.watermarks);
        let filled = |marks: Option<Watermarks>| marks.map_or(capacity, |it| places(it, capacity));
        Self {
            limits,
            watermarks: limits.watermarks.lowered_to(higher.enforced),
            places: filled(enforced),
            meant_places: filled(meant),
            // Who never waits is handed nothing.
            guarantee: if limits.max_wait.is_zero() { Guarantee::NONE } else { guarantee },
            counter: u8::MAX,
            owed: 0,
            queue: Queue::EMPTY,
            pass,
            breaker: Breaker::new(),
            is_pressed_from_outside: false,
            pressure: 0.0,
            estimate: Duration::ZERO,
        }
    }

    /// The same with what `earlier` has of waiters and of history.
    pub(crate) fn carry(self, earlier: Self) -> Self {
        let Self { limits, watermarks, places, meant_places, guarantee, .. } = self;
        Self { limits, watermarks, places, meant_places, guarantee, ..earlier }
    }

    /// Takes over the pressure of the buffer and one from outside, as of `now`.
    ///
    /// What is outside may stay between the watermarks for hours: were it to count there, a breaker that the buffer has
    /// tripped would never reset.
    pub(crate) fn press(
        &mut self,
        pressure: f64,
        external: f64,
        now: Timestamp,
        trip_spacing: Duration,
    ) {
        let high = self.watermarks.high();
        // Half of a low mark: zero must always be below.
        let ends = (high - EXTERNAL_HYSTERESIS).max(high / 2.0);
        self.is_pressed_from_outside =
            external >= if self.is_pressed_from_outside { ends } else { high };
        self.pressure = pressure.max(external).min(1.0);
        let counted = if self.is_pressed_from_outside { self.pressure } else { pressure };
        self.breaker.observe(counted, self.watermarks, now, trip_spacing);
    }

    /// Whether its breaker refuses nobody.
    pub(crate) const fn is_shadow(&self) -> bool {
        self.watermarks.is_shadow()
    }

    /// Whether the pressure from outside is too high for this tier.
    pub(crate) const fn is_pressed_from_outside(&self) -> bool {
        self.is_pressed_from_outside
    }

    pub(crate) fn is_shedding(&self) -> bool {
        !self.is_shadow() && self.is_meant_to_shed()
    }

    /// Whether one is let in only for one that leaves.
    pub(crate) fn is_held(&self) -> bool {
        !self.is_shadow() && self.is_meant_to_hold()
    }

    /// Whether it sheds, or would if it were not in the shadow.
    pub(crate) fn is_meant_to_shed(&self) -> bool {
        self.breaker.state() == BreakerState::Shedding
    }

    /// Whether it is held, or would be.
    pub(crate) fn is_meant_to_hold(&self) -> bool {
        self.breaker.state() == BreakerState::Holding && self.pressure >= self.watermarks.high()
    }

    pub(crate) fn status(&self) -> TierStatus {
        TierStatus {
            waiting: self.queue.len(),
            preferred: self.queue.preferred(),
            guaranteed: self.guarantee.permits,
            in_flight: None,
            open: self.breaker.state() != BreakerState::Closed,
            shadow: self.is_shadow(),
            trips: self.breaker.trips(),
            pressure: self.pressure,
            estimated_wait: self.estimate,
        }
    }
}

/// How many places of `capacity` a tier with these watermarks may fill: at least one, if there is any.
fn places(watermarks: Watermarks, capacity: u32) -> u32 {
    // The fraction of a millionth takes back what the product may be too large by: 0.1 * 30 > 3.
    let places = (watermarks.high() * f64::from(capacity) - 1e-6).ceil();
    (places as u32).clamp(1, capacity.max(1)).min(capacity)
}
