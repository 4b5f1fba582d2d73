//! What the customers of a tier are promised, who was not served so, and which stage is to blame.
//!
//! The data path counts misses in its own shards; how much that is of what may go wrong is found out on the admin
//! thread, from sums that it takes every few seconds.

mod burn;
mod history;
mod latency;
mod violations;

use floodgate_config::{Objective, Stage};

use crate::reason::Reason;

pub(crate) use burn::Budget;
pub(crate) use history::{History, STEP};
pub(crate) use violations::{MOST, TraceId, Violation, Violations};

/// What a tier promises, as the data path and violations know it.
#[derive(Debug)]
pub(crate) struct Promise {
    /// Name of the tier.
    pub tier: String,
    /// Nanoseconds to the last byte of the answer.
    latency: u64,
    /// Of these, what each stage may take, in the order of [`Stage::ALL`].
    budgets: [u64; Stage::ALL.len()],
}

/// Why a request does not count as served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cause {
    /// It was admitted, and there was no answer or not all of one.
    Failed(Reason),
    /// It was answered, after the latency of the objective.
    Late,
    /// The client left, after the latency of the objective.
    Left,
}

/// The stage that is to blame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Blame {
    pub stage: Stage,
    /// Nanoseconds over the budget of the stage; negative for what failed before that was used up.
    pub excess: i64,
}

// === impl Promise ===

impl Promise {
    /// What `objective` says of the tier of this name.
    pub(crate) fn new(tier: &str, objective: &Objective) -> Self {
        let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            tier: tier.to_owned(),
            latency: nanos(objective.latency),
            budgets: objective.budgets.map(nanos),
        }
    }

    /// Whether an answer that took so many nanoseconds is late.
    pub(crate) const fn is_late(&self, total: u64) -> bool {
        total > self.latency
    }

    /// Who is to blame for a request that took so many nanoseconds in each stage and ended in stage `at`: the
    /// stage with the largest excess over its budget, of several the earliest. If none has an excess, which cannot be
    /// if it is late since the budgets are at most the latency, it is the one that it failed in.
    pub(crate) fn blame(&self, took: &[u64; Stage::ALL.len()], at: Stage) -> Blame {
        let excess = |stage: Stage| {
            let (took, budget) = (took[stage.index()], self.budgets[stage.index()]);
            i64::try_from(i128::from(took) - i128::from(budget)).unwrap_or(i64::MAX)
        };
        // The last of the largest, from the end: the earliest.
        let worst = Stage::ALL.into_iter().rev().max_by_key(|&stage| excess(stage)).unwrap_or(at);
        let stage = if excess(worst) > 0 { worst } else { at };
        Blame { stage, excess: excess(stage) }
    }
}

// === impl Cause ===

impl Cause {
    /// What causes are counted as, by [`Cause::index`].
    pub(crate) const NAMES: [&'static str; 5] =
        ["late", "left", "upstream_error", "upstream_timeout", "other"];

    /// Which of [`Cause::NAMES`] it is.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Late => 0,
            Self::Left => 1,
            Self::Failed(Reason::UpstreamError) => 2,
            Self::Failed(Reason::UpstreamTimeout) => 3,
            Self::Failed(_) => 4,
        }
    }

    /// What it is called where it stands alone.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Failed(reason) => reason.as_str(),
            other => Self::NAMES[other.index()],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn promise(budgets: [u64; 7]) -> Promise {
        let objective = Objective {
            availability: 0.99,
            latency: Duration::from_nanos(budgets.iter().sum()),
            percentile: 0.99,
            window: Duration::from_secs(3600),
            refusals: true,
            budgets: budgets.map(Duration::from_nanos),
        };
        Promise::new("l1", &objective)
    }

    #[test]
    fn the_stage_with_the_largest_excess_is_to_blame_and_of_several_the_earliest() {
        let promise = promise([10, 10, 10, 50, 10, 90, 20]);
        for stage in Stage::ALL {
            let mut took = [10; 7];
            took[stage.index()] = 300;
            assert_eq!(promise.blame(&took, Stage::LastByte).stage, stage);
        }
        let took = [0, 0, 0, 150, 110, 190, 20];
        assert_eq!(
            promise.blame(&took, Stage::LastByte),
            Blame { stage: Stage::Queue, excess: 100 }
        );
    }

    #[test]
    fn what_failed_early_is_the_fault_of_the_stage_it_failed_in() {
        let promise = promise([10, 10, 10, 50, 10, 90, 20]);
        let took = [0, 0, 3, 0, 5, 0, 0];
        assert_eq!(
            promise.blame(&took, Stage::Connect),
            Blame { stage: Stage::Connect, excess: -5 }
        );
    }

    proptest! {
        /// The tree of the source article has times for which nobody is to blame.
        #[test]
        fn whoever_is_late_has_a_stage_over_its_budget(
            budgets in prop::array::uniform7(0u64..1_000), took in prop::array::uniform7(0u64..2_000),
        ) {
            let promise = promise(budgets);
            prop_assume!(promise.is_late(took.iter().sum()));
            prop_assert!(promise.blame(&took, Stage::LastByte).excess > 0);
        }
    }
}
