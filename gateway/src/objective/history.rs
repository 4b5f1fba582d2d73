//! What was counted of each tier in the past, in memory of a fixed size. Only the admin thread looks at it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use floodgate_config::Stage;
use floodgate_limiter::Timestamp;

use super::Cause;
use super::burn::{Budget, Counts, Series};
use super::latency::{self, Percentiles, Windows};
use crate::reason::Reason;
use crate::snapshot::Snapshot;

/// How often sums are put down.
pub(crate) const STEP: Duration = Duration::from_secs(5);

/// Most tiers that are remembered, those that are gone included.
const MOST: usize = 64;

/// The past of all tiers, by name: a reload that keeps a tier keeps its past.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<HashMap<String, Track>>);

/// How a tier keeps to its objective.
#[derive(Debug)]
pub(crate) struct TierStatus {
    pub availability: Budget,
    pub latency: Budget,
    /// How many requests missed it for which reason, and the stage to blame; those that occurred.
    pub missed: Vec<(&'static str, Stage, u64)>,
}

/// The past of a tier.
#[derive(Debug)]
struct Track {
    last: Counts,
    series: Series,
    windows: Windows,
}

// === impl History ===

impl History {
    /// Puts down what is counted at `now`. Every [`STEP`].
    pub(crate) fn record(&self, snapshot: &Snapshot, now: Timestamp) {
        let mut tracks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Of those that are gone as much as fits: what their routes refused is still counted should they come back.
        if tracks.len() > MOST {
            tracks.retain(|name, _| snapshot.tiers.iter().any(|tier| tier.name == *name));
        }
        for (index, tier) in snapshot.tiers.iter().enumerate() {
            let totals = latency::totals(&tier.stats);
            let counts = counts(snapshot, index);
            let window = snapshot.config.tiers[index].objective.window;
            let fresh = |counts| Track::new(now, counts, window);
            // Whatever was counted was so since the tier began.
            let entry = tracks.entry(tier.name.clone());
            let track = entry.or_insert_with(|| fresh(Counts::default()));
            if counts.is_less_than(track.last) {
                // Another tier that was given the name of one that had gone.
                *track = fresh(counts);
            }
            track.last = counts;
            track.series.record(now, counts, window);
            track.windows.record(now, totals);
        }
    }

    /// How each tier keeps to its objective at `now`, in order of priority.
    pub(crate) fn status(&self, snapshot: &Snapshot, now: Timestamp) -> Vec<TierStatus> {
        let tracks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let none = Series::default();
        let status = |(index, meant): (usize, &floodgate_config::Tier)| {
            let series = tracks.get(&meant.name).map_or(&none, |track| &track.series);
            let budgets = series.budgets(now, counts(snapshot, index), &meant.objective);
            let [availability, latency] = budgets;
            TierStatus { availability, latency, missed: missed(snapshot, index) }
        };
        snapshot.config.tiers.iter().enumerate().map(status).collect()
    }

    /// How long each stage takes, by tier in order of priority.
    pub(crate) fn percentiles(&self, snapshot: &Snapshot, now: Timestamp) -> Vec<Vec<Percentiles>> {
        let tracks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let none = Windows::new(now);
        let told = |tier: &crate::snapshot::Tier| {
            let windows = tracks.get(&tier.name).map_or(&none, |track| &track.windows);
            windows.percentiles(now, latency::totals(&tier.stats))
        };
        snapshot.tiers.iter().map(told).collect()
    }
}

// === impl Track ===

impl Track {
    /// The past of a tier that has had `counts` so far.
    fn new(now: Timestamp, counts: Counts, window: Duration) -> Self {
        let mut series = Series::default();
        series.record(now, counts, window);
        Self { last: counts, series, windows: Windows::new(now) }
    }
}

/// What became of the requests of the tier at `index`.
fn counts(snapshot: &Snapshot, index: usize) -> Counts {
    let stats = &snapshot.tiers[index].stats;
    let missed = stats.missed().map(|stages| stages.iter().sum::<u64>());
    let late = missed[Cause::Late.index()];
    Counts {
        // Read behind what is a part of it.
        answered: stats.totals(|shard| &shard.total).count(),
        late,
        failed: missed.iter().sum::<u64>() - late,
        refused: refused(snapshot, index).map(|(_, count)| count).sum(),
    }
}

/// How many requests of the routes of a tier were refused for want of capacity, by reason. A tenant's that are served in a
/// lower tier count where their route does: whoever is refused has no other.
fn refused(snapshot: &Snapshot, index: usize) -> impl Iterator<Item = (Reason, u64)> {
    let name = &snapshot.tiers[index].name;
    let routes = snapshot.routes.iter().filter(|route| route.tier.index() == index);
    let retired = snapshot.retired.iter().filter(|((_, tier), _)| tier == name);
    let stats: Vec<_> =
        routes.map(|route| &route.stats).chain(retired.map(|(_, stats)| stats)).collect();
    let reasons = Reason::ALL.iter().copied().filter(|reason| reason.is_unavailability());
    reasons.map(move |reason| (reason, stats.iter().map(|stats| stats.rejected(reason)).sum()))
}

/// Misses by reason and stage, of the tier at `index`.
fn missed(snapshot: &Snapshot, index: usize) -> Vec<(&'static str, Stage, u64)> {
    let admitted = Cause::NAMES.into_iter().zip(snapshot.tiers[index].stats.missed());
    let admitted = admitted.flat_map(|(cause, stages)| {
        Stage::ALL.into_iter().zip(stages).map(move |(stage, count)| (cause, stage, count))
    });
    let counts_refusals = snapshot.config.tiers[index].objective.refusals;
    let refused = refused(snapshot, index).filter(|_| counts_refusals).map(|(reason, count)| {
        let stage = match reason {
            Reason::BufferFull | Reason::Deadline | Reason::QueueTimeout => Stage::Queue,
            _ => Stage::Decide,
        };
        (reason.as_str(), stage, count)
    });
    admitted.chain(refused).filter(|(.., count)| *count > 0).collect()
}
