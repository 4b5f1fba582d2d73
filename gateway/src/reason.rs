//! Why a request was not answered by its upstream: one closed list, and the status of each.
//!
//! The same string stands in the metric label, in `x-floodgate-reason`, in the JSON body and in the
//! load test's report.

use floodgate_limiter::Rejection;
use http::StatusCode;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $status:literal $text:literal,)*) => {
        /// Why a request was not answered by its upstream.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub(crate) enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// All of them, in the order of [`Reason::index`].
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The string that stands for it everywhere.
            pub(crate) const fn as_str(self) -> &'static str {
                // Looked up, not branched to: what follows would be copied for each.
                const TEXTS: &[&str] = &[$($text,)*];
                TEXTS[self as usize]
            }

            const fn code(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

reasons! {
    /// The purchase was made, and its answer was too long to be kept.
    AlreadyMade = 409 "already_made",
    /// Malformed, or framed so that two readers might disagree.
    BadRequest = 400 "bad_request",
    /// The body is longer than the route allows.
    BodyTooLarge = 413 "body_too_large",
    /// The buffer has no place left, or a higher tier needed this one; or the memory of purchases is full of
    /// those being made.
    BufferFull = 503 "buffer_full",
    /// The grant is spent: it has made as many calls as it is good for, or the origin has ended it.
    CallLimit = 429 "call_limit",
    /// The upstream, or what this tier asks of it, fails or is slow: the circuit is open.
    CircuitOpen = 503 "circuit_open",
    /// `max_in_flight = 0`: the operator closed the upstream.
    Closed = 503 "closed",
    /// The deadline cannot be met, or passed before the upstream was asked.
    Deadline = 503 "deadline",
    /// The process is shutting down.
    Draining = 503 "draining",
    /// An `Expect` other than `100-continue`.
    ExpectationFailed = 417 "expectation_failed",
    /// A later step of a journey without a grant: it begins at the entry.
    GrantRequired = 403 "grant_required",
    /// More header bytes or fields than allowed.
    HeadTooLarge = 431 "head_too_large",
    /// The same purchase is being made, and its answer is not here yet.
    InProgress = 409 "in_progress",
    /// The token is forged, has ended, or is not meant for us.
    InvalidToken = 401 "invalid_token",
    /// A limit of the key's own, such as that of the client's address.
    KeyLimit = 429 "key_limit",
    /// An idempotency key that came before, with another body.
    KeyReused = 422 "key_reused",
    /// The key, such as that of one article, holds all of its share of the upstream.
    KeyShare = 503 "key_share",
    /// Method that is never forwarded.
    MethodNotAllowed = 405 "method_not_allowed",
    /// More want to begin a journey than can finish one.
    NoGrant = 503 "no_grant",
    /// No route matches.
    NoRoute = 404 "no_route",
    /// CONNECT, or a transfer coding other than chunked.
    NotImplemented = 501 "not_implemented",
    /// Waited `max_wait`, or would have to.
    QueueTimeout = 503 "queue_timeout",
    /// The ceiling of a route, a tier or an upstream.
    Rate = 503 "rate",
    /// The client took too long to send its head or its body.
    RequestTimeout = 408 "request_timeout",
    /// Nothing is left of this SKU but what others have reserved: some of it may come back.
    ReservedOut = 409 "reserved_out",
    /// Nothing is left of this SKU. The status is that of the configuration's `latch.status`.
    SoldOut = 410 "sold_out",
    /// The tenant's own rate, or its share of permits and places.
    TenantLimit = 429 "tenant_limit",
    /// It says it is of one tenant, and its token that it is of another.
    TenantMismatch = 403 "tenant_mismatch",
    /// No token where one is needed.
    TokenRequired = 401 "token_required",
    /// Too many tokens turn out bad for those to be verified that nobody has seen.
    TokenUnchecked = 503 "token_unchecked",
    /// The upstream broke.
    UpstreamError = 502 "upstream_error",
    /// The upstream did not answer within the deadline.
    UpstreamTimeout = 504 "upstream_timeout",
    /// As many upgraded connections as allowed.
    UpgradeLimit = 503 "upgrade_limit",
    /// The request target is too long.
    UriTooLong = 414 "uri_too_long",
    /// Not HTTP/1.0 or HTTP/1.1.
    VersionNotSupported = 505 "version_not_supported",
    /// The tier's breaker is open.
    Watermark = 503 "watermark",
}

// === impl Reason ===

impl Reason {
    /// Position in [`Reason::ALL`], for tables.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Status of the answer, unless the configuration says otherwise.
    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Whether coming back later may help: such answers carry `Retry-After`.
    pub(crate) const fn is_retryable(self) -> bool {
        self.code() == 503
            || matches!(
                self,
                Self::InProgress | Self::KeyLimit | Self::ReservedOut | Self::TenantLimit
            )
    }

    /// Whether it says that the gateway or what is behind it could not serve a good request: that counts against the
    /// availability of its tier. A key that holds all of its share has only itself to blame.
    pub(crate) const fn is_unavailability(self) -> bool {
        self.code() >= 502 && self.code() <= 504 && !matches!(self, Self::KeyShare)
    }

    /// Whether the connection ends with the answer: where the next request would begin is unknown, or
    /// there is to be none.
    pub(crate) const fn closes(self) -> bool {
        matches!(
            self,
            Self::BadRequest
                | Self::BodyTooLarge
                | Self::Draining
                | Self::ExpectationFailed
                | Self::HeadTooLarge
                | Self::NotImplemented
                | Self::RequestTimeout
                | Self::UriTooLong
                | Self::VersionNotSupported
        )
    }
}

impl From<Rejection> for Reason {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::BufferFull => Self::BufferFull,
            Rejection::Closed => Self::Closed,
            Rejection::Deadline => Self::Deadline,
            Rejection::Draining => Self::Draining,
            Rejection::QueueTimeout => Self::QueueTimeout,
            Rejection::Rate => Self::Rate,
            Rejection::Watermark => Self::Watermark,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limiter_and_the_gateway_use_the_same_words() {
        for rejection in [
            Rejection::BufferFull,
            Rejection::Closed,
            Rejection::Deadline,
            Rejection::Draining,
            Rejection::QueueTimeout,
            Rejection::Rate,
            Rejection::Watermark,
        ] {
            assert_eq!(Reason::from(rejection).as_str(), rejection.as_str());
            assert!(Reason::from(rejection).is_retryable());
        }
    }
}
