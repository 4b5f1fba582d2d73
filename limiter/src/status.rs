//! What can be seen of a limiter from outside.

use std::time::Duration;

/// One limiter at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// Permits given and not yet returned.
    pub in_flight: u32,
    /// Up to how many are given; 0: closed.
    pub limit: u32,
    /// Waiters in the buffer, all tiers together.
    pub waiting: u32,
    /// Places in the buffer.
    pub capacity: u32,
    /// The largest pressure of any tier, 0..1.
    pub pressure: f64,
    /// Mean time from a permit to its return, exponentially weighted; zero: not known yet.
    pub mean_service: Duration,
    /// The queue delay that counts as pressure on the lower tiers.
    pub queue_delay: Duration,
    /// Whether it is shutting down.
    pub draining: bool,
    /// The tiers in order of priority.
    pub tiers: Vec<TierStatus>,
}

/// One tier at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TierStatus {
    /// Its waiters.
    pub waiting: u32,
    /// Whether its breaker is open, that is, sheds.
    pub open: bool,
    /// How often its breaker has tripped.
    pub trips: u64,
    /// Its pressure, 0..1.
    pub pressure: f64,
    /// How long a newcomer is expected to wait.
    pub estimated_wait: Duration,
}
