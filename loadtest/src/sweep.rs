//! Scenarios at several overload factors, against one target or several: what is left of the goodput
//! when more is offered.
//!
//! ```text
//! factors x scenarios x targets ─> run, a process each ─> Record ─> Point ─> sweep.json, .html, .svg
//! ```
//!
//! Every run is a process of its own, so that its CPU time and memory are its own, and so that one
//! that breaks leaves the others standing. Its whole report stays beside the sweep's.

mod drive;
mod page;
mod started;
mod target;

pub use drive::{Drive, run};
pub use page::{page, svg};
pub use target::{Place, Target};

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    record::{Machine, Part, Record},
    report,
};

/// The usual factors.
pub const FACTORS: [f64; 6] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0];
/// Version of the form of `sweep.json`.
pub const FORMAT: u32 = 2;

/// What a sweep found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// [`FORMAT`] when it was written.
    pub format: u32,
    /// The command line of the sweep.
    pub command: String,
    /// Revision of the source, when there is one.
    pub commit: Option<String>,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Where it ran.
    pub machine: Machine,
    /// One per scenario.
    pub scenes: Vec<Scene>,
}

/// One scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// Its name.
    pub scenario: String,
    /// What it is to show.
    pub about: String,
    /// One per target.
    pub series: Vec<Series>,
}

/// One target at all factors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its name.
    pub target: String,
    /// By rising factor.
    pub points: Vec<Point>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The factor on offered load.
    pub overload: f64,
    /// Requests per second.
    pub offered_per_s: f64,
    /// Successes in time per second, all tiers together.
    pub goodput_per_s: f64,
    /// Completed checkouts per second, when the scenario has customers.
    pub completed_per_s: Option<f64>,
    /// The most that the origin can complete per second.
    pub optimum_per_s: Option<f64>,
    /// Of the customers whose first step succeeded and who did not leave of their own accord: the
    /// share that completed.
    pub completion: Option<f64>,
    /// By tier, in order of priority.
    pub tiers: Vec<TierPoint>,
    /// Whether all promises of the scenario held.
    pub passed: bool,
    /// Names of the promises that did not.
    pub failed_verdicts: Vec<String>,
    /// Which parts were at their limit.
    pub saturated: Vec<Part>,
    /// Folder of the whole report, from the sweep's own.
    pub folder: String,
    /// Why there are no figures.
    pub problem: Option<String>,
}

/// One tier of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TierPoint {
    /// Name.
    pub tier: String,
    /// Requests per second.
    pub offered_per_s: f64,
    /// Successes in time per second.
    pub in_time_per_s: f64,
    /// Latency of the successes, milliseconds; none when there were none.
    pub success_p50_ms: Option<f64>,
    /// 99th percentile of the same.
    pub success_p99_ms: Option<f64>,
    /// 99th percentile of the refusals.
    pub refusal_p99_ms: Option<f64>,
}

// === impl Point ===

impl Point {
    /// The figures of one run.
    #[must_use]
    pub fn new(overload: f64, folder: &str, record: &Record) -> Self {
        let seconds = record.meta.duration_s.max(f64::MIN_POSITIVE);
        // A thousandth is enough, and comes back from JSON as it was.
        let per_s = |count: u64| rounded(count as f64 / seconds);
        let tiers = record.tiers.iter().map(|tier| {
            let (success, refusal) = (&tier.success, &tier.refusal);
            TierPoint {
                tier: tier.tier.clone(),
                offered_per_s: per_s(tier.counts.offered),
                in_time_per_s: per_s(tier.in_time),
                success_p50_ms: (success.count > 0).then_some(success.p50_ms),
                success_p99_ms: (success.count > 0).then_some(success.p99_ms),
                refusal_p99_ms: (refusal.count > 0).then_some(refusal.p99_ms),
            }
        });
        let failed = record.verdicts.iter().filter(|verdict| !verdict.pass);
        let journeys = record.journeys.as_ref();
        Self {
            overload,
            offered_per_s: per_s(record.counts().offered),
            goodput_per_s: per_s(record.in_time()),
            completed_per_s: journeys.map(|journeys| rounded(journeys.completed_per_s)),
            optimum_per_s: journeys.and_then(|journeys| journeys.optimum_per_s.map(rounded)),
            completion: journeys.and_then(|journeys| journeys.total.completion().map(rounded)),
            tiers: tiers.collect(),
            passed: record.passed(),
            failed_verdicts: failed.map(|verdict| verdict.name.clone()).collect(),
            saturated: record.saturation.saturated().collect(),
            folder: folder.to_owned(),
            problem: None,
        }
    }

    /// A run that gave no figures.
    #[must_use]
    pub fn failed(overload: f64, folder: &str, problem: String) -> Self {
        let folder = folder.to_owned();
        Self { overload, folder, problem: Some(problem), ..Self::default() }
    }
}

// === impl Scene ===

impl Scene {
    pub(crate) fn points(&self) -> impl Iterator<Item = &Point> {
        self.series.iter().flat_map(|series| &series.points)
    }

    /// Every factor, rising, each once.
    pub(crate) fn factors(&self) -> Vec<f64> {
        let mut factors: Vec<_> = self.points().map(|point| point.overload).collect();
        factors.sort_by(f64::total_cmp);
        factors.dedup();
        factors
    }
}

// === impl Sweep ===

impl Sweep {
    /// Whether every run gave figures and kept its promises.
    #[must_use]
    pub fn passed(&self) -> bool {
        let mut points = self.scenes.iter().flat_map(Scene::points).peekable();
        points.peek().is_some() && points.all(|point| point.passed && point.problem.is_none())
    }

    /// Writes `sweep.json`, `sweep.html` and `sweep.svg` into a folder.
    ///
    /// # Errors
    /// The folder cannot be made or written to.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let json = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        fs::write(folder.join("sweep.json"), json)?;
        fs::write(folder.join("sweep.html"), page(self))?;
        fs::write(folder.join("sweep.svg"), svg(self))
    }

    /// Reads a `sweep.json`.
    ///
    /// # Errors
    /// There is none, it is no sweep, or one of another [`FORMAT`].
    pub fn read(path: &Path) -> io::Result<Self> {
        let sweep: Self = serde_json::from_slice(&fs::read(path)?).map_err(io::Error::other)?;
        if sweep.format != FORMAT {
            let format = sweep.format;
            return Err(io::Error::other(format!("its format is {format}, not {FORMAT}")));
        }
        Ok(sweep)
    }

    /// A table per scenario, as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        for scene in &self.scenes {
            if self.scenes.len() > 1 {
                out.push_str(&format!("{}: {}\n\n", scene.scenario, scene.about));
            }
            out.push_str(&format!("| {} |\n|---|", COLUMNS.join(" | ")));
            out.push_str(&"---:|".repeat(COLUMNS.len() - 2));
            out.push_str("---|\n");
            for series in &scene.series {
                for point in &series.points {
                    let cells = cells(point).join(" | ");
                    out.push_str(&format!("| {} | {cells} |\n", series.target));
                }
            }
            out.push('\n');
        }
        out
    }
}

/// What [`cells`] are, behind the target.
const COLUMNS: [&str; 11] = [
    "target",
    "overload",
    "offered/s",
    "goodput/s",
    "checkouts/s",
    "optimum/s",
    "share",
    "admitted who got through",
    "first tier p99",
    "refused p99",
    "saturated",
];

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// One run as the cells of a table, without the target.
fn cells(point: &Point) -> Vec<String> {
    let overload = format!("{}×", report::number(point.overload));
    if let Some(problem) = &point.problem {
        return vec![overload, format!("no figures: {problem}")];
    }
    let optional = |value: Option<f64>| value.map_or("-".to_owned(), report::number);
    let share = match (point.completed_per_s, point.optimum_per_s) {
        (Some(completed), Some(optimum)) => report::share(completed, optimum),
        _ => "-".to_owned(),
    };
    let tier = point.tiers.first();
    let p99 = |p99: Option<f64>| p99.map_or("-".to_owned(), report::latency);
    let saturated: Vec<_> = point.saturated.iter().map(|part| part.name()).collect();
    vec![
        overload,
        report::number(point.offered_per_s),
        report::number(point.goodput_per_s),
        optional(point.completed_per_s),
        optional(point.optimum_per_s),
        share,
        point.completion.map_or("-".to_owned(), |completion| report::share(completion, 1.0)),
        p99(tier.and_then(|tier| tier.success_p99_ms)),
        p99(tier.and_then(|tier| tier.refusal_p99_ms)),
        if saturated.is_empty() { "nothing".to_owned() } else { saturated.join(", ") },
    ]
}

#[cfg(test)]
pub(crate) fn example() -> Sweep {
    let record = report::example::record();
    let series = |name: &str, decay: f64| Series {
        target: name.to_owned(),
        points: FACTORS
            .into_iter()
            .map(|factor| {
                let mut point = Point::new(factor, &format!("x{factor}"), &record);
                point.completed_per_s = Some(rounded(88.0 / factor.powf(decay)));
                point.goodput_per_s = rounded(point.goodput_per_s / factor.powf(decay));
                point
            })
            .collect(),
    };
    let mut scene = Scene {
        scenario: record.meta.scenario.clone(),
        about: record.meta.about.clone(),
        series: vec![series("floodgate", 0.02), series("none <at all>", 1.8)],
    };
    if let Some(last) = scene.series[1].points.last_mut() {
        *last = Point::failed(50.0, "x50", "it broke & burnt".to_owned());
    }
    Sweep { format: FORMAT, scenes: vec![scene], ..Sweep::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_has_the_figures_of_its_record() {
        let record = report::example::record();
        let point = Point::new(10.0, "x10", &record);
        let seconds = record.meta.duration_s;
        let near = |one: f64, other: f64| (one - other).abs() < 0.01;
        assert!(near(point.offered_per_s, record.counts().offered as f64 / seconds));
        let tiers: f64 = point.tiers.iter().map(|tier| tier.in_time_per_s).sum();
        assert!(near(tiers, point.goodput_per_s));
        assert!(near(tiers, record.in_time() as f64 / seconds));
        assert_eq!(point.saturated, [Part::Origin]);
        assert!(point.passed);
    }

    #[test]
    fn a_run_without_figures_fails_the_sweep_and_stays_in_the_table() {
        let sweep = example();
        assert!(!sweep.passed());
        assert_eq!(sweep.markdown().lines().count(), 2 + 12 + 1);
        assert!(sweep.markdown().contains("no figures: it broke"));
        assert!(!Sweep::default().passed());
    }

    #[test]
    fn a_sweep_comes_back_as_it_was_written() {
        let sweep = example();
        let json = serde_json::to_string(&sweep).unwrap();
        assert_eq!(serde_json::from_str::<Sweep>(&json).unwrap(), sweep);
    }
}
