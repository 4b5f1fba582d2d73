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
    /// How many of the limit are kept for ranks above the ordinary.
    pub reserved: u32,
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
    /// Those of them above the ordinary rank.
    pub preferred: u32,
    /// How many permits it is guaranteed.
    pub guaranteed: u32,
    /// How many of those in flight are its own; `None`: nothing is guaranteed to any tier, so nobody counts. Those that were
    /// in flight before anything was are not among them.
    pub in_flight: Option<u32>,
    /// Whether its breaker is open, that is, sheds, or would if it were not in the shadow.
    pub open: bool,
    /// Whether its breaker is in the shadow, where it refuses nobody.
    pub shadow: bool,
    /// How often its breaker has tripped.
    pub trips: u64,
    /// Its pressure, 0..1.
    pub pressure: f64,
    /// How long a newcomer is expected to wait.
    pub estimated_wait: Duration,
}

/// What one limiter has done since it began. Each number by itself only rises; together they may be a moment apart.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// Services whose length counts: permits that were [released](crate::Permit::release).
    pub services: u64,
    /// The sum of their lengths.
    pub service_nanos: u64,
    /// Requests of rank 2 or above that got a permit.
    pub ranked: u64,
    /// The sum of their waits, which are 0 for those that found a permit free.
    pub ranked_wait_nanos: u64,
    /// How much of `service_nanos` the upstream was idle in, and waited for those who had the permits.
    pub idle_nanos: u64,
    /// Up to how many permits are given; not a sum.
    pub limit: u32,
}
