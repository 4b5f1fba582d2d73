//! To the upstream and back: choose a server, send, pass the answer on, give the connection back.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use floodgate_limiter::Timestamp;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::admission::Admitted;
use crate::clock;
use crate::headers;
use crate::pool::{Lease, Pool};
use crate::reason::Reason;
use crate::request_body::{Fault, RequestBody};
use crate::response_body::{BodyError, ResponseBody};
use crate::upstream::Upstream;

/// An answer as it comes from the upstream.
pub(crate) enum Answer {
    /// A response; its body may still be coming.
    Response(Response<ResponseBody>),
    /// The upstream left HTTP with this head.
    Switched(Response<()>, Lease),
}

/// The rest of an answer, with everything that must live as long as it flows.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    incoming: Incoming,
    /// A piece that came with the head.
    ahead: Option<Result<Frame<Bytes>, BodyError>>,
    /// Gone once the body has ended.
    held: Option<Held>,
    /// The connection carries nothing after this answer.
    is_last: bool,
    deadline: Pin<Box<Sleep>>,
}

/// Given back when the last byte has come, or when the body is dropped before.
#[derive(Debug)]
struct Held {
    lease: Lease,
    admitted: Admitted,
    /// The time from permit to last byte is the upstream's.
    is_measured: bool,
}

/// Why one attempt failed.
struct Failure {
    error: hyper::Error,
    /// The request, if nothing of it was sent.
    unsent: Option<Request<RequestBody>>,
}

/// Sends `request` to a server of `upstream` and waits for the head of its answer.
///
/// # Errors
/// The reason to answer with instead: what the client did wrong, `upstream_error` or
/// `upstream_timeout`.
pub(crate) async fn forward(
    pool: &Rc<Pool>,
    upstream: &Arc<Upstream>,
    request: Request<RequestBody>,
    fault: &Fault,
    admitted: Admitted,
    deadline: Timestamp,
) -> Result<Answer, Reason> {
    let mut timer = Box::pin(tokio::time::sleep_until(clock::instant(deadline)));
    let result = tokio::select! {
        biased;
        result = send(pool, upstream, request) => result,
        () = &mut timer => Err(Reason::UpstreamTimeout),
    };
    let (response, lease) = match result {
        Ok(answer) => answer,
        Err(reason) => {
            let is_late = reason == Reason::UpstreamTimeout;
            let spoiled = if is_late { fault.reason_at_deadline() } else { fault.reason() };
            if is_late && spoiled.is_none() && !fault.is_delayed() {
                admitted.served();
            }
            return Err(spoiled.unwrap_or(reason));
        }
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Answer::Switched(response.map(drop), lease));
    }
    let (mut head, incoming) = response.into_parts();
    // Without keep-alive unless it says so, and hyper would go on in its version.
    let is_last = head.version == Version::HTTP_10;
    headers::to_downstream(&mut head)?;
    let held = Some(Held { lease, admitted, is_measured: !fault.is_delayed() });
    let mut body = UpstreamBody { incoming, ahead: None, held, is_last, deadline: timer };
    let body = match std::future::poll_fn(|cx| Poll::Ready(body.take_if_whole(cx))).await {
        Some(bytes) => ResponseBody::full(bytes),
        None => ResponseBody::upstream(body),
    };
    Ok(Answer::Response(Response::from_parts(head, body)))
}

/// Sends until a server has answered or nothing is left to try: another server after a refused
/// connection, a fresh connection after a stale one, and no request twice that may have been seen.
async fn send(
    pool: &Rc<Pool>,
    upstream: &Arc<Upstream>,
    request: Request<RequestBody>,
) -> Result<(Response<Incoming>, Lease), Reason> {
    let mut request = request;
    let mut lease = obtain(pool, upstream, true).await?;
    loop {
        let reused = lease.reused;
        let spare = if reused { replay(&request) } else { None };
        match attempt(&mut lease, request).await {
            Ok(response) => return Ok((response, lease)),
            Err(failure) if reused => {
                let again = if failure.unsent.is_some() || is_silent_end(&failure.error) {
                    failure.unsent.or(spare)
                } else {
                    None
                };
                request = again.ok_or(Reason::UpstreamError)?;
                lease = obtain(pool, upstream, false).await?;
            }
            Err(_) => return Err(Reason::UpstreamError),
        }
    }
}

/// A connection to the best server: pooled if `pooled` may be, else fresh, trying every server once.
async fn obtain(pool: &Rc<Pool>, upstream: &Arc<Upstream>, pooled: bool) -> Result<Lease, Reason> {
    let mut tried = Vec::new();
    loop {
        let now = clock::now();
        let server = upstream.choose(&tried, now).ok_or(Reason::UpstreamError)?;
        if pooled && let Some(lease) = pool.take(upstream, server, now) {
            return Ok(lease);
        }
        match pool.connect(upstream, server).await {
            Ok(lease) => return Ok(lease),
            Err(_) => tried.push(server.id),
        }
    }
}

/// Sends once and drives the connection until the head of the answer is there.
async fn attempt(
    lease: &mut Lease,
    request: Request<RequestBody>,
) -> Result<Response<Incoming>, Failure> {
    let mut answer = std::pin::pin!(lease.send(request));
    let result = std::future::poll_fn(|cx| {
        if let Poll::Ready(result) = answer.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        // Even a connection that has ended may have left an answer or an error behind.
        let _ended = lease.poll_drive(cx).is_ready();
        answer.as_mut().poll(cx)
    });
    result.await.map_err(|mut failure| Failure {
        unsent: failure.take_message(),
        error: failure.into_error(),
    })
}

/// A copy of a request that may be sent twice: safe, and without a body.
fn replay(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let may = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !may || !request.body().is_empty() {
        return None;
    }
    let mut copy = Request::new(RequestBody::Whole(None));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

/// The server closed without a byte of an answer, as it does with a connection that idled too long.
fn is_silent_end(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_canceled() || error.is_closed()
}

// === impl Held ===

impl Held {
    /// The upstream has done what it was asked for, or taken too long over it.
    fn settle(self) -> Lease {
        if self.is_measured {
            self.admitted.served();
        }
        self.lease
    }
}

// === impl UpstreamBody ===

impl UpstreamBody {
    /// The whole body, if it is here already: most answers are small and come with their head.
    fn take_if_whole(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        if self.incoming.is_end_stream() {
            self.end(cx);
            return Some(Bytes::new());
        }
        // Registered here: a client that does not read must not keep the timer from running.
        let _passed = self.deadline.as_mut().poll(cx).is_ready();
        // Of a body without a known length the first piece does not tell whether it is the last.
        self.incoming.size_hint().exact()?;
        match self.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) if self.held.is_none() => frame.into_data().ok(),
            Poll::Ready(Some(piece)) => {
                self.ahead = Some(piece);
                None
            }
            Poll::Ready(None) => None,
            Poll::Pending => None,
        }
    }

    /// The next piece.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(piece) = self.ahead.take() {
            return Poll::Ready(Some(piece));
        }
        let Some(held) = &mut self.held else { return Poll::Ready(None) };
        let mut polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if polled.is_pending() {
            // What the connection brings is in the channel afterwards; its own end is told there, too.
            let _ended = held.lease.poll_drive(cx).is_ready();
            polled = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        if polled.is_pending() && self.deadline.as_mut().poll(cx).is_ready() {
            if let Some(held) = self.held.take() {
                held.settle();
            }
            return Poll::Ready(Some(Err(Reason::UpstreamTimeout.as_str().into())));
        }
        match ready!(polled) {
            Some(Ok(frame)) => {
                // Nothing follows trailers, and hyper does not ask.
                if frame.is_trailers() || self.incoming.is_end_stream() {
                    self.end(cx);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.held = None;
                Poll::Ready(Some(Err(error.into())))
            }
            None => {
                self.end(cx);
                Poll::Ready(None)
            }
        }
    }

    /// Nothing more comes.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.ahead.is_none()
    }

    /// As far as the upstream told.
    pub(crate) fn size_hint(&self) -> SizeHint {
        let ahead = match &self.ahead {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
            _ => 0,
        };
        match self.incoming.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + ahead),
            None => SizeHint::default(),
        }
    }

    /// The last byte is here: the connection may serve the next request, the permit the next waiter.
    fn end(&mut self, cx: &mut Context<'_>) {
        if let Some(held) = self.held.take() {
            let lease = held.settle();
            if !self.is_last {
                lease.give_back(cx);
            }
        }
    }
}
