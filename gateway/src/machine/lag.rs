//! How late a worker's loop is: how long after its time a turn of the wheel comes, which is how long whatever became ready just
//! then has waited for the thread. The timers of the runtime go by whole milliseconds: up to one is nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::metrics::Histogram;

/// For how long the worst is told of, at least; twice that at most. Whoever scrapes every 15 s sees each.
const TOLD: Duration = Duration::from_secs(15);

/// How late one worker's loop is, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Lag {
    /// Of all turns.
    pub turns: Histogram,
    /// The worst, in nanoseconds, of the present stretch of time and of the one before.
    worst: [AtomicU64; 2],
    /// Number of the present stretch.
    stretch: AtomicU64,
}

// === impl Lag ===

impl Lag {
    /// A turn came so `late`, when the worker had run for `since`. Only the worker itself may call this.
    pub(crate) fn note(&self, late: Duration, since: Duration) {
        self.turns.record(late);
        let late = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        let stretch = since.as_secs() / TOLD.as_secs();
        let gone = stretch - self.stretch.swap(stretch, Relaxed).min(stretch);
        let [now, before] = &self.worst;
        if gone > 0 {
            before.store(if gone == 1 { now.load(Relaxed) } else { 0 }, Relaxed);
            now.store(0, Relaxed);
        }
        now.store(now.load(Relaxed).max(late), Relaxed);
    }

    /// The worst of late, in seconds.
    pub(crate) fn worst(&self) -> f64 {
        let worst = self.worst.iter().map(|worst| worst.load(Relaxed)).max();
        worst.unwrap_or(0) as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_told_for_fifteen_seconds_at_least_and_thirty_at_most() {
        let lag = Lag::default();
        let (millis, secs) = (Duration::from_millis, Duration::from_secs);
        lag.note(millis(80), secs(14));
        lag.note(millis(1), secs(14));
        assert_eq!(lag.worst(), 0.08);
        lag.note(millis(2), secs(29));
        assert_eq!(lag.worst(), 0.08);
        lag.note(millis(3), secs(30));
        assert_eq!(lag.worst(), 0.003);
        lag.note(millis(1), secs(90));
        assert_eq!(lag.worst(), 0.001);
    }
}
