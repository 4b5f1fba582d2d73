//! What can be seen of a circuit.

use std::time::Duration;

use super::settings::CircuitSettings;
use super::window::{CallCounts, CircuitCause};
use super::{CircuitState, RAMP};
use crate::timestamp::Timestamp;

/// How often a circuit went to each state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Transitions {
    /// To open.
    pub opened: u64,
    /// To half-open.
    pub half_opened: u64,
    /// To closed.
    pub closed: u64,
}

/// Why a circuit last opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Opened {
    /// When.
    pub at: Timestamp,
    /// For how long.
    pub lasts: Duration,
    /// Which rate it was.
    pub cause: CircuitCause,
    /// The calls that it was judged by.
    pub counts: CallCounts,
    /// Bad calls in a row.
    pub run: u32,
}

/// How far a circuit that is half-open has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RampStatus {
    /// From 0, the probes, to [`RampStatus::LAST`].
    pub step: u32,
    /// Calls of this step.
    pub calls: u32,
    /// Of these, those that may still be begun.
    pub free: u32,
    /// Those that are under way.
    pub under_way: u32,
    /// Those that have ended, and how.
    pub ended: CallCounts,
}

/// A circuit at one moment.
#[derive(Clone, Copy, Debug)]
pub struct CircuitStatus {
    /// Whether it admits.
    pub state: CircuitState,
    /// By what it is judged.
    pub settings: CircuitSettings,
    /// The calls of the window; of a circuit that is half-open, since it is.
    pub counts: CallCounts,
    /// Failed calls in a row, and slow ones.
    pub runs: [u32; 2],
    /// Why it last opened, if it ever did.
    pub opened: Option<Opened>,
    /// When it asks again, if it is open.
    pub probes_at: Option<Timestamp>,
    /// How far it has come, if it is half-open.
    pub ramp: Option<RampStatus>,
    /// How often it changed.
    pub transitions: Transitions,
    /// What it would have refused, were it no shadow.
    pub would_refuse: u64,
}

impl RampStatus {
    /// The last step before the circuit closes.
    pub const LAST: u32 = RAMP;
}

impl CircuitStatus {
    /// How many calls more, all of them bad for `cause` and at once, would open a circuit that is closed.
    #[must_use]
    pub fn to_open(&self, cause: CircuitCause) -> u64 {
        let least = u64::from(self.settings.min_calls);
        let CallCounts { calls, .. } = self.counts;
        let bad = self.counts.bad(cause);
        let [failed, slow] = self.runs;
        let run = match cause {
            CircuitCause::Failures => failed,
            CircuitCause::Slow => slow,
        };
        // So many in a row are enough, whatever came before.
        let in_a_row = least.saturating_sub(u64::from(run)).max(least.saturating_sub(bad)).max(1);
        let threshold = cause.threshold(&self.settings);
        let opens =
            |more: u64| calls + more >= least && threshold.is_reached(bad + more, calls + more);
        // The more of them, the higher the rate.
        let (mut too_few, mut enough) = (0, in_a_row);
        if !opens(enough) {
            return enough;
        }
        while too_few + 1 < enough {
            let middle = (too_few + enough) / 2;
            if opens(middle) {
                enough = middle;
            } else {
                too_few = middle;
            }
        }
        enough
    }
}
