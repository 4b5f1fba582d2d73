//! A [`Reason`] as an HTTP answer (RFC 9457 problem, RFC 9110 §10.2.3 Retry-After).

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use http::{Response, StatusCode};

use crate::body::ResponseBody;
use crate::reason::Reason;

/// The header that tells why.
pub const REASON_HEADER: HeaderName = HeaderName::from_static("x-floodgate-reason");

/// The answer to a request that is refused for `reason`; `retry_after` is told when coming back may help.
pub fn refuse(reason: Reason, retry_after: Duration) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(problem(reason, retry_after)));
    *response.status_mut() = reason.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REASON_HEADER, HeaderValue::from_static(reason.as_str()));
    if reason.is_retryable() {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(retry_after)));
    }
    if reason.status() == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(
            ALLOW,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        );
    }
    if reason.closes() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// An answer that says only that it went well.
pub fn no_content() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Rounded up: who comes back early is refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).max(1) as u64
}

fn problem(reason: Reason, retry_after: Duration) -> Bytes {
    let (text, status) = (reason.as_str(), reason.status().as_u16());
    let retry = match reason.is_retryable() {
        true => format!(",\"retry_after_ms\":{}", retry_after.as_millis()),
        false => String::new(),
    };
    format!(
        "{{\"type\":\"urn:floodgate:{text}\",\"status\":{status},\"reason\":\"{text}\"{retry}}}\n"
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_makes_an_answer_that_tells_itself() {
        for &reason in Reason::ALL {
            let response = refuse(reason, Duration::from_millis(1500));
            assert_eq!(response.status(), reason.status());
            assert_eq!(response.headers()[REASON_HEADER], reason.as_str());
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), reason.is_retryable());
            let problem: serde_json::Value =
                serde_json::from_slice(&problem(reason, Duration::from_millis(1500))).unwrap();
            assert_eq!(problem["status"], reason.status().as_u16());
            assert_eq!(problem["reason"], reason.as_str());
            assert_eq!(problem.get("retry_after_ms").is_some(), reason.is_retryable());
        }
    }

    #[test]
    fn seconds_are_rounded_up_and_never_zero() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
    }
}
