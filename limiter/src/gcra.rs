//! A rate limiter in one word: the generic cell rate algorithm as a virtual schedule (ITU-T I.371, annex A).
//!
//! The word is the *theoretical arrival time*: the time up to which requests have been accounted for. A request conforms
//! while that time is at most `burst - 1` intervals ahead of now, and moves it on by one interval from itself or from
//! now, whichever is later. It only moves forward with every admission, so however the readings of the clock are ordered,
//! `n` admissions between the first and the latest `now` mean `n <= burst + rate * t`.

use std::time::Duration;

use crate::rate::{MAX_FILL, Rate, UNITS_PER_NANO};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::timestamp::Timestamp;

/// Times later than this, 1.7 years after the epoch, count as this: room for two bursts before the word overflows.
const LAST_UNIT: u64 = u64::MAX / 2 - 2 * (MAX_FILL.as_secs() * 1_000_000_000 * UNITS_PER_NANO);

/// Admits `burst + rate * t` requests in any time `t`, never more, on any number of threads.
///
/// The epoch of the timestamps must be recent, such as the start of the process: after 1.7 years the clock
/// stands still here.
#[derive(Debug)]
pub struct Gcra {
    /// Theoretical arrival time in units since the epoch, shifted by one; the lowest bit says which of `slots` it
    /// is to be read with. So whoever exchanges the word knows that the rate was right too. (A
    /// [`take`](Self::take) that is overtaken by *two* changes of the rate, which leave the word as it was, may go by
    /// a mixture of rates: for one request.)
    word: AtomicU64,
    slots: [Slot; 2],
    /// The rate in force; held while it changes.
    rate: Mutex<Rate>,
}

/// A rate, as numbers of units.
#[derive(Debug)]
struct Slot {
    /// Emission interval; 0: closed.
    interval: AtomicU64,
    /// What the arrival time may be ahead of now.
    tolerance: AtomicU64,
}

impl Gcra {
    /// Starts with a whole burst.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            word: AtomicU64::new(0),
            slots: [Slot::new(rate), Slot::new(rate)],
            rate: Mutex::new(rate),
        }
    }

    /// Whether a request would conform now. Reads only.
    ///
    /// # Errors
    /// The time after which one would; [`Duration::MAX`] if closed.
    pub fn peek(&self, now: Timestamp) -> Result<(), Duration> {
        self.next(self.word.load(Ordering::Acquire), units(now)).map(drop)
    }

    /// Accounts for one request, if it conforms; writes nothing if it does not.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn take(&self, now: Timestamp) -> Result<(), Duration> {
        let now = units(now);
        // Acquire: the slot that the word names was filled before.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let next = self.next(word, now)?;
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(changed) => word = changed,
            }
        }
    }

    /// Changes the rate from `now` on and keeps what is unspent, up to the new burst: the part of a burst that has been
    /// used is not given anew, and there is never more to wait than for one request.
    ///
    /// A rate that was closed begins with nothing to spend.
    pub fn set_rate(&self, rate: Rate, now: Timestamp) {
        let mut live = lock(&self.rate);
        if *live == rate {
            return;
        }
        let now = units(now);
        let mut word = self.word.load(Ordering::Acquire);
        // Only this function changes the lowest bit, and only one at a time.
        let slot = word & 1 ^ 1;
        self.slots[slot as usize].set(rate);
        loop {
            let next = carried_over(word >> 1, *live, rate, now) << 1 | slot;
            match self.word.compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(changed) => word = changed,
            }
        }
        *live = rate;
    }

    /// The rate in force.
    #[must_use]
    pub fn rate(&self) -> Rate {
        *lock(&self.rate)
    }

    /// The word after one more request at `now`, or how long until it conforms.
    fn next(&self, word: u64, now: u64) -> Result<u64, Duration> {
        let (arrival, slot) = (word >> 1, word & 1);
        let Slot { interval, tolerance } = &self.slots[slot as usize];
        let interval = interval.load(Ordering::Relaxed);
        if interval == 0 {
            return Err(Duration::MAX);
        }
        let ahead = arrival.saturating_sub(now);
        let tolerance = tolerance.load(Ordering::Relaxed);
        if ahead > tolerance {
            return Err(Duration::from_nanos((ahead - tolerance).div_ceil(UNITS_PER_NANO)));
        }
        // At most LAST_UNIT + MAX_FILL: fits in 63 bits.
        Ok((arrival.max(now) + interval) << 1 | slot)
    }
}

impl Slot {
    fn new(rate: Rate) -> Self {
        Self {
            interval: AtomicU64::new(rate.interval_units()),
            tolerance: AtomicU64::new(rate.tolerance_units()),
        }
    }

    fn set(&self, rate: Rate) {
        self.interval.store(rate.interval_units(), Ordering::Relaxed);
        self.tolerance.store(rate.tolerance_units(), Ordering::Relaxed);
    }
}

/// The arrival time that leaves at rate `new` as many requests unspent as `arrival` left at rate `old`.
fn carried_over(arrival: u64, old: Rate, new: Rate, now: u64) -> u64 {
    let fill = old.interval_units() * u64::from(old.burst());
    let unspent = fill.saturating_sub(arrival.saturating_sub(now));
    let fill = new.interval_units() * u64::from(new.burst());
    let unspent = match old.interval_units() {
        0 => 0,
        interval => u128::from(unspent) * u128::from(new.interval_units()) / u128::from(interval),
    };
    now + fill.saturating_sub(u64::try_from(unspent).unwrap_or(u64::MAX))
}

fn units(now: Timestamp) -> u64 {
    now.as_nanos().min(LAST_UNIT / UNITS_PER_NANO) * UNITS_PER_NANO
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    fn spend(gcra: &Gcra, now: Timestamp) -> u32 {
        let mut taken = 0;
        while gcra.take(now).is_ok() {
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_burst_then_the_rate_to_the_nanosecond() {
        let gcra = Gcra::new(Rate::new(3, SECOND, 5).unwrap());
        assert_eq!(spend(&gcra, at(0)), 5);
        assert_eq!(gcra.peek(at(0)), Err(Duration::from_nanos(333_333_334)));
        assert_eq!(spend(&gcra, at(333_333_333)), 0);
        assert_eq!(spend(&gcra, at(333_333_334)), 1);
        assert_eq!(spend(&gcra, at(999_999_999)), 1);
        assert_eq!(spend(&gcra, at(1_000_000_000)), 1);
    }

    #[test]
    fn a_peek_takes_nothing_and_the_promised_wait_is_exact() {
        let gcra = Gcra::new(Rate::new(7_777, SECOND, 1).unwrap());
        for _ in 0..10 {
            assert_eq!(gcra.peek(at(5)), Ok(()));
        }
        assert_eq!(gcra.take(at(5)), Ok(()));
        let wait = gcra.peek(at(5)).unwrap_err();
        assert!(gcra.peek(at(5) + (wait - Duration::from_nanos(1))).is_err());
        assert!(gcra.peek(at(5) + wait).is_ok());
    }

    #[test]
    fn a_new_rate_gives_no_fresh_burst_and_leaves_no_old_debt() {
        let fast = Rate::new(1_000, SECOND, 100).unwrap();
        let slow = Rate::new(1, SECOND, 100).unwrap();
        let gcra = Gcra::new(fast);
        assert_eq!(spend(&gcra, at(0)), 100);
        gcra.set_rate(slow, at(0));
        assert_eq!(spend(&gcra, at(999_999_999)), 0);
        assert_eq!(spend(&gcra, at(1_000_000_000)), 1);
        gcra.set_rate(fast, at(1_000_000_000));
        assert_eq!(spend(&gcra, at(1_001_000_000)), 1);
        assert_eq!(gcra.rate(), fast);
    }

    #[test]
    fn a_larger_burst_has_to_be_earned() {
        let gcra = Gcra::new(Rate::new(10, SECOND, 1).unwrap());
        gcra.set_rate(Rate::new(10, SECOND, 50).unwrap(), at(0));
        assert_eq!(spend(&gcra, at(0)), 1);
        assert_eq!(spend(&gcra, at(1_000_000_000)), 10);
    }

    #[test]
    fn closed_admits_nothing_and_opens_empty() {
        let gcra = Gcra::new(Rate::CLOSED);
        assert_eq!(gcra.take(at(0)), Err(Duration::MAX));
        assert_eq!(gcra.take(Timestamp::MAX), Err(Duration::MAX));
        gcra.set_rate(Rate::new(10, SECOND, 5).unwrap(), at(1_000_000_000));
        assert_eq!(spend(&gcra, at(1_000_000_000)), 0);
        assert_eq!(spend(&gcra, at(1_100_000_000)), 1);
        gcra.set_rate(Rate::CLOSED, at(1_200_000_000));
        assert_eq!(spend(&gcra, at(9_000_000_000)), 0);
    }

    #[test]
    fn the_end_of_time_admits_no_more_than_a_burst() {
        let gcra = Gcra::new(Rate::new(25_000_000, SECOND, 9).unwrap());
        assert_eq!(spend(&gcra, Timestamp::MAX), 9);
        assert_eq!(spend(&gcra, Timestamp::MAX), 0);
    }
}
