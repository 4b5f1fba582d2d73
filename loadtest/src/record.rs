//! One run on record: everything that was found, in one value that serializes.
//!
//! Whoever runs a scenario fills it, the report renders it, `report.json` is it.
//!
//! The books close: for each [`TierRecord`] `offered = success + refused + failed + timeout +
//! dropped`, the sums over [`Record::seconds`] are those of [`Record::tiers`], and the sums over
//! [`Record::classes`] too. [`Record::mistakes`] says where they do not.

mod gateway;
mod journeys;
mod percentiles;
mod saturation;
mod tier;

pub use gateway::{GatewaySecond, Ledger};
pub use journeys::{JourneyCounts, Journeys};
pub use percentiles::Percentiles;
pub use saturation::{Part, PartUse, Saturation};
pub use tier::{ClassRecord, SecondRow, TierRecord, TierSecond};

use serde::{Deserialize, Serialize};

use crate::{load::Counts, origin::OriginStats};

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

/// The dimensionless groups: two runs in which they are the same are the same run at another scale.
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
}
