//! When the refused are to come back: no more of them at any time than can be served then.
//!
//! A ring of return times in slots of 100 ms. Whoever is refused is given the earliest slot that has room, and a random
//! place within it, so that returns come at the rate that was set aside for them however steep the crowd was. When a
//! whole horizon is booked, the rest are only spread: nobody waits longer for it than the horizon.

use std::cell::Cell;
use std::time::Duration;

use crate::timestamp::Timestamp;

const SLOT_NANOS: u64 = 100_000_000;
/// Nobody is told to come back sooner: `Retry-After` is in whole seconds.
const SOONEST: Duration = Duration::from_secs(1);
/// Nobody is told to come back later: people do not wait for ever.
const HORIZON: Duration = Duration::from_secs(32);
/// As many as the horizon is long, so that no two slots within it share a place in the ring.
const SLOTS: usize = 320;
/// The last quarter of the horizon, where those go who found it full.
const CROWDED: u32 = 80;

/// Return times for the customers one upstream refuses, as one core hands them out.
///
/// ```
/// use floodgate_limiter::{Calendar, Timestamp};
///
/// let (calendar, now) = (Calendar::new(7), Timestamp::from_nanos(0));
/// let waits: Vec<u64> = (0..45).map(|_| calendar.book(now, 45.0).as_nanos() / 1_000_000).collect();
/// assert!(waits.iter().all(|millis| (1_000..2_000).contains(millis)));
/// assert!(calendar.book(now, 45.0).as_nanos() >= 2_000_000_000);
/// ```
#[derive(Debug)]
pub struct Calendar {
    ring: [Cell<Slot>; SLOTS],
    /// No slot before this one has room, at the lowest budget since it was last moved back.
    cursor: Cell<u64>,
    lowest: Cell<Budget>,
    /// First slot when the cursor was last moved back.
    moved_back: Cell<u64>,
    /// Where in the cycle of a broken budget this calendar is: cores must not all place their tenth in one slot.
    phase: u64,
    random: Cell<u64>,
}

/// Bookings of one slot.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Which slot they are of, in its lowest 32 bits: the place in the ring is used again every 32 s.
    number: u32,
    booked: u32,
}

/// Returns in each 10,000 slots: thousandths of a return per second.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Budget(u64);

// === impl Calendar ===

impl Calendar {
    /// An empty calendar; `seed` makes cores and upstreams differ.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            ring: std::array::from_fn(|_| Cell::default()),
            cursor: Cell::new(0),
            lowest: Cell::new(Budget::new(0.0)),
            moved_back: Cell::new(0),
            phase: (seed >> 32) % Budget::CYCLE,
            random: Cell::new(seed | 1),
        }
    }

    /// When one who is refused at `now` is to come back: 1 s to 32 s from then.
    ///
    /// `per_second` returns are booked for any second, at least one, until the horizon is full. It may change with every
    /// call; when it has risen, slots that had been full are filled up, looked through at most once in 100 ms.
    pub fn book(&self, now: Timestamp, per_second: f64) -> Timestamp {
        let first = (now + SOONEST).as_nanos().div_ceil(SLOT_NANOS);
        let end = (now + HORIZON).as_nanos() / SLOT_NANOS;
        let budget = Budget::new(per_second);

        let mut number = self.begin(first, end, budget);
        while number < end && self.booked(number) >= budget.room(number.wrapping_add(self.phase)) {
            number += 1;
        }
        self.cursor.set(number);
        if number >= end {
            number = end - 1 - u64::from(self.random(CROWDED));
        }
        self.add(number);
        let place = u64::from(self.random(SLOT_NANOS as u32));
        Timestamp::from_nanos(number.saturating_mul(SLOT_NANOS).saturating_add(place))
    }

    /// The slot from which on room is looked for.
    fn begin(&self, first: u64, end: u64, budget: Budget) -> u64 {
        let cursor = self.cursor.get();
        let lowest = self.lowest.get();
        let risen = budget > lowest && first > self.moved_back.get();
        // The clock has gone back: what is looked through is still booked, or of a time that is not to come.
        let back = cursor > end;
        if risen || back || cursor <= first {
            self.lowest.set(budget);
            self.moved_back.set(first);
            return first;
        }
        self.lowest.set(lowest.min(budget));
        cursor
    }

    fn place(&self, number: u64) -> &Cell<Slot> {
        &self.ring[(number % SLOTS as u64) as usize]
    }

    fn booked(&self, number: u64) -> u32 {
        let slot = self.place(number).get();
        if slot.number == number as u32 { slot.booked } else { 0 }
    }

    fn add(&self, number: u64) {
        let booked = self.booked(number).saturating_add(1);
        self.place(number).set(Slot { number: number as u32, booked });
    }

    /// xorshift64: 0..below, good enough to spread people.
    fn random(&self, below: u32) -> u32 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        (((x >> 32) * u64::from(below)) >> 32) as u32
    }
}

// === impl Budget ===

impl Budget {
    /// Slots after which the rooms repeat: then even a thousandth of a return per second comes out whole.
    const CYCLE: u64 = 10_000;
    /// More than any core refuses; keeps the products within 64 bits.
    const MOST: u64 = 1_000_000_000_000;

    /// At least one per second: somebody has to come and see whether it is over. What is no number counts as one, too.
    fn new(per_second: f64) -> Self {
        Self(((per_second * 1_000.0) as u64).clamp(1_000, Self::MOST))
    }

    /// Whole returns in a slot, such that the rooms of neighbours add up to the budget: 4, 5, 4, 5 for 45 per second.
    fn room(self, number: u64) -> u32 {
        let before = number % Self::CYCLE;
        let upto = |slots: u64| slots * self.0 / Self::CYCLE;
        // At most 10^8.
        (upto(before + 1) - upto(before)) as u32
    }
}
