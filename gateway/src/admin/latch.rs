//! `/api/latch`: what is known of the stock, and the operator's word on it.

use floodgate_limiter::{SkuStatus, Stock, Timestamp};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Answer, problem};
use super::config::Asker;
use super::query::Query;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::stock::Sku;

/// What the path of one SKU begins with.
pub(super) const ONE: &str = "/api/latch/";
/// SKUs that are listed unless somebody wants more, or fewer.
const LISTED: u64 = 1_000;

/// `GET /api/latch[?limit=N]`
pub(super) fn list(shared: &Shared, query: &Query<'_>, now: Timestamp) -> Answer {
    let limit = match query.number("limit") {
        Ok(limit) => limit.unwrap_or(LISTED),
        Err(sentence) => return problem(StatusCode::BAD_REQUEST, "bad_request", &sentence),
    };
    let snapshot = shared.snapshot.load_full();
    let known = snapshot.stocks.latches().list();
    let listed = usize::try_from(limit).unwrap_or(usize::MAX).min(known.len());
    let skus: Vec<_> = known[..listed].iter().map(|status| one(status, now)).collect();
    Answer::json(json!({
        "counts": counts(&snapshot),
        "skus": skus,
        "left_out": known.len() - listed,
    }))
}

/// `GET /api/latch/{sku}`
pub(super) fn show(shared: &Shared, text: &str, now: Timestamp) -> Answer {
    let Some(sku) = Sku::parse(text.as_bytes()) else { return no_sku() };
    let known = shared.snapshot.load_full().stocks.latches().list();
    match known.iter().find(|status| status.name == sku.name()) {
        Some(status) => Answer::json(one(status, now)),
        None => {
            let sentence = "nothing is known of that SKU, so it passes";
            problem(StatusCode::NOT_FOUND, "unknown_sku", sentence)
        }
    }
}

/// `PUT /api/latch/{sku}?state=STATE`
pub(super) fn set(
    shared: &Shared,
    text: &str,
    query: &Query<'_>,
    asker: Asker,
    now: Timestamp,
) -> Answer {
    let Some(sku) = Sku::parse(text.as_bytes()) else { return no_sku() };
    let Some(stock) = query.get("state").and_then(Stock::from_name) else {
        let sentence = match query.get("state") {
            Some(other) => {
                format!("`state={other}`: say open, low, reserved_out or sold_out")
            }
            None => "say which: ?state=open, low, reserved_out or sold_out".to_owned(),
        };
        return problem(StatusCode::BAD_REQUEST, "bad_request", &sentence);
    };
    let snapshot = shared.snapshot.load_full();
    let changed = snapshot.stocks.set(&sku, stock, now).is_some();
    tracing::info!(
        target: "audit", sku = sku.name(), state = stock.as_str(), changed,
        who = asker.role.as_str(), from = %asker.from, "stock set"
    );
    let is_asked = snapshot.config.routes.iter().any(|route| route.sku.is_some());
    Answer::json(json!({
        "result": if changed { "set" } else { "unchanged" },
        "sku": sku.name(),
        "state": stock.as_str(),
        "note": (!is_asked).then_some("no route has a `sku`, so no request is for one"),
    }))
}

/// How many SKUs there are of each state.
pub(super) fn counts(snapshot: &Snapshot) -> Value {
    let count = |stock: Stock| snapshot.stocks.latches().count(stock).into();
    Value::Object(Map::from_iter(Stock::ALL.map(|stock| (stock.as_str().to_owned(), count(stock)))))
}

fn one(status: &SkuStatus, now: Timestamp) -> Value {
    let seconds = |then| now.saturating_since(then).as_secs_f64();
    json!({
        "sku": status.name,
        "state": status.stock.as_str(),
        "remaining": status.remaining,
        "since_seconds": seconds(status.since),
        "heard_seconds": seconds(status.observed),
    })
}

fn no_sku() -> Answer {
    let sentence = "a SKU is text of 1 to 64 bytes, percent-encoded where it has to be";
    problem(StatusCode::BAD_REQUEST, "bad_request", sentence)
}
