//! How one request went.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{reason::ReasonId, schedule::Arrival};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An answer that helps nobody, a broken answer, or none.
    Failed,
    /// A deliberate no: it carries `x-floodgate-reason`, or is a bare 429 or 503. An answer of
    /// 502 or 504 is a failure even with a reason.
    Refused,
    /// A whole answer of 2xx or 3xx.
    Success,
    /// No whole answer before patience ran out.
    Timeout,
}

/// One request, done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) arrival: Arrival,
    /// From the start of the run.
    pub(crate) ended: Duration,
    pub(crate) kind: Kind,
    pub(crate) reason: ReasonId,
}

/// Requests by ending. `offered` is the sum of the others once everything is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Arrivals whose turn had come.
    pub offered: u64,
    /// Arrivals that were not sent, because all connections and waiting places were taken.
    pub dropped: u64,
    /// See [`Kind::Failed`].
    pub failed: u64,
    /// See [`Kind::Refused`].
    pub refused: u64,
    /// See [`Kind::Success`].
    pub success: u64,
    /// See [`Kind::Timeout`].
    pub timeout: u64,
}

// === impl Sample ===

impl Sample {
    /// From the intended start, as the customer counts.
    pub(crate) fn latency(&self) -> Duration {
        self.ended.saturating_sub(self.arrival.intended)
    }
}

// === impl Counts ===

impl Counts {
    /// Requests that ended, in whichever way.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.failed + self.refused + self.success + self.timeout
    }

    pub(crate) fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Failed => self.failed += 1,
            Kind::Refused => self.refused += 1,
            Kind::Success => self.success += 1,
            Kind::Timeout => self.timeout += 1,
        }
    }

    /// Adds the counts of others.
    pub fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.dropped += other.dropped;
        self.failed += other.failed;
        self.refused += other.refused;
        self.success += other.success;
        self.timeout += other.timeout;
    }
}
