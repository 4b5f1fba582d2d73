//! What is known of journeys, of the stock and of purchases.

use floodgate_limiter::Stock;

use super::{Page, names};
use crate::grant::token::Invalid;
use crate::journey::JourneyStatus;
use crate::snapshot::Snapshot;

/// A gauge of a journey: its name, what it is, its value.
type Gauge = (&'static str, &'static str, fn(&JourneyStatus) -> f64);

const GAUGES: [Gauge; 6] = [
    (names::GRANTS_LIVE, "Grants in the table.", |seen| seen.entry.live as f64),
    (names::GRANTS_IN_PROGRESS, "Grants whose customers are on their way.", |seen| {
        seen.entry.in_progress as f64
    }),
    (names::GRANT_RATE, "Planned entries per second; 0: none, or nothing is known yet.", |seen| {
        seen.entry.rate
    }),
    (names::CALLS_PER_GRANT, "Calls that a grant costs.", |seen| seen.entry.calls_per_grant),
    (names::HOLDERS_WAIT, "Mean wait of holders for a permit in the last second.", |seen| {
        seen.entry.holders_wait.as_secs_f64()
    }),
    (names::RETURN_MEMORY, "Memory for the times to come back.", |seen| seen.return_memory as f64),
];

pub(super) fn render(snapshot: &Snapshot, page: &mut Page<'_>) {
    let rows: Vec<_> =
        snapshot.journeys.iter().map(|journey| (journey.name.as_str(), journey.status())).collect();
    page.family(names::GRANTS, "counter", "Grants by what became of them.");
    for (journey, seen) in &rows {
        let events = [("given", seen.given), ("finished", seen.finished), ("ended", seen.ended)];
        for (event, count) in events {
            page.sample(names::GRANTS, &[("journey", journey), ("event", event)], count);
        }
    }
    page.family(names::GRANT_CALLS, "counter", "Calls that were let in by a grant.");
    for (journey, seen) in &rows {
        page.sample(names::GRANT_CALLS, &[("journey", journey)], seen.calls);
    }
    page.family(names::GRANTS_INVALID, "counter", "Grants that count as none, by why.");
    for (journey, seen) in &rows {
        for (why, count) in Invalid::ALL.iter().zip(seen.invalid) {
            let labels = [("journey", *journey), ("why", why.as_str())];
            page.sample(names::GRANTS_INVALID, &labels, count);
        }
    }
    for (name, help, value) in GAUGES {
        page.family(name, "gauge", help);
        for (journey, seen) in &rows {
            page.sample(name, &[("journey", journey)], value(seen));
        }
    }
    page.family(names::SKUS, "gauge", "SKUs that something is known of, by state.");
    for stock in Stock::ALL {
        let count = snapshot.stocks.latches().count(stock);
        page.sample(names::SKUS, &[("state", stock.as_str())], count);
    }
    let purchases = snapshot.purchases.status();
    page.family(names::PURCHASES, "gauge", "Purchases that are remembered.");
    page.sample(names::PURCHASES, &[("state", "in_flight")], purchases.in_flight);
    page.sample(names::PURCHASES, &[("state", "kept")], purchases.finished);
    page.family(names::PURCHASES_BYTES, "gauge", "Memory that they take.");
    page.sample(names::PURCHASES_BYTES, &[], purchases.used);
}
