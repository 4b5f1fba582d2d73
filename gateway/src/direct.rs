//! The direct way: a plain request goes to its upstream and its answer to the client without hyper, which would
//! parse the head anew, make tables of fields and keep buffers.
//!
//! ```text
//! turnstile ──> plain? ── no ──────────────────────────> hyper
//!                 │ yes                                    ^
//!                 v                                        │ with its answer
//!               permit ──> upstream ──> answer is whole? ──┘ no
//!                                          │ yes
//!                                          v
//!                                     turnstile, which writes it
//! ```

use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use floodgate_config::Stage;
use floodgate_limiter::Timestamp;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{Response, StatusCode};
use hyper::ext::ReasonPhrase;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use crate::access_log::Entry;
use crate::admission::{self, Turn};
use crate::classify::{HeadView, Line};
use crate::clock;
use crate::deadline::Deadline;
use crate::decide::Refused;
use crate::exchange::Exchange;
use crate::fields::Fields;
use crate::http1::{self, Framing, HeadLimits};
use crate::inlet::MAX_AHEAD;
use crate::journey::Part;
use crate::keyed::Seen;
use crate::outbound::{Outgoing, reuse};
use crate::plain::PlainHead;
use crate::proxy::Client;
use crate::reason::Reason;
use crate::response_body::ResponseBody;
use crate::service::{self, refuse};
use crate::snapshot::Snapshot;
use crate::stages::Before;
use crate::tenant::Tenancy;
use crate::turnstile::{self, Passage};
use crate::worker::SnapshotRef;

/// Longest body of such a request: it lies in memory. Of answers only those go this way that came in one piece.
const MAX_REQUEST_BODY: usize = 16 * 1024;

/// A request that can go the direct way.
pub(crate) struct Direct {
    snapshot: SnapshotRef,
    /// Index of its route.
    route: usize,
    /// When it arrived.
    at: Timestamp,
    /// What was spent before that.
    before: Before,
    /// How long its answer is worth waiting for.
    said: Deadline,
    /// What was found about it, which is nothing of keys.
    seen: Seen,
    head: PlainHead,
    /// Where it ends.
    end: usize,
    /// Where its body begins.
    body: usize,
}

/// What becomes of it.
pub(crate) enum Answered {
    /// The answer as it is to be written.
    Here(Vec<u8>),
    /// It takes hyper to write this answer.
    Elsewhere(Box<(Response<ResponseBody>, Exchange)>),
    /// The client has left.
    Left,
}

// === impl Direct ===

impl Direct {
    /// The request that has passed the turnstile, if it can go the direct way: its route is nothing but a way to an
    /// upstream, all of it is here, and the connection goes on after it.
    pub(crate) fn of(client: &Client, passage: &Passage) -> Option<Self> {
        let Client { worker, peer, .. } = client;
        let pass = &passage.pass;
        let snapshot = worker.snapshot();
        let decided = pass.decided.filter(|decided| decided.generation == snapshot.generation)?;
        let Framing::Length(body) = pass.framing else { return None };
        let body = usize::try_from(body).ok().filter(|&body| body <= MAX_REQUEST_BODY)?;
        let end = pass.head + body;
        let (route, meant) =
            (&snapshot.routes[decided.route], &snapshot.config.routes[decided.route]);
        // What a tenant may have, and what its upstream is told of it, is looked after by the service.
        let is_plain = route.journey.is_none()
            && route.keyed.is_none()
            && meant.sku.is_none()
            && !meant.once
            && !route.reads_token
            && snapshot.tenants.iter().len() == 0;
        let is_watched = snapshot.config.explain.header || worker.shadow().is_some();
        if !is_plain
            || is_watched
            || pass.is_last
            || passage.bytes.len() < end
            || snapshot.trusts(peer.address)
        {
            return None;
        }
        let stripped = &worker.shared.stripped[worker.index];
        let head = PlainHead::of(&passage.bytes[..pass.head], peer, &snapshot.via[1], stripped)?;
        let (route, at, before, body) = (decided.route, pass.at, pass.before, pass.head);
        let (said, seen) = (decided.deadline, decided.seen);
        Some(Self { snapshot, route, at, before, said, seen, head, end, body })
    }

    /// To the upstream and back. It stands at the beginning of `bytes`, from which it is taken unless somebody else
    /// has to answer it; what comes of the next requests meanwhile is put behind.
    pub(crate) async fn serve(
        &mut self,
        client: &Client,
        socket: &mut TcpStream,
        bytes: &mut BytesMut,
    ) -> Answered {
        // As much as may be kept of the requests behind it.
        let room = MAX_AHEAD.saturating_sub(bytes.len() - self.end);
        client.worker.count_seen(&self.snapshot, Some(self.route), self.seen);
        let mut exchange = Exchange::begin(
            client.clone(),
            &self.snapshot,
            Some(self.route),
            Tenancy::NONE,
            self.before,
            self.at,
        );
        exchange.set_trace(self.head.trace);
        exchange.set_entry(self.entry(client, bytes));
        let mut ahead = BytesMut::new();
        let answer = {
            let mut answer = std::pin::pin!(self.answer(&mut exchange, bytes));
            std::future::poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending if has_left(socket, &mut ahead, room, cx) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            })
            .await
        };
        let Some((response, memory)) = answer else { return Answered::Left };
        if !ahead.is_empty() {
            bytes.extend_from_slice(&ahead);
        }
        let worker = &exchange.client().worker;
        let written = match worker.shared.is_draining() {
            true => None,
            false => write(memory, &response, &worker.date.text()),
        };
        let Some(written) = written else {
            return Answered::Elsewhere(Box::new((response, exchange)));
        };
        exchange.answer(response.status());
        exchange.pass(response.body().here().map_or(0, <[u8]>::len));
        reuse(response.into_parts().0.headers);
        bytes.advance(self.end);
        if bytes.is_empty() {
            // Gives the memory back.
            *bytes = BytesMut::new();
        }
        Answered::Here(written)
    }

    /// What the access log may tell of it. It parses the head once more, which is nothing beside the rest.
    fn entry(&self, client: &Client, bytes: &[u8]) -> Option<Box<Entry>> {
        self.snapshot.config.access_log.to.as_ref()?;
        let server = &self.snapshot.config.server;
        let limits = HeadLimits { bytes: server.max_head, headers: server.max_headers };
        let read = http1::read(bytes, limits, |head, fields| {
            let (query, peer) = (head.query, client.peer.address);
            let line = Line { method: head.method, path: head.path };
            let fields = Fields::Parsed(fields);
            let view = HeadView { line, query, fields, peer, token: None, body: 0 };
            Entry::of(&client.worker, &self.snapshot, view)
        });
        read.ok()??
    }

    /// The answer, and memory to write it into.
    async fn answer(
        &mut self,
        exchange: &mut Exchange,
        bytes: &[u8],
    ) -> (Response<ResponseBody>, Vec<u8>) {
        let snapshot: &Snapshot = &self.snapshot;
        let route = &snapshot.routes[self.route];
        let upstream = &snapshot.upstreams[route.upstream];
        let deadline = self.at + self.said.left;
        exchange.count_deadline(self.said);
        exchange.stages().enter(Stage::Queue, clock::now());
        let turn = match admission::ask(
            snapshot,
            route,
            Part::None,
            Tenancy::NONE,
            None,
            self.at,
            deadline,
        ) {
            Ok(Turn::Now(admitted)) => Ok((admitted, self.at)),
            Ok(Turn::Later(ticket, pending)) => {
                let turn = Box::pin(admission::wait(ticket, pending, true)).await;
                turn.map(|admitted| (admitted, clock::now()))
            }
            Err(reason) => Err(reason),
        };
        let (admitted, now) = match turn {
            Ok(turn) => turn,
            Err(reason) => {
                exchange.reject(reason);
                return (self.refusal(exchange, reason, self.at), Vec::new());
            }
        };
        exchange.admit(None, now);
        let left = deadline.saturating_since(now);
        let head = std::mem::take(&mut self.head);
        let mut outgoing = Outgoing::plain(head, &bytes[self.body..self.end], left);
        outgoing.hurries = self.said.is_shorter;
        outgoing.retry = route.retry;
        let sent =
            service::send(exchange, upstream, &mut outgoing, None, admitted, now, deadline).await;
        let answer = sent.unwrap_or_else(|reason| self.refusal(exchange, reason, clock::now()));
        (answer, outgoing.into_memory())
    }

    /// Of a plain request there is nothing more to count: it has no journey, no keys and no tenant.
    fn refusal(
        &self,
        exchange: &Exchange,
        reason: Reason,
        now: Timestamp,
    ) -> Response<ResponseBody> {
        let refused = Refused { route: Some(self.route), ..Refused::unrouted(reason) };
        refuse(&exchange.client().worker, &self.snapshot, refused, None, now)
    }
}

/// Whether the client has left. What comes of it instead is put into `ahead`, until there is no `room`.
fn has_left(
    socket: &mut TcpStream,
    ahead: &mut BytesMut,
    room: usize,
    cx: &mut Context<'_>,
) -> bool {
    while ahead.len() < room {
        let came = turnstile::with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let polled = std::pin::Pin::new(&mut *socket).poll_read(cx, &mut buffer);
            ahead.extend_from_slice(buffer.filled());
            polled.map_ok(|()| buffer.filled().len())
        });
        match came {
            Poll::Ready(Ok(0) | Err(_)) => return true,
            Poll::Ready(Ok(_)) => {}
            Poll::Pending => break,
        }
    }
    false
}

/// The answer as hyper would write it at `date`, to which the differential test holds it, in `memory`; `None` if it is not all here, or is the
/// last one of its connection.
fn write(memory: Vec<u8>, response: &Response<ResponseBody>, date: &[u8]) -> Option<Vec<u8>> {
    let (status, headers) = (response.status(), response.headers());
    let body = response.body().here()?;
    let has_body = !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !has_body {
        return None;
    }
    let phrase = match response.extensions().get::<ReasonPhrase>() {
        Some(phrase) => phrase.as_bytes(),
        None => status.canonical_reason()?.as_bytes(),
    };
    let mut out = memory;
    for part in [b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", phrase, b"\r\n"] {
        out.extend_from_slice(part);
    }
    let (mut is_framed, mut is_dated) = (false, false);
    for (name, value) in headers {
        match *name {
            CONNECTION => return None,
            CONTENT_LENGTH => is_framed = true,
            DATE => is_dated = true,
            _ => {}
        }
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    if !is_framed {
        // As our own refusals are, which come when there is no time to do it otherwise.
        out.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    if !is_dated {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(date);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::respond;

    #[test]
    fn a_refusal_is_written_with_its_length() {
        for reason in [Reason::QueueTimeout, Reason::UpstreamError, Reason::UpstreamTimeout] {
            let response = respond::refuse(reason, reason.status(), None);
            let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
            let written = String::from_utf8(write(Vec::new(), &response, date).unwrap()).unwrap();
            let (head, body) = written.split_once("\r\n\r\n").unwrap();
            let lengths: Vec<_> =
                head.lines().filter_map(|line| line.strip_prefix("content-length: ")).collect();
            assert_eq!(lengths, [body.len().to_string()], "{written}");
            assert!(body.contains(reason.as_str()) && head.contains("date: Sun, 06"), "{written}");
        }
    }
}
