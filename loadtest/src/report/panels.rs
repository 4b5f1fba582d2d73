//! The drawings of a run over time.

mod gateway;

use std::collections::BTreeMap;

use crate::record::{Percentiles, Record, TierRecord, TierSecond};

use super::{
    chart::{Mark, Plot},
    document::card,
    figure,
    hover::Hover,
    scale::Scale,
    timeline::{Column, Timeline},
};

/// Drawn widths: all of the page, half of it, a third.
const WIDE: (f64, f64) = (1160.0, 300.0);
const HALF: (f64, f64) = (560.0, 280.0);
const THIRD: (f64, f64) = (360.0, 220.0);
/// Reasons told apart; the rest is `others`.
const MAX_REASONS: usize = 7;

/// Draws a run.
#[derive(Debug)]
pub(super) struct Panels<'a> {
    record: &'a Record,
    timeline: Timeline,
    hover: Hover,
}

/// A series of counts over the columns.
struct Series {
    name: String,
    mark: Mark,
    values: Vec<f64>,
}

/// How a request can end, with what it is counted by.
type Ending = (&'static str, &'static str, usize, fn(&crate::load::Counts) -> u64);

const ENDINGS: [Ending; 5] = [
    ("success", "c-success", 0, |counts| counts.success),
    ("refused", "c-refused", 0, |counts| counts.refused),
    ("failed", "c-failed", 1, |counts| counts.failed),
    ("timeout", "c-timeout", 2, |counts| counts.timeout),
    ("dropped by the generator", "c-dropped", 3, |counts| counts.dropped),
];

// === impl Panels ===

impl<'a> Panels<'a> {
    pub(super) fn new(record: &'a Record) -> Self {
        let timeline = Timeline::new(&record.seconds);
        Self { record, timeline, hover: Hover::default() }
    }

    /// All drawings that the record has figures for, as cards, and the data for the pointer.
    pub(super) fn finish(mut self) -> (String, serde_json::Value) {
        let mut out = self.checkouts();
        out.push_str(&self.rate());
        out.push_str(&self.tiers());
        out.push_str(&self.latencies());
        out.push_str(&self.refusals());
        out.push_str(&self.gateway());
        let width = self.timeline.width;
        let names = (0..self.timeline.columns.len()).map(|at| match width {
            1 => format!("second {at}"),
            _ => format!("seconds {} to {}", at * width, (at + 1) * width - 1),
        });
        let names: Vec<_> = names.collect();
        (out, self.hover.finish(&names))
    }

    /// Those that were asked for anything, with their places.
    fn used_tiers(&self) -> impl Iterator<Item = (usize, &'a TierRecord)> + Clone + use<'a> {
        self.record.tiers.iter().enumerate().filter(|(_, tier)| tier.counts.offered > 0)
    }

    fn x(&self) -> Scale {
        Scale::Linear { min: 0.0, max: self.timeline.end() }
    }

    fn plot(&self, (width, height): (f64, f64), y: Scale) -> Plot {
        let mut plot = Plot::new(width, height, self.x(), y);
        plot.columns(self.timeline.columns.len());
        plot
    }

    /// Marks where phases begin, when there are several.
    fn phases(&self, plot: &mut Plot) {
        if self.timeline.phases.len() > 1 && self.timeline.phases.len() <= 8 {
            for (at, name) in &self.timeline.phases {
                plot.divider(*at, name);
            }
        }
    }

    fn draw(
        &self,
        id: &str,
        plot: &Plot,
        title: &str,
        unit: &str,
        text: fn(f64) -> String,
    ) -> String {
        let svg = plot.finish(title, unit, "seconds since the start", figure::number, text);
        format!("<div class=\"panel\" data-chart=\"{id}\">{svg}</div>")
    }

    // ## Rates

    fn rate(&mut self) -> String {
        let series = self.endings(Column::counts);
        let offered = self.timeline.rate(|column| column.counts().offered);
        let inner =
            self.stack("rate", WIDE, series, Some(offered), "Requests per second by outcome");
        let fold = match self.timeline.width {
            1 => String::new(),
            width => format!(" A column is {width} s."),
        };
        let lede = format!(
            "All tiers together. The dashed line is what was offered, fixed before the run; the \
             areas are how requests ended, in the second in which they did.{fold}"
        );
        card("wide", "Rate by outcome", &lede, &inner)
    }

    fn tiers(&mut self) -> String {
        let used: Vec<_> = self.used_tiers().collect();
        if used.len() < 2 {
            return String::new();
        }
        let mut out = String::new();
        for (index, tier) in used.into_iter().take(6) {
            let of = move |column: &Column| {
                column.tiers.get(index).map(|tier| tier.counts).unwrap_or_default()
            };
            let series = self.endings(of);
            let offered = self.timeline.rate(|column| of(column).offered);
            let title = format!("{} by outcome", tier.tier);
            let inner = self.stack(&format!("tier-{index}"), THIRD, series, Some(offered), &title);
            out.push_str(&card("third", &title, "", &inner));
        }
        out
    }

    fn endings(&self, of: impl Fn(&Column) -> crate::load::Counts) -> Vec<Series> {
        let total = self.record.counts();
        let seen = ENDINGS.iter().filter(|(.., pick)| pick(&total) > 0);
        let series = seen.map(|(name, colour, style, pick)| Series {
            name: (*name).to_owned(),
            mark: Mark::new(colour, *style),
            values: self.timeline.rate(|column| pick(&of(column))),
        });
        series.collect()
    }

    fn refusals(&mut self) -> String {
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        for tier in &self.record.tiers {
            for (reason, count) in &tier.refused_by_reason {
                *totals.entry(reason).or_default() += count;
            }
        }
        if totals.is_empty() {
            return String::new();
        }
        let mut reasons: Vec<_> = totals.into_iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let count_of = |tier: &TierSecond, reason: &str| {
            tier.refused_by_reason.get(reason).copied().unwrap_or(0)
        };
        let sum = |column: &Column, names: &[(&str, u64)]| -> u64 {
            let of = |(name, _): &(&str, u64)| -> u64 {
                column.tiers.iter().map(|tier| count_of(tier, name)).sum()
            };
            names.iter().map(of).sum()
        };
        let (shown, rest) = reasons.split_at(reasons.len().min(MAX_REASONS));
        let mut series: Vec<_> = shown
            .iter()
            .enumerate()
            .map(|(at, reason)| Series {
                name: reason.0.to_owned(),
                mark: Mark::nth(at),
                values: self.timeline.rate(|column| sum(column, &[*reason])),
            })
            .collect();
        if !rest.is_empty() {
            series.push(Series {
                name: "others".to_owned(),
                mark: Mark::new("c-dropped", 2),
                values: self.timeline.rate(|column| sum(column, rest)),
            });
        }
        let inner = self.stack("refusals", WIDE, series, None, "Refusals per second by reason");
        let lede = "As the answers say in x-floodgate-reason, or by status where they say nothing.";
        card("wide", "Refusals by reason", lede, &inner)
    }

    /// Areas on top of each other.
    fn stack(
        &mut self,
        id: &str,
        size: (f64, f64),
        series: Vec<Series>,
        offered: Option<Vec<f64>>,
        title: &str,
    ) -> String {
        let columns = self.timeline.columns.len();
        let mut top = vec![0.0; columns];
        for one in &series {
            top.iter_mut().zip(&one.values).for_each(|(top, value)| *top += value);
        }
        let highest = top.iter().chain(offered.iter().flatten()).copied();
        let mut plot = self.plot(size, Scale::from_zero(highest));
        let ink = Mark::new("c-ink", 1);
        if offered.is_some() {
            plot.lines([("offered".to_owned(), ink.clone())]);
        }
        plot.areas(series.iter().map(|one| (one.name.clone(), one.mark.clone())));
        let mut low = vec![0.0; columns];
        for one in &series {
            let high: Vec<_> =
                low.iter().zip(&one.values).map(|(low, value)| low + value).collect();
            plot.steps(&one.mark, &self.timeline.edges, &low, &high);
            low = high;
        }
        if let Some(offered) = &offered {
            plot.outline(&ink, &self.timeline.edges, offered);
            self.hover.add(id, "offered", &ink, "/s", offered);
        }
        self.phases(&mut plot);
        for one in &series {
            self.hover.add(id, &one.name, &one.mark, "/s", &one.values);
        }
        self.draw(id, &plot, title, "requests/s", figure::number)
    }

    // ## Latencies

    /// Successes and refusals apart, on the same axis.
    fn latencies(&mut self) -> String {
        type Pick = fn(&TierSecond) -> Percentiles;
        let kinds: [(&str, &str, Pick); 2] = [
            ("success", "Latency of successes", |tier| tier.success),
            ("refusal", "Latency of refusals", |tier| tier.refusal),
        ];
        let mut ends = Vec::new();
        for (_, _, pick) in &kinds {
            for tier in 0..self.record.tiers.len() {
                for figures in self.timeline.latencies(tier, pick).into_iter().flatten() {
                    ends.extend([figures.p50_ms, figures.p99_ms]);
                }
            }
        }
        let y = Scale::decades(ends);
        let lede = "From the intended start. A band reaches from the median to the 99th percentile \
                    of a tier; the same axis on both sides.";
        kinds
            .into_iter()
            .map(|(id, title, pick)| {
                let inner = self.latency(id, title, y, pick);
                card("half", title, lede, &inner)
            })
            .collect()
    }

    fn latency(
        &mut self,
        id: &str,
        title: &str,
        y: Scale,
        pick: fn(&TierSecond) -> Percentiles,
    ) -> String {
        let mut plot = self.plot(HALF, y);
        let tiers = self.used_tiers();
        plot.lines(tiers.clone().map(|(at, tier)| (format!("{} p99", tier.tier), Mark::tier(at))));
        for (at, tier) in tiers {
            let (figures, mark) = (self.timeline.latencies(at, pick), Mark::tier(at));
            let of = |value: fn(&Percentiles) -> f64| -> Vec<f64> {
                figures.iter().map(|it| it.as_ref().map_or(f64::NAN, value)).collect()
            };
            let [p50, p99, p999] = [of(|it| it.p50_ms), of(|it| it.p99_ms), of(|it| it.p999_ms)];
            let middles: Vec<_> = self.timeline.middles().collect();
            let low_high = p50.iter().zip(&p99);
            let band: Vec<_> =
                middles.iter().zip(low_high).map(|(x, (low, high))| (*x, *low, *high)).collect();
            plot.band(&mark, &band);
            plot.thin(&mark, middles.iter().copied().zip(p50.iter().copied()));
            plot.line(&mark, middles.iter().copied().zip(p99.iter().copied()));
            for (name, values) in [("p50", &p50), ("p99", &p99), ("p99.9", &p999)] {
                self.hover.add(id, &format!("{} {name}", tier.tier), &mark, "ms", values);
            }
        }
        self.phases(&mut plot);
        self.draw(id, &plot, title, "log scale", figure::latency)
    }

    // ## Customers

    fn checkouts(&mut self) -> String {
        let Some(journeys) = &self.record.journeys else { return String::new() };
        let completed = self.timeline.rate(|column| column.completed);
        let started = self.timeline.rate(|column| column.started);
        let highest = completed.iter().copied().chain(journeys.optimum_per_s.map(|at| at * 1.15));
        let mut plot = self.plot(WIDE, Scale::from_zero(highest));
        let mark = Mark::new("c-success", 0);
        plot.areas([("completed checkouts".to_owned(), mark.clone())]);
        let zero = vec![0.0; completed.len()];
        plot.steps(&mark, &self.timeline.edges, &zero, &completed);
        self.hover.add("checkouts", "completed", &mark, "/s", &completed);
        self.hover.add("checkouts", "started", &Mark::new("c-ink", 0), "/s", &started);
        if let Some(optimum) = journeys.optimum_per_s {
            plot.rule(optimum, &format!("optimum C/k = {}/s", figure::number(optimum)));
        }
        self.phases(&mut plot);
        let inner = self.draw(
            "checkouts",
            &plot,
            "Completed checkouts per second",
            "checkouts/s",
            figure::number,
        );
        let lede = "Customers who had paid before their patience ran out: the one figure that a sale \
                    is about. The optimum is the origin's capacity over the calls of one checkout.";
        card("wide", "Completed checkouts", lede, &inner)
    }
}
