//! `/api/status`: the live numbers as JSON.

use std::sync::Arc;

use floodgate_limiter::{AdaptiveStatus, CircuitState, Rests, Timestamp};
use serde_json::{Map, Value, json};

use super::{keys, latch, machine, objectives, tenants};
use crate::circuits::{self, Circuits};
use crate::grant::token::Invalid;
use crate::journey::{Journey, JourneyStatus};
use crate::retry::{Retries, Why};
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::upstream::Upstream;

/// Everything an operator looks at first.
pub(super) fn status(shared: &Shared, now: Timestamp) -> Value {
    let snapshot = shared.snapshot.load_full();
    let purchases = snapshot.purchases.status();
    let (limits, shares) = keys::status(&snapshot);
    let mut status = gateway(shared, &snapshot);
    let rest = json!({
        "process": machine::process(shared),
        "workers": machine::workers(&shared.machine),
        "access_log": machine::access_log(shared),
        "upstreams": upstreams(&snapshot, now),
        "objectives": objectives::status(shared, &snapshot, now),
        "journeys": journeys(&snapshot),
        "jwt": snapshot.jwt.as_ref().map(tenants::tokens),
        "tenants": tenants::tenants(&snapshot, now),
        "limits": limits,
        "shares": shares,
        "stock": latch::counts(&snapshot),
        "purchases": {
            "in_flight": purchases.in_flight,
            "kept": purchases.finished,
            "bytes": purchases.used,
            "evicted": purchases.evicted,
        },
    });
    if let (Value::Object(status), Value::Object(rest)) = (&mut status, rest) {
        status.extend(rest);
    }
    status
}

/// The process as a whole.
pub(super) fn gateway(shared: &Shared, snapshot: &Snapshot) -> Value {
    json!({
        "generation": snapshot.generation,
        "draining": shared.is_draining(),
        "active_requests": shared.active(),
        "connections": { "open": shared.connections.open(), "limit": shared.connections.limit() },
        "memory": {
            "used": shared.memory.used(),
            "limit": shared.memory.limit(),
            "pressure": shared.memory.pressure(),
        },
    })
}

/// The upstreams by name.
pub(super) fn upstreams(snapshot: &Snapshot, now: Timestamp) -> Value {
    let one =
        |upstream: &Arc<Upstream>| (upstream.name.clone(), one_upstream(snapshot, upstream, now));
    Value::Object(snapshot.upstreams.iter().map(one).collect())
}

/// The journeys by name.
pub(super) fn journeys(snapshot: &Snapshot) -> Value {
    let one = |journey: &Journey| (journey.name.clone(), one_journey(&journey.status()));
    Value::Object(snapshot.journeys.iter().map(one).collect())
}

fn one_journey(seen: &JourneyStatus) -> Value {
    let entry = &seen.entry;
    let invalid: Map<_, _> = Invalid::ALL
        .iter()
        .zip(seen.invalid)
        .map(|(why, count)| (why.as_str().to_owned(), count.into()))
        .collect();
    json!({
        "sticky": seen.sticky,
        "keys": seen.keys.as_ref().map(|(source, number)| {
            let problem = &seen.keys_problem;
            json!({ "source": source.to_string(), "number": number, "problem": problem })
        }),
        "rate": entry.rate,
        "capacity": entry.capacity,
        "factor": entry.factor,
        "calls_per_grant": entry.calls_per_grant,
        "begun": entry.begun,
        "in_progress": entry.in_progress,
        "wanted_in_progress": entry.wanted_in_progress,
        "live": entry.live,
        "given": seen.given,
        "finished": seen.finished,
        "ended": seen.ended,
        "calls": seen.calls,
        "invalid": invalid,
        "holders_wait_ms": entry.holders_wait.as_secs_f64() * 1e3,
        "silence_ms": entry.silence.as_secs_f64() * 1e3,
        "return_memory_bytes": seen.return_memory,
    })
}

/// How the number of permits is found, and why it last moved.
fn adaptive(found: &AdaptiveStatus, now: Timestamp) -> Value {
    json!({
        "algorithm": found.algorithm.as_str(),
        "shadow": found.shadow,
        "limit": found.limit,
        "latency_ms": found.latency.as_secs_f64() * 1e3,
        "baseline_ms": found.baseline.as_secs_f64() * 1e3,
        "moved": found.why.as_str(),
        "moved_ms_ago": now.saturating_since(found.moved_at).as_secs_f64() * 1e3,
        "rests": found.rests.map(Rests::as_str),
    })
}

/// What was sent again, and what the budget has left: of the last ten seconds.
fn retries(retries: &Retries, now: Timestamp) -> Value {
    let budget = retries.status(now);
    let made: Map<_, _> = Why::NAMES
        .iter()
        .zip(retries.made())
        .map(|(why, count)| ((*why).to_owned(), count.into()))
        .collect();
    json!({
        "made": made,
        "refused": retries.refused(),
        "admitted_lately": budget.admitted,
        "made_lately": budget.retries,
        "left": budget.left,
    })
}

/// A circuit that is only a shadow admits everything: it is closed here.
fn shown(circuit: Option<CircuitState>) -> &'static str {
    circuit.map_or("off", CircuitState::as_str)
}

fn one_upstream(snapshot: &Snapshot, upstream: &Upstream, now: Timestamp) -> Value {
    let status = upstream.limiter.status(now);
    let tiers: Map<_, _> = status
        .tiers
        .iter()
        .zip(&snapshot.tiers)
        .enumerate()
        .map(|(index, (row, tier))| {
            let circuits = upstream.circuits.as_ref();
            let circuit = circuits.and_then(|circuits| circuits.state_of_tier(index));
            let state = if row.open { "open" } else { "closed" };
            let row = json!({
                "queued": row.waiting,
                "in_flight": row.in_flight,
                "guaranteed": row.guaranteed,
                "breaker": state,
                "breaker_shadow": row.shadow,
                "circuit": shown(circuit),
                "trips": row.trips,
                "pressure": row.pressure,
                "estimated_wait_ms": row.estimated_wait.as_secs_f64() * 1e3,
            });
            (tier.name.clone(), row)
        })
        .collect();
    let servers: Vec<_> = upstream
        .servers
        .iter()
        .map(|server| {
            json!({
                "address": server.address.to_string(),
                "in_flight": server.in_flight(),
                "ejected": server.is_ejected(now),
                "circuit": shown(upstream.circuits.is_some().then(|| circuits::effective(&server.circuit))),
            })
        })
        .collect();
    json!({
        "in_flight": status.in_flight,
        "limit": status.limit,
        "adaptive": upstream.permits.status().map(|found| adaptive(&found, now)),
        "queued": status.waiting,
        "buffer": status.capacity,
        "pressure": status.pressure,
        "queue_delay_ms": status.queue_delay.as_secs_f64() * 1e3,
        "mean_service_ms": status.mean_service.as_secs_f64() * 1e3,
        "upgraded": upstream.upgraded.taken(),
        "retries": retries(&upstream.retries, now),
        "circuit": shown(upstream.circuits.as_ref().map(Circuits::state)),
        "tiers": tiers,
        "servers": servers,
    })
}
