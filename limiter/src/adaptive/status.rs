//! What can be seen of a limit that is found.

use std::time::Duration;

use super::Algorithm;
use crate::timestamp::Timestamp;

/// What can be seen of a limit that is found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct AdaptiveStatus {
    /// How it is found.
    pub algorithm: Algorithm,
    /// Whether it is only shown: [`AdaptiveSettings::start`](super::AdaptiveSettings::start) rules.
    pub shadow: bool,
    /// The limit that was found, which rules unless `shadow`.
    pub limit: f64,
    /// Mean latency of the last windows; zero: not known yet.
    pub latency: Duration,
    /// What it is with few in flight; zero: not known yet.
    pub baseline: Duration,
    /// Why it last moved.
    pub why: Why,
    /// When that was.
    pub moved_at: Timestamp,
    /// Why it does not move now; `None`: it moved in the last window.
    pub rests: Option<Rests>,
}

/// Why the limit is what it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// It was given.
    #[default]
    Start,
    /// The law raised it.
    Grew,
    /// The law lowered it.
    Shrank,
    /// A sounding found the upstream with a queue of its own.
    QueueFound,
    /// The settings have changed.
    Settings,
}

/// Why the limit rests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rests {
    /// The algorithm is `fixed`.
    Fixed,
    /// Too few requests come back to tell anything.
    Idle,
    /// [`AdaptiveSeen::frozen`](super::Seen::frozen).
    Frozen,
    /// Less than half of it is in flight.
    Unsaturated,
    /// It would grow, and the latency is above [`AdaptiveSettings::max_latency`](super::AdaptiveSettings::max_latency).
    MaxLatency,
    /// As many as are in flight now have not been for long.
    Settling,
    /// The unloaded latency is being found out.
    Sounding,
    /// The law sees no reason to move it.
    Steady,
}

impl Why {
    /// A word for people and scrapers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Grew => "grew",
            Self::Shrank => "shrank",
            Self::QueueFound => "queue_found",
            Self::Settings => "settings",
        }
    }
}

impl Rests {
    /// A word for people and scrapers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Idle => "idle",
            Self::Frozen => "frozen",
            Self::Unsaturated => "unsaturated",
            Self::MaxLatency => "max_latency",
            Self::Settling => "settling",
            Self::Sounding => "sounding",
            Self::Steady => "steady",
        }
    }
}
