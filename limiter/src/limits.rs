//! What one limiter may let in and hold back: its configuration as values.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::tier::MAX_TIERS;
use crate::watermarks::Watermarks;

/// The most places a buffer can have.
pub const MAX_BUFFER: u32 = 1_000_000;

/// The most permits a limiter can give.
pub const MAX_IN_FLIGHT: u32 = 1_000_000;

/// What a limiter does with one tier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TierLimits {
    /// Longest stay in the buffer; zero: never waits.
    pub max_wait: Duration,
    /// Share of what the first tier leaves, against the other lower tiers. The first tier's own is not used.
    pub weight: NonZeroU32,
    /// Where this tier's breaker trips and resets.
    pub watermarks: Watermarks,
}

/// What a tier gets however many of the others there are.
///
/// Permits are lent: who is guaranteed some and does not ask for them leaves them to the others, and has the next ones that
/// come back. Places are kept from the tiers above, since an empty one costs nothing and nobody has to be pushed out of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Guarantee {
    /// While fewer of the tier are in flight, the next permit that comes back is for one of its waiters.
    pub permits: u32,
    /// While fewer of the tier wait, one more may, whatever its breaker says and whoever else is there.
    pub places: u32,
}

/// The limits of one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    max_in_flight: u32,
    reserved: u32,
    buffer: u32,
    tiers: Vec<TierLimits>,
    /// What is guaranteed, as parts of the whole: what they come to depends on how many permits there are.
    parts: [f64; MAX_TIERS],
    guarantees: [Guarantee; MAX_TIERS],
    queue_delay_target: Duration,
    trip_spacing: Duration,
}

impl Limits {
    /// Up to `max_in_flight` permits (0: closed, at most [`MAX_IN_FLIGHT`]), up to `buffer` waiters of all tiers together (0: nobody waits), and
    /// 1..=[`MAX_TIERS`] tiers in order of priority.
    ///
    /// # Errors
    /// Says which number is out of range and what is legal.
    pub fn new(
        max_in_flight: u32,
        buffer: u32,
        tiers: Vec<TierLimits>,
    ) -> Result<Self, LimitsError> {
        if max_in_flight > MAX_IN_FLIGHT {
            return Err(LimitsError::TooManyInFlight(max_in_flight));
        }
        if buffer > MAX_BUFFER {
            return Err(LimitsError::BufferTooLarge(buffer));
        }
        if tiers.is_empty() {
            return Err(LimitsError::NoTiers);
        }
        if tiers.len() > MAX_TIERS {
            return Err(LimitsError::TooManyTiers(tiers.len()));
        }
        Ok(Self {
            max_in_flight,
            reserved: 0,
            buffer,
            tiers,
            parts: [0.0; MAX_TIERS],
            guarantees: [Guarantee::NONE; MAX_TIERS],
            queue_delay_target: Duration::from_millis(20),
            trip_spacing: Duration::from_secs(1),
        })
    }

    /// Permits that are kept for ranks above the ordinary: none unless told, and always one less than all at most.
    ///
    /// An ordinary request gets a permit only while fewer than the others are in flight.
    #[must_use]
    pub fn reserved(mut self, permits: u32) -> Self {
        self.reserved = permits.min(self.max_in_flight.saturating_sub(1));
        self
    }

    /// The same with another number of permits, at most [`MAX_IN_FLIGHT`]; as large a part of them is kept.
    #[must_use]
    pub fn resized(mut self, max_in_flight: u32) -> Self {
        self.reserved = self.reserved_at(max_in_flight);
        self.max_in_flight = max_in_flight.min(MAX_IN_FLIGHT);
        self.guarantee_parts();
        self
    }

    /// How many of `max_in_flight` permits would be kept if there were so many: as large a part as of these, and always one
    /// less than all at most.
    #[must_use]
    pub fn reserved_at(&self, max_in_flight: u32) -> u32 {
        let all = u64::from(self.max_in_flight.max(1));
        let part = u64::from(self.reserved) * u64::from(max_in_flight) / all;
        u32::try_from(part).unwrap_or(u32::MAX).min(max_in_flight.saturating_sub(1))
    }

    /// The parts of the permits, and of the places in the buffer, that are guaranteed to the tiers, in order of priority:
    /// none unless told. Each is 0..=1; what goes beyond the whole is cut off, from the last tier on.
    ///
    /// Both are rounded down, but to no less than one of what is left. See [`Guarantee`].
    #[must_use]
    pub fn guaranteed(mut self, parts: &[f64]) -> Self {
        self.parts = [0.0; MAX_TIERS];
        for (own, part) in self.parts.iter_mut().zip(parts) {
            *own = *part;
        }
        self.guarantee_parts();
        self
    }

    fn guarantee_parts(&mut self) {
        let permits = divide(self.max_in_flight, 0, &self.parts);
        // The first tier can wait, whatever is kept from it: the gate refuses whom there is no place for.
        let places = divide(self.buffer, 1, &self.parts);
        for (guarantee, (permits, places)) in self.guarantees.iter_mut().zip(permits.zip(places)) {
            *guarantee = Guarantee { permits, places };
        }
    }

    /// The mean wait that counts as a pressure of 1 for the lower tiers.
    ///
    /// 20 ms unless told, the threshold of DAGOR (Zhou et al., "Overload Control for Scaling WeChat Microservices",
    /// 2018). Zero: any wait at all is a pressure of 1.
    #[must_use]
    pub fn queue_delay_target(mut self, target: Duration) -> Self {
        self.queue_delay_target = target;
        self
    }

    /// The least time between two trips of one breaker, 1 s unless told: bounds flapping.
    #[must_use]
    pub fn trip_spacing(mut self, spacing: Duration) -> Self {
        self.trip_spacing = spacing;
        self
    }

    /// The most permits at once; 0: closed.
    #[must_use]
    pub fn max_in_flight(&self) -> u32 {
        self.max_in_flight
    }

    /// The permits of these that are kept for ranks above the ordinary.
    #[must_use]
    pub fn reserved_permits(&self) -> u32 {
        self.reserved
    }

    /// What is guaranteed to the tier at `index`.
    #[must_use]
    pub fn guarantee(&self, index: usize) -> Guarantee {
        self.guarantees.get(index).copied().unwrap_or(Guarantee::NONE)
    }

    /// Whether anything is guaranteed to any tier.
    #[must_use]
    pub fn has_guarantees(&self) -> bool {
        self.guarantees.iter().any(|guarantee| *guarantee != Guarantee::NONE)
    }

    /// The most waiters at once, all tiers together; 0: nobody waits.
    #[must_use]
    pub fn buffer(&self) -> u32 {
        self.buffer
    }

    /// The tiers in order of priority.
    #[must_use]
    pub fn tiers(&self) -> &[TierLimits] {
        &self.tiers
    }

    pub(crate) fn delay_target(&self) -> Duration {
        self.queue_delay_target
    }

    pub(crate) fn spacing(&self) -> Duration {
        self.trip_spacing
    }
}

// === impl Guarantee ===

impl Guarantee {
    /// Nothing.
    pub const NONE: Self = Self { permits: 0, places: 0 };
}

/// The `parts` of `whole`, which add up to no more than that, if the first uses at least `least`.
fn divide(whole: u32, least: u32, parts: &[f64]) -> impl Iterator<Item = u32> {
    let mut left = whole;
    parts.iter().enumerate().map(move |(index, &part)| {
        // A float becomes an integer by saturation, a NaN 0; the little bit makes up for its rounding: 0.29 * 100 < 29.
        let own = (part * f64::from(whole) + 1e-6) as u32;
        let own = own.max(u32::from(part > 0.0)).min(left);
        let used = if index == 0 { own.max(least) } else { own };
        left = left.saturating_sub(used);
        own
    })
}

/// Why some numbers are no [`Limits`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LimitsError {
    /// More than [`MAX_BUFFER`] places.
    BufferTooLarge(u32),
    /// No tier at all.
    NoTiers,
    /// More than [`MAX_IN_FLIGHT`] permits.
    TooManyInFlight(u32),
    /// More than [`MAX_TIERS`] tiers.
    TooManyTiers(usize),
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooLarge(buffer) => {
                write!(f, "a buffer of {buffer} is too large: at most {MAX_BUFFER} places")
            }
            Self::NoTiers => write!(f, "there must be at least one tier"),
            Self::TooManyInFlight(permits) => {
                write!(f, "{permits} in flight are too many: at most {MAX_IN_FLIGHT}")
            }
            Self::TooManyTiers(tiers) => {
                write!(f, "{tiers} tiers are too many: at most {MAX_TIERS}")
            }
        }
    }
}

impl Error for LimitsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        let tier = TierLimits {
            max_wait: Duration::from_millis(50),
            weight: NonZeroU32::MIN,
            watermarks: Watermarks::new(0.9, 0.5).unwrap(),
        };
        assert_eq!(Limits::new(1, 1, vec![]), Err(LimitsError::NoTiers));
        assert_eq!(Limits::new(1, 1, vec![tier; 9]), Err(LimitsError::TooManyTiers(9)));
        assert_eq!(
            Limits::new(1, MAX_BUFFER + 1, vec![tier]),
            Err(LimitsError::BufferTooLarge(MAX_BUFFER + 1))
        );
        assert_eq!(
            Limits::new(MAX_IN_FLIGHT + 1, 1, vec![tier]),
            Err(LimitsError::TooManyInFlight(MAX_IN_FLIGHT + 1))
        );
        assert!(Limits::new(0, 0, vec![tier; 8]).is_ok());
        let reserved = |of: u32, permits| {
            Limits::new(of, 1, vec![tier]).unwrap().reserved(permits).reserved_permits()
        };
        assert_eq!([reserved(5, 3), reserved(5, 5), reserved(1, 1), reserved(0, 9)], [3, 4, 0, 0]);
    }

    #[test]
    fn what_is_guaranteed_adds_up_to_no_more_than_there_is() {
        let divided = |whole, parts: &[f64]| divide(whole, 0, parts).collect::<Vec<_>>();
        assert_eq!(divided(100, &[0.29, 0.57, 0.0, 0.14]), [29, 57, 0, 14]);
        assert_eq!(divided(10, &[0.01, 0.99]), [1, 9]);
        assert_eq!(divided(1, &[0.1, 0.9]), [1, 0]);
        assert_eq!(divided(10, &[0.8, 0.8, 0.8]), [8, 2, 0]);
        assert_eq!(divided(10, &[f64::NAN, -1.0, f64::INFINITY]), [0, 0, 10]);
        assert_eq!(divided(0, &[1.0]), [0]);
        assert_eq!(divide(4, 1, &[0.0, 1.0]).collect::<Vec<_>>(), [0, 3]);
        assert_eq!(divide(4, 1, &[0.5, 0.5]).collect::<Vec<_>>(), [2, 2]);
    }
}
