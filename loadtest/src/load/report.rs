//! What a run found, when it is over.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use super::{
    histogram::Latencies,
    plan::Plan,
    reason::Reasons,
    recorder::{Books, Tally},
    sample::Counts,
    second::Second,
};

/// Width of a bucket of the timeline.
pub(super) const BUCKET: Duration = Duration::from_millis(100);
/// Why a request failed that found nobody listening.
const NOBODY: &str = "no_connection";

/// Largest share of arrivals that the generator may start late or drop.
const MAX_FAULTS: f64 = 0.01;

/// What a run found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Arrivals of the plan. All of them were offered, unless the run was stopped.
    pub arrivals: u64,
    /// Everything, by class.
    pub classes: Vec<ClassReport>,
    /// Arrivals that the generator, being busy, turned to more than 5 ms late.
    pub late: u64,
    /// How late the generator turned to its arrivals. Waiting for a connection is not in it.
    pub lag: Latencies,
    /// By phase, and in it by class.
    pub phases: Vec<PhaseReport>,
    /// Requests sent twice, because a kept-alive connection had been closed under the first.
    pub retried: u64,
    /// Every second, in order.
    pub seconds: Vec<Second>,
    /// By class, then by 100 ms of the intended start.
    pub timeline: Vec<Vec<Bucket>>,
    /// Generator threads that ended early; their figures are missing.
    pub broken_threads: usize,
}

/// One phase.
#[derive(Clone, Debug)]
pub struct PhaseReport {
    /// Name of the phase.
    pub name: String,
    /// When it began, from the start of the run.
    pub begins: Duration,
    /// When it ended.
    pub ends: Duration,
    /// The arrivals intended in it, by class.
    pub classes: Vec<ClassReport>,
}

/// One class, in a phase or in the whole run.
#[derive(Clone, Debug, Default)]
pub struct ClassReport {
    /// Name of the class.
    pub class: String,
    /// Requests by ending.
    pub counts: Counts,
    /// Why requests failed.
    pub failed_by_reason: BTreeMap<String, u64>,
    /// Why requests were refused.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Latency of the failures, from the intended start like all of them.
    pub failure_latency: Latencies,
    /// Latency of the refusals.
    pub refusal_latency: Latencies,
    /// Latency of the successes.
    pub success_latency: Latencies,
    /// Latency of what ran out of patience.
    pub timeout_latency: Latencies,
}

/// The arrivals of one class that were intended in the same 100 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// All of them.
    pub offered: u32,
    /// Not sent.
    pub dropped: u32,
    /// Failed or timed out.
    pub failed: u32,
    /// Refused.
    pub refused: u32,
    /// Succeeded.
    pub success: u32,
}

/// Whether the figures of a run mean anything. It judges the generator, not the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They do not, and why.
    Fail(String),
    /// They do.
    Pass,
}

// === impl Report ===

impl Report {
    pub(crate) fn new(plan: &Plan) -> Self {
        let classes = || -> Vec<ClassReport> {
            let names = plan.templates.iter().map(|template| template.class.clone());
            names.map(|class| ClassReport { class, ..ClassReport::default() }).collect()
        };
        let mut begins = Duration::ZERO;
        let phases = plan.phases.iter().map(|phase| {
            let from = begins;
            begins += phase.duration;
            let name = phase.name.clone();
            PhaseReport { name, begins: from, ends: begins, classes: classes() }
        });
        Self {
            arrivals: 0,
            late: 0,
            lag: Latencies::default(),
            phases: phases.collect(),
            classes: classes(),
            retried: 0,
            seconds: Vec::new(),
            timeline: Vec::new(),
            broken_threads: 0,
        }
    }

    /// Adds what one worker has seen.
    pub(crate) fn add(&mut self, arrivals: u64, books: &Books, reasons: &Reasons) {
        self.arrivals += arrivals;
        self.late += books.late;
        self.retried += books.retried;
        self.lag.add(&books.lag);
        for (phase, tallies) in self.phases.iter_mut().zip(&books.phases) {
            for (index, tally) in tallies.iter().enumerate() {
                phase.classes[index].add(tally, reasons);
                self.classes[index].add(tally, reasons);
            }
        }
        if self.timeline.is_empty() {
            self.timeline.clone_from(&books.timeline);
            return;
        }
        for (mine, theirs) in self.timeline.iter_mut().zip(&books.timeline) {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| mine.add(theirs));
        }
    }

    /// Requests by ending, all classes together.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.classes.iter().for_each(|class| counts.add(&class.counts));
        counts
    }

    /// Whether the figures mean anything: they do not when the generator started late or dropped
    /// more than 1 % of its arrivals, when the run was stopped, or when its books do not close.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let counts = self.counts();
        let faults = self.late + counts.dropped;
        if self.broken_threads > 0 {
            return Verdict::Fail("a generator thread ended early; see its message".to_owned());
        }
        if self.arrivals != counts.done() + counts.dropped {
            return Verdict::Fail(format!(
                "{} of {} arrivals were offered; let the run end",
                counts.done() + counts.dropped,
                self.arrivals
            ));
        }
        let unreached = self.classes.iter().filter_map(|class| class.failed_by_reason.get(NOBODY));
        if counts.done() > 0 && unreached.sum::<u64>() == counts.done() {
            return Verdict::Fail("nobody listens at the target; start it first".to_owned());
        }
        if self.arrivals == 0 {
            return Verdict::Fail(
                "there were no arrivals; use a higher rate or more time".to_owned(),
            );
        }
        if faults as f64 > self.arrivals as f64 * MAX_FAULTS {
            return Verdict::Fail(format!(
                "{} of {} arrivals started late and {} were dropped (limit 1 %); \
                 use a lower rate or more threads, more connections if they were dropped, or repeat it \
                 when nobody else is busy on this machine",
                self.late, self.arrivals, counts.dropped
            ));
        }
        Verdict::Pass
    }

    /// When a class was back to normal after `since` (from the start of the run): the begin of
    /// the first bucket from which on at least `share` of the arrivals succeeded over `lasting`,
    /// as time after `since`. Buckets without arrivals say nothing and are passed over; `None`
    /// when it never was.
    #[must_use]
    pub fn recovery(
        &self,
        class: usize,
        since: Duration,
        share: f64,
        lasting: Duration,
    ) -> Option<Duration> {
        let buckets = self.timeline.get(class)?;
        let first = since.as_nanos().div_ceil(BUCKET.as_nanos()) as usize;
        let width = (lasting.as_nanos().div_ceil(BUCKET.as_nanos()) as usize).max(1);
        let well = |bucket: &Bucket| f64::from(bucket.success) >= share * f64::from(bucket.offered);
        let recovered = (first..buckets.len()).find(|at| {
            let window = &buckets[*at..buckets.len().min(at + width)];
            buckets[*at].offered > 0 && window.iter().all(well)
        })?;
        Some((BUCKET * recovered as u32).saturating_sub(since))
    }
}

// === impl ClassReport ===

impl ClassReport {
    pub(crate) fn add(&mut self, tally: &Tally, reasons: &Reasons) {
        self.counts.add(&tally.counts);
        self.failure_latency.add(&tally.failed);
        self.refusal_latency.add(&tally.refused);
        self.success_latency.add(&tally.success);
        self.timeout_latency.add(&tally.timeout);
        for (mine, theirs) in [
            (&mut self.failed_by_reason, &tally.failed_by_reason),
            (&mut self.refused_by_reason, &tally.refused_by_reason),
        ] {
            for (reason, count) in theirs.iter().enumerate().filter(|(_, count)| **count > 0) {
                *mine.entry(reasons.name(reason as u16).to_owned()).or_default() += count;
            }
        }
    }
}

// === impl Bucket ===

impl Bucket {
    fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.dropped += other.dropped;
        self.failed += other.failed;
        self.refused += other.refused;
        self.success += other.success;
    }
}

// === impl Verdict ===

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail(why) => write!(f, "FAIL: {why}"),
            Self::Pass => f.write_str("pass"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{super::plan::Phase, super::plan::Template, *};

    fn report(shares: &[(u32, u32)]) -> Report {
        let plan = Plan::new(SocketAddr::from(([127, 0, 0, 1], 1)))
            .template(Template::new("l2", "GET", "/"))
            .phase(Phase::new("p", Duration::from_secs(1), 10.0, [1]));
        let bucket = |(offered, success): &(u32, u32)| Bucket {
            offered: *offered,
            success: *success,
            ..Bucket::default()
        };
        let mut report = Report::new(&plan);
        report.timeline = vec![shares.iter().map(bucket).collect()];
        report
    }

    #[test]
    fn recovery_is_the_first_bucket_that_stays_good() {
        let report = report(&[(10, 10), (10, 0), (10, 9), (10, 2), (10, 9), (0, 0), (10, 10)]);
        let ms = Duration::from_millis;
        assert_eq!(report.recovery(0, ms(100), 0.9, ms(300)), Some(ms(300)));
        assert_eq!(report.recovery(0, ms(100), 0.9, ms(100)), Some(ms(100)));
        assert_eq!(report.recovery(0, ms(100), 0.95, ms(300)), Some(ms(500)));
        assert_eq!(report.recovery(0, ms(100), 1.1, ms(300)), None);
    }

    #[test]
    fn a_generator_that_fell_behind_has_failed() {
        let mut report = report(&[]);
        report.arrivals = 1000;
        report.classes[0].counts = Counts { offered: 1000, success: 1000, ..Counts::default() };
        report.late = 10;
        assert_eq!(report.verdict(), Verdict::Pass);
        report.late = 11;
        assert!(matches!(report.verdict(), Verdict::Fail(_)));
        report.late = 0;
        report.arrivals = 1001;
        assert!(matches!(report.verdict(), Verdict::Fail(_)), "the books do not close");
    }
}
