//! What is known of tokens and of tenants.

use super::{Page, names};
use crate::clock;
use crate::jwt::InvalidToken;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::stripped::Stripped;
use crate::tenant::{Rule, Seen};

pub(super) fn render(shared: &Shared, snapshot: &Snapshot, page: &mut Page<'_>) {
    page.family(names::STRIPPED, "counter", "Fields that only the gateway may fill in, by name.");
    let mut stripped = [0; Stripped::FIELDS.len()];
    for shard in &shared.stripped {
        stripped.iter_mut().zip(shard.counts()).for_each(|(sum, count)| *sum += count);
    }
    for (field, count) in Stripped::FIELDS.into_iter().zip(stripped) {
        page.sample(names::STRIPPED, &[("field", field)], count);
    }
    if let Some(jwt) = &snapshot.jwt {
        let sums = jwt.stats().sums();
        page.family(names::TOKENS, "counter", "Tokens that were verified, by what they were.");
        page.sample(names::TOKENS, &[("result", "good")], sums.good);
        for (why, count) in InvalidToken::ALL.iter().zip(sums.bad) {
            page.sample(names::TOKENS, &[("result", why.as_str())], count);
        }
        page.sample(names::TOKENS, &[("result", "unchecked")], sums.unchecked);
    }
    if snapshot.tenants.iter().len() > 0 {
        tenants(snapshot, page);
    }
}

fn tenants(snapshot: &Snapshot, page: &mut Page<'_>) {
    let rows: Vec<_> = (snapshot.tenants.iter())
        .map(|tenant| (tenant.name.as_str(), tenant.stats.sums()))
        .collect();
    page.family(names::TENANT_ARRIVALS, "counter", "Requests that came, by tenant.");
    for (tenant, sums) in &rows {
        page.sample(names::TENANT_ARRIVALS, &[("tenant", tenant)], sums.arrivals);
    }
    page.family(names::TENANT_LOWERED, "counter", "Of these, in a lower tier than their route's.");
    for (tenant, sums) in &rows {
        page.sample(names::TENANT_LOWERED, &[("tenant", tenant)], sums.lowered);
    }
    page.family(names::TENANT_REFUSALS, "counter", "Refused by a limit of the tenant's own.");
    for (tenant, sums) in &rows {
        for (rule, count) in Rule::ALL.iter().zip(sums.refused) {
            page.sample(
                names::TENANT_REFUSALS,
                &[("tenant", tenant), ("rule", rule.as_str())],
                count,
            );
        }
    }
    page.family(names::TENANT_WOULD_REFUSE, "counter", "Let in, though a limit in shadow says no.");
    for (tenant, sums) in &rows {
        for (rule, count) in Rule::ALL.iter().zip(sums.would_refuse) {
            page.sample(
                names::TENANT_WOULD_REFUSE,
                &[("tenant", tenant), ("rule", rule.as_str())],
                count,
            );
        }
    }
    let now = clock::now();
    let shares: Vec<_> = (snapshot.tenants.iter())
        .flat_map(|tenant| tenant.shares().map(|share| (tenant.name.as_str(), share)))
        .map(|(tenant, share)| (tenant, share.upstream.as_str(), share.seen(now)))
        .collect();
    let mut gauge = |name, help, value: fn(&Seen) -> u32| {
        page.family(name, "gauge", help);
        for (tenant, upstream, seen) in &shares {
            page.sample(name, &[("tenant", tenant), ("upstream", upstream)], value(seen));
        }
    };
    gauge(names::TENANT_IN_FLIGHT, "Permits that the tenant holds.", |seen| seen.in_flight);
    gauge(names::TENANT_IN_FLIGHT_LIMIT, "Permits that it may hold.", |seen| seen.limit);
    gauge(names::TENANT_WAITING, "Its requests that wait.", |seen| seen.queued + seen.waiting);
}
