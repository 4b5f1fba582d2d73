//! `/api/config`: look at the configuration, change it, take a change back.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, problem};
use super::query::Query;
use super::token::Role;
use crate::control::{Cause, Control, Generation, Outcome, Rejected, Trigger, Watch};

/// Longest time that a change may wait for its confirmation.
const LONGEST_CONFIRMATION: Duration = Duration::from_secs(24 * 3600);

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) role: Role,
    pub(super) from: SocketAddr,
}

/// `GET /api/config`
pub(super) fn show(control: &Control) -> Answer {
    let live = control.live();
    Answer::json(json!({
        "generation": live.generation,
        "source": live.source,
        "text": &*live.text,
        "after_restart": live.after_restart,
        "overridden_by": live.overrides,
        "confirm_by": live.confirm_by.map(time),
        "rejected": live.rejected.as_ref().map(rejected),
    }))
}

/// `GET /api/config/history`
pub(super) fn history(control: &Control) -> Answer {
    let generations: Vec<_> = control.history().iter().map(generation).collect();
    Answer::json(json!({ "generations": generations }))
}

/// `PUT /api/config[?confirm_within=DURATION][&persist=true]`
pub(super) fn put(
    control: &Control,
    watch: &Watch,
    query: &Query<'_>,
    asker: Asker,
    body: &[u8],
) -> Answer {
    let confirm_within = match query.duration("confirm_within", LONGEST_CONFIRMATION) {
        Ok(within) => within,
        Err(sentence) => return problem(StatusCode::BAD_REQUEST, "bad_request", &sentence),
    };
    let persist = match query.flag("persist") {
        Ok(persist) => persist,
        Err(sentence) => return problem(StatusCode::BAD_REQUEST, "bad_request", &sentence),
    };
    if persist && confirm_within.is_some() {
        let sentence =
            "what may be taken back is not written to the file: confirm first, persist then";
        return problem(StatusCode::BAD_REQUEST, "bad_request", sentence);
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return problem(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "the configuration is not UTF-8 text",
        );
    };
    let outcome = control.apply(text, asker.cause(Trigger::Api), confirm_within);
    watch.wake();
    if persist
        && !matches!(outcome, Outcome::Rejected(_))
        && let Err(sentence) = control.persist(text)
    {
        return problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "not_persisted",
            &format!("it is live, but {sentence}"),
        );
    }
    answer(control, outcome)
}

/// `POST /api/config/rollback[?to=GENERATION]`
pub(super) fn roll_back(
    control: &Control,
    watch: &Watch,
    query: &Query<'_>,
    asker: Asker,
) -> Answer {
    let to = match query.number("to") {
        Ok(to) => to,
        Err(sentence) => return problem(StatusCode::BAD_REQUEST, "bad_request", &sentence),
    };
    let outcome = control.roll_back(to, asker.role.as_str(), &asker.from.to_string());
    watch.wake();
    match outcome {
        Some(outcome) => answer(control, outcome),
        None => {
            let sentence =
                "that generation is not remembered; GET /api/config/history lists those that are";
            problem(StatusCode::NOT_FOUND, "no_generation", sentence)
        }
    }
}

/// `POST /api/config/confirm`
pub(super) fn confirm(control: &Control, asker: Asker) -> Answer {
    if control.confirm(asker.role.as_str(), &asker.from.to_string()) {
        Answer::json(json!({ "result": "confirmed", "generation": control.live().generation }))
    } else {
        problem(StatusCode::CONFLICT, "nothing_to_confirm", "no change waits for a confirmation")
    }
}

/// What became of a change.
pub(super) fn answer(control: &Control, outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Applied(applied) => Answer::json(json!({
            "result": "applied",
            "generation": applied.generation,
            "changes": applied.changes,
            "after_restart": applied.after_restart,
            "note": (!applied.after_restart.is_empty()).then(|| {
                format!("takes effect at the next start: {}", applied.after_restart.join(", "))
            }),
            "warnings": applied.warnings.to_json(),
            "confirm_by": applied.confirm_by.map(time),
            "overridden_by": control.overrides(),
        })),
        Outcome::Rejected(problems) => {
            let value = json!({
                "type": "urn:floodgate:config_rejected",
                "status": 422,
                "reason": "config_rejected",
                "detail": "nothing has changed; these are all its problems",
                "problems": problems.to_json(),
                "text": problems.to_string(),
            });
            Answer::new("application/problem+json", format!("{value:#}\n"))
                .with(StatusCode::UNPROCESSABLE_ENTITY)
        }
        Outcome::Unchanged(generation) => {
            // A value that stays although the text has another: here is who insists on it.
            let overridden_by = control.overrides();
            Answer::json(json!({
                "result": "unchanged",
                "generation": generation,
                "overridden_by": overridden_by,
            }))
        }
    }
}

/// The live configuration without its text, for the dashboard.
pub(super) fn live(control: &Control) -> Value {
    let live = control.live();
    json!({
        "source": live.source,
        "after_restart": live.after_restart,
        "overridden_by": live.overrides,
        "confirm_by": live.confirm_by.map(time),
        "rejected": live.rejected.as_ref().map(rejected),
    })
}

fn generation(generation: &Generation) -> Value {
    json!({
        "generation": generation.number,
        "at": time(generation.at),
        "trigger": generation.cause.trigger.as_str(),
        "who": generation.cause.who,
        "from": generation.cause.from,
        "changes": generation.changes,
    })
}

fn rejected(rejected: &Rejected) -> Value {
    json!({
        "at": time(rejected.at),
        "trigger": rejected.cause.trigger.as_str(),
        "who": rejected.cause.who,
        "from": rejected.cause.from,
        "problems": rejected.problems.to_json(),
    })
}

fn time(at: std::time::SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

// === impl Asker ===

impl Asker {
    pub(super) fn cause(self, trigger: Trigger) -> Cause {
        Cause::new(trigger, self.role.as_str(), &self.from.to_string())
    }
}
