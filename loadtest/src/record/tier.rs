//! Requests by tier and class, over the whole run and second by second.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::load::Counts;

use super::{gateway::GatewaySecond, percentiles::Percentiles};

/// One tier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TierRecord {
    /// Name: `l1`, `l2`, `l3`.
    pub tier: String,
    /// Requests by ending.
    pub counts: Counts,
    /// Successes that came within `deadline_ms`.
    pub in_time: u64,
    /// What counts as in time, from the intended start, milliseconds; without one all successes do.
    pub deadline_ms: Option<f64>,
    /// Why requests were refused.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Why requests failed.
    pub failed_by_reason: BTreeMap<String, u64>,
    /// Latency of the successes.
    pub success: Percentiles,
    /// Latency of the refusals.
    pub refusal: Percentiles,
    /// Latency of whatever ended, in whichever way.
    pub all: Percentiles,
}

/// Something finer than a tier: a step of a journey, a kind of client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassRecord {
    /// Name.
    pub class: String,
    /// The tier that its requests are of.
    pub tier: String,
    /// Requests by ending.
    pub counts: Counts,
    /// Why requests were refused.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Why requests failed.
    pub failed_by_reason: BTreeMap<String, u64>,
    /// Latency of the successes.
    pub success: Percentiles,
    /// Latency of the refusals.
    pub refusal: Percentiles,
}

/// One second of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SecondRow {
    /// 0 is the first.
    pub second: u32,
    /// The phase it belongs to.
    pub phase: String,
    /// One per tier, in the order of [`Record::tiers`](super::Record::tiers).
    pub tiers: Vec<TierSecond>,
    /// Journeys that were started.
    pub started: u64,
    /// Journeys that were completed.
    pub completed: u64,
    /// The gateway at the end of this second, when it was scraped.
    pub gateway: Option<GatewaySecond>,
}

/// One tier in one second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TierSecond {
    /// Requests by ending: offered when their turn came, the rest when they ended.
    pub counts: Counts,
    /// Why requests were refused.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Why requests failed.
    pub failed_by_reason: BTreeMap<String, u64>,
    /// Latency of the successes.
    pub success: Percentiles,
    /// Latency of the refusals.
    pub refusal: Percentiles,
}
