//! Figures that follow from a configuration: what an operator would work out with a pencil.

use std::time::Duration;

use floodgate_limiter::{AdaptiveSettings, Limits, Rate};

use crate::config::{Config, Tier, Upstream};

/// What follows for one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamFigures {
    /// Its name.
    pub name: String,
    /// Requests at it at once; at first, where their number is found. All that follows goes by these.
    pub permits: u32,
    /// How that number is found.
    pub in_flight: AdaptiveSettings,
    /// How many of those are kept for the customers of journeys.
    pub reserved: u32,
    /// Places in its buffer.
    pub places: u32,
    /// Requests that it can serve per second: permits over service time. `None`: the service time is not known.
    pub per_second: Option<f64>,
    /// What follows for each tier, in order of priority.
    pub tiers: Vec<TierFigures>,
}

/// What follows for one tier at one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct TierFigures {
    /// Its name.
    pub name: String,
    /// Its waiting capacity by watermark: while fewer wait, it may enter the buffer.
    pub places: u32,
    /// How many permits it is guaranteed.
    pub guaranteed: u32,
    /// Longest stay in the buffer.
    pub max_wait: Duration,
    /// Requests that have to be served per second for so many to leave within `max_wait`; `None`: it never waits.
    pub drains_at: Option<f64>,
    /// Longest possible answer: the deadline.
    pub longest_answer: Duration,
    /// Its waiting capacity by time: requests that can be served within `max_wait`. `None`: the service time is not known.
    pub served_in_time: Option<f64>,
}

// === impl UpstreamFigures ===

impl UpstreamFigures {
    /// The figures of `upstream`, whose requests take `service` each, if that is known.
    pub(crate) fn of(config: &Config, upstream: &Upstream, service: Option<Duration>) -> Self {
        // As they are at first, where their number is found: the most there may ever be serve nobody yet.
        let limits = upstream.limits.clone().reserved(upstream.reserved);
        let limits = &limits.resized(upstream.in_flight.start());
        let service = service.filter(|service| !service.is_zero());
        let per_second = service.map(|it| f64::from(limits.max_in_flight()) / it.as_secs_f64());
        let tier = |(index, tier): (usize, &Tier)| {
            let (places, wait) = (places(limits, index), tier.max_wait.as_secs_f64());
            TierFigures {
                name: tier.name.clone(),
                places: if tier.max_wait.is_zero() { 0 } else { places },
                guaranteed: limits.guarantee(index).permits,
                max_wait: tier.max_wait,
                drains_at: (places > 0 && wait > 0.0).then(|| f64::from(places) / wait),
                longest_answer: tier.deadline,
                served_in_time: per_second.map(|per_second| per_second * wait),
            }
        };
        Self {
            name: upstream.name.clone(),
            permits: limits.max_in_flight(),
            in_flight: upstream.in_flight,
            reserved: limits.reserved_permits(),
            places: limits.buffer(),
            per_second,
            tiers: config.tiers.iter().enumerate().map(tier).collect(),
        }
    }
}

/// The places that may be taken when a request of the tier `index` enters the buffer, itself included: at least one,
/// if there is any. As the limiter counts them: by the lowest `high` of this tier and those above it that is not in the shadow,
/// rounded up.
pub(crate) fn places(limits: &Limits, index: usize) -> u32 {
    let at_or_above = limits.tiers().iter().take(index + 1).map(|tier| tier.watermarks);
    let enforced = at_or_above.filter(|marks| !marks.is_shadow());
    let high = enforced.map(|marks| marks.high()).fold(1.0, f64::min);
    let buffer = limits.buffer();
    // A float becomes an integer by saturation; the little bit makes up for its rounding.
    let places = (high * f64::from(buffer) - 1e-6).ceil() as u32;
    places.clamp(1, buffer.max(1)).min(buffer)
}

/// The most requests that can wait at once if they are admitted at `rate` and wait no longer than `max_wait`.
pub(crate) fn most_waiting(rate: Rate, max_wait: Duration) -> f64 {
    f64::from(rate.burst()) + per_second(rate) * max_wait.as_secs_f64()
}

/// Requests per second.
pub(crate) fn per_second(rate: Rate) -> f64 {
    rate.count() as f64 / rate.per().as_secs_f64()
}
