//! Several runs beside each other: the same scenario against several targets, or before and after.

use crate::record::{Record, TierRecord};

use super::{
    chart::{Mark, Plot},
    document::{card, document, escape},
    figure::{count, latency, number, share},
    hover::Hover,
    scale::Scale,
    tables::Table,
    timeline::{Column, Timeline},
};

/// Runs on one page at most.
pub const MAX_COMPARED: usize = 8;

const SIZE: (f64, f64) = (1160.0, 280.0);

/// A page that shows several runs in the same drawings and the same tables; those beyond
/// [`MAX_COMPARED`] are left out. The first is what the others are compared with.
#[must_use]
pub fn comparison(records: &[Record]) -> String {
    let records = &records[..records.len().min(MAX_COMPARED)];
    let same =
        |pick: fn(&Record) -> &str| records.windows(2).all(|pair| pick(&pair[0]) == pick(&pair[1]));
    let is_one_commit = same(|record| record.meta.commit.as_deref().unwrap_or_default());
    let name = |(at, record): (usize, &Record)| {
        let commit = record.meta.commit.as_deref().filter(|_| !is_one_commit).unwrap_or_default();
        format!("{} {} {commit}", at + 1, record.meta.target).trim().to_owned()
    };
    let names: Vec<_> = records.iter().enumerate().map(name).collect();
    let title = match records.first() {
        Some(first) if same(|record| &record.meta.scenario) => first.meta.scenario.clone(),
        _ => "several scenarios".to_owned(),
    };
    let mut body = format!(
        "<header><p class=\"over\">Floodgate load test, comparison</p><h1>{}</h1></header>",
        escape(&title)
    );
    body.push_str(&card("wide", "Figures", "", &figures(records, &names)));
    let timelines: Vec<_> = records.iter().map(|record| Timeline::new(&record.seconds)).collect();
    let end = timelines.iter().map(Timeline::end).fold(1.0, f64::max);
    let mut lines = Lines { names: &names, timelines: &timelines, end, hover: Hover::default() };
    let success = |column: &Column| column.counts().success;
    body.push_str(&lines.rate("goodput", "Successes", "successes/s", success));
    if records.iter().any(|record| record.journeys.is_some()) {
        let completed = |column: &Column| column.completed;
        body.push_str(&lines.rate("checkouts", "Completed checkouts", "checkouts/s", completed));
    }
    body.push_str(&lines.latency());
    // The longest run names the columns.
    let longest = timelines.iter().max_by_key(|timeline| timeline.columns.len());
    let at: Vec<_> = longest
        .map(|longest| {
            (0..longest.columns.len()).map(|at| format!("second {}", at * longest.width))
        })
        .into_iter()
        .flatten()
        .collect();
    document(&format!("{title}: Floodgate comparison"), &body, &lines.hover.finish(&at))
}

/// One row per figure, one column per run, with the ratio to the first.
fn figures(records: &[Record], names: &[String]) -> String {
    let mut head = vec!["figure"];
    head.extend(names.iter().map(String::as_str));
    let mut table = Table::new(&head);
    let mut row = |name: &str, text: fn(f64) -> String, value: &dyn Fn(&Record) -> f64| {
        let values: Vec<_> = records.iter().map(value).collect();
        if values.iter().all(|value| !value.is_finite()) {
            return;
        }
        let first = values.first().copied().unwrap_or(f64::NAN);
        let mut cells = vec![name.to_owned()];
        cells.extend(values.iter().enumerate().map(|(at, value)| {
            let ratio = value / first;
            match at {
                1.. if ratio.is_finite() => format!("{} | × {}", text(*value), number(ratio)),
                _ => text(*value),
            }
        }));
        table.row(&cells);
    };
    let rate = |count: u64, record: &Record| count as f64 / record.meta.duration_s.max(1e-9);
    row("offered /s", number, &|record| rate(record.counts().offered, record));
    row("success in time /s", number, &|record| rate(record.in_time(), record));
    row("completed checkouts /s", number, &|record| {
        record.journeys.as_ref().map_or(f64::NAN, |journeys| journeys.completed_per_s)
    });
    row("refused /s", number, &|record| rate(record.counts().refused, record));
    row("failed and timed out", |value| count(value as u64), &|record| {
        let counts = record.counts();
        (counts.failed + counts.timeout) as f64
    });
    let tiers = records.first().map(|record| record.tiers.as_slice()).unwrap_or_default();
    for tier in tiers.iter().take(6) {
        let of = |record: &Record, pick: fn(&TierRecord) -> f64| {
            record.tiers.iter().find(|other| other.tier == tier.tier).map_or(f64::NAN, pick)
        };
        let name = |what: &str| format!("{} {what}", tier.tier);
        row(&name("in time"), |value| share(value, 1.0), &|record| {
            of(record, |tier| tier.in_time as f64 / tier.counts.offered as f64)
        });
        row(&name("success p50"), latency, &|record| {
            of(record, |tier| seen(tier.success.count, tier.success.p50_ms))
        });
        row(&name("success p99"), latency, &|record| {
            of(record, |tier| seen(tier.success.count, tier.success.p99_ms))
        });
        row(&name("refusal p99"), latency, &|record| {
            of(record, |tier| seen(tier.refusal.count, tier.refusal.p99_ms))
        });
    }
    row("verdicts that failed", number, &|record| {
        record.verdicts.iter().filter(|verdict| !verdict.pass).count() as f64
    });
    table.finish()
}

fn seen(count: u64, value: f64) -> f64 {
    if count > 0 { value } else { f64::NAN }
}

/// Drawings with a line per run.
struct Lines<'a> {
    names: &'a [String],
    timelines: &'a [Timeline],
    end: f64,
    hover: Hover,
}

// === impl Lines ===

impl Lines<'_> {
    fn rate(&mut self, id: &str, title: &str, unit: &str, count: fn(&Column) -> u64) -> String {
        let values = self.timelines.iter().map(|timeline| timeline.rate(count)).collect();
        let scale = |values: &[Vec<f64>]| Scale::from_zero(values.iter().flatten().copied());
        self.draw(id, title, unit, values, scale, number)
    }

    /// 99th percentile of the successes of the first tier.
    fn latency(&mut self) -> String {
        let p99 = |timeline: &Timeline| -> Vec<f64> {
            let figures = timeline.latencies(0, |tier| tier.success);
            figures.iter().map(|it| it.map_or(f64::NAN, |it| it.p99_ms)).collect()
        };
        let values = self.timelines.iter().map(p99).collect();
        let scale = |values: &[Vec<f64>]| Scale::decades(values.iter().flatten().copied());
        self.draw("p99", "First tier, success p99", "log scale", values, scale, latency)
    }

    fn draw(
        &mut self,
        id: &str,
        title: &str,
        unit: &str,
        values: Vec<Vec<f64>>,
        scale: fn(&[Vec<f64>]) -> Scale,
        text: fn(f64) -> String,
    ) -> String {
        let x = Scale::Linear { min: 0.0, max: self.end };
        let mut plot = Plot::new(SIZE.0, SIZE.1, x, scale(&values));
        let marks: Vec<_> = (0..values.len()).map(Mark::tier).collect();
        plot.lines(self.names.iter().cloned().zip(marks.iter().cloned()));
        let columns = self.timelines.iter().map(|timeline| timeline.columns.len()).max();
        plot.columns(columns.unwrap_or(0));
        for ((values, timeline), (name, mark)) in
            values.iter().zip(self.timelines).zip(self.names.iter().zip(&marks))
        {
            plot.line(mark, timeline.middles().zip(values.iter().copied()));
            self.hover.add(id, name, mark, if text(1.0) == "1 ms" { "ms" } else { "/s" }, values);
        }
        let svg = plot.finish(title, unit, "seconds since the start", number, text);
        let inner = format!("<div class=\"panel\" data-chart=\"{id}\">{svg}</div>");
        card("wide", title, "", &inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{example, wellformed};

    #[test]
    fn runs_are_compared_on_one_page_that_needs_nothing_else() {
        let mut other = example::record();
        other.meta.target = "nginx <1.26>".to_owned();
        other.seconds.truncate(10);
        other.tiers[1].tier = "another".to_owned();
        let page = comparison(&[example::record(), other]);
        wellformed::check(&page);
        wellformed::check_self_contained(&page);
        assert!(page.contains("× 1"));
    }

    #[test]
    fn nothing_and_too_much_make_a_page() {
        wellformed::check(&comparison(&[]));
        wellformed::check(&comparison(&vec![example::record(); MAX_COMPARED + 1]));
    }
}
