//! How tiers keep to what they promise: in `/api/status`, `/api/latency` and `/api/violations`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use floodgate_config::Stage;
use floodgate_limiter::Timestamp;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Answer, problem};
use super::query::Query;
use crate::metrics::Totals;
use crate::objective::{Budget, MOST, Violation};
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// The objectives by tier, what is left of their error budgets, and how fast these burn.
pub(super) fn status(shared: &Shared, snapshot: &Snapshot, now: Timestamp) -> Value {
    let tiers = snapshot.config.tiers.iter().zip(shared.history.status(snapshot, now));
    let one = tiers.map(|(tier, status)| {
        let objective = &tier.objective;
        let one = json!({
            "latency_ms": millis(objective.latency),
            "window_seconds": objective.window.as_secs_f64(),
            "refusals": objective.refusals,
            "budgets_ms": by_stage(objective.budgets.map(millis)),
            "availability": budget(&status.availability),
            "latency": budget(&status.latency),
        });
        (tier.name.clone(), one)
    });
    Value::Object(one.collect())
}

/// How long each stage took, by tier and window.
pub(super) fn latency(shared: &Shared, now: Timestamp) -> Answer {
    let snapshot = shared.snapshot.load_full();
    let (mut windows, mut tiers) = (Map::new(), Map::new());
    let told = shared.history.percentiles(&snapshot, now);
    for (tier, told) in snapshot.tiers.iter().zip(told) {
        let mut of_tier = Map::new();
        for one in told {
            windows.insert(one.window.to_owned(), one.covered.as_secs_f64().into());
            let names = ["total"].into_iter().chain(Stage::ALL.map(Stage::as_str));
            let rows = names.zip(&one.rows).map(|(name, row)| (name.to_owned(), percentiles(row)));
            of_tier.insert(one.window.to_owned(), Value::Object(rows.collect()));
        }
        tiers.insert(tier.name.clone(), of_tier.into());
    }
    Answer::json(json!({ "windows": windows, "tiers": tiers }))
}

/// The last requests that were not served as promised, the newest first.
pub(super) fn violations(shared: &Shared, query: &Query<'_>, now: Timestamp) -> Answer {
    let limit = match query.number("limit") {
        Ok(limit) => limit.map_or(MOST, |limit| usize::try_from(limit).unwrap_or(MOST)),
        Err(sentence) => return problem(StatusCode::BAD_REQUEST, "bad_request", &sentence),
    };
    Answer::json(json!({ "violations": list(&shared.violations.last(limit), now) }))
}

/// These violations, at `now`.
pub(super) fn list(violations: &[Violation], now: Timestamp) -> Value {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    violations.iter().map(|one| violation(one, now, wall)).collect()
}

fn violation(violation: &Violation, now: Timestamp, wall: Duration) -> Value {
    let ago = now.saturating_since(violation.at);
    let in_millis = |nanos: u64| nanos as f64 / 1e6;
    json!({
        "unix_ms": u64::try_from(wall.saturating_sub(ago).as_millis()).unwrap_or(u64::MAX),
        "ago_ms": millis(ago),
        "trace_id": violation.trace.text(),
        "tier": violation.promise.tier,
        "route": violation.route.route,
        "upstream": violation.route.upstream,
        "server": violation.server.as_ref().map(|server| server.address.to_string()),
        "reason": violation.cause.as_str(),
        "stage": violation.blame.stage.as_str(),
        "excess_ms": violation.blame.excess as f64 / 1e6,
        "total_ms": in_millis(violation.took.iter().sum()),
        "stages_ms": by_stage(violation.took.map(in_millis)),
    })
}

fn budget(budget: &Budget) -> Value {
    json!({
        "target": budget.target,
        "good": budget.good,
        "bad": budget.bad,
        "budget_left": budget.left,
        "burn_5m": budget.burn_short,
        "burn_1h": budget.burn_long,
    })
}

/// How long what is in `totals` took.
pub(super) fn percentiles(totals: &Totals) -> Value {
    let count = totals.count();
    let at = |percentile| totals.percentile(percentile).map(|seconds| seconds * 1e3);
    json!({
        "count": count,
        "mean_ms": (count > 0).then(|| totals.seconds() * 1e3 / count as f64),
        "p50_ms": at(0.5),
        "p90_ms": at(0.9),
        "p99_ms": at(0.99),
        "p999_ms": at(0.999),
    })
}

fn by_stage(values: [f64; Stage::ALL.len()]) -> Value {
    let pairs = Stage::ALL.into_iter().zip(values);
    Value::Object(pairs.map(|(stage, value)| (stage.as_str().to_owned(), value.into())).collect())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
