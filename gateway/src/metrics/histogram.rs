//! Latencies in fixed log-linear buckets: as HdrHistogram has them, without its resizing.

use std::time::Duration;

use super::Counter;

/// Buckets per doubling. What is read from one is the middle of it: off by a 64th at most, 1.6 %.
const PER_OCTAVE: usize = 32;
/// Those that are shown to Prometheus per doubling.
const SHOWN_PER_OCTAVE: usize = 2;
/// Doublings from 1 µs, the last of which ends at 134 s. What is longer has the last bucket.
const OCTAVES: usize = 27;
/// The first microsecond is divided like a doubling.
const BUCKETS: usize = PER_OCTAVE * (OCTAVES + 1) + 1;
/// Samples are sorted in by 1024ths of a microsecond, so that doublings begin at whole ones.
const TICKS: u64 = 1 << TICKS_LOG;
const TICKS_LOG: usize = 10;
/// What Prometheus is shown ends a doubling earlier, where it always has.
const SHOWN_OCTAVES: usize = OCTAVES - 1;

/// One core's latencies.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [Counter; BUCKETS],
    nanos: Counter,
}

/// Latencies of all cores, added up.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    buckets: Box<[u64; BUCKETS]>,
    nanos: u64,
}

/// What came to [`Totals`] in some time: the few buckets that something came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Increase {
    buckets: Vec<(u16, u64)>,
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
        self.record_nanos(u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX));
    }

    /// One more sample, in nanoseconds. Only the owning core may call this.
    pub(crate) fn record_nanos(&self, nanos: u64) {
        // Most stages of most requests take no time.
        if nanos == 0 {
            return self.buckets[0].increment();
        }
        self.buckets[bucket(nanos)].increment();
        self.nanos.add(nanos);
    }
}

// === impl Totals ===

impl Default for Totals {
    fn default() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), nanos: 0 }
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

    /// Adds what came in some time.
    pub(crate) fn add_increase(&mut self, increase: &Increase) {
        for &(at, count) in &increase.buckets {
            self.buckets[usize::from(at)] += count;
        }
        self.nanos = self.nanos.wrapping_add(increase.nanos);
    }

    /// What came to it since it was `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Increase {
        let both = self.buckets.iter().zip(earlier.buckets.iter()).enumerate();
        let changed = both.filter(|(_, (now, then))| now > then);
        Increase {
            buckets: changed.map(|(at, (now, then))| (at as u16, now - then)).collect(),
            nanos: self.nanos.wrapping_sub(earlier.nanos),
        }
    }

    /// Number of samples.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Sum of all samples in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.nanos as f64 / 1e9
    }

    /// The time within which a share of `percentile` of the samples lies, in seconds: that of the sample of this
    /// rank (rounded up), off by 1.6 % at most. `None` without samples; beyond 134 s that.
    pub(crate) fn percentile(&self, percentile: f64) -> Option<f64> {
        let count = self.count();
        let rank = ((percentile * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut sum = 0;
        let at = self.buckets.iter().position(|bucket| {
            sum += bucket;
            sum >= rank
        })?;
        let (begin, end) = (begin(at), if at + 1 < BUCKETS { begin(at + 1) } else { begin(at) });
        Some((begin + end) / 2.0 * 1e-6)
    }

    /// Upper end in seconds and cumulative count, of few and wide buckets; the last has no end.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        const WIDTH: usize = PER_OCTAVE / SHOWN_PER_OCTAVE;
        const END: usize = PER_OCTAVE * (SHOWN_OCTAVES + 1);
        // The first microsecond and the second are one each.
        let ends = [PER_OCTAVE].into_iter().chain((2 * PER_OCTAVE..=END).step_by(WIDTH));
        let (mut sum, mut from) = (0, 0);
        ends.chain([BUCKETS]).map(move |to| {
            sum += self.buckets[from..to].iter().sum::<u64>();
            from = to;
            (if to < BUCKETS { begin(to) * 1e-6 } else { f64::INFINITY }, sum)
        })
    }
}

/// Linear within a doubling, and within the first microsecond.
fn bucket(nanos: u64) -> usize {
    // 128/125 of the nanoseconds. What is longer than a year is not exact, and has the last bucket anyway.
    let ticks = nanos.min(1 << 55) * 128 / 125;
    if ticks < TICKS {
        return (ticks as usize * PER_OCTAVE) >> TICKS_LOG;
    }
    let octave = ticks.ilog2() as usize;
    let within = (ticks >> (octave - PER_OCTAVE.ilog2() as usize)) as usize - PER_OCTAVE;
    ((octave - TICKS_LOG + 1) * PER_OCTAVE + within).min(BUCKETS - 1)
}

/// Where a bucket begins, in microseconds.
fn begin(at: usize) -> f64 {
    let (octave, within) = (at / PER_OCTAVE, at % PER_OCTAVE);
    let part = within as f64 / PER_OCTAVE as f64;
    if octave == 0 { part } else { (1u64 << (octave - 1)) as f64 * (1.0 + part) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn totals(samples: &[u64]) -> Totals {
        let (mut totals, histogram) = (Totals::default(), Histogram::default());
        samples.iter().for_each(|&nanos| histogram.record_nanos(nanos));
        totals.add(&histogram);
        totals
    }

    #[test]
    fn a_sample_lies_below_the_end_of_its_bucket_and_above_the_one_before() {
        for micros in [0, 1, 2, 3, 4, 7, 8, 999, 1000, 1_000_000, 60_000_000, u64::MAX / 1000] {
            let totals = totals(&[micros * 1000]);
            let (end, _) = totals.cumulative().find(|(_, count)| *count == 1).unwrap();
            assert!(micros as f64 / 1e6 < end, "{micros}");
            assert!(micros < 2 || !end.is_finite() || micros as f64 / 1e6 >= end / 2.0, "{micros}");
        }
    }

    /// Dashboards name them.
    #[test]
    fn prometheus_is_shown_the_ends_that_it_always_was() {
        let ends: Vec<_> = Totals::default().cumulative().map(|(end, _)| end.to_string()).collect();
        assert_eq!(ends.len(), 53);
        assert_eq!(ends[..5], ["0.000001", "0.000002", "0.000003", "0.000004", "0.000006"]);
        assert_eq!(ends[50..], ["50.331648", "67.108864", "inf"]);
    }

    proptest! {
        #[test]
        fn percentiles_are_within_two_percent_of_those_of_the_samples(
            mut samples in prop::collection::vec((0.0f64..11.1).prop_map(|log| 10f64.powf(log) as u64), 1..400),
        ) {
            let totals = totals(&samples);
            samples.sort_unstable();
            for percentile in [0.5, 0.9, 0.99, 0.999] {
                let rank = (percentile * samples.len() as f64).ceil() as usize;
                let exact = samples[rank.max(1) - 1] as f64 / 1e9;
                let told = totals.percentile(percentile).unwrap();
                // Below a microsecond a thirty-second of it.
                let off = (told - exact).abs();
                prop_assert!(off <= exact * 0.02 || off <= 1e-6 / 32.0, "{percentile}: {told} for {exact}");
            }
        }

        #[test]
        fn what_came_in_some_time_is_the_difference(
            before in prop::collection::vec(0u64..200_000_000_000, 0..50),
            after in prop::collection::vec(0u64..200_000_000_000, 0..50),
        ) {
            let earlier = totals(&before);
            let later = totals(&[&before[..], &after[..]].concat());
            let mut came = Totals::default();
            came.add_increase(&later.since(&earlier));
            let expected = totals(&after);
            prop_assert_eq!(&came.buckets, &expected.buckets);
            prop_assert_eq!(came.nanos, expected.nanos);
        }
    }
}
