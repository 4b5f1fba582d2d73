//! The seconds of a run, folded into as many columns as can be told apart on a screen.

use crate::{
    load::Counts,
    record::{GatewaySecond, Percentiles, SecondRow, TierSecond},
};

/// Columns at most.
const MAX_COLUMNS: usize = 600;

/// The columns of a drawing over time.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) columns: Vec<Column>,
    /// Begin of every column and end of the last, seconds.
    pub(super) edges: Vec<f64>,
    /// Seconds per column.
    pub(super) width: usize,
    /// Where phases begin, and their names.
    pub(super) phases: Vec<(f64, String)>,
}

/// Some seconds in a row.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) tiers: Vec<TierSecond>,
    pub(super) started: u64,
    pub(super) completed: u64,
    /// The fullest look at the gateway.
    pub(super) gateway: Option<GatewaySecond>,
    seconds: usize,
}

// === impl Timeline ===

impl Timeline {
    pub(super) fn new(rows: &[SecondRow]) -> Self {
        let width = rows.len().div_ceil(MAX_COLUMNS).max(1);
        let columns: Vec<_> = rows.chunks(width).map(Column::new).collect();
        let starts = (0..columns.len()).map(|at| (at * width) as f64);
        let edges = starts.chain([rows.len() as f64]).collect();
        let mut phases: Vec<(f64, String)> = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            if phases.last().is_none_or(|(_, name)| *name != row.phase) && phases.len() < 32 {
                phases.push((at as f64, row.phase.clone()));
            }
        }
        Self { columns, edges, width, phases }
    }

    /// The end, seconds.
    pub(super) fn end(&self) -> f64 {
        self.edges.last().copied().unwrap_or(0.0).max(1.0)
    }

    /// The middle of every column.
    pub(super) fn middles(&self) -> impl Iterator<Item = f64> {
        self.edges.windows(2).map(|edge| (edge[0] + edge[1]) / 2.0)
    }

    /// What happened per second.
    pub(super) fn rate(&self, count: impl Fn(&Column) -> u64) -> Vec<f64> {
        self.columns.iter().map(|column| count(column) as f64 / column.seconds as f64).collect()
    }

    /// What the gateway said; not a number where it said nothing.
    pub(super) fn gauge(&self, value: impl Fn(&GatewaySecond) -> f64) -> Vec<f64> {
        let look = |column: &Column| column.gateway.as_ref().map_or(f64::NAN, &value);
        self.columns.iter().map(look).collect()
    }

    /// Figures of a tier's latency; `None` where there was none.
    pub(super) fn latencies(
        &self,
        tier: usize,
        pick: impl Fn(&TierSecond) -> Percentiles,
    ) -> Vec<Option<Percentiles>> {
        let figures = |column: &Column| column.tiers.get(tier).map(&pick);
        self.columns.iter().map(figures).map(|it| it.filter(|it| it.count > 0)).collect()
    }
}

// === impl Column ===

impl Column {
    fn new(rows: &[SecondRow]) -> Self {
        let mut column = Self {
            tiers: Vec::new(),
            started: 0,
            completed: 0,
            gateway: None,
            seconds: rows.len().max(1),
        };
        rows.iter().for_each(|row| column.add(row));
        column
    }

    fn add(&mut self, row: &SecondRow) {
        self.started += row.started;
        self.completed += row.completed;
        self.tiers.resize(self.tiers.len().max(row.tiers.len()), TierSecond::default());
        for (mine, theirs) in self.tiers.iter_mut().zip(&row.tiers) {
            mine.counts.add(&theirs.counts);
            for (reason, count) in &theirs.refused_by_reason {
                *mine.refused_by_reason.entry(reason.clone()).or_default() += count;
            }
            mine.success = worse(&mine.success, &theirs.success);
            mine.refusal = worse(&mine.refusal, &theirs.refusal);
        }
        let Some(theirs) = &row.gateway else { return };
        let Some(mine) = &mut self.gateway else {
            self.gateway = Some(theirs.clone());
            return;
        };
        for (tier, depth) in &theirs.queue_depth {
            let mine = mine.queue_depth.entry(tier.clone()).or_default();
            *mine = (*mine).max(*depth);
        }
        for (tier, open) in &theirs.breaker_open {
            *mine.breaker_open.entry(tier.clone()).or_default() |= open;
        }
        mine.in_flight = mine.in_flight.max(theirs.in_flight);
        mine.in_flight_limit = mine.in_flight_limit.max(theirs.in_flight_limit);
        mine.pressure = mine.pressure.max(theirs.pressure);
    }

    /// Requests by ending, all tiers together.
    pub(super) fn counts(&self) -> Counts {
        self.tiers.iter().fold(Counts::default(), |mut sum, tier| {
            sum.add(&tier.counts);
            sum
        })
    }
}

/// Percentiles of two seconds cannot be added: the worse of each stands for both.
fn worse(one: &Percentiles, other: &Percentiles) -> Percentiles {
    Percentiles {
        count: one.count + other.count,
        p50_ms: one.p50_ms.max(other.p50_ms),
        p90_ms: one.p90_ms.max(other.p90_ms),
        p99_ms: one.p99_ms.max(other.p99_ms),
        p999_ms: one.p999_ms.max(other.p999_ms),
        max_ms: one.max_ms.max(other.max_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn folding_loses_no_request_and_no_peak() {
        let one = example::record().seconds;
        let rows: Vec<_> = one.iter().cycle().take(1_999).cloned().collect();
        let timeline = Timeline::new(&rows);
        assert_eq!(timeline.width, 4);
        assert!(timeline.columns.len() <= MAX_COLUMNS);
        assert_eq!(timeline.end(), 1_999.0);
        let sum = |tiers: &[TierSecond]| tiers.iter().map(|tier| tier.counts.offered).sum::<u64>();
        let rows_sum: u64 = rows.iter().map(|row| sum(&row.tiers)).sum();
        assert_eq!(
            timeline.columns.iter().map(|column| column.counts().offered).sum::<u64>(),
            rows_sum
        );
        let rate = timeline.rate(|column| column.completed);
        assert!(rate.iter().all(|rate| *rate == 84.0), "the last column is shorter");
        let peak = |values: Vec<f64>| values.into_iter().fold(0.0, f64::max);
        assert_eq!(peak(timeline.gauge(|gateway| gateway.queue_depth["l1"] as f64)), 290.0);
    }

    #[test]
    fn a_column_shows_the_fullest_moment_of_its_seconds() {
        let mut rows = example::record().seconds;
        rows.reverse();
        for (at, row) in rows.iter_mut().enumerate() {
            let Some(gateway) = &mut row.gateway else { continue };
            gateway.in_flight = 60 - at as u64;
            gateway.pressure = 1.0 - at as f64 / 60.0;
        }
        let column = Column::new(&rows);
        let gateway = column.gateway.unwrap();
        assert_eq!(gateway.queue_depth["l1"], 290);
        assert!(gateway.breaker_open["l3"] && !gateway.breaker_open["l1"]);
        assert_eq!((gateway.in_flight, gateway.pressure), (60, 1.0));
        assert_eq!(column.tiers[0].success.p99_ms, 160.0);
    }

    #[test]
    fn a_run_without_seconds_has_an_axis() {
        let timeline = Timeline::new(&[]);
        assert_eq!(timeline.end(), 1.0);
        assert!(timeline.columns.is_empty());
    }
}
