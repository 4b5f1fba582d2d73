//! `/api/circuits`: why each circuit is as it is, and what it would take.

use floodgate_limiter::{CircuitCause, CircuitStatus, Timestamp};
use serde_json::{Value, json};

use crate::circuits::{Of, mode, why};
use crate::shared::Shared;

/// All of them, by upstream, those of the tiers first.
pub(super) fn show(shared: &Shared, now: Timestamp) -> Value {
    let snapshot = shared.snapshot.load_full();
    let mut rows = Vec::new();
    for upstream in &snapshot.upstreams {
        let circuits = upstream.circuits.iter().flat_map(|circuits| circuits.all());
        for (of, circuit) in circuits {
            let mut row = one(&circuit.status(now), now);
            row["upstream"] = upstream.name.as_str().into();
            match of {
                Of::Tier(name) => row["tier"] = name.into(),
                Of::Server(server) => row["server"] = server.address.to_string().into(),
            }
            rows.push(row);
        }
    }
    json!({ "circuits": rows })
}

fn one(status: &CircuitStatus, now: Timestamp) -> Value {
    let (counts, settings) = (status.counts, &status.settings);
    let rate = |bad: u64| (counts.calls > 0).then(|| bad as f64 / counts.calls as f64);
    let to_open = |cause| (status.state.as_str() == "closed").then(|| status.to_open(cause));
    json!({
        "state": status.state.as_str(),
        "mode": mode(status),
        "why": why(status, now),
        "calls": counts.calls,
        "failures": counts.failures,
        "slow": counts.slow,
        "failure_rate": rate(counts.failures),
        "slow_rate": rate(counts.slow),
        "opens_at": {
            "failure_rate": settings.failure_rate(),
            "slow_rate": settings.slow_rate(),
            "min_calls": settings.min_calls(),
            "window_ms": millis(settings.window()),
        },
        "failures_to_open": to_open(CircuitCause::Failures),
        "slow_to_open": to_open(CircuitCause::Slow),
        "probes_in_ms": status.probes_at.map(|at| millis(at.saturating_since(now))),
        "ramp": status.ramp.map(|ramp| json!({
            "step": ramp.step,
            "calls": ramp.calls,
            "free": ramp.free,
            "under_way": ramp.under_way,
            "ended": ramp.ended.calls,
            "failures": ramp.ended.failures,
            "slow": ramp.ended.slow,
        })),
        "last_opened": status.opened.map(|opened| json!({
            "ms_ago": millis(now.saturating_since(opened.at)),
            "lasts_ms": millis(opened.lasts),
            "cause": opened.cause.as_str(),
            "calls": opened.counts.calls,
            "failures": opened.counts.failures,
            "slow": opened.counts.slow,
            "in_a_row": opened.run,
        })),
        "transitions": {
            "open": status.transitions.opened,
            "half_open": status.transitions.half_opened,
            "closed": status.transitions.closed,
        },
        "would_refuse": status.would_refuse,
    })
}

fn millis(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
