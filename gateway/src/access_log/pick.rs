//! Which requests are told of. At random, so that no pattern of requests goes unseen.

use std::cell::Cell;

use floodgate_limiter::Timestamp;

/// One worker's choice.
#[derive(Debug)]
pub(crate) struct Picker {
    state: Cell<u64>,
    /// Second, and how many failures were told of in it.
    failures: Cell<(u64, u32)>,
}

/// A number that was drawn for a request, from 0 to below 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw(u32);

// === impl Picker ===

impl Picker {
    /// Starts anywhere; `seed` makes workers differ.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: Cell::new(seed), failures: Cell::new((0, 0)) }
    }

    /// Draws for one request: the upper half of a linear congruential generator (Knuth, MMIX).
    #[inline]
    pub(crate) fn draw(&self) -> Draw {
        let state = self.state.get();
        let next =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.state.set(next);
        Draw((next >> 32) as u32)
    }

    /// Whether a failure at `now` is told of whatever was drawn: no more than `most` in a second.
    pub(crate) fn picks_failure(&self, most: u32, now: Timestamp) -> bool {
        let second = now.as_nanos() / 1_000_000_000;
        let (before, told) = self.failures.get();
        let told = if before == second { told } else { 0 };
        self.failures.set((second, told.saturating_add(1)));
        told < most
    }
}

// === impl Draw ===

impl Draw {
    /// Whether it is within this share of all that may be drawn.
    #[inline]
    pub(crate) fn is_within(self, share: f64) -> bool {
        f64::from(self.0) < share * (1u64 << 32) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_picked_all_and_none_are_exact() {
        let picker = Picker::new(7);
        let picked = |share: f64| (0..100_000).filter(|_| picker.draw().is_within(share)).count();
        assert_eq!((picked(0.0), picked(1.0)), (0, 100_000));
        assert!((900..1_100).contains(&picked(0.01)), "{}", picked(0.01));
        assert!((49_000..51_000).contains(&picked(0.5)));
    }

    #[test]
    fn every_tenth_request_is_picked_no_less_often_than_the_others() {
        let picker = Picker::new(1);
        let mut picked = [0; 10];
        for at in 0..1_000_000 {
            if picker.draw().is_within(0.1) {
                picked[at % 10] += 1;
            }
        }
        assert!(picked.iter().all(|count| (9_500..10_500).contains(count)), "{picked:?}");
    }

    #[test]
    fn failures_are_told_of_up_to_a_bound_in_each_second() {
        let picker = Picker::new(1);
        let at = |millis: u64| Timestamp::from_nanos(millis * 1_000_000);
        let told = |millis, most| (0..5).filter(|_| picker.picks_failure(most, at(millis))).count();
        assert_eq!(told(1_000, 3), 3);
        assert_eq!(told(1_999, 3), 0);
        assert_eq!(told(2_000, 3), 3);
        assert_eq!(told(9_000, 0), 0);
    }
}
