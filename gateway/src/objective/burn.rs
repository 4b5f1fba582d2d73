//! Error budgets: how much of what may go wrong has, and how fast it does.

use std::collections::VecDeque;
use std::time::Duration;

use floodgate_config::Objective;
use floodgate_limiter::Timestamp;

/// Over what burn rates are told: a fast one that pages and a slow one that confirms (The Site Reliability Workbook, ch. 5).
const SHORT: Duration = Duration::from_secs(5 * 60);
const LONG: Duration = Duration::from_secs(60 * 60);
/// Sums of the window of an objective, which may be 90 days, that are kept.
const KEPT: u32 = 240;

/// What became of the requests of a tier since the start of the process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    /// Answered to the last byte.
    pub answered: u64,
    /// Of these, later than promised.
    pub late: u64,
    /// Let in and not answered; those that their clients are to blame for are not among them.
    pub failed: u64,
    /// Refused for want of capacity.
    pub refused: u64,
}

/// How one of the two shares of an objective is kept to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Budget {
    /// Share that is to be good.
    pub target: f64,
    /// Requests that were, since the start of the process.
    pub good: u64,
    /// Those that were not.
    pub bad: u64,
    /// What is left of those that may be bad, over the window of the objective or since the start: 1 all, 0 nothing, below
    /// 0 more were.
    pub left: f64,
    /// Bad ones over five minutes, in multiples of what may be: at 1 all of the budget is used up when the window ends.
    pub burn_short: f64,
    /// The same over an hour.
    pub burn_long: f64,
}

/// Sums as they were, for the differences to what they are.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// Of the last hour, one per step.
    fine: VecDeque<(Timestamp, Counts)>,
    /// Of the window.
    coarse: VecDeque<(Timestamp, Counts)>,
}

// === impl Counts ===

impl Counts {
    fn since(self, earlier: Self) -> Self {
        Self {
            answered: self.answered.saturating_sub(earlier.answered),
            late: self.late.saturating_sub(earlier.late),
            failed: self.failed.saturating_sub(earlier.failed),
            refused: self.refused.saturating_sub(earlier.refused),
        }
    }

    /// Whether something is less than `earlier`: then these are other counters.
    pub(super) const fn is_less_than(self, earlier: Self) -> bool {
        self.answered < earlier.answered
            || self.late < earlier.late
            || self.failed < earlier.failed
            || self.refused < earlier.refused
    }

    /// Good and bad ones for the availability of `objective`.
    fn available(self, objective: &Objective) -> (u64, u64) {
        let refused = if objective.refusals { self.refused } else { 0 };
        (self.answered, self.failed + refused)
    }

    /// Good and bad ones for its latency.
    fn in_time(self) -> (u64, u64) {
        (self.answered.saturating_sub(self.late), self.late)
    }
}

// === impl Series ===

impl Series {
    /// The sums are `counts` at `now`, which is later than all before; `window` is that of the objective.
    pub(super) fn record(&mut self, now: Timestamp, counts: Counts, window: Duration) {
        push(&mut self.fine, now, counts, Duration::ZERO, LONG);
        push(&mut self.coarse, now, counts, window / KEPT, window);
    }

    /// How availability and latency of `objective` are kept to, with the sums as they are at `now`.
    pub(super) fn budgets(
        &self,
        now: Timestamp,
        counts: Counts,
        objective: &Objective,
    ) -> [Budget; 2] {
        let short = counts.since(before(&self.fine, now, SHORT));
        let long = counts.since(before(&self.fine, now, LONG));
        let window = counts.since(before(&self.coarse, now, objective.window));
        let budget = |target: f64, split: &dyn Fn(Counts) -> (u64, u64)| {
            let (good, bad) = split(counts);
            Budget {
                target,
                good,
                bad,
                left: 1.0 - burn(split(window), target),
                burn_short: burn(split(short), target),
                burn_long: burn(split(long), target),
            }
        };
        [
            budget(objective.availability, &|counts| counts.available(objective)),
            budget(objective.percentile, &|counts| counts.in_time()),
        ]
    }
}

/// Bad ones in multiples of what may be; 0 where nothing came.
fn burn((good, bad): (u64, u64), target: f64) -> f64 {
    match good + bad {
        0 => 0.0,
        all => bad as f64 / all as f64 / (1.0 - target),
    }
}

/// Puts down the sums unless they were less than a `step` ago, and forgets those that are beyond the `span` but for one.
fn push(
    sums: &mut VecDeque<(Timestamp, Counts)>,
    now: Timestamp,
    counts: Counts,
    step: Duration,
    span: Duration,
) {
    if sums.back().is_none_or(|&(at, _)| now.saturating_since(at) >= step) {
        sums.push_back((now, counts));
    }
    while sums.get(1).is_some_and(|&(at, _)| now.saturating_since(at) >= span) {
        sums.pop_front();
    }
}

/// The sums as they were a `span` ago, or the first ones.
fn before(sums: &VecDeque<(Timestamp, Counts)>, now: Timestamp, span: Duration) -> Counts {
    let later = sums.partition_point(|&(at, _)| now.saturating_since(at) >= span);
    sums.get(later.saturating_sub(1)).map_or(Counts::default(), |&(_, counts)| counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u64 = 5;

    fn objective(window: Duration) -> Objective {
        let Ok(config) =
            floodgate_config::parse("test", "[upstreams.x]\nservers = [\"127.0.0.1:1\"]\n")
        else {
            panic!("it is good")
        };
        Objective { availability: 0.99, window, ..config.tiers[0].objective.clone() }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    fn is_near(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9
    }

    /// 100 requests a second, of which so many fail.
    fn run(
        series: &mut Series,
        from: u64,
        to: u64,
        counts: &mut Counts,
        failing: u64,
        window: Duration,
    ) {
        for second in (from..to).step_by(STEP as usize) {
            series.record(at(second), *counts, window);
            counts.answered += (100 - failing) * STEP;
            counts.failed += failing * STEP;
        }
    }

    #[test]
    fn a_budget_is_spent_by_what_fails_and_comes_back_as_the_window_moves_on() {
        let window = Duration::from_secs(2 * 3600);
        let objective = objective(window);
        let (mut series, mut counts) = (Series::default(), Counts::default());
        assert!(is_near(series.budgets(at(0), counts, &objective)[0].left, 1.0));
        run(&mut series, 0, 3600, &mut counts, 0, window);
        let [budget, _] = series.budgets(at(3600), counts, &objective);
        assert_eq!((budget.good, budget.bad), (360_000, 0));
        assert!(is_near(budget.left, 1.0) && is_near(budget.burn_short, 0.0), "{budget:?}");
        // 2 % for ten minutes, with 1 % allowed.
        run(&mut series, 3600, 4200, &mut counts, 2, window);
        let [budget, _] = series.budgets(at(4200), counts, &objective);
        assert!(is_near(budget.burn_short, 2.0), "{budget:?}");
        assert!(is_near(budget.burn_long, 2.0 * 600.0 / 3600.0), "{budget:?}");
        assert!(is_near(budget.left, 1.0 - 2.0 * 600.0 / 4200.0), "{budget:?}");
        run(&mut series, 4200, 8400, &mut counts, 0, window);
        let [budget, _] = series.budgets(at(8400), counts, &objective);
        assert!(is_near(budget.burn_short, 0.0) && is_near(budget.burn_long, 0.0), "{budget:?}");
        assert!(is_near(budget.left, 1.0 - 2.0 * 600.0 / 7200.0), "{budget:?}");
        run(&mut series, 8400, 4200 + 7300, &mut counts, 0, window);
        let [budget, _] = series.budgets(at(4200 + 7300), counts, &objective);
        assert!(is_near(budget.left, 1.0), "{budget:?}");
        assert_eq!(budget.bad, 2 * 600, "the counters go on");
    }

    #[test]
    fn a_budget_can_be_overspent_and_refusals_count_if_they_are_to() {
        let window = Duration::from_secs(3600);
        let mut objective = objective(window);
        let counts = Counts { answered: 90, late: 9, failed: 5, refused: 5 };
        let series = Series::default();
        let [available, in_time] = series.budgets(at(1), counts, &objective);
        assert_eq!((available.good, available.bad), (90, 10));
        assert!(is_near(available.left, 1.0 - 10.0), "{available:?}");
        assert_eq!((in_time.good, in_time.bad, in_time.target), (81, 9, 0.99));
        assert!(is_near(in_time.burn_short, 10.0), "{in_time:?}");
        objective.refusals = false;
        let [available, _] = series.budgets(at(1), counts, &objective);
        assert_eq!((available.good, available.bad), (90, 5));
    }

    #[test]
    fn what_is_remembered_of_a_month_is_bounded() {
        let window = Duration::from_secs(30 * 24 * 3600);
        let (mut series, mut counts) = (Series::default(), Counts::default());
        run(&mut series, 0, 40 * 24 * 3600, &mut counts, 0, window);
        assert!(series.fine.len() <= 3600 / STEP as usize + 2, "{}", series.fine.len());
        assert!(series.coarse.len() <= KEPT as usize + 2, "{}", series.coarse.len());
    }
}
