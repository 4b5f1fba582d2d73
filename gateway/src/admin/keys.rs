//! What is bounded per key, and `/api/keys/top`: which keys come most.

use floodgate_limiter::Timestamp;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Answer, problem};
use super::query::Query;
use crate::keyed::{self, Scope};
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// Keys that are told of unless another number is asked for.
const TOLD: usize = 20;
/// Most keys that are told of.
const MOST: usize = 1_000;

/// The limits by route and name, and the shares by route or upstream.
pub(super) fn status(snapshot: &Snapshot) -> (Value, Value) {
    let (limits, shares) = keyed::status(snapshot);
    let mut by_route = Map::new();
    for limit in limits {
        let one = json!({
            "key": limit.meant.key.to_string(),
            "shadow": limit.meant.shadow,
            "refused": limit.refused,
            "would_refuse": limit.would_refuse,
            "missing": limit.missing,
            "keys": limit.keys.keys,
            "max_keys": limit.keys.max_keys,
            "in_company": limit.keys.in_company,
        });
        let of_route = by_route.entry(limit.route).or_insert_with(|| json!({}));
        of_route[&limit.meant.name] = one;
    }
    let shares = shares.into_iter().map(|share| {
        let mut one = json!({
            "key": share.meant.key.to_string(),
            "share": share.meant.share,
            "limit": share.most,
            "shadow": share.meant.shadow,
            "refused": share.refused,
            "would_refuse": share.would_refuse,
            "missing": share.missing,
            "keys": share.holders,
            "largest": share.largest,
        });
        add_scope(&mut one, share.scope);
        one
    });
    (Value::Object(by_route), shares.collect())
}

/// The keys that come most, of all limits and shares, the first first.
pub(super) fn top(shared: &Shared, query: &Query<'_>, now: Timestamp) -> Answer {
    let most = match query.number("limit") {
        Ok(most) => most.map_or(TOLD, |most| usize::try_from(most).unwrap_or(MOST)).min(MOST),
        Err(sentence) => return problem(StatusCode::BAD_REQUEST, "bad_request", &sentence),
    };
    let snapshot = shared.snapshot.load_full();
    let keys = keyed::top(&snapshot, most, now).into_iter().map(|hot| {
        let mut one = json!({
            "limit": hot.limit,
            "key": hot.of.to_string(),
            "text": shown(hot.key.text.as_bytes()),
            "digest": hot.key.digest.to_string(),
            "per_second": hot.key.per_second,
            "share": hot.key.share,
        });
        add_scope(&mut one, hot.scope);
        one
    });
    Answer::json(json!({ "keys": keys.collect::<Value>() }))
}

fn add_scope(one: &mut Value, scope: Scope<'_>) {
    let (of, name) = match scope {
        Scope::Route(name) => ("route", name),
        Scope::Upstream(name) => ("upstream", name),
    };
    one[of] = name.into();
}

/// As text that cannot be mistaken for anything else, whatever a client has sent.
fn shown(text: &[u8]) -> String {
    let printable = |c: char| !c.is_control() && c != char::REPLACEMENT_CHARACTER;
    // Cut in the middle of a character, perhaps.
    match std::str::from_utf8(text) {
        Ok(text) if text.chars().all(printable) => text.to_owned(),
        _ => text.escape_ascii().to_string(),
    }
}
