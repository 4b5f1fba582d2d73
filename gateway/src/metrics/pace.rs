//! How long the upstream takes for the requests of one route, as one core has seen it of late.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use floodgate_limiter::Timestamp;

/// How long a mean is believed without news. It is what refuses requests, and then must not be what keeps all from
/// coming who could correct it.
const BELIEVED: Duration = Duration::from_secs(1);

/// A mean with one writer, the core whose shard it stands in.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Nanoseconds; 0: not known yet.
    mean: AtomicU64,
    /// When there was news last, in nanoseconds.
    seen: AtomicU64,
}

// === impl Pace ===

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { mean: AtomicU64::new(0), seen: AtomicU64::new(0) }
    }

    /// A request was served in `time` until `now`: counts with a weight of 1/8, as in the limiter.
    pub(crate) fn record(&self, time: Duration, now: Timestamp) {
        let (time, mean) = (nanos(time), self.mean.load(Relaxed));
        self.mean.store(if mean == 0 { time } else { mean - mean / 8 + time / 8 }, Relaxed);
        self.see(now);
    }

    /// A request was given up at `now` after `time`: it would have taken longer. One among many says no more than one that
    /// was served.
    pub(crate) fn exceeds(&self, time: Duration, now: Timestamp) {
        match nanos(time) > self.mean.load(Relaxed) {
            true => self.record(time, now),
            false => self.see(now),
        }
    }

    /// Somebody is on the way to bring news: until then the others are judged as before.
    pub(crate) fn see(&self, now: Timestamp) {
        self.seen.store(now.as_nanos(), Relaxed);
    }

    /// The mean time, as far as it is believed at `now`: 0 if there has been no news for a second.
    pub(crate) fn mean(&self, now: Timestamp) -> Duration {
        let seen = Timestamp::from_nanos(self.seen.load(Relaxed));
        let is_believed = now.saturating_since(seen) < BELIEVED;
        Duration::from_nanos(if is_believed { self.mean.load(Relaxed) } else { 0 })
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_mean_is_believed_for_a_second_after_the_last_news() {
        let pace = Pace::new();
        let millis = Duration::from_millis;
        assert_eq!(pace.mean(at(0)), Duration::ZERO);
        pace.record(millis(80), at(1_000));
        assert_eq!(pace.mean(at(1_999)), millis(80));
        assert_eq!(pace.mean(at(2_000)), Duration::ZERO);
        pace.see(at(2_000));
        assert_eq!(pace.mean(at(2_999)), millis(80));
        pace.record(millis(0), at(3_000));
        assert_eq!(pace.mean(at(3_000)), millis(70));
        pace.exceeds(millis(50), at(3_000));
        assert_eq!(pace.mean(at(3_000)), millis(70));
        pace.exceeds(millis(150), at(4_000));
        assert_eq!(pace.mean(at(4_500)), millis(80));
    }
}
