//! How full the upstreams are, as one worker last saw it.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use floodgate_limiter::Timestamp;

use crate::snapshot::Snapshot;

/// For so long a look is good: it takes the lock of the limiter, which is not for each request of a storm.
const FRESH: Duration = Duration::from_millis(1);

/// The pressure of an upstream, in thousandths.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Level(u16);

/// What one worker saw last of each upstream, by index, and when.
#[derive(Debug, Default)]
pub(crate) struct Levels(RefCell<Vec<Option<Seen>>>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    generation: u64,
    at: Timestamp,
    level: Level,
}

// === impl Levels ===

impl Levels {
    /// How full upstream number `index` is at `now`, or was at most a millisecond before.
    pub(crate) fn level(&self, snapshot: &Snapshot, index: usize, now: Timestamp) -> Level {
        let generation = snapshot.generation;
        let mut seen = self.0.borrow_mut();
        if seen.len() <= index {
            seen.resize(index + 1, None);
        }
        let fresh = seen[index]
            .filter(|seen| seen.generation == generation && now.saturating_since(seen.at) < FRESH);
        let look = || {
            let level = Level::new(snapshot.upstreams[index].limiter.pressure(now));
            Seen { generation, at: now, level }
        };
        seen[index].insert(fresh.unwrap_or_else(look)).level
    }
}

// === impl Level ===

impl Level {
    /// Of a pressure of 0..1.
    pub(crate) fn new(pressure: f64) -> Self {
        Self((pressure.clamp(0.0, 1.0) * 1e3).round() as u16)
    }

    /// 0..1, with three digits.
    pub(crate) fn pressure(self) -> f64 {
        f64::from(self.0) / 1e3
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.pressure())
    }
}
