//! How much of a worker's time goes into tokens that turn out bad: what an attacker can make it do.

use std::time::Duration;

use floodgate_config::Algorithm;
use floodgate_limiter::Timestamp;

/// Part of the time that may go into them: an eighth.
const SHARE: u64 = 8;
/// What can be saved up for a burst, in nanoseconds: some 1,000 of RS256.
const SAVED: i64 = 25_000_000;

/// What is left to be spent on signatures that turn out wrong, in nanoseconds of work. Those that turn out
/// right cost nothing of it: there are as many as there are customers.
#[derive(Debug)]
pub(super) struct Budget {
    left: i64,
    at: Timestamp,
}

// === impl Budget ===

impl Budget {
    /// All of it.
    pub(super) const fn new() -> Self {
        Self { left: SAVED, at: Timestamp::from_nanos(0) }
    }

    /// Whether something is left of it at `now`.
    pub(super) fn has_some(&mut self, now: Timestamp) -> bool {
        let earned = now.saturating_since(self.at).as_nanos() / u128::from(SHARE);
        self.at = self.at.max(now);
        let earned = i64::try_from(earned).unwrap_or(SAVED).min(2 * SAVED);
        self.left = self.left.saturating_add(earned).min(SAVED);
        self.left > 0
    }

    /// So many signatures turned out wrong.
    pub(super) fn spend(&mut self, algorithm: Algorithm, signatures: u32) {
        let cost = cost(algorithm).as_nanos() as i64 * i64::from(signatures);
        self.left = self.left.saturating_sub(cost).max(-SAVED);
    }
}

/// What it takes to find a signature wrong, assumed of a slow core; `figures_of_tokens` beside the cache prints
/// what it is on this machine.
const fn cost(algorithm: Algorithm) -> Duration {
    Duration::from_micros(match algorithm {
        Algorithm::Hs256 => 2,
        Algorithm::Rs256 => 25,
        Algorithm::Es256 => 60,
        Algorithm::EdDsa => 60,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_an_eighth_of_the_time_is_spent() {
        for algorithm in Algorithm::ALL {
            let mut budget = Budget::new();
            let mut spent = Duration::ZERO;
            // One comes every microsecond for ten seconds.
            for micros in 0..10_000_000u64 {
                if budget.has_some(Timestamp::from_nanos(micros * 1_000)) {
                    budget.spend(algorithm, 1);
                    spent += cost(algorithm);
                }
            }
            let share = spent.as_secs_f64() / 10.0;
            assert!((0.12..0.13).contains(&share), "{algorithm:?} {share}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_or_jumps_gives_no_more_than_is_saved() {
        let mut budget = Budget::new();
        let hour = Timestamp::from_nanos(3_600_000_000_000);
        assert!(budget.has_some(hour));
        budget.spend(Algorithm::Es256, 100_000);
        assert!(!budget.has_some(Timestamp::from_nanos(0)));
        assert!(!budget.has_some(hour));
        assert!(budget.has_some(hour + Duration::from_secs(3_600)));
        assert_eq!(budget.left, SAVED);
        assert!(budget.has_some(Timestamp::MAX));
    }
}
