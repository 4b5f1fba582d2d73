//! One run on record: everything that was found, in one value that serializes.
//!
//! Whoever runs a scenario fills it, the report renders it, `report.json` is it.
//!
//! The books close: for each [`TierRecord`] `offered = success + refused + failed + timeout +
//! dropped`, the sums over [`Record::seconds`] are those of [`Record::tiers`], and the sums over
//! [`Record::classes`] too. [`Record::mistakes`] says where they do not.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    load::{Counts, Latencies, Latency},
    origin::OriginStats,
};

/// Rows of a timeline at most; a run is shorter than this.
pub const MAX_SECONDS: usize = 3_600;

/// Version of the form of `report.json`.
pub const FORMAT: u32 = 1;

/// What one run found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT`] when it was written.
    pub format: u32,
    /// What was run, where and by whom.
    pub meta: Meta,
    /// The ratios that survive scaling.
    pub groups: Groups,
    /// What the scenario promised, and whether it held. The run passed if all of them did.
    pub verdicts: Vec<Verdict>,
    /// Whether the generator was up to it.
    pub generator: GeneratorHealth,
    /// Who worked how hard.
    pub saturation: Saturation,
    /// By tier, in order of priority.
    pub tiers: Vec<TierRecord>,
    /// Finer than tiers: steps, templates, kinds of clients. May be empty.
    pub classes: Vec<ClassRecord>,
    /// Customers, when the scenario has them.
    pub journeys: Option<Journeys>,
    /// The origin's own counts when all was over.
    pub origin: Option<OriginStats>,
    /// What the gateway counted between start and end, when it was scraped.
    pub gateway: Option<Ledger>,
    /// Second by second, at most [`MAX_SECONDS`].
    pub seconds: Vec<SecondRow>,
}

/// What was run, where and by whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Name of the scenario.
    pub scenario: String,
    /// What it is to show, in a sentence.
    pub about: String,
    /// Who was judged: `floodgate`, `nginx`, or the address.
    pub target: String,
    /// Same seed, same schedule.
    pub seed: u64,
    /// The factor on rates, customers, stock and capacity alike.
    pub scale: f64,
    /// The factor on offered load alone; 1 unless this is part of a sweep.
    pub overload: f64,
    /// The command line, as it can be typed again.
    pub command: String,
    /// Revision of the source, `-dirty` if it was changed; when there is one.
    pub commit: Option<String>,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// From the first intended start to the last ending, seconds.
    pub duration_s: f64,
    /// Where it ran.
    pub machine: Machine,
    /// Features of the scenario that were left out, and why.
    pub notes: Vec<String>,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// As the kernel names the processor.
    pub cpu: String,
    /// Cores that may be used.
    pub cores: usize,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
}

/// The dimensionless groups: two runs with the same nine are the same run at another scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// Overload of journeys: offered journeys times calls per journey over capacity.
    pub rho: Option<f64>,
    /// Units of stock per customer.
    pub sigma: Option<f64>,
    /// Peak over baseline rate.
    pub a: Option<f64>,
    /// Patience over the length of a journey.
    pub theta: Option<f64>,
    /// Attempts per intent.
    pub r: Option<f64>,
    /// Share of refused clients that honour Retry-After.
    pub h: Option<f64>,
    /// Share of requests made by bots.
    pub beta: Option<f64>,
    /// Share of requests on a new connection.
    pub kappa: Option<f64>,
    /// Cost of a refusal over cost of an admitted call.
    pub c: Option<f64>,
}

/// One promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was promised.
    pub name: String,
    /// Whether it held.
    pub pass: bool,
    /// What was found, with figures.
    pub detail: String,
}

/// Whether the generator was up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorHealth {
    /// Arrivals of the plan.
    pub arrivals: u64,
    /// Requests whose turn came.
    pub offered: u64,
    /// Of these, turned to more than 5 ms late because the generator was busy.
    pub late: u64,
    /// Of these, not sent.
    pub dropped: u64,
    /// Sent twice, because a kept-alive connection had been closed under the first.
    pub retried: u64,
    /// How late the generator turned to its arrivals.
    pub lag: Percentiles,
    /// CPU time of the generator's process, seconds.
    pub cpu_s: f64,
    /// Threads it ran on.
    pub threads: usize,
}

/// Who worked how hard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saturation {
    /// Those of the three that could be looked at.
    pub parts: Vec<PartUse>,
}

/// How hard one of the three worked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartUse {
    /// Which one.
    pub part: Part,
    /// CPU time, user and system, seconds.
    pub cpu_s: f64,
    /// Cores' worth of time that it could have had, in seconds: threads times wall time.
    pub available_s: f64,
    /// Share of a capacity other than CPU (the origin's places), 0 to 1, when it has one.
    pub capacity_share: Option<f64>,
}

/// The three that a run consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What is judged.
    Gateway,
    /// What asks.
    Generator,
    /// What serves.
    Origin,
}

/// One tier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TierRecord {
    /// Name: `l1`, `l2`, `l3`.
    pub tier: String,
    /// Requests by ending.
    pub counts: Counts,
    /// Successes that came within `deadline_ms`.
    pub in_time: u64,
    /// What counts as in time, from the intended start, milliseconds; without one all successes do.
    pub deadline_ms: Option<f64>,
    /// Why requests were refused.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Why requests failed.
    pub failed_by_reason: BTreeMap<String, u64>,
    /// Latency of the successes.
    pub success: Percentiles,
    /// Latency of the refusals.
    pub refusal: Percentiles,
    /// Latency of whatever ended, in whichever way.
    pub all: Percentiles,
}

/// Something finer than a tier: a step of a journey, a kind of client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassRecord {
    /// Name.
    pub class: String,
    /// The tier that its requests are of.
    pub tier: String,
    /// Requests by ending.
    pub counts: Counts,
    /// Why requests were refused.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Why requests failed.
    pub failed_by_reason: BTreeMap<String, u64>,
    /// Latency of the successes.
    pub success: Percentiles,
    /// Latency of the refusals.
    pub refusal: Percentiles,
}

/// The usual figures of a distribution of latencies, from the intended start, in milliseconds; all
/// zero when `count` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many there were.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 9 of 10 were not longer. Zero in the rows of the timeline.
    pub p90_ms: f64,
    /// 99 of 100 were not longer.
    pub p99_ms: f64,
    /// 999 of 1,000 were not longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Virtual customers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Journeys {
    /// All of them together.
    pub total: JourneyCounts,
    /// By class of client.
    pub by_class: BTreeMap<String, JourneyCounts>,
    /// Calls of one whole journey that the origin has to serve (k).
    pub calls: f64,
    /// Completed per second, over the time in which journeys were started.
    pub completed_per_s: f64,
    /// The most that the origin can complete per second (C/k), when its capacity is known.
    pub optimum_per_s: Option<f64>,
    /// From intent to paid, of those completed.
    pub length: Percentiles,
}

/// Journeys by ending: `started = completed + abandoned + gave_up + sold_out + unfinished`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JourneyCounts {
    /// Intents.
    pub started: u64,
    /// Paid before patience ran out.
    pub completed: u64,
    /// Left of their own accord between two steps.
    pub abandoned: u64,
    /// Ran out of patience or of attempts.
    pub gave_up: u64,
    /// Were told that nothing is left.
    pub sold_out: u64,
    /// Were still under way at the end.
    pub unfinished: u64,
    /// Of those that gave up: the origin finished the last step all the same. Work for nobody.
    pub late_success: u64,
}

/// What the gateway says it counted, as difference between the start and the end of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Requests that came.
    pub arrivals: u64,
    /// Requests that got a permit.
    pub admitted: u64,
    /// Requests by `outcome`.
    pub outcomes: BTreeMap<String, u64>,
    /// Refused requests by reason.
    pub rejections: BTreeMap<String, u64>,
    /// Times a breaker tripped.
    pub trips: u64,
    /// Scrapes that failed.
    pub missed_scrapes: u64,
}

/// One second of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SecondRow {
    /// 0 is the first.
    pub second: u32,
    /// The phase it belongs to.
    pub phase: String,
    /// One per tier, in the order of [`Record::tiers`].
    pub tiers: Vec<TierSecond>,
    /// Journeys that were started.
    pub started: u64,
    /// Journeys that were completed.
    pub completed: u64,
    /// The gateway at the end of this second, when it was scraped.
    pub gateway: Option<GatewaySecond>,
}

/// One tier in one second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TierSecond {
    /// Requests by ending: offered when their turn came, the rest when they ended.
    pub counts: Counts,
    /// Why requests were refused.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Why requests failed.
    pub failed_by_reason: BTreeMap<String, u64>,
    /// Latency of the successes.
    pub success: Percentiles,
    /// Latency of the refusals.
    pub refusal: Percentiles,
}

/// The gateway's own figures at one moment, all upstreams together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GatewaySecond {
    /// Waiting requests by tier.
    pub queue_depth: BTreeMap<String, u64>,
    /// Tiers, and whether a breaker of theirs was open.
    pub breaker_open: BTreeMap<String, bool>,
    /// Requests at the upstreams.
    pub in_flight: u64,
    /// How many may be there.
    pub in_flight_limit: u64,
    /// Waiting requests that fit, of all tiers together; zero if it was not told.
    pub buffer: u64,
    /// Upstreams whose circuit was open.
    pub circuits_open: u64,
    /// 0 to 1, of the upstream that is worst off.
    pub pressure: f64,
}

// === impl Record ===

impl Record {
    /// Whether every promise held. A run that promised nothing has not passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.verdicts.is_empty() && self.verdicts.iter().all(|verdict| verdict.pass)
    }

    /// Requests by ending, all tiers together.
    #[must_use]
    pub fn counts(&self) -> Counts {
        sum(self.tiers.iter().map(|tier| &tier.counts))
    }

    /// Successes within their deadline, all tiers together.
    #[must_use]
    pub fn in_time(&self) -> u64 {
        self.tiers.iter().map(|tier| tier.in_time).sum()
    }

    /// Where the books do not close, as sentences.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (index, tier) in self.tiers.iter().enumerate() {
            let (name, counts) = (&tier.tier, &tier.counts);
            let mut same = |what: &str, left: u64, right: u64| {
                if left != right {
                    mistakes.push(format!("{name}: {what}: {left} is not {right}"));
                }
            };
            same("offered = sum of endings", counts.offered, counts.done() + counts.dropped);
            same("refused = sum by reason", counts.refused, tier.refused_by_reason.values().sum());
            let seconds =
                sum(self.seconds.iter().filter_map(|row| Some(&row.tiers.get(index)?.counts)));
            for (what, total, seconds) in [
                ("offered = sum of seconds", counts.offered, seconds.offered),
                ("success = sum of seconds", counts.success, seconds.success),
                ("refused = sum of seconds", counts.refused, seconds.refused),
                ("failed = sum of seconds", counts.failed, seconds.failed),
                ("timeout = sum of seconds", counts.timeout, seconds.timeout),
            ] {
                same(what, total, seconds);
            }
            let of_tier = |class: &&ClassRecord| class.tier == *name;
            if !self.classes.is_empty() {
                let classes = sum(self.classes.iter().filter(of_tier).map(|class| &class.counts));
                same("offered = sum of classes", counts.offered, classes.offered);
                same("success = sum of classes", counts.success, classes.success);
                same("refused = sum of classes", counts.refused, classes.refused);
            }
        }
        if let Some(journeys) = &self.journeys
            && journeys.total.started != journeys.total.ended() + journeys.total.unfinished
        {
            mistakes.push("journeys: started is not the sum of the endings".to_owned());
        }
        mistakes
    }
}

fn sum<'a>(all: impl Iterator<Item = &'a Counts>) -> Counts {
    all.fold(Counts::default(), |mut sum, counts| {
        sum.add(counts);
        sum
    })
}

// === impl Saturation ===

impl Saturation {
    /// Share of its CPU time or capacity from which a part counts as saturated.
    pub const FULL: f64 = 0.9;

    /// Those that could not have done much more.
    pub fn saturated(&self) -> impl Iterator<Item = Part> {
        self.parts.iter().filter(|part| part.share() >= Self::FULL).map(|part| part.part)
    }
}

// === impl PartUse ===

impl PartUse {
    /// Share of the CPU time it could have had.
    #[must_use]
    pub fn cpu_share(&self) -> f64 {
        if self.available_s > 0.0 { self.cpu_s / self.available_s } else { 0.0 }
    }

    /// The larger of CPU and other capacity.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.cpu_share().max(self.capacity_share.unwrap_or(0.0))
    }
}

// === impl Part ===

impl Part {
    /// As it stands in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Generator => "generator",
            Self::Origin => "origin",
        }
    }
}

// === impl JourneyCounts ===

impl JourneyCounts {
    /// Journeys that ended, in whichever way.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.completed + self.abandoned + self.gave_up + self.sold_out
    }
}

// === impl Percentiles ===

impl From<&Latencies> for Percentiles {
    fn from(latencies: &Latencies) -> Self {
        let p90_ms = millis(latencies.quantile(0.9));
        Self { p90_ms, ..latencies.summary().into() }
    }
}

impl From<Latency> for Percentiles {
    fn from(latency: Latency) -> Self {
        Self {
            count: latency.count,
            p50_ms: millis(latency.p50),
            p90_ms: 0.0,
            p99_ms: millis(latency.p99),
            p999_ms: millis(latency.p999),
            max_ms: millis(latency.max),
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn books_that_do_not_close_are_told() {
        assert_eq!(example::record().mistakes(), [""; 0]);
        type Break = fn(&mut Record);
        let breaks: [(&str, Break); 5] = [
            ("sum of endings", |record| record.tiers[1].counts.offered += 1),
            ("sum by reason", |record| record.tiers[1].refused_by_reason.clear()),
            ("success = sum of seconds", |record| record.seconds[3].tiers[1].counts.success += 1),
            ("success = sum of classes", |record| record.classes[1].counts.success += 1),
            ("journeys", |record| record.journeys = Some(unbalanced())),
        ];
        for (what, break_it) in breaks {
            let mut record = example::record();
            break_it(&mut record);
            let mistakes = record.mistakes();
            assert!(mistakes.iter().any(|mistake| mistake.contains(what)), "{what}: {mistakes:?}");
        }
    }

    fn unbalanced() -> Journeys {
        let total = JourneyCounts { started: 3, completed: 1, ..JourneyCounts::default() };
        Journeys { total, ..Journeys::default() }
    }

    #[test]
    fn a_run_that_promised_nothing_has_not_passed() {
        let mut record = example::record();
        assert!(record.passed());
        record.verdicts.clear();
        assert!(!record.passed());
    }

    #[test]
    fn a_part_is_saturated_by_time_or_by_places() {
        let part = |cpu_s, capacity_share| PartUse {
            part: Part::Origin,
            cpu_s,
            available_s: 10.0,
            capacity_share,
        };
        for (use_of, is_saturated) in [
            (part(9.5, None), true),
            (part(1.0, Some(0.95)), true),
            (part(1.0, Some(0.5)), false),
            (PartUse { available_s: 0.0, ..part(1.0, None) }, false),
        ] {
            let saturation = Saturation { parts: vec![use_of] };
            assert_eq!(saturation.saturated().count() == 1, is_saturated, "{use_of:?}");
        }
    }
}
