//! The pair of levels at which a tier's breaker trips and resets.

use std::error::Error;
use std::fmt;

/// Fractions of a pressure of 0..1: at `high` the breaker trips, at `low` it resets.
///
/// `0 <= low < high <= 1`, both finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Watermarks {
    high: f64,
    low: f64,
    shadow: bool,
}

impl Watermarks {
    /// Checks the pair.
    ///
    /// # Errors
    /// Says what is wrong with it and what is legal.
    pub fn new(high: f64, low: f64) -> Result<Self, WatermarksError> {
        // Written so that a NaN fails too.
        if !(0.0..=1.0).contains(&high) {
            return Err(WatermarksError::HighOutOfRange(high));
        }
        if !(0.0..=1.0).contains(&low) {
            return Err(WatermarksError::LowOutOfRange(low));
        }
        if low >= high {
            return Err(WatermarksError::LowNotBelowHigh { high, low });
        }
        Ok(Self { high, low, shadow: false })
    }

    /// The same, whose breaker refuses nobody if it `is_shadow`: it trips and resets, which is seen, and that is all. Not
    /// unless told.
    #[must_use]
    pub const fn with_shadow(self, is_shadow: bool) -> Self {
        Self { shadow: is_shadow, ..self }
    }

    /// Whether its breaker refuses nobody.
    #[must_use]
    pub const fn is_shadow(self) -> bool {
        self.shadow
    }

    /// The pressure that trips the breaker.
    #[must_use]
    pub const fn high(self) -> f64 {
        self.high
    }

    /// The pressure that resets it.
    #[must_use]
    pub const fn low(self) -> f64 {
        self.low
    }

    /// These, or the `higher` tier's at each end where that is lower.
    pub(crate) fn lowered_to(self, higher: Option<Self>) -> Self {
        let Some(higher) = higher else { return self };
        Self { high: self.high.min(higher.high), low: self.low.min(higher.low), ..self }
    }
}

/// Why two numbers are no [`Watermarks`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum WatermarksError {
    /// `high` is not in 0..=1.
    HighOutOfRange(f64),
    /// A breaker has to reset below the level that trips it.
    LowNotBelowHigh {
        /// The level that was to trip.
        high: f64,
        /// The level that was to reset.
        low: f64,
    },
    /// `low` is not in 0..=1.
    LowOutOfRange(f64),
}

impl fmt::Display for WatermarksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HighOutOfRange(high) => {
                write!(f, "high watermark {high} is out of range: it must be above 0, at most 1")
            }
            Self::LowNotBelowHigh { high, low } => {
                write!(f, "low watermark {low} must be below the high watermark {high}")
            }
            Self::LowOutOfRange(low) => {
                write!(f, "low watermark {low} is out of range: it must be at least 0, below high")
            }
        }
    }
}

impl Error for WatermarksError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ordered_pair_of_fractions_is_accepted() {
        assert!(Watermarks::new(1.0, 0.0).is_ok());
        assert!(Watermarks::new(0.95, 0.80).is_ok());
        for bad in [1.1, -0.1, f64::NAN, f64::INFINITY] {
            assert!(matches!(Watermarks::new(bad, 0.5), Err(WatermarksError::HighOutOfRange(_))));
            assert!(matches!(Watermarks::new(0.5, bad), Err(WatermarksError::LowOutOfRange(_))));
        }
        for (high, low) in [(0.5, 0.5), (0.5, 0.6), (0.0, 0.0)] {
            assert_eq!(
                Watermarks::new(high, low),
                Err(WatermarksError::LowNotBelowHigh { high, low })
            );
        }
    }
}
