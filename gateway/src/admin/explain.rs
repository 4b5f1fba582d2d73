//! `/api/explain/{id}`: how a request was decided upon, by the id that its answer carried.

use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, problem};
use crate::explain::{self, Advice, Id, Missing, Outcome, Record, Role};
use crate::shared::Shared;

/// What is kept of the decision named `id`.
pub(super) fn show(shared: &Shared, id: &str) -> Answer {
    let Ok(id) = id.parse::<Id>() else {
        let sentence = "an id is what stands behind `id=` in x-floodgate-decision";
        return problem(StatusCode::BAD_REQUEST, "bad_request", sentence);
    };
    let sample = shared.snapshot.load().config.explain.sample;
    match shared.decisions.find(id, sample) {
        Ok(record) => Answer::json(tell(id, &record)),
        Err(missing) => {
            let (reason, sentence) = why(missing);
            problem(StatusCode::NOT_FOUND, reason, sentence)
        }
    }
}

const fn why(missing: Missing) -> (&'static str, &'static str) {
    match missing {
        Missing::OtherProcess => (
            "other_process",
            "another gateway gave this id out, or this one before it was started anew",
        ),
        Missing::NeverGivenOut => ("never_given_out", "no answer has carried this id"),
        Missing::SampledOut => {
            ("sampled_out", "this decision was not kept: `sample` in [explain] says which share is")
        }
        Missing::Overwritten => (
            "overwritten",
            "this decision was kept, and is older than the last 10,000 of its worker that were",
        ),
    }
}

fn tell(id: Id, record: &Record) -> Value {
    let names = record.route.as_deref();
    let reason = record.outcome.reason();
    let at = UNIX_EPOCH + Duration::from_millis(record.at_ms);
    let Advice { means, change } = match record.outcome {
        Outcome::Failed(reason) | Outcome::Refused(reason) => explain::advice(reason),
        Outcome::Admitted => Advice {
            means: "It was let in, and the upstream answered.",
            change: "Nothing: the answer is the upstream's own.",
        },
        Outcome::Replayed => Advice {
            means: "The same purchase had been answered before, and got the same answer again.",
            change: "Nothing: this keeps a second click from being a second order.",
        },
    };
    json!({
        "id": id.to_string(),
        "at": humantime::format_rfc3339_millis(at).to_string(),
        "worker": id.worker,
        "number": id.number,
        "generation": record.generation,
        "route": names.map(|names| &names.route),
        "tier": names.map(|names| &names.tier),
        "upstream": names.map(|names| &names.upstream),
        "outcome": record.outcome.kind(),
        "reason": reason.map(|reason| reason.as_str()),
        "journey": journey(record),
        "limit": limit(record),
        "level": record.level.map(|level| level.pressure()),
        "waited_ms": f64::from(record.waited_us) / 1e3,
        "retry_after_ms": record.told_ms,
        "stock": reason.and_then(explain::stock),
        "means": means,
        "change": change,
    })
}

/// The name of the limit per key that refused it, if one did.
fn limit(record: &Record) -> Option<&str> {
    let limits = &record.route.as_deref()?.limits;
    limits.get(usize::from(record.limit?)).map(String::as_str)
}

/// What it was in its journey, if there was one.
fn journey(record: &Record) -> Option<Value> {
    let early = match record.role {
        Role::Early { by_ms, .. } => Some(by_ms),
        _ => None,
    };
    let grant = record
        .role
        .invalid()
        .map(|invalid| json!({ "invalid": invalid.as_str(), "means": explain::invalid(invalid) }));
    Some(json!({
        "part": record.role.as_str()?,
        "name": record.route.as_deref().and_then(|names| names.journey.as_deref()),
        "step": record.role.step(),
        "early_by_ms": early,
        "grant": grant,
    }))
}
