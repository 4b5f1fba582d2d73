//! A [`Reason`] as an HTTP answer (RFC 9457 problem, RFC 9110 §10.2.3 Retry-After).

use std::time::Duration;

use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};

use crate::reason::Reason;
use crate::response_body::ResponseBody;

/// The header that tells why.
pub(crate) const REASON_HEADER: HeaderName = HeaderName::from_static("x-floodgate-reason");

/// Digits of the longest wait in seconds and in milliseconds; a shorter one has spaces behind it.
pub(crate) const fn wait_widths(reason: Reason) -> (usize, usize) {
    match reason {
        // As long as it takes to earn a burst: up to 100 days.
        Reason::KeyLimit => (7, 10),
        _ => (2, 5),
    }
}

/// The answer with `status` to a request that is refused for `reason`, and when to come back if that may
/// help.
pub(crate) fn refuse(
    reason: Reason,
    status: StatusCode,
    retry_after: Option<Duration>,
) -> Response<ResponseBody> {
    let body = problem(reason, status, retry_after);
    let mut response = Response::new(ResponseBody::full(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control(reason)));
    headers.insert(REASON_HEADER, HeaderValue::from_static(reason.as_str()));
    if let Some(wait) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    if reason == Reason::MethodNotAllowed {
        headers.insert(
            ALLOW,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        );
    }
    if let Some(challenge) = challenge(reason) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if reason.closes() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// That nothing is left is so for everybody, and may change back; everything else is for this request.
const fn cache_control(reason: Reason) -> &'static str {
    match reason {
        Reason::SoldOut => "max-age=1",
        _ => "no-store",
    }
}

/// What kind of token would do (RFC 6750 §3): a client without one is told no more than that.
const fn challenge(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::InvalidToken => Some("Bearer error=\"invalid_token\""),
        Reason::TokenRequired => Some("Bearer"),
        _ => None,
    }
}

/// An answer that says only that it went well.
pub(crate) fn no_content() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Rounded up: who comes back early is refused again.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).max(1) as u64
}

/// The body of a refusal. Its length does not depend on when to come back.
pub(crate) fn problem(reason: Reason, status: StatusCode, retry_after: Option<Duration>) -> String {
    let (text, status) = (reason.as_str(), status.as_u16());
    let (_, width) = wait_widths(reason);
    let retry = retry_after
        .map(|wait| format!(",\"retry_after_ms\":{:<width$}", wait.as_millis()))
        .unwrap_or_default();
    format!(
        "{{\"type\":\"urn:floodgate:{text}\",\"status\":{status},\"reason\":\"{text}\"{retry}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_says_what_it_is_and_when_to_come_back_if_that_may_help() {
        for &reason in Reason::ALL {
            let wait = reason.is_retryable().then_some(Duration::from_millis(1500));
            let response = refuse(reason, reason.status(), wait);
            assert_eq!(response.headers()[REASON_HEADER], reason.as_str());
            let is_final = reason == Reason::SoldOut;
            let cached = if is_final { "max-age=1" } else { "no-store" };
            assert_eq!(response.headers()[CACHE_CONTROL], cached);
            let retry_after =
                response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap());
            let helps = response.status() == 503
                || matches!(
                    reason,
                    Reason::InProgress
                        | Reason::KeyLimit
                        | Reason::ReservedOut
                        | Reason::TenantLimit
                );
            let challenges = response.headers().contains_key(WWW_AUTHENTICATE);
            assert_eq!(challenges, response.status() == 401, "{reason:?}");
            assert_eq!(retry_after, helps.then_some("2"), "{reason:?}");
            let problem = problem(reason, reason.status(), wait);
            let problem: serde_json::Value = serde_json::from_str(&problem).unwrap();
            assert_eq!(problem["status"], response.status().as_u16());
            assert_eq!(problem["reason"], reason.as_str());
            let retry_after_ms =
                problem.get("retry_after_ms").map(|millis| millis.as_u64().unwrap());
            assert_eq!(retry_after_ms, helps.then_some(1500), "{reason:?}");
        }
    }

    #[test]
    fn seconds_are_rounded_up_and_never_zero() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
    }
}
