//! The part of `/api/status` about tokens and tenants.

use floodgate_limiter::Timestamp;
use serde_json::{Map, Value, json};

use crate::jwt::{InvalidToken, Jwt};
use crate::snapshot::Snapshot;
use crate::tenant::{Rule, Tenant};

/// How tokens are verified, and what they were.
pub(super) fn tokens(jwt: &Jwt) -> Value {
    let (sums, keyring) = (jwt.stats().sums(), jwt.keyring());
    let bad: Map<_, _> = (InvalidToken::ALL.iter().zip(sums.bad))
        .map(|(why, count)| (why.as_str().to_owned(), count.into()))
        .collect();
    let keys = keyring.keys();
    json!({
        "keys": {
            "source": keyring.source().to_string(),
            "algorithms": keys.algorithms().map(|it| it.as_str()).collect::<Vec<_>>(),
            "problem": keyring.problem(),
        },
        "good": sums.good,
        "bad": bad,
        "unchecked": sums.unchecked,
    })
}

/// Each tenant: what came, what was refused, what it has of each upstream.
pub(super) fn tenants(snapshot: &Snapshot, now: Timestamp) -> Value {
    let one = |tenant: &Tenant| (tenant.name.clone(), tenant_status(tenant, now));
    snapshot.tenants.iter().map(one).collect::<Map<_, _>>().into()
}

fn tenant_status(tenant: &Tenant, now: Timestamp) -> Value {
    let sums = tenant.stats.sums();
    let by_rule = |counts: [u64; Rule::ALL.len()]| -> Map<String, Value> {
        let named = Rule::ALL.iter().zip(counts);
        named.map(|(rule, count)| (rule.as_str().to_owned(), count.into())).collect()
    };
    let shares: Map<_, _> = (tenant.shares())
        .map(|share| {
            let seen = share.seen(now);
            let status = json!({
                "in_flight": seen.in_flight,
                "limit": seen.limit,
                "queued": seen.queued,
                "waiting": seen.waiting,
                "places": seen.places,
            });
            (share.upstream.clone(), status)
        })
        .collect();
    let rate = tenant.rate.as_ref().map(|rate| rate.rate());
    json!({
        "shadow": tenant.shadow,
        "rate_per_s": rate.map(|rate| rate.count() as f64 / rate.per().as_secs_f64()),
        "arrivals": sums.arrivals,
        "lowered": sums.lowered,
        "refused": by_rule(sums.refused),
        "would_refuse": by_rule(sums.would_refuse),
        "shares": shares,
    })
}
