//! Latencies in fixed log-linear buckets.

use std::time::Duration;

use super::Counter;

/// Buckets per doubling: a percentile read from them is off by half at most.
const PER_OCTAVE: usize = 2;
/// Doublings from 1 µs: the last ends beyond a minute.
const OCTAVES: usize = 26;
const BUCKETS: usize = PER_OCTAVE * OCTAVES + 1;

/// One core's latencies.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [Counter; BUCKETS],
    nanos: Counter,
}

/// Latencies of all cores, added up.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    buckets: [u64; BUCKETS],
    nanos: u64,
}

// === impl Histogram ===

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { Counter::new() }; BUCKETS], nanos: Counter::new() }
    }
}

impl Histogram {
    /// One more sample. Only the owning core may call this.
    pub(crate) fn record(&self, sample: Duration) {
        let nanos = u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos / 1000)].increment();
        self.nanos.add(nanos);
    }
}

// === impl Totals ===

impl Default for Totals {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], nanos: 0 }
    }
}

impl Totals {
    /// Adds what a core has.
    pub(crate) fn add(&mut self, histogram: &Histogram) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *sum += bucket.value();
        }
        self.nanos = self.nanos.wrapping_add(histogram.nanos.value());
    }

    /// Number of samples.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Sum of all samples in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.nanos as f64 / 1e9
    }

    /// Upper end in seconds and cumulative count; the last has no end.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut sum = 0;
        self.buckets.iter().enumerate().map(move |(at, bucket)| {
            sum += bucket;
            let (octave, within) = (at / PER_OCTAVE, at % PER_OCTAVE + 1);
            let begin = if octave == 0 { 0.0 } else { (1u64 << octave) as f64 };
            let width = if octave == 0 { 2.0 } else { begin };
            let end = begin + width * within as f64 / PER_OCTAVE as f64;
            (if at + 1 < BUCKETS { end * 1e-6 } else { f64::INFINITY }, sum)
        })
    }
}

/// Linear within a doubling, the first of which is 0..2 µs.
fn bucket(micros: u64) -> usize {
    if micros < 2 {
        return if micros == 0 { 0 } else { PER_OCTAVE / 2 };
    }
    let octave = micros.ilog2() as usize;
    let within = (((micros - (1 << octave)) * PER_OCTAVE as u64) >> octave) as usize;
    (octave * PER_OCTAVE + within).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_lies_below_the_end_of_its_bucket_and_above_the_one_before() {
        for micros in [0, 1, 2, 3, 4, 7, 8, 999, 1000, 1_000_000, 60_000_000, u64::MAX / 1000] {
            let mut totals = Totals::default();
            let histogram = Histogram::default();
            histogram.record(Duration::from_micros(micros));
            totals.add(&histogram);
            let (end, _) = totals.cumulative().find(|(_, count)| *count == 1).unwrap();
            assert!(micros as f64 / 1e6 < end, "{micros}");
            assert!(micros < 2 || !end.is_finite() || micros as f64 / 1e6 >= end / 2.0, "{micros}");
        }
    }
}
