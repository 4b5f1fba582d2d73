//! Percentiles of late and since the start: differences between what the counters are and what they were.

use std::collections::VecDeque;
use std::time::Duration;

use floodgate_config::Stage;
use floodgate_limiter::Timestamp;

use crate::metrics::{Increase, TierStats, Totals};

/// Over what percentiles are told, beside the time since the start.
const WINDOWS: [(&str, Duration); 2] =
    [("10s", Duration::from_secs(10)), ("1m", Duration::from_secs(60))];

/// All stages together, and each.
const ROWS: usize = 1 + Stage::ALL.len();

/// Of the answered requests of a tier in some time.
#[derive(Debug)]
pub(crate) struct Percentiles {
    /// `10s`, `1m` or `start`.
    pub window: &'static str,
    /// How much time that really is.
    pub covered: Duration,
    /// `total` and the stages, in order.
    pub rows: [Totals; ROWS],
}

/// What was counted of late, a step at a time.
#[derive(Debug)]
pub(super) struct Windows {
    began: Timestamp,
    /// What was counted until the last step ended, and when that was.
    last: [Totals; ROWS],
    last_at: Timestamp,
    /// What was counted in each step, and when that began; the newest last.
    steps: VecDeque<(Timestamp, [Increase; ROWS])>,
}

/// All that was counted of a tier.
pub(super) fn totals(stats: &TierStats) -> [Totals; ROWS] {
    std::array::from_fn(|row| match row {
        0 => stats.totals(|shard| &shard.total),
        stage => stats.stage(Stage::ALL[stage - 1]),
    })
}

// === impl Windows ===

impl Windows {
    /// Nothing was counted before `now`.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { began: now, last: Default::default(), last_at: now, steps: VecDeque::new() }
    }

    /// A step ends at `now`.
    pub(super) fn record(&mut self, now: Timestamp, totals: [Totals; ROWS]) {
        let increase = std::array::from_fn(|row| totals[row].since(&self.last[row]));
        self.steps.push_back((self.last_at, increase));
        (self.last, self.last_at) = (totals, now);
        let longest = WINDOWS.iter().map(|(_, window)| *window).max().unwrap_or_default();
        while self.steps.get(1).is_some_and(|(at, _)| now.saturating_since(*at) >= longest) {
            self.steps.pop_front();
        }
    }

    /// What came in each of the windows, and since the start, with the sums as they are at `now`.
    pub(super) fn percentiles(&self, now: Timestamp, totals: [Totals; ROWS]) -> Vec<Percentiles> {
        let mut told: Vec<_> = WINDOWS
            .iter()
            .map(|&(window, wanted)| {
                let mut from = self.last_at;
                let mut rows: [Totals; ROWS] = Default::default();
                for (row, sum) in rows.iter_mut().enumerate() {
                    sum.add_increase(&totals[row].since(&self.last[row]));
                }
                for (began, increase) in self.steps.iter().rev() {
                    if now.saturating_since(from) >= wanted {
                        break;
                    }
                    from = *began;
                    rows.iter_mut().zip(increase).for_each(|(sum, step)| sum.add_increase(step));
                }
                Percentiles { window, covered: now.saturating_since(from), rows }
            })
            .collect();
        let covered = now.saturating_since(self.began);
        told.push(Percentiles { window: "start", covered, rows: totals });
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::TierStats;

    #[test]
    fn a_window_has_what_came_in_it() {
        let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let stats = TierStats::new(1);
        let came = |millis: u64| {
            let nanos = millis * 1_000_000;
            stats.shard(0).complete(&[0, 0, 0, 0, 0, nanos, 0], nanos);
        };
        let mut windows = Windows::new(at(0));
        for step in 0..40 {
            // From 100 s on everything takes longer.
            came(if step < 20 { 10 } else { 100 });
            windows.record(at((step + 1) * 5), totals(&stats));
        }
        came(1000);
        let told = windows.percentiles(at(202), totals(&stats));
        let [short, long, start] = told.as_slice() else { panic!("{told:?}") };
        let count = |told: &Percentiles| (told.rows[0].count(), told.rows[6].count());
        assert_eq!((short.window, short.covered.as_secs(), count(short)), ("10s", 12, (3, 3)));
        assert_eq!((long.window, long.covered.as_secs(), count(long)), ("1m", 62, (13, 13)));
        assert_eq!((start.window, start.covered.as_secs(), count(start)), ("start", 202, (41, 41)));
        assert_eq!(windows.steps.len(), 12);
        let median = |told: &Percentiles| told.rows[0].percentile(0.5).unwrap();
        assert!((median(long) - 0.1).abs() < 0.002 && median(start) > 0.0098);
    }
}
