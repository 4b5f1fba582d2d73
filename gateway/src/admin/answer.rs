//! Answers of the admin listener.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use serde_json::{Value, json};

use super::dashboard::Events;

/// An answer of the admin listener.
pub(super) struct Answer(Response<Either<Full<Bytes>, Events>>);

// === impl Answer ===

impl Answer {
    /// 200 with a body of this type.
    pub(super) fn new(kind: &'static str, body: impl Into<Bytes>) -> Self {
        Self::of(kind, Either::Left(Full::new(body.into())))
    }

    /// 200 with a body of this type that comes as it is made.
    pub(super) fn stream(kind: &'static str, events: Events) -> Self {
        Self::of(kind, Either::Right(events))
    }

    fn of(kind: &'static str, body: Either<Full<Bytes>, Events>) -> Self {
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self(response)
    }

    /// 200 with a line of text.
    pub(super) fn text(text: &'static str) -> Self {
        Self::new("text/plain; charset=utf-8", text)
    }

    /// 200 with JSON.
    pub(super) fn json(value: Value) -> Self {
        Self::new("application/json", format!("{value:#}\n"))
    }

    /// The same with another status.
    pub(super) fn with(mut self, status: StatusCode) -> Self {
        *self.0.status_mut() = status;
        self
    }

    /// 401: who asks has to say who it is.
    pub(super) fn unauthorized() -> Self {
        let sentence =
            "this needs the header `Authorization: Bearer TOKEN` with a token of this gateway";
        problem(StatusCode::UNAUTHORIZED, "unauthorized", sentence)
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 405: the path is right, the method is not.
    pub(super) fn method_not_allowed(allowed: &'static str) -> Self {
        problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            &format!("only {allowed} here"),
        )
        .header(ALLOW, HeaderValue::from_static(allowed))
    }

    pub(super) fn into_response(self) -> Response<Either<Full<Bytes>, Events>> {
        self.0
    }

    /// The same with a field more.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().insert(name, value);
        self
    }
}

/// An RFC 9457 problem.
pub(super) fn problem(status: StatusCode, reason: &str, detail: &str) -> Answer {
    let value = json!({
        "type": format!("urn:floodgate:{reason}"),
        "status": status.as_u16(),
        "reason": reason,
        "detail": detail,
    });
    Answer::new("application/problem+json", format!("{value:#}\n")).with(status)
}
