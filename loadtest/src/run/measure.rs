//! The measures of a scenario's promises, from what was found.

use std::time::Duration;

use crate::{
    record::{Percentiles, Record, SecondRow, TierRecord},
    scenario::{Expect, Measure, Scenario},
};

use super::findings::Findings;

/// Width of the window in which checkouts have to be back after a fault.
const WINDOW: Duration = Duration::from_secs(1);
/// Share of the rate before a fault that counts as back.
const BACK: f64 = 0.95;
/// Parts of the highest rate of all floods up to which there is none, and from which on there is one.
const QUIET: f64 = 0.01;
const LOUD: f64 = 0.5;

/// The value of a measure; not a number when there is nothing to measure.
pub(super) fn value(expect: &Expect, record: &Record, findings: &Findings<'_>) -> f64 {
    let scenario = findings.scenario;
    let from = expect.from.unwrap_or(scenario.begin);
    let until = expect.until.unwrap_or(scenario.duration);
    let tier = &record.tiers[expect.tier];
    let optimum = record.journeys.as_ref().and_then(|journeys| journeys.optimum_per_s);
    let shop = record.origin.as_ref().and_then(|origin| origin.shop.as_ref());
    match expect.measure {
        Measure::Charges => shop.map_or(f64::NAN, |shop| shop.charges as f64),
        Measure::CompletedPerS => findings.completed_per_s(from, until),
        Measure::Completion => {
            let journeys = record.journeys.as_ref();
            journeys.and_then(|journeys| journeys.total.completion()).unwrap_or(f64::NAN)
        }
        Measure::Efficiency => findings.completed_per_s(from, until) / optimum.unwrap_or(f64::NAN),
        Measure::FailedShare => share(tier, tier.counts.failed + tier.counts.timeout),
        Measure::GoodputPerS => tier.in_time as f64 / scenario.duration.as_secs_f64(),
        Measure::InTimeShare => share(tier, tier.in_time),
        Measure::LateSuccess => {
            record.journeys.as_ref().map_or(0.0, |journeys| journeys.total.late_success as f64)
        }
        Measure::Orders => shop.map_or(f64::NAN, |shop| shop.ordered as f64),
        Measure::OrdersAfterSoldOut => shop.map_or(f64::NAN, |shop| shop.sold_out as f64),
        Measure::OtherSkusP99Ms => {
            let figures = findings.other_skus().summary();
            some(figures.count, figures.p99.as_secs_f64() * 1e3)
        }
        Measure::Oversold => shop.map_or(f64::NAN, |shop| shop.oversold as f64),
        Measure::P50Beside => beside(expect.tier, &record.seconds, scenario, |it| it.p50_ms),
        Measure::P99Beside => beside(expect.tier, &record.seconds, scenario, |it| it.p99_ms),
        Measure::PeakConcurrency => {
            record.origin.as_ref().map_or(f64::NAN, |origin| origin.peak_concurrency as f64)
        }
        Measure::RecoveryS => recovery(findings),
        Measure::RefusalP50Ms => some(tier.refusal.count, tier.refusal.p50_ms),
        Measure::RefusalP99Ms => some(tier.refusal.count, tier.refusal.p99_ms),
        Measure::SellOut => {
            let after = shop.and_then(|shop| shop.sold_out_after_ms);
            let took = after.map(|ms| ms as f64 / 1e3 - scenario.begin.as_secs_f64());
            let least = scenario.origin.units() as f64 / optimum.unwrap_or(f64::NAN);
            // Never sold out is infinitely long.
            took.map_or(f64::INFINITY, |took| took / least)
        }
        Measure::SuccessP50Ms => some(tier.success.count, tier.success.p50_ms),
        Measure::SuccessP99Ms => some(tier.success.count, tier.success.p99_ms),
        Measure::SuccessP999Ms => some(tier.success.count, tier.success.p999_ms),
        Measure::SuccessShare => share(tier, tier.counts.success),
        Measure::Waste => findings.journeys.as_ref().map_or(f64::NAN, |journeys| {
            let (useful, wasted) = (journeys.traffic.useful_calls, journeys.traffic.wasted_calls);
            wasted as f64 / ((useful + wasted) as f64).max(1.0)
        }),
    }
}

fn some(count: u64, value: f64) -> f64 {
    if count > 0 { value } else { f64::NAN }
}

/// A percentile of a tier in the median second with floods of other tiers, over that in the median second without.
/// Seconds in which floods come or go, and those behind them, are neither.
fn beside(
    tier: usize,
    seconds: &[SecondRow],
    scenario: &Scenario,
    percentile: fn(&Percentiles) -> f64,
) -> f64 {
    let others: Vec<_> = scenario.floods.iter().filter(|flood| flood.tier != tier).collect();
    let (mut quiet, mut loud) = (Vec::new(), Vec::new());
    let after = scenario.duration.as_secs();
    for row in seconds.iter().filter(|row| (1..after).contains(&row.second.into())) {
        let at = f64::from(row.second);
        let levels = [-0.99, -0.5, 0.0, 0.5, 0.99].map(|by| {
            others.iter().map(|flood| flood.rate_per_s * flood.curve.value(at + by)).sum::<f64>()
        });
        let success = &row.tiers[tier].success;
        let most =
            others.iter().map(|f| f.rate_per_s * f.curve.peak(scenario.duration)).sum::<f64>();
        if success.count > 0 && levels.iter().all(|level| *level <= QUIET * most) {
            quiet.push(percentile(success));
        } else if success.count > 0 && levels.iter().all(|level| *level >= LOUD * most) {
            loud.push(percentile(success));
        }
    }
    median(loud) / median(quiet)
}

/// Not a number if there are fewer than three.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    if values.len() < 3 { f64::NAN } else { values[values.len() / 2] }
}

fn share(tier: &TierRecord, count: u64) -> f64 {
    some(tier.counts.offered, count as f64 / tier.counts.offered.max(1) as f64)
}

/// Seconds from the end of the last fault to the begin of the first second in which checkouts
/// are back at 95 % of what they were before the first.
fn recovery(findings: &Findings<'_>) -> f64 {
    let scenario = findings.scenario;
    let faults = &scenario.origin.faults;
    let (Some(begin), Some(end)) = (
        faults.iter().map(|fault| fault.at).min(),
        faults.iter().map(crate::origin::Fault::end).max(),
    ) else {
        return f64::NAN;
    };
    // Not the first journeys alone: until they are through, nothing is completed.
    let from = scenario.begin + (begin.saturating_sub(scenario.begin)) / 2;
    let level = findings.completed_per_s(from, begin);
    let mut at = end;
    while level > 0.0 && at + WINDOW <= scenario.duration {
        if findings.completed_per_s(at, at + WINDOW) >= BACK * level {
            return (at - end).as_secs_f64();
        }
        at += crate::journey::BUCKET;
    }
    f64::INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TierSecond;

    #[test]
    fn beside_a_flood_is_held_against_without_it_and_what_changes_counts_for_neither() {
        let scenario = Scenario::built_in("neighbour").unwrap();
        let flood = &scenario.floods[1];
        let row = |second: u32| {
            let level = |at: f64| flood.curve.value(f64::from(second) + at);
            let p50_ms = match (level(-0.9), level(0.9)) {
                (0.0, 0.0) => 10.0,
                (1.0, 1.0) => 12.0,
                _ => 500.0,
            };
            let success = Percentiles { count: 50, p50_ms, ..Percentiles::default() };
            let tiers = vec![TierSecond { success, ..TierSecond::default() }; 2];
            SecondRow { second, tiers, ..SecondRow::default() }
        };
        let seconds: Vec<_> = (0..42).map(row).collect();
        let found = beside(0, &seconds, &scenario, |it| it.p50_ms);
        assert!((found - 1.2).abs() < 1e-9, "{found}");
        assert!(beside(0, &seconds[..8], &scenario, |it| it.p50_ms).is_nan(), "too few to tell");
    }
}
