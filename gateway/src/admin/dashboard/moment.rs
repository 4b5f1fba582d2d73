//! What a watcher is told: what is now, once a second, and at first what was.

use std::sync::Arc;
use std::time::Duration;

use floodgate_config::Stage;
use floodgate_limiter::{Stock, Timestamp};
use serde_json::{Map, Value, json};

use super::past::Past;
use crate::admin::token::Role;
use crate::admin::{config, latch, objectives, status};
use crate::control::Control;
use crate::explain::{self, Advice};
use crate::reason::Reason;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// Violations that are shown; `/api/violations` has the others.
const VIOLATIONS: usize = 10;
/// SKUs that are out and shown by name; `/api/latch` has the others.
const SKUS: usize = 24;
/// How often the names of SKUs are looked up at most: who learns something about stock waits meanwhile.
const SKUS_STEP: Duration = Duration::from_secs(5);
/// Windows of [`objectives`] whose percentiles are shown.
const WINDOWS: [&str; 2] = ["10s", "1m"];

/// Where everything comes from, at one moment.
pub(in crate::admin) struct Source<'a> {
    pub(in crate::admin) shared: &'a Shared,
    pub(in crate::admin) control: &'a Control,
    pub(in crate::admin) snapshot: Arc<Snapshot>,
    pub(in crate::admin) now: Timestamp,
}

/// What is told of now, and what of it is looked up less often.
#[derive(Debug, Default)]
pub(super) struct Moment {
    skus: Value,
    /// Changes of stock that there had been when they were looked up, and when that was.
    skus_seen: Option<(u64, Timestamp)>,
}

// === impl Moment ===

impl Moment {
    /// One line of JSON.
    pub(super) fn tell(&mut self, source: &Source<'_>, past: &Past) -> String {
        let Source { shared, snapshot, now, .. } = source;
        self.look_at_stock(source);
        let mut now_told = status::gateway(shared, snapshot);
        let violations = shared.violations.last(VIOLATIONS);
        let more = json!({
            "tiers": tiers(snapshot),
            "upstreams": status::upstreams(snapshot, *now),
            "journeys": status::journeys(snapshot),
            "objectives": objectives::status(shared, snapshot, *now),
            "latency": latency(shared, snapshot, *now),
            "violations": objectives::list(&violations, *now),
            "stock": latch::counts(snapshot),
            "skus": self.skus,
            "config": config::live(source.control),
        });
        if let (Value::Object(told), Value::Object(more)) = (&mut now_told, more) {
            told.extend(more);
        }
        with_seconds(&now_told, |out| past.write_last(&names(snapshot), out))
    }

    fn look_at_stock(&mut self, source: &Source<'_>) {
        let latches = source.snapshot.stocks.latches();
        let changes = latches.changes();
        let is_seen = self.skus_seen.is_some_and(|(seen, at)| {
            seen == changes || source.now.saturating_since(at) < SKUS_STEP
        });
        if is_seen {
            return;
        }
        self.skus_seen = Some((changes, source.now));
        let out = [Stock::SoldOut, Stock::ReservedOut].map(|stock| latches.count(stock));
        let known = if out == [0, 0] { Vec::new() } else { latches.list() };
        let known = known.iter().take(SKUS.min(out.iter().sum()));
        self.skus = known.map(|sku| json!([sku.name, sku.stock.as_str()])).collect();
    }
}

/// What was, for a watcher of this role: one line of JSON.
pub(super) fn past(source: &Source<'_>, past: &Past, role: Role) -> String {
    let reasons: Vec<_> = (Reason::ALL.iter())
        .map(|reason| {
            let Advice { means, change } = explain::advice(*reason);
            json!([reason.as_str(), means, change])
        })
        .collect();
    let told =
        json!({ "role": role.as_str(), "reasons": reasons, "tiers": tiers(&source.snapshot) });
    with_seconds(&told, |out| past.write(&names(&source.snapshot), out))
}

/// `told`, an object, with what `write` writes under the name of `second`.
fn with_seconds(told: &Value, write: impl FnOnce(&mut String)) -> String {
    let mut text = told.to_string();
    text.pop();
    text.push_str(",\"second\":");
    write(&mut text);
    text.push('}');
    text
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.tiers.iter().map(|tier| tier.name.as_str()).collect()
}

/// The tiers in order of priority, with the watermarks that they really have: none is above those of the tiers before it.
fn tiers(snapshot: &Snapshot) -> Value {
    let (mut high, mut low) = (1.0_f64, 1.0_f64);
    let tiers = snapshot.config.tiers.iter().map(|tier| {
        high = high.min(tier.watermarks.high());
        low = low.min(tier.watermarks.low());
        json!({ "name": tier.name, "high": high, "low": low })
    });
    tiers.collect()
}

/// Percentiles of answered requests by tier and window: of all stages together, and of the wait for a permit.
fn latency(shared: &Shared, snapshot: &Snapshot, now: Timestamp) -> Value {
    let told = shared.history.percentiles(snapshot, now);
    let tiers = snapshot.tiers.iter().zip(&told).map(|(tier, told)| {
        let windows = told.iter().filter(|told| WINDOWS.contains(&told.window)).map(|told| {
            let total = objectives::percentiles(&told.rows[0]);
            let queue = objectives::percentiles(&told.rows[1 + Stage::Queue.index()]);
            (told.window.to_owned(), json!({ "total": total, "queue": queue }))
        });
        (tier.name.clone(), Value::Object(windows.collect()))
    });
    Value::Object(tiers.collect::<Map<_, _>>())
}
