//! A record to draw: half a minute of a sale with three tiers, a gateway that sheds, customers.

use std::collections::BTreeMap;

use crate::{
    load::Counts,
    origin::OriginStats,
    record::{
        ClassRecord, FORMAT, GatewaySecond, JourneyCounts, Journeys, Ledger, Meta, Part, PartUse,
        Percentiles, Record, Saturation, SecondRow, TierRecord, TierSecond, Verdict,
    },
};

const SECONDS: u32 = 30;

/// Books that close; names that would be markup if they were not escaped.
pub(crate) fn record() -> Record {
    let seconds: Vec<_> = (0..SECONDS).map(row).collect();
    let tiers: Vec<_> = (0..3).map(|index| tier(index, &seconds)).collect();
    let counts = |tier: &TierRecord| ClassRecord {
        class: format!("{} <steps>", tier.tier),
        tier: tier.tier.clone(),
        counts: tier.counts,
        refused_by_reason: tier.refused_by_reason.clone(),
        ..ClassRecord::default()
    };
    let completed = seconds.iter().map(|row| row.completed).sum();
    let started = seconds.iter().map(|row| row.started).sum();
    let total = JourneyCounts {
        started,
        completed,
        abandoned: 50,
        gave_up: started - completed - 50,
        late_success: 3,
        ..JourneyCounts::default()
    };
    let offered: u64 = tiers.iter().map(|tier| tier.counts.offered).sum();
    let refused = tiers.iter().map(|tier| tier.counts.refused).sum();
    let mut record = Record {
        format: FORMAT,
        meta: Meta {
            scenario: "T1 \"step\" & <more>".to_owned(),
            about: "the sale opens: ten times what fits, at once".to_owned(),
            target: "127.0.0.1:8080".to_owned(),
            scale: 1.0,
            overload: 10.0,
            command: "floodgate-loadtest run t1 --target 'a&b'".to_owned(),
            commit: Some("0123456789ab".to_owned()),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            duration_s: f64::from(SECONDS),
            notes: vec!["κ is not scaled".to_owned()],
            ..Meta::default()
        },
        verdicts: vec![Verdict {
            name: "completed ≥ 0.9 of the optimum".to_owned(),
            pass: true,
            detail: "84 of 90 per second".to_owned(),
        }],
        classes: tiers.iter().map(counts).collect(),
        tiers,
        journeys: Some(Journeys {
            total,
            by_class: BTreeMap::from([("browser <h0>".to_owned(), total)]),
            calls: 5.0,
            completed_per_s: completed as f64 / f64::from(SECONDS),
            optimum_per_s: Some(90.0),
            length: figures(completed, 4_000.0),
        }),
        origin: Some(OriginStats {
            requests: offered,
            peak_concurrency: 64,
            ..OriginStats::default()
        }),
        gateway: Some(Ledger {
            arrivals: offered,
            outcomes: BTreeMap::from([("rejected".to_owned(), refused)]),
            ..Ledger::default()
        }),
        seconds,
        ..Record::default()
    };
    record.groups.rho = Some(10.0);
    record.saturation = Saturation {
        parts: vec![
            PartUse { part: Part::Gateway, cpu_s: 9.0, available_s: 30.0, capacity_share: None },
            PartUse {
                part: Part::Origin,
                cpu_s: 3.0,
                available_s: 30.0,
                capacity_share: Some(0.97),
            },
        ],
    };
    record.generator.arrivals = offered;
    record.generator.offered = offered;
    record
}

fn row(second: u32) -> SecondRow {
    let storm = second >= 8;
    let tier = |index: u64| {
        let offered = if storm { 400 + 900 * index } else { 100 } + u64::from(second * 7 % 13);
        let refused = if storm { 200 + 850 * index } else { 0 };
        let refused_by_reason = match (storm, index) {
            (false, _) => BTreeMap::new(),
            (true, 0) => BTreeMap::from([("buffer_full".to_owned(), refused)]),
            (true, _) => BTreeMap::from([
                ("rate".to_owned(), refused / 4),
                ("watermark".to_owned(), refused - refused / 4),
            ]),
        };
        let success = offered - refused;
        TierSecond {
            counts: Counts { offered, refused, success, ..Counts::default() },
            refused_by_reason,
            failed_by_reason: BTreeMap::new(),
            success: figures(success, if storm { 40.0 } else { 3.0 }),
            refusal: figures(refused, 0.2),
        }
    };
    let names = ["l1", "l2", "l3"];
    SecondRow {
        second,
        phase: if storm { "storm" } else { "calm" }.to_owned(),
        tiers: (0..3).map(tier).collect(),
        started: 100,
        completed: 84,
        gateway: (second != 12).then(|| GatewaySecond {
            queue_depth: names.map(|name| (name.to_owned(), u64::from(second) * 10)).into(),
            breaker_open: names.map(|name| (name.to_owned(), storm && name != "l1")).into(),
            in_flight: 64,
            in_flight_limit: 64,
            buffer: 1024,
            circuits_open: 0,
            pressure: 0.5,
        }),
    }
}

fn tier(index: usize, seconds: &[SecondRow]) -> TierRecord {
    let mut tier = TierRecord {
        tier: format!("l{}", index + 1),
        deadline_ms: Some(500.0),
        ..TierRecord::default()
    };
    for second in seconds.iter().map(|row| &row.tiers[index]) {
        tier.counts.add(&second.counts);
        for (reason, count) in &second.refused_by_reason {
            *tier.refused_by_reason.entry(reason.clone()).or_default() += count;
        }
    }
    tier.in_time = tier.counts.success - 1;
    tier.success = figures(tier.counts.success, 30.0);
    tier.refusal = figures(tier.counts.refused, 0.2);
    tier
}

fn figures(count: u64, p50_ms: f64) -> Percentiles {
    if count == 0 {
        return Percentiles::default();
    }
    let [p90_ms, p99_ms, p999_ms, max_ms] = [2.0, 4.0, 8.0, 9.0].map(|factor| p50_ms * factor);
    Percentiles { count, p50_ms, p90_ms, p99_ms, p999_ms, max_ms }
}
