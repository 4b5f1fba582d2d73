//! Latencies: recorded in microseconds, read as durations.

use std::{fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Largest latency told apart, in microseconds; longer ones count as this.
const MAX_MICROS: u64 = 600_000_000;

/// A distribution of latencies, true to 0.1 %.
#[derive(Clone, Default)]
pub struct Latencies(Option<Box<Histogram<u64>>>);

/// The usual figures of a distribution; all zero when it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// Median.
    pub p50: Duration,
    /// 9 of 10 were not longer.
    pub p90: Duration,
    /// 99 of 100 were not longer.
    pub p99: Duration,
    /// 999 of 1,000 were not longer.
    pub p999: Duration,
    /// The longest.
    pub max: Duration,
}

// === impl Latencies ===

impl Latencies {
    /// Adds one. The buckets are allocated by the first.
    pub(crate) fn record(&mut self, latency: Duration) {
        if self.0.is_none() {
            // The bounds are constants that the constructor accepts.
            self.0 = Histogram::new_with_bounds(1, MAX_MICROS, 3).ok().map(Box::new);
        }
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(latency.as_micros().min(u128::from(MAX_MICROS)) as u64);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Some(mine), Some(theirs)) => {
                let added = mine.add(&**theirs);
                debug_assert!(added.is_ok(), "equal bounds, so nothing is out of range");
            }
            (mine @ None, Some(theirs)) => *mine = Some(theirs.clone()),
            (_, None) => {}
        }
    }

    /// Forgets everything and keeps the buckets.
    pub(crate) fn clear(&mut self) {
        if let Some(histogram) = &mut self.0 {
            histogram.reset();
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |histogram| histogram.len())
    }

    /// The latency that the fraction `quantile` (0 to 1) did not exceed; zero when empty.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Duration {
        let micros = self.0.as_ref().map_or(0, |histogram| histogram.value_at_quantile(quantile));
        Duration::from_micros(micros)
    }

    /// The longest; zero when empty.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.0.as_ref().map_or(0, |histogram| histogram.max()))
    }

    /// How many were not longer than `limit`.
    #[must_use]
    pub fn within(&self, limit: Duration) -> u64 {
        let micros = limit.as_micros().min(u128::from(MAX_MICROS)) as u64;
        self.0.as_ref().map_or(0, |histogram| histogram.count_between(0, micros))
    }

    /// The usual figures. Reports of all kinds take them from here.
    #[must_use]
    pub fn summary(&self) -> Latency {
        Latency {
            count: self.count(),
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            max: self.max(),
        }
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary().fmt(f)
    }
}
