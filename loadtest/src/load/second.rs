//! One second of a run, for the table that is shown while it lasts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{histogram::Latency, sample::Counts};

/// What happened in one second. An arrival counts as offered in the second in which its turn
/// came and as done in the second in which it ended, so the sums over all seconds close.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Second {
    /// 0 is the first. After the last phase seconds go on until every request has ended.
    pub index: u32,
    /// The phase that had begun by the middle of the second.
    pub phase: usize,
    /// Sum over the classes.
    pub offered: u64,
    /// One per template, in their order.
    pub classes: Vec<ClassSecond>,
}

/// One class in one second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassSecond {
    /// Name of the class.
    pub class: String,
    /// Requests by ending.
    pub counts: Counts,
    /// Why requests failed.
    pub failed_by_reason: BTreeMap<String, u64>,
    /// Why requests were refused.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Latency of the refusals, from the intended start.
    pub refusal_latency: Latency,
    /// Latency of the successes, from the intended start.
    pub success_latency: Latency,
}
