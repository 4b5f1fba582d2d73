//! A point in time, given by the caller: this crate reads no clock.

use std::ops::Add;
use std::time::Duration;

/// Nanoseconds since an epoch of the caller's choosing, such as the start of the process.
///
/// Arithmetic saturates at both ends, so that no reading of a clock can make it panic.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The end of time: a deadline that never passes.
    pub const MAX: Self = Self(u64::MAX);

    /// The point `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if `earlier` is the later of the two.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// The point `duration` later, at most [`Timestamp::MAX`].
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(duration)))
    }
}

/// `duration` in nanoseconds; what is beyond 584 years counts as 584 years.
pub(crate) fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let near_the_end = Timestamp::from_nanos(u64::MAX - 1);
        assert_eq!(near_the_end + Duration::from_nanos(5), Timestamp::MAX);
        assert_eq!(near_the_end + Duration::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::default().saturating_since(near_the_end), Duration::ZERO);
    }
}
