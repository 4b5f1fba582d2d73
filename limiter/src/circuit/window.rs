//! What became of the calls of the last while, in a fixed number of buckets of time.

use std::time::Duration;

use super::settings::{CircuitSettings, Share};
use crate::timestamp::{Timestamp, saturating_nanos};

/// Buckets of a window. The newest is still filling, so that a call counts for nine to ten tenths of the window.
const BUCKETS: usize = 10;
/// Parts that the calls of a window are told apart by.
pub(super) const LANES: usize = 8;

/// What a call came to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CallOutcome {
    /// It failed.
    pub failed: bool,
    /// It took too long, be it that it failed.
    pub slow: bool,
}

/// Which of the two rates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CircuitCause {
    /// Too many calls failed.
    Failures,
    /// Too many calls were slow.
    Slow,
}

/// How many calls there were, and of these failed or slow ones.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CallCounts {
    /// All.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that were slow.
    pub slow: u64,
}

/// The calls in a row that were all bad in one of the two ways, up to the last call.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    calls: u32,
    /// Which lanes they were of, a bit each.
    lanes: u8,
}

#[derive(Debug)]
pub(super) struct Window {
    /// Of a bucket, in nanoseconds.
    width: u64,
    /// Which bucket since the epoch is the newest.
    newest: u64,
    buckets: [[CallCounts; LANES]; BUCKETS],
    /// The sums of the buckets.
    totals: [CallCounts; LANES],
    failures: Run,
    slow: Run,
}

impl CallCounts {
    fn add(&mut self, outcome: CallOutcome) {
        self.calls += 1;
        self.failures += u64::from(outcome.failed);
        self.slow += u64::from(outcome.slow);
    }

    fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            failures: self.failures + other.failures,
            slow: self.slow + other.slow,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            calls: self.calls - other.calls,
            failures: self.failures - other.failures,
            slow: self.slow - other.slow,
        }
    }

    /// Those that speak for `cause`.
    #[must_use]
    pub const fn bad(&self, cause: CircuitCause) -> u64 {
        match cause {
            CircuitCause::Failures => self.failures,
            CircuitCause::Slow => self.slow,
        }
    }
}

impl CircuitCause {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Failures, Self::Slow];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Slow => "slow",
        }
    }

    pub(super) const fn threshold(self, settings: &CircuitSettings) -> Share {
        match self {
            Self::Failures => settings.failure_rate,
            Self::Slow => settings.slow_rate,
        }
    }
}

impl Run {
    fn see(&mut self, is_bad: bool, lane: usize) {
        match is_bad {
            true => {
                self.calls = self.calls.saturating_add(1);
                self.lanes |= 1 << lane;
            }
            false => *self = Self::default(),
        }
    }
}

impl Window {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            width: width(window),
            newest: 0,
            buckets: Default::default(),
            totals: Default::default(),
            failures: Run::default(),
            slow: Run::default(),
        }
    }

    /// Nothing is known any more.
    pub(super) fn clear(&mut self) {
        (self.buckets, self.totals) = Default::default();
        (self.failures, self.slow) = Default::default();
    }

    /// Another length from `now` on. What counts goes on to count as if it were of now.
    pub(super) fn resize(&mut self, window: Duration, now: Timestamp) {
        if self.width == width(window) {
            return;
        }
        self.advance(now);
        (self.width, self.buckets) = (width(window), Default::default());
        self.newest = now.as_nanos() / self.width;
        self.buckets[(self.newest % BUCKETS as u64) as usize] = self.totals;
    }

    /// Lane number `i` was number `from[i]`; what was of no lane that is left is forgotten.
    pub(super) fn move_lanes(&mut self, from: &[Option<usize>]) {
        let moved = |old: &[CallCounts; LANES]| {
            let mut new = [CallCounts::default(); LANES];
            for (new, from) in new.iter_mut().zip(from) {
                *new = from.and_then(|from| old.get(from)).copied().unwrap_or_default();
            }
            new
        };
        for counts in std::iter::once(&mut self.totals).chain(&mut self.buckets) {
            *counts = moved(counts);
        }
        (self.failures, self.slow) = Default::default();
    }

    /// Forgets what is too old at `now`. A clock that went back by less than the window goes on where it was; by more,
    /// everything is forgotten, since what is counted would stay for as long.
    pub(super) fn advance(&mut self, now: Timestamp) {
        let at = now.as_nanos() / self.width;
        let buckets = BUCKETS as u64;
        if at >= self.newest.saturating_add(buckets) || at.saturating_add(buckets) <= self.newest {
            self.clear();
            self.newest = at;
            return;
        }
        while self.newest < at {
            self.newest += 1;
            let oldest = std::mem::take(&mut self.buckets[(self.newest % buckets) as usize]);
            for (total, gone) in self.totals.iter_mut().zip(oldest) {
                *total = total.minus(gone);
            }
        }
    }

    pub(super) fn record(&mut self, lane: usize, outcome: CallOutcome, now: Timestamp) {
        self.advance(now);
        let lane = lane % LANES;
        self.buckets[(self.newest % BUCKETS as u64) as usize][lane].add(outcome);
        self.totals[lane].add(outcome);
        self.failures.see(outcome.failed, lane);
        self.slow.see(outcome.slow, lane);
    }

    /// All lanes together.
    pub(super) fn totals(&self) -> CallCounts {
        self.totals.iter().fold(CallCounts::default(), |sum, lane| sum.plus(*lane))
    }

    /// Bad calls in a row.
    pub(super) const fn run(&self, cause: CircuitCause) -> u32 {
        match cause {
            CircuitCause::Failures => self.failures.calls,
            CircuitCause::Slow => self.slow.calls,
        }
    }

    /// Why the calls call for an open circuit, if they do.
    pub(super) fn verdict(&self, settings: &CircuitSettings) -> Option<CircuitCause> {
        let totals = self.totals();
        if totals.calls < u64::from(settings.min_calls) {
            return None;
        }
        CircuitCause::ALL.into_iter().find(|&cause| {
            let is_reached = cause.threshold(settings).is_reached(totals.bad(cause), totals.calls);
            (is_reached && !self.has_healthy_lane(cause, &totals, settings))
                || self.is_dead(cause, &totals, settings)
        })
    }

    /// Whether part of the calls are well: a lane with enough of them, or all lanes together but the worst. Then it is the
    /// others that fail, not what they have in common.
    fn has_healthy_lane(
        &self,
        cause: CircuitCause,
        totals: &CallCounts,
        settings: &CircuitSettings,
    ) -> bool {
        let threshold = cause.threshold(settings);
        let enough = u64::from(settings.min_calls / 4).max(1);
        let is_well = |calls: &CallCounts, least: u64| {
            calls.calls >= least && !threshold.is_reached(calls.bad(cause), calls.calls)
        };
        let worst = self.totals.iter().max_by_key(|lane| lane.bad(cause));
        let others = worst.map_or(*totals, |worst| totals.minus(*worst));
        is_well(&others, 1) || self.totals.iter().any(|lane| is_well(lane, enough))
    }

    /// Whether `min_calls` in a row were bad, so that what died under load need not wait until half of the window is of its
    /// failures. Of lanes that had calls, each that should have come in between must have.
    fn is_dead(
        &self,
        cause: CircuitCause,
        totals: &CallCounts,
        settings: &CircuitSettings,
    ) -> bool {
        let run = match cause {
            CircuitCause::Failures => self.failures,
            CircuitCause::Slow => self.slow,
        };
        let least = u64::from(settings.min_calls);
        let is_missing = |(index, lane): (usize, &CallCounts)| {
            run.lanes & (1 << index) == 0 && lane.calls * u64::from(run.calls) >= totals.calls
        };
        run.calls >= settings.min_calls
            && totals.bad(cause) >= least
            && !(self.totals.iter().enumerate()).filter(|(_, lane)| lane.calls > 0).any(is_missing)
    }
}

fn width(window: Duration) -> u64 {
    (saturating_nanos(window) / BUCKETS as u64).max(1)
}
