//! The figures that stand for a distribution of latencies.

use serde::{Deserialize, Serialize};

use crate::load::{Latencies, Latency};

/// The usual figures of a distribution of latencies, from the intended start, in milliseconds; all
/// zero when `count` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many there were.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 9 of 10 were not longer.
    pub p90_ms: f64,
    /// 99 of 100 were not longer.
    pub p99_ms: f64,
    /// 999 of 1,000 were not longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

// === impl Percentiles ===

impl From<&Latencies> for Percentiles {
    fn from(latencies: &Latencies) -> Self {
        latencies.summary().into()
    }
}

impl From<Latency> for Percentiles {
    fn from(latency: Latency) -> Self {
        let Latency { count, p50, p90, p99, p999, max } = latency;
        let [p50_ms, p90_ms, p99_ms, p999_ms, max_ms] =
            [p50, p90, p99, p999, max].map(|time| time.as_micros() as f64 / 1e3);
        Self { count, p50_ms, p90_ms, p99_ms, p999_ms, max_ms }
    }
}
