//! A run of `load` as one JSON object, for scripts.

use std::{collections::BTreeMap, time::Duration};

use floodgate_loadtest::load::{Counts, Latencies, Latency, Report, Second, Verdict};
use serde::Serialize;

/// The last phase of a run, after the warm-up if there was one.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    seconds: f64,
    /// Both are of the whole run, since they judge the generator.
    late: u64,
    verdict: String,
    pass: bool,
    classes: BTreeMap<String, Class>,
    /// The whole seconds of the phase: what waits at its end is answered later and not in it.
    per_second: Vec<PerSecond>,
}

/// One second, all classes together.
#[derive(Debug, Serialize)]
struct PerSecond {
    offered: u64,
    /// By whatever the answer was: successes, refusals, failures.
    answered: u64,
}

#[derive(Debug, Serialize)]
struct Class {
    counts: Counts,
    failed_by_reason: BTreeMap<String, u64>,
    refused_by_reason: BTreeMap<String, u64>,
    success_us: Option<Figures>,
    refusal_us: Option<Figures>,
}

/// Latencies in microseconds, from the intended start.
#[derive(Debug, Serialize)]
struct Figures {
    p50: u128,
    p90: u128,
    p99: u128,
    p999: u128,
    max: u128,
}

// === impl Summary ===

impl Summary {
    pub(crate) fn of(report: &Report) -> Self {
        let verdict = report.verdict();
        let (phase, classes) = match report.phases.last() {
            Some(phase) => (phase.ends.saturating_sub(phase.begins), phase.classes.as_slice()),
            None => (Duration::ZERO, [].as_slice()),
        };
        let classes = classes.iter().map(|class| {
            let figures = Class {
                counts: class.counts,
                failed_by_reason: class.failed_by_reason.clone(),
                refused_by_reason: class.refused_by_reason.clone(),
                success_us: Figures::of(&class.success_latency),
                refusal_us: Figures::of(&class.refusal_latency),
            };
            (class.class.clone(), figures)
        });
        let (begins, ends) = (report.phases.last())
            .map_or_else(Default::default, |phase| (phase.begins, phase.ends));
        let second = Duration::from_secs(1);
        let within = report.seconds.iter().filter(|it| {
            let at = second * it.index;
            begins <= at && at + second <= ends
        });
        Self {
            per_second: within.map(PerSecond::of).collect(),
            seconds: phase.as_secs_f64(),
            late: report.late,
            pass: verdict == Verdict::Pass,
            verdict: verdict.to_string(),
            classes: classes.collect(),
        }
    }
}

// === impl PerSecond ===

impl PerSecond {
    fn of(second: &Second) -> Self {
        let mut counts = Counts::default();
        second.classes.iter().for_each(|class| counts.add(&class.counts));
        Self { offered: second.offered, answered: counts.done() - counts.timeout }
    }
}

// === impl Figures ===

impl Figures {
    fn of(latencies: &Latencies) -> Option<Self> {
        let Latency { count, p50, p90, p99, p999, max } = latencies.summary();
        let [p50, p90, p99, p999, max] = [p50, p90, p99, p999, max].map(|it| it.as_micros());
        (count > 0).then_some(Self { p50, p90, p99, p999, max })
    }
}
