//! Between which bounds a limit is found, and how.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::limits::MAX_IN_FLIGHT;

/// How a limit is found. What each sees, and when to use it, stands in the README of this package.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// It is not: it stays what was given.
    #[default]
    Fixed,
    /// One more per round trip, a tenth less once it is too slow.
    Aimd,
    /// Down with the ratio of unloaded to present latency, up by a headroom.
    Gradient2,
    /// By the length of the upstream's queue that Little's law tells.
    Vegas,
    /// By three samples in a row of how long that queue is, large steps first.
    WaterLevel,
}

/// The bounds of a limit that is found: checked values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AdaptiveSettings {
    algorithm: Algorithm,
    min: u32,
    max: u32,
    start: u32,
    max_latency: Option<Duration>,
    shadow: bool,
}

/// Why some numbers are no [`AdaptiveSettings`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AdaptiveError {
    /// The least is 0, which would close the upstream for good: nothing would come back to learn from.
    NoMin,
    /// The most is more than a limiter can give.
    MaxTooLarge(u32),
    /// The least is more than the most.
    MinAboveMax(u32, u32),
    /// The start is not between the two.
    StartOutside(u32, u32, u32),
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Fixed, Self::Aimd, Self::Gradient2, Self::Vegas, Self::WaterLevel];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Aimd => "aimd",
            Self::Gradient2 => "gradient2",
            Self::Vegas => "vegas",
            Self::WaterLevel => "water_level",
        }
    }
}

impl AdaptiveSettings {
    /// A limit that stays at `limit`, which may be 0.
    #[must_use]
    pub const fn fixed(limit: u32) -> Self {
        Self {
            algorithm: Algorithm::Fixed,
            min: limit,
            max: limit,
            start: limit,
            max_latency: None,
            shadow: true,
        }
    }

    /// A limit from `min`, at least 1, to `max`, at most [`MAX_IN_FLIGHT`], that begins at `start` and rules.
    ///
    /// # Errors
    /// Says which number is out of range and what is legal.
    pub const fn new(
        algorithm: Algorithm,
        min: u32,
        max: u32,
        start: u32,
    ) -> Result<Self, AdaptiveError> {
        if min == 0 {
            return Err(AdaptiveError::NoMin);
        }
        if max > MAX_IN_FLIGHT {
            return Err(AdaptiveError::MaxTooLarge(max));
        }
        if min > max {
            return Err(AdaptiveError::MinAboveMax(min, max));
        }
        if start < min || start > max {
            return Err(AdaptiveError::StartOutside(start, min, max));
        }
        Ok(Self { algorithm, min, max, start, max_latency: None, shadow: false })
    }

    /// The mean latency above which the limit never grows, whatever the algorithm takes for healthy. A baseline that is learnt
    /// can be learnt in an incident; this one cannot.
    #[must_use]
    pub const fn with_max_latency(mut self, latency: Option<Duration>) -> Self {
        self.max_latency = latency;
        self
    }

    /// Whether the limit that is found is only shown, and [`start`](Self::start) rules.
    #[must_use]
    pub const fn with_shadow(mut self, shadow: bool) -> Self {
        self.shadow = shadow;
        self
    }

    /// How it is found.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// It is never lower.
    #[must_use]
    pub const fn min(&self) -> u32 {
        self.min
    }

    /// It is never higher.
    #[must_use]
    pub const fn max(&self) -> u32 {
        self.max
    }

    /// Where it begins; what rules if it is a shadow.
    #[must_use]
    pub const fn start(&self) -> u32 {
        self.start
    }

    /// Above this mean latency it never grows.
    #[must_use]
    pub const fn max_latency(&self) -> Option<Duration> {
        self.max_latency
    }

    /// Whether it is only shown.
    #[must_use]
    pub const fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// Whether the limit that rules may change by itself.
    #[must_use]
    pub const fn moves(&self) -> bool {
        !self.shadow && !matches!(self.algorithm, Algorithm::Fixed)
    }

    pub(super) fn clamp(&self, limit: f64) -> f64 {
        limit.max(f64::from(self.min)).min(f64::from(self.max))
    }
}

impl fmt::Display for AdaptiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMin => write!(f, "a `min` of 0 would close the upstream for good"),
            Self::MaxTooLarge(max) => {
                write!(f, "a `max` of {max} is too large: at most {MAX_IN_FLIGHT}")
            }
            Self::MinAboveMax(min, max) => write!(f, "`min` {min} is above `max` {max}"),
            Self::StartOutside(start, min, max) => {
                write!(f, "`start` {start} is not from `min` {min} to `max` {max}")
            }
        }
    }
}

impl Error for AdaptiveError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_have_an_order_and_a_floor() {
        let new = |min, max, start| AdaptiveSettings::new(Algorithm::Vegas, min, max, start);
        assert_eq!(new(0, 5, 5), Err(AdaptiveError::NoMin));
        assert_eq!(new(6, 5, 5), Err(AdaptiveError::MinAboveMax(6, 5)));
        assert_eq!(new(2, 5, 1), Err(AdaptiveError::StartOutside(1, 2, 5)));
        assert_eq!(new(2, 5, 6), Err(AdaptiveError::StartOutside(6, 2, 5)));
        let most = MAX_IN_FLIGHT + 1;
        assert_eq!(new(1, most, 1), Err(AdaptiveError::MaxTooLarge(most)));
        assert!(new(1, 1, 1).is_ok());
    }
}
