//! When a circuit opens, and how it closes again: checked values.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What one is in the whole numbers that rates are compared in, so that what is exactly at the threshold is at it.
const ONE: u64 = 1_000_000;
/// Shortest and longest times there are.
const TIMES: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(24 * 60 * 60)];
/// Most calls a rate may need.
const MAX_CALLS: u32 = 1_000_000;
/// Most probes of the first step.
const MAX_PROBES: u32 = 10_000;

/// A part of the calls, above 0 and at most 1, to six decimal places.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Share(u64);

/// When a circuit opens, and how it closes again.
///
/// The defaults: half of at least 20 calls in 10 s, open for 10 s and at most 60 s, 10 probes, which have a minute.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CircuitSettings {
    pub(super) failure_rate: Share,
    pub(super) slow_rate: Share,
    pub(super) min_calls: u32,
    pub(super) window: Duration,
    pub(super) open: Duration,
    pub(super) max_open: Duration,
    pub(super) probes: u32,
    pub(super) probe_deadline: Duration,
    pub(super) shadow: bool,
}

/// Why some values are no [`CircuitSettings`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum CircuitError {
    /// A rate is not above 0 and at most 1. At 0 it would open without a failure.
    Rate(f64),
    /// There has to be a call, and not more than a million.
    MinCalls(u32),
    /// A time is not from 1 ms to a day.
    Time(Duration),
    /// It cannot be open longer than the longest time.
    OpenAboveMax(Duration, Duration),
    /// Without probes it would never close; there are at most 10,000.
    Probes(u32),
}

impl Share {
    fn new(share: f64) -> Result<Self, CircuitError> {
        let millionths = (share * ONE as f64).round();
        // Written so that a NaN fails too.
        if millionths >= 1.0 && share <= 1.0 {
            Ok(Self(millionths as u64))
        } else {
            Err(CircuitError::Rate(share))
        }
    }

    /// Whether `part` of `all` are at least this share: exactly at it counts.
    pub(super) const fn is_reached(self, part: u64, all: u64) -> bool {
        part.saturating_mul(ONE) >= all.saturating_mul(self.0)
    }

    fn get(self) -> f64 {
        self.0 as f64 / ONE as f64
    }
}

impl Default for CircuitSettings {
    fn default() -> Self {
        Self {
            failure_rate: Share(ONE / 2),
            slow_rate: Share(ONE / 2),
            min_calls: 20,
            window: Duration::from_secs(10),
            open: Duration::from_secs(10),
            max_open: Duration::from_secs(60),
            probes: 10,
            probe_deadline: Duration::from_secs(60),
            shadow: false,
        }
    }
}

impl CircuitSettings {
    /// Opens when at least `failure_rate` of the calls of a window have failed, or `slow_rate` were slow; both above 0, at
    /// most 1, and told apart to a millionth.
    ///
    /// # Errors
    /// A rate is out of range.
    pub fn with_rates(mut self, failure_rate: f64, slow_rate: f64) -> Result<Self, CircuitError> {
        (self.failure_rate, self.slow_rate) = (Share::new(failure_rate)?, Share::new(slow_rate)?);
        Ok(self)
    }

    /// The window: so long, 1 ms to a day, and with at least `min_calls` in it, 1 to 1,000,000.
    ///
    /// # Errors
    /// One of them is out of range.
    pub fn with_window(mut self, window: Duration, min_calls: u32) -> Result<Self, CircuitError> {
        if !(1..=MAX_CALLS).contains(&min_calls) {
            return Err(CircuitError::MinCalls(min_calls));
        }
        (self.window, self.min_calls) = (in_range(window)?, min_calls);
        Ok(self)
    }

    /// Stays open for `open` at first, then twice as long each time, up to `max_open`.
    ///
    /// # Errors
    /// One of them is not from 1 ms to a day, or the first is the longer.
    pub fn with_open(mut self, open: Duration, max_open: Duration) -> Result<Self, CircuitError> {
        if open > max_open {
            return Err(CircuitError::OpenAboveMax(open, max_open));
        }
        (self.open, self.max_open) = (in_range(open)?, in_range(max_open)?);
        Ok(self)
    }

    /// Asks with `probes` calls first, 1 to 10,000. One that says nothing for `deadline` is given up.
    ///
    /// # Errors
    /// One of them is out of range.
    pub fn with_probes(mut self, probes: u32, deadline: Duration) -> Result<Self, CircuitError> {
        if !(1..=MAX_PROBES).contains(&probes) {
            return Err(CircuitError::Probes(probes));
        }
        (self.probes, self.probe_deadline) = (probes, in_range(deadline)?);
        Ok(self)
    }

    /// Whether it only counts what it would refuse.
    #[must_use]
    pub const fn with_shadow(mut self, shadow: bool) -> Self {
        self.shadow = shadow;
        self
    }

    /// Share of failures at which it opens.
    #[must_use]
    pub fn failure_rate(&self) -> f64 {
        self.failure_rate.get()
    }

    /// Share of slow calls at which it opens.
    #[must_use]
    pub fn slow_rate(&self) -> f64 {
        self.slow_rate.get()
    }

    /// Calls below which no rate says anything.
    #[must_use]
    pub const fn min_calls(&self) -> u32 {
        self.min_calls
    }

    /// How long a call counts.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// How long it is open at first.
    #[must_use]
    pub const fn open(&self) -> Duration {
        self.open
    }

    /// How long at most.
    #[must_use]
    pub const fn max_open(&self) -> Duration {
        self.max_open
    }

    /// Calls of the first step of the ramp.
    #[must_use]
    pub const fn probes(&self) -> u32 {
        self.probes
    }

    /// Whether it only counts what it would refuse.
    #[must_use]
    pub const fn is_shadow(&self) -> bool {
        self.shadow
    }
}

fn in_range(time: Duration) -> Result<Duration, CircuitError> {
    let [least, most] = TIMES;
    if (least..=most).contains(&time) { Ok(time) } else { Err(CircuitError::Time(time)) }
}

impl fmt::Display for CircuitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => {
                write!(f, "a rate of {rate} is out of range: it must be above 0, at most 1")
            }
            Self::MinCalls(calls) => {
                write!(f, "{calls} calls are out of range: at least 1, at most {MAX_CALLS}")
            }
            Self::Time(time) => write!(f, "{time:?} is out of range: at least 1ms, at most a day"),
            Self::OpenAboveMax(open, most) => {
                write!(f, "it cannot be open for {open:?} at first and for {most:?} at most")
            }
            Self::Probes(probes) => {
                write!(f, "{probes} probes are out of range: at least 1, at most {MAX_PROBES}")
            }
        }
    }
}

impl Error for CircuitError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_open_and_close_is_accepted() {
        let new = CircuitSettings::default();
        for rate in [0.0, -0.1, 1.000_001, f64::NAN, f64::INFINITY, 1e-9] {
            assert!(matches!(new.with_rates(rate, 0.5), Err(CircuitError::Rate(_))), "{rate}");
            assert!(matches!(new.with_rates(0.5, rate), Err(CircuitError::Rate(_))), "{rate}");
        }
        assert!(new.with_rates(1.0, 0.000_001).is_ok());
        let second = Duration::from_secs(1);
        assert_eq!(new.with_window(second, 0), Err(CircuitError::MinCalls(0)));
        assert_eq!(new.with_window(Duration::ZERO, 1), Err(CircuitError::Time(Duration::ZERO)));
        assert!(matches!(new.with_open(2 * second, second), Err(CircuitError::OpenAboveMax(..))));
        assert!(new.with_open(second, second).is_ok());
        assert_eq!(new.with_probes(0, second), Err(CircuitError::Probes(0)));
    }

    #[test]
    fn what_is_exactly_at_the_threshold_is_at_it() {
        for percent in 1..=100_u64 {
            let share = Share::new(percent as f64 / 100.0).unwrap();
            assert!(share.is_reached(percent, 100) && !share.is_reached(percent - 1, 100));
            assert!(share.is_reached(percent * 7, 700) && !share.is_reached(percent * 7 - 1, 700));
        }
    }
}
