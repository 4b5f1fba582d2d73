//! Tokens of entry, earned at a rate that changes, with precedence by how many are left.

use crate::sync::{AtomicU64, Ordering};
use crate::timestamp::Timestamp;

/// Earned one per interval, up to a burst; whoever needs a level is refused before it is reached.
///
/// A theoretical arrival time in one word (GCRA), so that looking is three loads and nothing is written. A look while the
/// rate changes may go by the new rate and the old word: wrong by less than a burst, for one request.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// Theoretical arrival time of the next request, in nanoseconds.
    arrival: AtomicU64,
    /// Nanoseconds per token; 0: none are earned.
    interval: AtomicU64,
    /// Tokens at most.
    burst: AtomicU64,
}

impl Tokens {
    /// None, and none earned.
    pub(crate) fn none() -> Self {
        Self { arrival: AtomicU64::new(0), interval: AtomicU64::new(0), burst: AtomicU64::new(0) }
    }

    /// Whether a token can be taken that leaves `kept` thirds of the burst. Reads only.
    pub(crate) fn has(&self, kept: u64, now: Timestamp) -> bool {
        self.next(self.arrival.load(Ordering::Acquire), kept, now.as_nanos()).is_some()
    }

    /// Takes one if that leaves `kept` thirds of the burst.
    pub(crate) fn take(&self, kept: u64, now: Timestamp) -> bool {
        let now = now.as_nanos();
        let next = |arrival| self.next(arrival, kept, now);
        self.arrival.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok()
    }

    /// Gives one back.
    pub(crate) fn give_back(&self) {
        let interval = self.interval.load(Ordering::Relaxed);
        self.change(|arrival| arrival.saturating_sub(interval));
    }

    /// From `now` on `per_second` are earned, up to `burst`; what is unspent stays, up to the new burst. Where none were
    /// earned before, it begins with a third of the burst.
    pub(crate) fn set(&self, per_second: f64, burst: u64, now: Timestamp) {
        let now = now.as_nanos();
        let new = interval(per_second);
        let old = self.interval.swap(new, Ordering::Relaxed);
        let old_burst = self.burst.swap(burst, Ordering::Relaxed);
        if old == new && old_burst == burst {
            return;
        }
        let fill = new.saturating_mul(burst);
        self.change(|arrival| {
            let unspent = if old == 0 {
                fill / 3
            } else {
                let unspent =
                    old.saturating_mul(old_burst).saturating_sub(arrival.saturating_sub(now));
                let unspent = u128::from(unspent) * u128::from(new) / u128::from(old);
                u64::try_from(unspent).unwrap_or(u64::MAX)
            };
            now.saturating_add(fill.saturating_sub(unspent))
        });
    }

    fn change(&self, change: impl Fn(u64) -> u64) {
        let mut word = self.arrival.load(Ordering::Acquire);
        while let Err(changed) = self.arrival.compare_exchange_weak(
            word,
            change(word),
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            word = changed;
        }
    }

    /// The word after one more, if that leaves `kept` thirds of the burst.
    fn next(&self, arrival: u64, kept: u64, now: u64) -> Option<u64> {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return None;
        }
        let fill = interval.saturating_mul(self.burst.load(Ordering::Relaxed));
        let kept = fill / 3 * kept;
        let next = arrival.max(now).saturating_add(interval);
        (next.saturating_sub(now) <= fill - kept.min(fill)).then_some(next)
    }
}

/// Nanoseconds from one token to the next; 0 for a rate that is none.
fn interval(per_second: f64) -> u64 {
    // A NaN is no rate.
    if per_second > 1e-6 { ((1e9 / per_second) as u64).max(1) } else { 0 }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    fn spend(tokens: &Tokens, kept: u64, now: Timestamp) -> u32 {
        let mut taken = 0;
        while tokens.take(kept, now) {
            taken += 1;
        }
        taken
    }

    #[test]
    fn who_needs_a_higher_level_leaves_the_rest_to_the_others() {
        let tokens = Tokens::none();
        assert_eq!(spend(&tokens, 0, at(0)), 0);
        tokens.set(100.0, 9, at(0));
        assert_eq!(spend(&tokens, 1, at(0)), 0);
        assert_eq!(spend(&tokens, 0, at(0)), 3);
        assert_eq!(spend(&tokens, 2, at(1_000)), 3);
        assert_eq!(spend(&tokens, 1, at(1_000)), 3);
        assert_eq!(spend(&tokens, 0, at(1_000)), 3);
        assert_eq!(spend(&tokens, 0, at(1_009)), 0);
        assert_eq!(spend(&tokens, 0, at(1_010)), 1);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more() {
        let tokens = Tokens::none();
        tokens.set(100.0, 9, at(0));
        assert_eq!(spend(&tokens, 0, at(500)), 9);
        tokens.give_back();
        assert_eq!(spend(&tokens, 0, at(500)), 1);
        for _ in 0..50 {
            tokens.give_back();
        }
        assert_eq!(spend(&tokens, 0, at(500)), 9);
    }

    #[test]
    fn a_new_rate_gives_no_fresh_burst() {
        let tokens = Tokens::none();
        tokens.set(100.0, 9, at(0));
        assert_eq!(spend(&tokens, 0, at(500)), 9);
        tokens.set(1_000.0, 30, at(500));
        assert_eq!(spend(&tokens, 0, at(500)), 0);
        assert_eq!(spend(&tokens, 0, at(505)), 5);
        tokens.set(0.0, 30, at(505));
        assert_eq!(spend(&tokens, 0, at(900)), 0);
    }
}
