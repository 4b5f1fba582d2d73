//! What the gateway says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the gateway says it counted, as difference between the start and the end of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Requests that came.
    pub arrivals: u64,
    /// Requests that got a permit.
    pub admitted: u64,
    /// Requests by `outcome`.
    pub outcomes: BTreeMap<String, u64>,
    /// Refused requests by reason.
    pub rejections: BTreeMap<String, u64>,
    /// Times a breaker tripped.
    pub trips: u64,
    /// Scrapes that failed.
    pub missed_scrapes: u64,
}

/// The gateway's own figures at one moment, all upstreams together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GatewaySecond {
    /// Waiting requests by tier.
    pub queue_depth: BTreeMap<String, u64>,
    /// Tiers, and whether a breaker of theirs was open.
    pub breaker_open: BTreeMap<String, bool>,
    /// Requests at the upstreams.
    pub in_flight: u64,
    /// How many may be there.
    pub in_flight_limit: u64,
    /// Waiting requests that fit, of all tiers together; zero if it was not told.
    pub buffer: u64,
    /// Upstreams whose circuit was open.
    pub circuits_open: u64,
    /// 0 to 1, of the upstream that is worst off.
    pub pressure: f64,
}
