//! Journeys: who may begin one, and who has.
//!
//! ```text
//! entry ──> a grant to be had? ── no ──> refused, told when to come back
//!             │ yes                           and remembered for it
//!             v
//!           permit ──> upstream ──> answer with the grant ──> later steps with it ──> finished
//! ```

mod answer;
mod stats;

use std::sync::Arc;

use arc_swap::ArcSwap;
use floodgate_config::{Identity, Sticky};
use floodgate_limiter::{Entry, EntrySettings, Load, Rank, Returns, Standing, Timestamp};
use http::StatusCode;

use crate::fields::Fields;
use crate::grant::{self, Customer, Invalid, Keys};
use crate::worker::Worker;

pub(crate) use answer::Granted;
pub(crate) use stats::{JourneyShard, JourneyStats, JourneySums};

/// A journey's live state.
#[derive(Debug)]
pub(crate) struct Journey {
    /// Name of the journey.
    pub name: String,
    /// What it goes by.
    pub sticky: Sticky,
    /// Who gets a grant, and what became of those who did.
    pub entry: Arc<Entry>,
    /// When those who did not were told to come back.
    pub returns: Arc<Returns>,
    /// What grants are signed with.
    pub keys: Arc<ArcSwap<Keys>>,
    /// Its counters.
    pub stats: Arc<JourneyStats>,
    /// Where a request says whose it is.
    identity: Identity,
    /// The step, and the answers, that finish it.
    finish: (usize, Vec<StatusCode>),
    /// Indices of the upstreams that its steps go to, and how many go there.
    upstreams: Vec<(usize, u32)>,
}

/// What a request is in the journey of its route.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Part {
    /// Nothing: there is none, or it is off.
    #[default]
    None,
    /// It wants to begin.
    Entry {
        /// Whose it is, if it says so.
        customer: Option<u64>,
        /// What that one was told the last time.
        standing: Standing,
        /// What is wrong with the grant that it brought.
        invalid: Option<Invalid>,
    },
    /// It has begun.
    Holder {
        /// Number of the grant.
        nonce: u64,
        /// When that ends.
        expires: Timestamp,
        /// Which step it asks for.
        step: usize,
    },
    /// It asks for a step without having to show anything.
    Stage {
        /// Which step it asks for.
        step: usize,
    },
    /// It asks for a later step without having begun.
    Stranger {
        /// What is wrong with the grant that it brought.
        invalid: Option<Invalid>,
    },
}

// === impl Part ===

impl Part {
    /// Its precedence within its tier: whoever is further on goes first.
    pub(crate) fn rank(self) -> Rank {
        let of = |step: usize, base: usize| Rank::new(u8::try_from(base + step).unwrap_or(u8::MAX));
        match self {
            Self::None | Self::Stranger { .. } => Rank::ORDINARY,
            Self::Entry { .. } => of(0, 1),
            Self::Stage { step } => of(step, 1),
            Self::Holder { step, .. } => of(step, 2),
        }
    }

    /// What is wrong with the grant that it brought, if something is.
    pub(crate) const fn invalid(self) -> Option<Invalid> {
        match self {
            Self::Entry { invalid, .. } | Self::Stranger { invalid } => invalid,
            Self::None | Self::Holder { .. } | Self::Stage { .. } => None,
        }
    }
}

// === impl Journey ===

impl Journey {
    /// What a request for step number `step` is, at `now`. Only reads.
    pub(crate) fn part(
        &self,
        worker: &Worker,
        step: usize,
        fields: Fields<'_>,
        now: Timestamp,
    ) -> Part {
        match self.sticky {
            Sticky::Off => return Part::None,
            Sticky::Stage => return Part::Stage { step },
            Sticky::Grant => {}
        }
        let keys = self.keys.load();
        let customer = self.customer(fields, &keys);
        let unix_ms = worker.date.unix_ms();
        let mut invalid = None;
        if let Some(text) = grant::shown(&self.name, fields) {
            match keys.verify(text, &self.name, customer.as_ref(), unix_ms) {
                Ok(grant) => {
                    let expires = now + std::time::Duration::from_millis(grant.expires_unix_ms.saturating_sub(unix_ms));
                    return Part::Holder { nonce: grant.nonce, expires, step };
                }
                Err(why) => invalid = Some(why),
            }
        }
        if step > 0 {
            return Part::Stranger { invalid };
        }
        let customer = customer.map(|customer| customer.digest());
        let standing =
            customer.map_or(Standing::New, |customer| self.returns.standing(customer, now));
        Part::Entry { customer, standing, invalid }
    }
}
