//! When the refused should come back: later the more are refused, and never together.
//!
//! Kubernetes' API priority and fairness does it so (`dropped_requests_tracker.go`): the wait starts
//! at 1 s; when a round of that length refused at least three times as many as it has seconds the
//! wait doubles, else it falls by one.

use std::cell::Cell;
use std::time::Duration;

use floodgate_limiter::Timestamp;

/// Longest wait that is told, in seconds.
const MAX_SECONDS: u32 = 32;
/// Refusals per second of a round from which on the wait grows.
const MANY: u32 = 3;

/// The wait of one tier, as one core sees it.
#[derive(Debug)]
pub(crate) struct RetryAfter {
    seconds: Cell<u32>,
    refused: Cell<u32>,
    round_began: Cell<Timestamp>,
    random: Cell<u64>,
}

// === impl RetryAfter ===

impl RetryAfter {
    /// Begins at a second; `seed` makes cores and tiers differ.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seconds: Cell::new(1),
            refused: Cell::new(0),
            round_began: Cell::new(Timestamp::from_nanos(0)),
            random: Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        }
    }

    /// One more is refused at `now`: how long it should wait, about half to one and a half of the present
    /// wait, at least 1 s and at most 32 s.
    pub(crate) fn next(&self, now: Timestamp) -> Duration {
        self.turn(now);
        self.refused.set(self.refused.get().saturating_add(1));
        let seconds = self.seconds.get();
        let spread = self.random(1000 * seconds);
        let wait = 500 * seconds + spread;
        Duration::from_millis(u64::from(wait.clamp(1000, 1000 * MAX_SECONDS) + self.random(500)))
            .min(Duration::from_secs(u64::from(MAX_SECONDS)))
    }

    /// Ends the rounds that are over.
    fn turn(&self, now: Timestamp) {
        let seconds = self.seconds.get();
        let elapsed = now.saturating_since(self.round_began.get()).as_secs();
        if elapsed < u64::from(seconds) {
            return;
        }
        let quiet = u32::try_from(elapsed - u64::from(seconds)).unwrap_or(u32::MAX);
        let many = self.refused.replace(0) >= MANY * seconds;
        let seconds = if many { (2 * seconds).min(MAX_SECONDS) } else { seconds - 1 };
        self.seconds.set(seconds.saturating_sub(quiet).max(1));
        self.round_began.set(now);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_storm_doubles_the_wait_and_quiet_takes_it_back() {
        let retry = RetryAfter::new(1);
        for millis in 0..120_000 {
            let wait = retry.next(at(millis));
            assert!((1..=32).contains(&wait.as_secs()), "{wait:?}");
        }
        assert_eq!(retry.seconds.get(), MAX_SECONDS);
        let _ = retry.next(at(1_000_000));
        assert_eq!(retry.seconds.get(), 1);
    }

    #[test]
    fn the_refused_do_not_come_back_together() {
        let retry = RetryAfter::new(7);
        for millis in 0..40_000 {
            let _ = retry.next(at(millis));
        }
        let mut slots = [0u32; 40];
        for _ in 0..10_000 {
            slots[retry.next(at(40_000)).as_secs() as usize] += 1;
        }
        assert!(slots.iter().filter(|&&n| n > 0).count() >= 10, "{slots:?}");
        assert!(slots.iter().all(|&n| n < 6_000), "{slots:?}");
    }
}
