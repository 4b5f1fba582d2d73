//! What became of the customers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::percentiles::Percentiles;

/// Virtual customers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Journeys {
    /// All of them together.
    pub total: JourneyCounts,
    /// By class of client.
    pub by_class: BTreeMap<String, JourneyCounts>,
    /// Calls of one whole journey that the origin has to serve (k).
    pub calls: f64,
    /// Completed per second, over the time in which journeys were started.
    pub completed_per_s: f64,
    /// The most that the origin can complete per second (C/k), when its capacity is known.
    pub optimum_per_s: Option<f64>,
    /// From intent to paid, of those completed.
    pub length: Percentiles,
}

/// Journeys by ending: `started = completed + abandoned + gave_up + sold_out + unfinished`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JourneyCounts {
    /// Intents.
    pub started: u64,
    /// Whose first step succeeded while others still came.
    #[serde(default)]
    pub admitted: u64,
    /// Of these, paid before patience ran out.
    #[serde(default)]
    pub admitted_completed: u64,
    /// Of these, gave up all the same.
    #[serde(default)]
    pub admitted_gave_up: u64,
    /// Whose first step succeeded after the last intent, with what patience they had left.
    #[serde(default)]
    pub late_admitted: u64,
    /// Of these, paid before patience ran out.
    #[serde(default)]
    pub late_completed: u64,
    /// Paid before patience ran out.
    pub completed: u64,
    /// Left of their own accord between two steps.
    pub abandoned: u64,
    /// Ran out of patience or of attempts.
    pub gave_up: u64,
    /// Were told that nothing is left.
    pub sold_out: u64,
    /// Were still under way at the end.
    pub unfinished: u64,
    /// Of those that gave up: the origin finished the last step all the same. Work for nobody.
    pub late_success: u64,
}

// === impl JourneyCounts ===

impl JourneyCounts {
    /// Of the customers whose first step succeeded while others still came, and who did not leave of their
    /// own accord or find nothing left: the share that completed.
    #[must_use]
    pub fn completion(&self) -> Option<f64> {
        let decided = self.admitted_completed + self.admitted_gave_up;
        (decided > 0).then(|| self.admitted_completed as f64 / decided as f64)
    }

    /// Journeys that ended, in whichever way.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.completed + self.abandoned + self.gave_up + self.sold_out
    }
}
