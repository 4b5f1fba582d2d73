//! Per-core counters of routes and tiers, and their sums.

use floodgate_config::Stage;

use super::pace::Pace;
use super::{Counter, Histogram, Totals};
use crate::keyed::Rule;
use crate::objective::Cause;
use crate::reason::Reason;

const REASONS: usize = Reason::ALL.len();
const RULES: usize = Rule::ALL.len();

/// One core's counters of one route, on cache lines of their own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct RouteShard {
    /// Requests that came.
    pub arrivals: Counter,
    /// Requests that got a permit.
    pub admitted: Counter,
    /// Answered to the last byte.
    pub completed: Counter,
    /// Of these, answered with an answer that was here.
    pub replayed: Counter,
    /// Left before there was a permit.
    pub abandoned: Counter,
    /// Admitted and not answered to the last byte, whoever's fault.
    pub failed: Counter,
    /// Asked for an answer sooner than their tier allows for, and were not refused for it at once.
    pub deadlines_shorter: Counter,
    /// Said of their deadline what says nothing, and were not refused at once.
    pub deadlines_ignored: Counter,
    /// How long its upstream takes.
    pub pace: Pace,
    /// Refused, by [`Reason::index`].
    pub rejected: [Counter; REASONS],
    /// Why admitted ones failed, by [`Reason::index`]; the client's leaving is in none.
    pub failures: [Counter; REASONS],
    /// Not refused by a rule that is in the shadow and would have, by [`Rule::index`].
    pub would_refuse: [Counter; RULES],
}

/// One core's latencies of one tier.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct TierShard {
    /// Arrival to permit, of the admitted.
    pub queue_wait: Histogram,
    /// Permit to last byte.
    pub upstream: Histogram,
    /// All stages of completed requests together.
    pub total: Histogram,
    /// Each stage of completed requests, in the order of [`Stage::ALL`].
    pub stages: [Histogram; Stage::ALL.len()],
    /// Requests for which the objective was missed, by [`Cause::index`] and the stage to blame.
    pub missed: [[Counter; Stage::ALL.len()]; Cause::NAMES.len()],
}

/// A route's counters, a shard per core.
#[derive(Debug)]
pub(crate) struct RouteStats(Box<[RouteShard]>);

/// A tier's latencies, a shard per core.
#[derive(Debug)]
pub(crate) struct TierStats(Box<[TierShard]>);

/// A route's counters, added up. The ledger closes: `arrivals` = `admitted` + all `rejected` +
/// `abandoned` + those waiting, `admitted` = `completed` + `failed` + those in flight.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    pub arrivals: u64,
    pub admitted: u64,
    pub completed: u64,
    pub replayed: u64,
    pub abandoned: u64,
    pub failed: u64,
    pub deadlines_shorter: u64,
    pub deadlines_ignored: u64,
    pub rejected: [u64; REASONS],
    pub failures: [u64; REASONS],
    pub would_refuse: [u64; RULES],
}

// === impl RouteShard ===

impl Default for RouteShard {
    fn default() -> Self {
        Self {
            arrivals: Counter::new(),
            admitted: Counter::new(),
            completed: Counter::new(),
            replayed: Counter::new(),
            abandoned: Counter::new(),
            failed: Counter::new(),
            deadlines_shorter: Counter::new(),
            deadlines_ignored: Counter::new(),
            pace: Pace::new(),
            rejected: [const { Counter::new() }; REASONS],
            failures: [const { Counter::new() }; REASONS],
            would_refuse: [const { Counter::new() }; RULES],
        }
    }
}

impl RouteShard {
    /// A request came and was refused at once.
    pub(crate) fn turn_away(&self, reason: Reason) {
        self.arrivals.increment();
        self.rejected[reason.index()].increment();
    }
}

// === impl TierShard ===

impl TierShard {
    /// A request was completed that `took` so many nanoseconds in each stage, all of them together `total`.
    pub(crate) fn complete(&self, took: &[u64; Stage::ALL.len()], total: u64) {
        for (histogram, &nanos) in self.stages.iter().zip(took) {
            histogram.record_nanos(nanos);
        }
        self.total.record_nanos(total);
    }
}

// === impl RouteStats ===

impl RouteStats {
    /// At zero, for `cores` cores.
    pub(crate) fn new(cores: usize) -> Self {
        Self((0..cores).map(|_| RouteShard::default()).collect())
    }

    /// The shard of one core.
    pub(crate) fn shard(&self, core: usize) -> &RouteShard {
        &self.0[core]
    }

    /// Refusals for one reason, of all cores together.
    pub(crate) fn rejected(&self, reason: Reason) -> u64 {
        self.0.iter().map(|shard| shard.rejected[reason.index()].value()).sum()
    }

    /// All cores together. Counters are read one after the other: ends before beginnings, so that a
    /// running storm never shows more outcomes than arrivals.
    pub(crate) fn sums(&self) -> Sums {
        let sum = |field: fn(&RouteShard) -> &Counter| {
            self.0.iter().map(|shard| field(shard).value()).sum()
        };
        let table = |field: fn(&RouteShard) -> &[Counter; REASONS]| {
            std::array::from_fn(|at| self.0.iter().map(|shard| field(shard)[at].value()).sum())
        };
        Sums {
            replayed: sum(|shard| &shard.replayed),
            completed: sum(|shard| &shard.completed),
            failed: sum(|shard| &shard.failed),
            deadlines_shorter: sum(|shard| &shard.deadlines_shorter),
            deadlines_ignored: sum(|shard| &shard.deadlines_ignored),
            rejected: table(|shard| &shard.rejected),
            failures: table(|shard| &shard.failures),
            would_refuse: std::array::from_fn(|at| {
                self.0.iter().map(|shard| shard.would_refuse[at].value()).sum()
            }),
            abandoned: sum(|shard| &shard.abandoned),
            admitted: sum(|shard| &shard.admitted),
            arrivals: sum(|shard| &shard.arrivals),
        }
    }
}

// === impl TierStats ===

impl TierStats {
    /// Empty, for `cores` cores.
    pub(crate) fn new(cores: usize) -> Self {
        Self((0..cores).map(|_| TierShard::default()).collect())
    }

    /// The shard of one core.
    pub(crate) fn shard(&self, core: usize) -> &TierShard {
        &self.0[core]
    }

    /// Requests of all cores for which the objective was missed, by [`Cause::index`] and the stage to blame.
    pub(crate) fn missed(&self) -> [[u64; Stage::ALL.len()]; Cause::NAMES.len()] {
        std::array::from_fn(|cause| {
            std::array::from_fn(|stage| {
                self.0.iter().map(|shard| shard.missed[cause][stage].value()).sum()
            })
        })
    }

    /// All cores' samples of one stage.
    pub(crate) fn stage(&self, stage: Stage) -> Totals {
        let mut totals = Totals::default();
        self.0.iter().for_each(|shard| totals.add(&shard.stages[stage.index()]));
        totals
    }

    /// All cores' samples of one histogram.
    pub(crate) fn totals(&self, histogram: fn(&TierShard) -> &Histogram) -> Totals {
        let mut totals = Totals::default();
        self.0.iter().for_each(|shard| totals.add(histogram(shard)));
        totals
    }
}

// === impl Sums ===

impl Sums {
    /// Refusals of all reasons.
    pub(crate) fn all_rejected(&self) -> u64 {
        self.rejected.iter().sum()
    }
}
