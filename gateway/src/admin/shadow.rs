//! `/api/shadow`: what a candidate configuration would have done.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Answer, problem};
use super::config::{Asker, answer};
use crate::control::{Control, Watch};
use crate::metrics::Sums;
use crate::reason::Reason;
use crate::shadow::Shadow;
use crate::shared::Shared;

/// `GET /api/shadow`
pub(super) fn show(shared: &Shared) -> Answer {
    match shared.shadow.load_full() {
        Some(shadow) => Answer::json(compare(shared, &shadow)),
        None => none(),
    }
}

/// `PUT /api/config?mode=shadow`
pub(super) fn begin(control: &Control, asker: Asker, body: &[u8]) -> Answer {
    let Ok(text) = std::str::from_utf8(body) else {
        return problem(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "the configuration is not UTF-8 text",
        );
    };
    match control.begin_shadow(text, asker.role.as_str(), &asker.from.to_string()) {
        Ok(()) => Answer::json(json!({ "result": "shadowing" })),
        Err(problems) => answer(control, crate::control::Outcome::Rejected(problems)),
    }
}

/// `POST /api/shadow/promote`
pub(super) fn promote(control: &Control, watch: &Watch, asker: Asker) -> Answer {
    let outcome = control.promote_shadow(asker.role.as_str(), &asker.from.to_string());
    watch.wake();
    outcome.map_or_else(none, |outcome| answer(control, outcome))
}

/// `DELETE /api/shadow`
pub(super) fn end(control: &Control, asker: Asker) -> Answer {
    if control.end_shadow(asker.role.as_str(), &asker.from.to_string()) {
        Answer::json(json!({ "result": "ended" }))
    } else {
        none()
    }
}

fn none() -> Answer {
    let sentence = "no configuration is shadowed; begin with PUT /api/config?mode=shadow";
    problem(StatusCode::NOT_FOUND, "no_shadow", sentence)
}

/// Live and shadow side by side, since the shadow began.
fn compare(shared: &Shared, shadow: &Shadow) -> Value {
    let live = shared.snapshot.load_full();
    let shadowed = shadow.snapshot.routes.iter().map(|route| {
        let sums = route.stats.sums();
        let same = live.routes.iter().find(|same| same.name == route.name);
        let row = json!({
            "route": route.name,
            "tier": shadow.snapshot.tiers[route.tier.index()].name,
            "shadow": counts(&sums, None),
            "live": same.map(|same| counts(&same.stats.sums(), shadow.baseline.get(&same.name))),
        });
        row
    });
    let shadowed: Vec<Value> = shadowed.collect();
    json!({
        "since": humantime::format_rfc3339_millis(shadow.since).to_string(),
        "routes": shadowed,
        "unmatched": counts(&shadow.snapshot.unmatched.sums(), None),
        "cannot_know": "service times of requests that only the shadow admits are assumed to be the live \
                        mean; what the refused do next, and how the upstream takes another load, is not known",
    })
}

fn counts(sums: &Sums, baseline: Option<&Sums>) -> Value {
    let since = |now: u64, then: Option<u64>| now.saturating_sub(then.unwrap_or_default());
    let reasons: Map<_, _> = Reason::ALL
        .iter()
        .map(|reason| {
            let at = reason.index();
            (reason.as_str(), since(sums.rejected[at], baseline.map(|then| then.rejected[at])))
        })
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| (reason.to_owned(), count.into()))
        .collect();
    json!({
        "arrivals": since(sums.arrivals, baseline.map(|then| then.arrivals)),
        "admitted": since(sums.admitted, baseline.map(|then| then.admitted)),
        "rejected": since(sums.all_rejected(), baseline.map(Sums::all_rejected)),
        "reasons": reasons,
    })
}
