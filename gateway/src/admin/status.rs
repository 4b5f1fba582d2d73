//! `/api/status`: the live numbers as JSON.

use floodgate_limiter::Timestamp;
use serde_json::{Map, Value, json};

use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::upstream::Upstream;

/// Everything an operator looks at first.
pub(super) fn status(shared: &Shared, now: Timestamp) -> Value {
    let snapshot = shared.snapshot.load_full();
    let upstreams: Map<_, _> = snapshot
        .upstreams
        .iter()
        .map(|upstream| (upstream.name.clone(), one_upstream(&snapshot, upstream, now)))
        .collect();
    json!({
        "generation": snapshot.generation,
        "draining": shared.is_draining(),
        "active_requests": shared.active(),
        "connections": { "open": shared.connections.open(), "limit": shared.connections.limit() },
        "upstreams": upstreams,
    })
}

fn one_upstream(snapshot: &Snapshot, upstream: &Upstream, now: Timestamp) -> Value {
    let status = upstream.limiter.status(now);
    let tiers: Map<_, _> = status
        .tiers
        .iter()
        .zip(&snapshot.tiers)
        .map(|(row, tier)| {
            let state = if row.open { "open" } else { "closed" };
            let row = json!({
                "queued": row.waiting,
                "breaker": state,
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
            })
        })
        .collect();
    json!({
        "in_flight": status.in_flight,
        "limit": status.limit,
        "queued": status.waiting,
        "buffer": status.capacity,
        "pressure": status.pressure,
        "queue_delay_ms": status.queue_delay.as_secs_f64() * 1e3,
        "mean_service_ms": status.mean_service.as_secs_f64() * 1e3,
        "upgraded": upstream.upgraded.taken(),
        // Failing upstreams are not yet told from slow ones.
        "circuit": "closed",
        "tiers": tiers,
        "servers": servers,
    })
}
