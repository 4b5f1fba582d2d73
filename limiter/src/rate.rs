//! A rate with a burst: the parameters of a [`Gcra`](crate::Gcra).

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Time is counted in 1/126 ns. 126 is divisible by 1..=3, 6, 7 and 9, and a second by 2 and 5 nine times over, so that a
/// round rate has an exact emission interval (7/s, 300/s, 5,000/s, 60/min ...), while a word still lasts for over a
/// year. Any other interval is rounded up by less than a unit.
pub(crate) const UNITS_PER_NANO: u64 = 126;

/// An interval of this many units is off by at most 0.01 % when rounded up by one.
const PRECISE_UNITS: u64 = 10_000;

/// The longest time a burst may take to be earned again: keeps the sum of a time and a burst within 64 bits.
pub(crate) const MAX_FILL: Duration = Duration::from_secs(100 * 24 * 60 * 60);

/// How many requests in how much time, and how many at once.
///
/// A rate of 0 is closed: it lets nothing through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    count: u64,
    per: Duration,
    burst: u32,
    /// Emission interval in units of 1/126 ns; 0 if closed.
    interval: u64,
}

impl Rate {
    /// The rate of 0.
    pub const CLOSED: Self = Self { count: 0, per: Duration::from_secs(1), burst: 1, interval: 0 };

    /// `count` requests in each `per`, and up to `burst` at once after idleness.
    ///
    /// A `count` of 0 is [closed](Self::CLOSED), whatever the rest.
    ///
    /// # Errors
    /// Says which of the numbers is out of range and what is legal.
    pub fn new(count: u64, per: Duration, burst: u32) -> Result<Self, RateError> {
        if per.is_zero() {
            return Err(RateError::PerZero);
        }
        if burst == 0 {
            return Err(RateError::BurstZero);
        }
        if count == 0 {
            return Ok(Self { count, per, burst, interval: 0 });
        }
        // Below 2^64 s * 10^9 * 126 < 2^101: no overflow.
        let units = per.as_nanos() * u128::from(UNITS_PER_NANO);
        let interval = units.div_ceil(u128::from(count));
        let exact = units.is_multiple_of(u128::from(count));
        if interval < u128::from(UNITS_PER_NANO) || (!exact && interval < u128::from(PRECISE_UNITS))
        {
            return Err(RateError::TooFast);
        }
        if interval.saturating_mul(u128::from(burst))
            > MAX_FILL.as_nanos() * u128::from(UNITS_PER_NANO)
        {
            return Err(RateError::TooSlow);
        }
        let interval = u64::try_from(interval).map_err(|_| RateError::TooSlow)?;
        Ok(Self { count, per, burst, interval })
    }

    /// Whether nothing is let through.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        self.count == 0
    }

    /// Requests in each [`per`](Self::per).
    #[must_use]
    pub const fn count(self) -> u64 {
        self.count
    }

    /// The time in which [`count`](Self::count) requests are let through.
    #[must_use]
    pub const fn per(self) -> Duration {
        self.per
    }

    /// Requests let through at once after idleness.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// Emission interval in units; 0 if closed.
    pub(crate) const fn interval_units(self) -> u64 {
        self.interval
    }

    /// How far ahead of now the theoretical arrival time may run, in units: all of the burst but the request itself.
    pub(crate) const fn tolerance_units(self) -> u64 {
        self.interval * (self.burst as u64 - 1)
    }
}

/// Why three numbers are no [`Rate`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RateError {
    /// `burst` is 0.
    BurstZero,
    /// `per` is 0.
    PerZero,
    /// The time between two requests cannot be told to within 0.01 %.
    TooFast,
    /// The burst would take more than 100 days to be earned again.
    TooSlow,
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BurstZero => "burst must be at least 1 (a rate of 0 closes)",
            Self::PerZero => "the time a rate is counted over must be longer than 0",
            Self::TooFast => "rate is too fast: at most 12500000 per second",
            Self::TooSlow => "rate is too slow: the burst must be earned again within 100 days",
        })
    }
}

impl Error for RateError {}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn round_rates_have_an_exact_interval() {
        for count in [1, 3, 7, 9, 10, 12, 21, 28, 300, 5_000, 35_000, 6_000_000, 25_000_000] {
            let rate = Rate::new(count, SECOND, 1).unwrap();
            assert_eq!(rate.interval_units() * count, 1_000_000_000 * UNITS_PER_NANO, "{count}/s");
        }
    }

    #[test]
    fn an_interval_is_never_too_short_and_at_most_a_hundredth_of_a_percent_too_long() {
        for count in [11, 13, 7_777, 999_983, 12_499_987] {
            let rate = Rate::new(count, SECOND, 1).unwrap();
            let exact = 1e9 * UNITS_PER_NANO as f64 / count as f64;
            let off = rate.interval_units() as f64 / exact - 1.0;
            assert!((0.0..=1e-4).contains(&off), "{count}/s is off by {off}");
        }
    }

    #[test]
    fn what_cannot_be_represented_is_refused() {
        assert_eq!(Rate::new(1, Duration::ZERO, 1), Err(RateError::PerZero));
        assert_eq!(Rate::new(1, SECOND, 0), Err(RateError::BurstZero));
        assert_eq!(Rate::new(2_000_000_000, SECOND, 1), Err(RateError::TooFast));
        assert_eq!(Rate::new(999_999_937, SECOND, 1), Err(RateError::TooFast));
        assert_eq!(Rate::new(u64::MAX, SECOND, 1), Err(RateError::TooFast));
        assert_eq!(Rate::new(1, Duration::MAX, u32::MAX), Err(RateError::TooSlow));
        assert_eq!(Rate::new(1, SECOND, u32::MAX), Err(RateError::TooSlow));
        assert!(Rate::new(0, SECOND, 5).unwrap().is_closed());
        assert!(Rate::CLOSED.is_closed());
        assert!(Rate::new(1_000_000_000, SECOND, u32::MAX).is_ok());
    }
}
