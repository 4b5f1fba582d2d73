//! What is kept of a decision. Nothing of the customer: neither who it was nor what was asked.

use std::sync::Arc;

use floodgate_limiter::{Standing, Timestamp};

use super::levels::Level;
use crate::grant::token::Invalid;
use crate::journey::Part;
use crate::reason::Reason;

/// What is kept of one decision.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Which of its worker's.
    pub number: u64,
    /// Wall time in milliseconds since 1970; up to a turn of the clock old.
    pub at_ms: u64,
    /// Number of the configuration by which it was decided.
    pub generation: u64,
    /// Whose it was; `None` if no route's.
    pub route: Option<Arc<RouteNames>>,
    /// What it was in its journey.
    pub role: Role,
    /// Which limit refused it, if one per key did.
    pub limit: Option<u8>,
    /// How it ended.
    pub outcome: Outcome,
    /// The pressure of its upstream.
    pub level: Option<Level>,
    /// From its arrival until it was decided.
    pub waited_us: u32,
    /// How long the customer was told to wait.
    pub told_ms: Option<u32>,
}

/// What belongs to a route, by name: it is told of when the configuration is another one.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct RouteNames {
    pub route: String,
    pub tier: String,
    pub upstream: String,
    pub journey: Option<String>,
    /// Of the limits per key.
    pub limits: Vec<String>,
}

/// How a decision ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The upstream answered.
    Admitted,
    /// It was admitted, and the upstream did not answer.
    Failed(Reason),
    /// It was refused.
    Refused(Reason),
    /// It was answered as it had been before.
    Replayed,
}

/// What a request was in its journey.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Nothing: there was none.
    None,
    /// It wanted to begin, and nothing was known of its customer.
    Newcomer { invalid: Option<Invalid> },
    /// It wanted to begin, and came when it had been told to.
    OnTime { invalid: Option<Invalid> },
    /// It wanted to begin, and came so long before that.
    Early { by_ms: u32, invalid: Option<Invalid> },
    /// It had a grant, and asked for this step.
    Holder { step: u8 },
    /// It went by its stage alone.
    Stage { step: u8 },
    /// It asked for a later step without a grant that counts.
    Stranger { invalid: Option<Invalid> },
}

// === impl Outcome ===

impl Outcome {
    /// As it stands in the field: why not, if not.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Failed(reason) | Self::Refused(reason) => reason.as_str(),
            Self::Admitted | Self::Replayed => self.kind(),
        }
    }

    /// What it is, whatever the reason.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Failed(_) => "failed",
            Self::Refused(_) => "refused",
            Self::Replayed => "replayed",
        }
    }

    /// Why not, if not.
    pub(crate) const fn reason(self) -> Option<Reason> {
        match self {
            Self::Failed(reason) | Self::Refused(reason) => Some(reason),
            Self::Admitted | Self::Replayed => None,
        }
    }
}

// === impl Role ===

impl Role {
    /// That of a request which is this `part` at `now`.
    pub(crate) fn of(part: Part, now: Timestamp) -> Self {
        let short = |step: usize| u8::try_from(step).unwrap_or(u8::MAX);
        match part {
            Part::None => Self::None,
            Part::Entry { standing, invalid, .. } => match standing {
                Standing::New => Self::Newcomer { invalid },
                Standing::OnTime => Self::OnTime { invalid },
                Standing::Early { told } => {
                    let by = told.saturating_since(now).as_millis();
                    Self::Early { by_ms: u32::try_from(by).unwrap_or(u32::MAX), invalid }
                }
            },
            Part::Holder { step, .. } => Self::Holder { step: short(step) },
            Part::Stage { step } => Self::Stage { step: short(step) },
            Part::Stranger { invalid } => Self::Stranger { invalid },
        }
    }

    /// Its name; `None` if there was no journey.
    pub(crate) const fn as_str(self) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::Newcomer { .. } => "newcomer",
            Self::OnTime { .. } => "on_time",
            Self::Early { .. } => "early",
            Self::Holder { .. } => "holder",
            Self::Stage { .. } => "stage",
            Self::Stranger { .. } => "stranger",
        })
    }

    /// What was wrong with the grant that it brought, if something was.
    pub(crate) const fn invalid(self) -> Option<Invalid> {
        match self {
            Self::Newcomer { invalid }
            | Self::OnTime { invalid }
            | Self::Early { invalid, .. }
            | Self::Stranger { invalid } => invalid,
            Self::None | Self::Holder { .. } | Self::Stage { .. } => None,
        }
    }

    /// The step that it asked for, counted from 1, where that is known.
    pub(crate) fn step(self) -> Option<u16> {
        match self {
            Self::Newcomer { .. } | Self::OnTime { .. } | Self::Early { .. } => Some(1),
            Self::Holder { step } | Self::Stage { step } => Some(u16::from(step) + 1),
            Self::None | Self::Stranger { .. } => None,
        }
    }
}
