//! How many requests may be sent a second time: a part of what was admitted of late, and a few each second in any case.
//!
//! An upstream that fails is not helped by more requests. Where each request may be repeated, a failure that is due to
//! load doubles the load, and lasts (Bronson et al., *Metastable Failures in Distributed Systems*, 2021). The part is
//! reckoned over a window of slots, as Finagle's `RetryBudget` does, with its ten seconds; the few are a rate of their own.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::gcra::Gcra;
use crate::rate::Rate;
use crate::sync::{AtomicU64, Mutex, Ordering, Padded, lock};
use crate::timestamp::{Timestamp, saturating_nanos};

/// Slots of the window, the one of now included.
const SLOTS: usize = 10;
/// Length of a slot.
const SLOT: Duration = Duration::from_secs(1);

/// How much of a [`RetryBudget`] there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryLimits {
    ratio: f64,
    floor: Rate,
}

/// Why two numbers are no [`RetryLimits`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum RetryLimitsError {
    /// The floor is more than a million a second.
    FloorTooHigh(u32),
    /// The ratio is not in 0..=1.
    RatioOutOfRange(f64),
}

/// Grants retries: over any time in which `n` requests are admitted and `t` seconds pass, at most
/// `ratio * n + min_per_second * (t + 1)`, where `n` counts those of the ten seconds before as well.
///
/// `min_per_second` of them are granted each second whatever else was. A clock that goes back stands still here; one
/// that jumps ahead leaves nothing but those.
#[derive(Debug)]
pub struct RetryBudget {
    /// Requests admitted so far, by who counts.
    admitted: Box<[Padded<AtomicU64>]>,
    floor: Gcra,
    window: Mutex<Window>,
}

/// A [`RetryBudget`] at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RetryStatus {
    /// Requests admitted in the window.
    pub admitted: u64,
    /// Retries granted in it.
    pub retries: u64,
    /// Retries that its ratio would still grant now, beside those of each second.
    pub left: u64,
}

#[derive(Debug)]
struct Window {
    limits: RetryLimits,
    /// Number of the latest slot since the epoch.
    latest: u64,
    /// By that number, modulo.
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Requests admitted before it began, as far as was seen.
    before: u64,
    /// Retries granted in it.
    retries: u64,
}

// === impl RetryLimits ===

impl RetryLimits {
    /// Nothing is granted.
    pub const NONE: Self = Self { ratio: 0.0, floor: Rate::CLOSED };

    /// `ratio` retries, 0 to 1, for each admitted request, and `min_per_second`, at most a million, in any case.
    ///
    /// # Errors
    /// Says which of the numbers is out of range and what is legal.
    pub fn new(ratio: f64, min_per_second: u32) -> Result<Self, RetryLimitsError> {
        // Written so that a NaN fails too.
        if !(0.0..=1.0).contains(&ratio) {
            return Err(RetryLimitsError::RatioOutOfRange(ratio));
        }
        let burst = min_per_second.max(1);
        let floor = Rate::new(u64::from(min_per_second), Duration::from_secs(1), burst);
        let floor = floor.ok().filter(|_| min_per_second <= 1_000_000);
        let floor = floor.ok_or(RetryLimitsError::FloorTooHigh(min_per_second))?;
        Ok(Self { ratio, floor })
    }

    /// Retries for each admitted request.
    #[must_use]
    pub const fn ratio(self) -> f64 {
        self.ratio
    }

    /// Retries of each second in any case.
    #[must_use]
    pub fn min_per_second(self) -> u32 {
        u32::try_from(self.floor.count()).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for RetryLimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FloorTooHigh(floor) => {
                write!(f, "{floor} retries a second are out of range: at most 1000000")
            }
            Self::RatioOutOfRange(ratio) => {
                write!(f, "the ratio {ratio} is out of range: it must be at least 0, at most 1")
            }
        }
    }
}

impl Error for RetryLimitsError {}

// === impl RetryBudget ===

impl RetryBudget {
    /// Nothing was admitted yet. `shards` threads can [count](Self::admitted) without disturbing each other.
    #[must_use]
    pub fn new(limits: RetryLimits, shards: usize) -> Self {
        let shards = shards.max(1);
        Self {
            admitted: (0..shards).map(|_| Padded::<AtomicU64>::default()).collect(),
            floor: Gcra::new(limits.floor),
            window: Mutex::new(Window { limits, latest: 0, slots: [Slot::default(); SLOTS] }),
        }
    }

    /// Counts an admitted request. One write, to the line of this `shard`.
    #[inline]
    pub fn admitted(&self, shard: usize) {
        self.admitted[shard % self.admitted.len()].fetch_add(1, Ordering::Relaxed);
    }

    /// Lets the window move on. What was admitted between two looks counts as admitted at the first, so that without
    /// this, at least once a second, a budget is smaller than it could be.
    pub fn tick(&self, now: Timestamp) {
        let admitted = self.total();
        lock(&self.window).move_on(admitted, now);
    }

    /// Whether one more request may be sent again at `now`; then it counts.
    pub fn take(&self, now: Timestamp) -> bool {
        let mut window = lock(&self.window);
        let admitted = self.total();
        window.move_on(admitted, now);
        let granted = window.status(admitted).left > 0 || self.floor.take(now).is_ok();
        if granted {
            window.slot().retries += 1;
        }
        granted
    }

    /// Changes how much there is; what was granted and admitted stays counted.
    pub fn set_limits(&self, limits: RetryLimits, now: Timestamp) {
        lock(&self.window).limits = limits;
        self.floor.set_rate(limits.floor, now);
    }

    /// What there is at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> RetryStatus {
        let mut window = lock(&self.window);
        let admitted = self.total();
        window.move_on(admitted, now);
        window.status(admitted)
    }

    fn total(&self) -> u64 {
        self.admitted.iter().fold(0, |sum, shard| sum.wrapping_add(shard.load(Ordering::Relaxed)))
    }
}

// === impl Window ===

impl Window {
    /// To the slot of `now`, of which `admitted` were admitted before if it is new.
    fn move_on(&mut self, admitted: u64, now: Timestamp) {
        let slot = now.as_nanos() / saturating_nanos(SLOT);
        let passed = slot.saturating_sub(self.latest);
        // Of more slots than there are each is new.
        for number in (slot + 1).saturating_sub(passed.min(SLOTS as u64))..=slot {
            self.slots[number as usize % SLOTS] = Slot { before: admitted, retries: 0 };
        }
        self.latest += passed;
    }

    fn slot(&mut self) -> &mut Slot {
        &mut self.slots[self.latest as usize % SLOTS]
    }

    fn status(&self, admitted: u64) -> RetryStatus {
        let oldest = self.slots[(self.latest as usize + 1) % SLOTS];
        let admitted = admitted.wrapping_sub(oldest.before);
        let retries = self.slots.iter().map(|slot| slot.retries).sum();
        // The little bit makes up for the rounding of decimal fractions: 0.07 * 100 is a whole 7.
        let most = (self.limits.ratio * admitted as f64 + 1e-9) as u64;
        RetryStatus { admitted, retries, left: most.saturating_sub(retries) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    fn budget(ratio: f64, floor: u32) -> RetryBudget {
        RetryBudget::new(RetryLimits::new(ratio, floor).expect("legal limits"), 2)
    }

    fn admit(budget: &RetryBudget, count: usize) {
        (0..count).for_each(|n| budget.admitted(n));
    }

    fn take_all(budget: &RetryBudget, now: Timestamp) -> usize {
        (0..100_000).take_while(|_| budget.take(now)).count()
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(matches!(RetryLimits::new(bad, 3), Err(RetryLimitsError::RatioOutOfRange(_))));
        }
        assert_eq!(
            RetryLimits::new(0.1, 1_000_001),
            Err(RetryLimitsError::FloorTooHigh(1_000_001))
        );
        let limits = RetryLimits::new(1.0, 1_000_000).unwrap();
        assert_eq!((limits.ratio(), limits.min_per_second()), (1.0, 1_000_000));
    }

    #[test]
    fn a_part_of_what_was_admitted_and_a_few_each_second() {
        let budget = budget(0.1, 3);
        assert_eq!(take_all(&budget, at(0)), 3);
        admit(&budget, 100);
        // Those three count against the part.
        assert_eq!(take_all(&budget, at(0)), 7);
        assert_eq!(take_all(&budget, at(1_000)), 3);
        assert_eq!(take_all(&budget, at(1_333)), 0);
        assert_eq!(take_all(&budget, at(1_334)), 1);
        assert_eq!(budget.status(at(1_334)).retries, 14);
    }

    #[test]
    fn nothing_is_granted_where_nothing_is_to_be() {
        let budget = RetryBudget::new(RetryLimits::NONE, 1);
        admit(&budget, 1_000);
        assert_eq!(take_all(&budget, at(5_000)), 0);
    }

    #[test]
    fn what_was_admitted_counts_for_ten_seconds() {
        let budget = budget(0.1, 0);
        admit(&budget, 100);
        for second in 0..10 {
            budget.tick(at(second * 1_000));
        }
        assert_eq!(budget.status(at(9_999)).left, 10);
        assert_eq!(take_all(&budget, at(9_999)), 10);
        assert_eq!(budget.status(at(10_000)), RetryStatus { admitted: 0, retries: 10, left: 0 });
        admit(&budget, 100);
        assert_eq!(take_all(&budget, at(18_999)), 0, "the ten still count");
        assert_eq!(take_all(&budget, at(19_000)), 10);
    }

    #[test]
    fn a_clock_that_goes_back_or_jumps_grants_no_more() {
        let budget = budget(0.1, 3);
        admit(&budget, 100);
        assert_eq!(take_all(&budget, at(5_000)), 13);
        for now in [4_000, 0, 5_000] {
            assert_eq!(take_all(&budget, at(now)), 0);
        }
        admit(&budget, 100);
        assert_eq!(take_all(&budget, at(1_000)), 7);
        assert_eq!(take_all(&budget, Timestamp::MAX), 3);
        assert_eq!(take_all(&budget, Timestamp::MAX), 0);
    }

    #[test]
    fn a_change_keeps_what_was_granted() {
        let budget = budget(0.1, 0);
        admit(&budget, 100);
        assert_eq!(take_all(&budget, at(0)), 10);
        budget.set_limits(RetryLimits::new(0.2, 0).unwrap(), at(0));
        assert_eq!(take_all(&budget, at(0)), 10);
        budget.set_limits(RetryLimits::NONE, at(0));
        admit(&budget, 100);
        assert_eq!(take_all(&budget, at(0)), 0);
    }
}
