//! How a request was decided upon: a field of its answer and, for the last of them, what the operator is told
//! who asks for it by its id. Nothing of this is done unless `[explain] header` is on.
//!
//! ```text
//! x-floodgate-decision: id=5f0c21d9-0-1842; reason=no_grant; level=0.83
//!                          process  core  number          pressure of the upstream, unless there is none
//! ```

mod id;
mod levels;
mod line;
mod record;
mod ring;
mod sentence;

use std::time::Duration;

use floodgate_limiter::Timestamp;
use http::{HeaderMap, HeaderName};

use crate::decide::Refused;
use crate::journey::Part;
use crate::reason::Reason;
use crate::snapshot::Snapshot;
use crate::worker::Worker;

pub(crate) use id::Id;
pub(crate) use levels::{Level, Levels};
pub(crate) use line::DecisionField;
pub(crate) use record::{Outcome, Record, Role, RouteNames};
pub(crate) use ring::{Decisions, Missing};
pub(crate) use sentence::{Advice, advice, invalid};

/// The field that says how its request was decided upon.
pub(crate) const DECISION_HEADER: HeaderName = HeaderName::from_static("x-floodgate-decision");

/// What a request met: all that is known of a decision but how it ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    route: Option<usize>,
    role: Role,
    limit: Option<u8>,
    level: Option<Level>,
    at_ms: u64,
    waited: Duration,
}

// === impl Case ===

impl Case {
    /// That of a request of `route` which is this `part` of its journey, decided upon at `now` after it had
    /// `waited`. `None` if answers say nothing of it.
    #[inline]
    pub(crate) fn open(
        worker: &Worker,
        snapshot: &Snapshot,
        route: Option<usize>,
        part: Part,
        now: Timestamp,
    ) -> Option<Self> {
        snapshot.config.explain.header.then(|| Self::look(worker, snapshot, route, part, now))
    }

    #[cold]
    fn look(
        worker: &Worker,
        snapshot: &Snapshot,
        route: Option<usize>,
        part: Part,
        now: Timestamp,
    ) -> Self {
        let upstream = route.map(|route| snapshot.routes[route].upstream);
        let level = upstream.map(|index| worker.levels.level(snapshot, index, now));
        let at_ms = worker.date.unix_ms();
        Self { route, role: Role::of(part, now), limit: None, level, at_ms, waited: Duration::ZERO }
    }

    /// That of a request which was refused at `now`.
    #[inline]
    pub(crate) fn of_refused(
        worker: &Worker,
        snapshot: &Snapshot,
        refused: Refused,
        now: Timestamp,
    ) -> Option<Self> {
        let case = Self::open(worker, snapshot, refused.route, refused.part, now)?;
        Some(Self { limit: refused.limited.map(|limited| limited.limit), ..case })
    }

    /// The same after it had waited.
    pub(crate) fn after(self, waited: Duration) -> Self {
        Self { waited, ..self }
    }

    /// It ended so, and the customer was `told` to wait so long: gives the decision its number, and keeps it
    /// if it is one of those that are kept.
    pub(crate) fn close(
        self,
        worker: &Worker,
        snapshot: &Snapshot,
        outcome: Outcome,
        told: Option<Duration>,
    ) -> DecisionField {
        let record = |number| Record {
            number,
            at_ms: self.at_ms,
            generation: snapshot.generation,
            route: self.route.map(|route| snapshot.routes[route].names.clone()),
            role: self.role,
            limit: self.limit,
            outcome,
            level: self.level,
            waited_us: u32::try_from(self.waited.as_micros()).unwrap_or(u32::MAX),
            told_ms: told.map(|told| u32::try_from(told.as_millis()).unwrap_or(u32::MAX)),
        };
        let sample = snapshot.config.explain.sample;
        let id = worker.shared.decisions.give(worker.index, sample, record);
        DecisionField::new(id, outcome, self.level)
    }

    /// The same as a field of an answer.
    pub(crate) fn tell(
        self,
        worker: &Worker,
        snapshot: &Snapshot,
        outcome: Outcome,
        told: Option<Duration>,
        headers: &mut HeaderMap,
    ) {
        let line = self.close(worker, snapshot, outcome, told);
        if let Ok(value) = line.value().try_into() {
            headers.insert(DECISION_HEADER, value);
        }
    }
}

/// The reasons of whose refusals the state of the stock is one.
pub(crate) const fn stock(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::SoldOut | Reason::ReservedOut => Some(reason.as_str()),
        _ => None,
    }
}
