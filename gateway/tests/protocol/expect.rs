//! Expectations: small predicates over what was seen, combined by [`all`] and [`any`].

use crate::{case::Seen, client::End, wire::Message};

/// Says what is wrong, if anything.
pub(crate) type Check = Box<dyn Fn(&Seen) -> Result<(), String> + Send + Sync>;

fn check(test: impl Fn(&Seen) -> Result<(), String> + Send + Sync + 'static) -> Check {
    Box::new(test)
}

fn ensure(good: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if good { Ok(()) } else { Err(message()) }
}

/// Every one of these holds.
pub(crate) fn all(checks: Vec<Check>) -> Check {
    check(move |seen| checks.iter().try_for_each(|c| c(seen)))
}

/// One of these holds: for where the RFC leaves room.
pub(crate) fn any(checks: Vec<Check>) -> Check {
    check(move |seen| {
        let mut wrong = Vec::new();
        for check in &checks {
            match check(seen) {
                Ok(()) => return Ok(()),
                Err(message) => wrong.push(message),
            }
        }
        Err(wrong.join("; nor: "))
    })
}

// === the client's side ===

/// A malformed request: refused with one of these statuses and our own mark, connection closed,
/// upstream untouched.
pub(crate) fn refused(statuses: &'static [u16]) -> Check {
    all(vec![turned_away(statuses), closed()])
}

/// A refusal whatever becomes of the connection.
pub(crate) fn turned_away(statuses: &'static [u16]) -> Check {
    all(vec![status_in(statuses), marked(), untouched()])
}

/// The first answer carries what every refusal of ours carries.
pub(crate) fn marked() -> Check {
    all(vec![answer_has("x-floodgate-reason"), answer_field("cache-control", "no-store")])
}

pub(crate) fn status(status: u16) -> Check {
    check(move |seen| {
        let got = first(seen)?.status();
        ensure(got == status, || format!("status {got} instead of {status}"))
    })
}

pub(crate) fn status_in(statuses: &'static [u16]) -> Check {
    check(move |seen| {
        let got = first(seen)?.status();
        ensure(statuses.contains(&got), || format!("status {got}, not one of {statuses:?}"))
    })
}

/// The statuses of all final answers, in order.
pub(crate) fn statuses(statuses: &'static [u16]) -> Check {
    check(move |seen| {
        let got: Vec<u16> = seen.answers.finals.iter().map(Message::status).collect();
        ensure(got == statuses, || format!("statuses {got:?} instead of {statuses:?}"))
    })
}

/// The bodies of all final answers, in order.
pub(crate) fn bodies(bodies: Vec<String>) -> Check {
    check(move |seen| {
        let got: Vec<String> = seen.answers.finals.iter().map(Message::text).collect();
        ensure(got == bodies, || format!("bodies {got:?} instead of {bodies:?}"))
    })
}

/// The first answer is complete with this body.
pub(crate) fn body(body: impl Into<String>) -> Check {
    let body = body.into();
    check(move |seen| {
        let answer = first(seen)?;
        ensure(answer.complete, || "the answer is not complete".into())?;
        ensure(answer.text() == body, || {
            format!("body {:.80?} instead of {body:.80?}", answer.text())
        })
    })
}

pub(crate) fn answer_has(name: &'static str) -> Check {
    check(move |seen| {
        ensure(first(seen)?.field(name).is_some(), || format!("the answer has no {name}"))
    })
}

pub(crate) fn answer_lacks(name: &'static str) -> Check {
    check(move |seen| {
        let value = first(seen)?.field(name);
        ensure(value.is_none(), || format!("the answer has {name}: {value:?}"))
    })
}

pub(crate) fn answer_field(name: &'static str, value: &'static str) -> Check {
    check(move |seen| {
        let got = first(seen)?.field(name);
        ensure(got.as_deref() == Some(value), || {
            format!("the answer has {name}: {got:?} instead of {value:?}")
        })
    })
}

/// No complete answer but an error: what either side broke off is not made whole.
pub(crate) fn never_completed() -> Check {
    check(|seen| {
        let complete = seen.answers.finals.iter().any(|m| m.complete && m.status() < 400);
        ensure(!complete, || "what was cut short was answered as if it were whole".into())
    })
}

/// Not one final answer has begun.
pub(crate) fn unanswered() -> Check {
    check(|seen| {
        let finals = seen.answers.finals.len();
        ensure(finals == 0, || format!("{finals} answers instead of none"))
    })
}

pub(crate) fn closed() -> Check {
    check(|seen| ensure(seen.end == End::Closed, || format!("connection is {:?}", seen.end)))
}

/// Closed in order or reset: for where the client is at fault and no answer is lost.
pub(crate) fn gone() -> Check {
    check(|seen| {
        ensure(matches!(seen.end, End::Closed | End::Reset), || {
            format!("connection is {:?}", seen.end)
        })
    })
}

pub(crate) fn kept() -> Check {
    check(|seen| ensure(seen.end == End::Kept, || format!("connection is {:?}", seen.end)))
}

/// The interim answers, by status.
pub(crate) fn interim(statuses: &'static [u16]) -> Check {
    check(move |seen| {
        let got: Vec<u16> = seen.answers.interim.iter().map(Message::status).collect();
        ensure(got == statuses, || format!("interim answers {got:?} instead of {statuses:?}"))
    })
}

/// The first final answer is a problem document that repeats its status and its reason.
pub(crate) fn problem() -> Check {
    check(|seen| {
        let answer = first(seen)?;
        let json: serde_json::Value = serde_json::from_slice(&answer.body)
            .map_err(|e| format!("the body {:?} is not JSON: {e}", answer.text()))?;
        let status = json["status"].as_u64();
        ensure(status == Some(answer.status().into()), || format!("JSON status {status:?}"))?;
        ensure(json["type"].is_string(), || "JSON without type".into())?;
        let reason = json["reason"].as_str().map(str::to_owned);
        let field = answer.field("x-floodgate-reason");
        ensure(reason.is_some() && reason == field, || {
            format!("JSON reason {reason:?}, field {field:?}")
        })?;
        let media = answer.field("content-type").unwrap_or_default();
        ensure(media.starts_with("application/problem+json"), || format!("media type {media:?}"))
    })
}

/// A retryable refusal says when: whole seconds in the field, milliseconds in the JSON.
pub(crate) fn retry_after() -> Check {
    check(|seen| {
        let answer = first(seen)?;
        let field = answer.field("retry-after");
        let seconds = field.as_ref().and_then(|s| s.parse::<u64>().ok());
        ensure(seconds.is_some_and(|s| (1..=32).contains(&s)), || {
            format!("retry-after {field:?}")
        })?;
        let json: serde_json::Value =
            serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
        let millis = json["retry_after_ms"].as_u64();
        ensure(millis.is_some_and(|ms| ms > 0 && ms <= 32_000), || {
            format!("retry_after_ms {millis:?}")
        })
    })
}

/// The bytes behind a 101, once the interim answer is it.
pub(crate) fn tunnelled(bytes: &'static str) -> Check {
    all(vec![
        interim(&[101]),
        check(move |seen| {
            let got = seen.answers.tunnel.clone().unwrap_or_default();
            let got = String::from_utf8_lossy(&got).into_owned();
            ensure(got == bytes, || format!("the tunnel brought {got:.80?} instead of {bytes:?}"))
        }),
    ])
}

/// The client's bytes hold this nowhere.
pub(crate) fn not_echoed(bytes: &'static str) -> Check {
    check(move |seen| {
        let found = crate::wire::find(&seen.received, bytes.as_bytes()).is_some();
        ensure(!found, || format!("the client was sent {bytes:?}"))
    })
}

/// The Via of the first answer begins so; whether ours is appended is free.
pub(crate) fn answer_via_begins(value: &'static str) -> Check {
    check(move |seen| {
        let via = first(seen)?.field("via").unwrap_or_default();
        ensure(via.starts_with(value), || format!("the answer has via: {via:?}"))
    })
}

// === the origin's side ===

/// The origin received not one byte.
pub(crate) fn untouched() -> Check {
    check(|seen| {
        ensure(seen.requests.is_empty() && seen.upstream_fault.is_none(), || {
            "the origin received something".into()
        })
    })
}

/// No request reached the origin whole.
pub(crate) fn never_whole() -> Check {
    check(|seen| {
        let whole = seen.requests.iter().filter(|r| r.complete).count();
        ensure(whole == 0, || "a request that is not whole was completed".into())
    })
}

/// The origin received exactly so many whole requests.
pub(crate) fn forwarded(count: usize) -> Check {
    check(move |seen| {
        let whole = seen.requests.iter().filter(|r| r.complete).count();
        ensure(whole == count, || format!("the origin got {whole} requests instead of {count}"))
    })
}

/// Forwarded once, whole, and the origin's 200 came back.
pub(crate) fn served() -> Check {
    all(vec![forwarded(1), status(200)])
}

/// The request line the origin received.
pub(crate) fn request_line(line: impl Into<String>) -> Check {
    let line = line.into();
    check(move |seen| {
        let got = &request(seen)?.start;
        ensure(*got == line, || format!("request line {got:.120?} instead of {line:.120?}"))
    })
}

pub(crate) fn sent(name: &'static str, value: &'static str) -> Check {
    check(move |seen| {
        let got = request(seen)?.field(name);
        ensure(got.as_deref() == Some(value), || {
            format!("the origin got {name}: {got:?} instead of {value:?}")
        })
    })
}

/// The field reaches the origin and its value satisfies the test.
pub(crate) fn sent_where(name: &'static str, test: fn(&str) -> bool) -> Check {
    check(move |seen| {
        let got = request(seen)?.field(name);
        ensure(got.as_deref().is_some_and(test), || format!("the origin got {name}: {got:?}"))
    })
}

/// The values of all lines of this field, in order.
pub(crate) fn sent_lines(name: &'static str, values: &'static [&'static str]) -> Check {
    check(move |seen| {
        let got = request(seen)?.all(name);
        ensure(got == values, || format!("the origin got {name}: {got:?} instead of {values:?}"))
    })
}

pub(crate) fn not_sent(name: &'static str) -> Check {
    check(move |seen| {
        let got = request(seen)?.field(name);
        ensure(got.is_none(), || format!("the origin got {name}: {got:?}"))
    })
}

/// The field does not reach the origin with this value.
pub(crate) fn sent_is_not(name: &'static str, value: &'static str) -> Check {
    check(move |seen| {
        let got = request(seen)?.field(name);
        ensure(got.as_deref() != Some(value), || format!("the origin got {name}: {value}"))
    })
}

/// Every request the origin got was read and forwarded, none passed through as bytes.
pub(crate) fn all_went_through_us() -> Check {
    check(|seen| {
        let raw = seen.requests.iter().find(|r| r.field("via").is_none());
        ensure(raw.is_none(), || format!("passed through without Via: {:?}", raw.map(|r| &r.start)))
    })
}

/// The switch is nominated towards the origin as it was towards us.
pub(crate) fn asks_to_switch() -> Check {
    check(|seen| {
        let asked = request(seen)?.lists("connection", "upgrade");
        ensure(asked, || "the origin was not asked to switch".into())
    })
}

/// The body the origin received, its coding removed.
pub(crate) fn sent_body(body: impl Into<String>) -> Check {
    let body = body.into();
    check(move |seen| {
        let got = request(seen)?.text();
        ensure(got == body, || format!("the origin got the body {got:.80?} instead of {body:.80?}"))
    })
}

/// The origin's bytes hold this nowhere.
pub(crate) fn bytes_not_sent(bytes: &'static str) -> Check {
    check(move |seen| {
        let found =
            seen.upstream.iter().any(|c| crate::wire::find(&c.bytes, bytes.as_bytes()).is_some());
        ensure(!found, || format!("the origin received {bytes:?}"))
    })
}

// === both ===

fn first(seen: &Seen) -> Result<&Message, String> {
    seen.answers.finals.first().ok_or_else(|| "no answer".into())
}

fn request(seen: &Seen) -> Result<&Message, String> {
    seen.requests.first().ok_or_else(|| "nothing reached the origin".into())
}
