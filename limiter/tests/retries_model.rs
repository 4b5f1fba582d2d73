//! Random lives of a retry budget against a list of everything that happened.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use floodgate_limiter::{RetryBudget, RetryLimits, Timestamp};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

/// What the budget is to grant, from all that was admitted and granted so far, in whole numbers.
struct Exact {
    /// Retries for a hundred requests.
    percent: u64,
    /// Those of each second in any case: a leaky bucket in nanoseconds times their number.
    floor: u64,
    content: u64,
    at: u64,
    admitted: Vec<u64>,
    granted: Vec<u64>,
}

impl Exact {
    fn in_window(events: &[u64], now: u64) -> u64 {
        let slot = now / SECOND;
        events.iter().filter(|&&at| at / SECOND + 10 > slot).count() as u64
    }

    fn take(&mut self, now: u64) -> bool {
        let most = Self::in_window(&self.admitted, now) * self.percent / 100;
        let granted = Self::in_window(&self.granted, now) < most || self.take_floor(now);
        if granted {
            self.granted.push(now);
        }
        granted
    }

    fn take_floor(&mut self, now: u64) -> bool {
        self.content = self.content.saturating_sub((now - self.at) * self.floor);
        self.at = now;
        if self.floor == 0 || self.content > SECOND * (self.floor - 1) {
            return false;
        }
        self.content += SECOND;
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn it_grants_what_the_list_of_all_events_grants_and_no_more_than_it_may(
        percent in 0_u64..=100,
        // Divisors of a second in the units that the rate is kept in.
        floor in prop_oneof![Just(0_u64), Just(1), Just(2), Just(3), Just(10), Just(50)],
        steps in prop::collection::vec((0_u64..4, 0_u64..2 * SECOND, 0_u64..30), 1..200),
    ) {
        let limits = RetryLimits::new(percent as f64 / 100.0, floor as u32).unwrap();
        let budget = RetryBudget::new(limits, 3);
        let mut exact =
            Exact { percent, floor, content: 0, at: 0, admitted: vec![], granted: vec![] };
        let mut now = 0;
        for (kind, pause, count) in steps {
            // In steps of less than a slot, as it is looked at while it lives.
            for _ in 0..4 {
                now += pause / 4;
                budget.tick(Timestamp::from_nanos(now));
            }
            for n in 0..count {
                if kind == 0 {
                    budget.admitted(n as usize);
                    exact.admitted.push(now);
                } else {
                    prop_assert_eq!(budget.take(Timestamp::from_nanos(now)), exact.take(now));
                }
            }
            let (admitted, granted) = (exact.admitted.len() as u64, exact.granted.len() as u64);
            let most = admitted * percent / 100 + floor * (now / SECOND + 2);
            prop_assert!(granted <= most, "{} retries of {} requests", granted, admitted);
        }
    }
}
