//! A request on its way to a server: its head as bytes, its body as it comes.

use std::io::{IoSlice, Write as _};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use floodgate_config::Retry;
use http::{HeaderMap, Method, request};

use super::connection::Connection;
use crate::headers::{self, Hop, OutgoingFraming};
use crate::plain::PlainHead;
use crate::request_body::RequestBody;
use crate::retry;

/// Most heads are smaller.
const HEAD: usize = 1024;

/// A request on its way to a server.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// The head and, if it is here, the body; kept until there is an answer.
    first: Vec<u8>,
    /// Where the head ends in it.
    head: usize,
    written: usize,
    /// What still comes from the client.
    rest: Option<Box<Rest>>,
    /// An answer has no body.
    pub is_head: bool,
    /// It asks to leave HTTP.
    pub may_switch: bool,
    /// Its client wants the answer sooner than its tier does: that it is late says nothing of the upstream.
    pub hurries: bool,
    /// Whether its route wants it to be sent again.
    pub retry: Retry,
    /// It could be sent twice: the method is idempotent, and all of the body is here.
    repeats: bool,
    /// The fields' table, emptied, if there was one: the answer's fields need one.
    pub table: HeaderMap,
}

/// The rest of a body.
#[derive(Debug)]
struct Rest {
    body: RequestBody,
    is_chunked: bool,
    /// The piece that is being written, between what frames it.
    before: Vec<u8>,
    piece: Bytes,
    after: &'static [u8],
    ended: bool,
}

/// Why a request could not be sent to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SendError {
    /// The client spoiled it.
    Client,
    /// The server takes no more.
    Server,
}

// === impl Outgoing ===

impl Outgoing {
    /// A request with this `head`, sent on as `hop` says, and this `body`. Takes the fields' table.
    pub(crate) fn new(head: &mut request::Parts, hop: &Hop<'_>, body: RequestBody) -> Self {
        let framing = framing(&head.headers, &body);
        let is_chunked = framing == OutgoingFraming::Chunked;
        let is_whole = matches!(body, RequestBody::Whole(_));
        let repeats = is_whole && retry::is_idempotent(&head.method);
        let is_head = head.method == Method::HEAD;
        let mut first = Vec::with_capacity(HEAD);
        headers::write_to_upstream(&mut first, head, hop, framing);
        let end = first.len();
        let mut rest = None;
        match body {
            RequestBody::Whole(bytes) => match bytes {
                Some(bytes) if is_chunked => {
                    write_size(&mut first, bytes.len());
                    first.extend_from_slice(&bytes);
                    first.extend_from_slice(b"\r\n0\r\n\r\n");
                }
                Some(bytes) => first.extend_from_slice(&bytes),
                None => {}
            },
            body @ RequestBody::Stream(_) => {
                rest = Some(Box::new(Rest::new(body, is_chunked)));
            }
        }
        let mut table = std::mem::take(&mut head.headers);
        table.clear();
        let may_switch = hop.upgrade.is_some();
        Self { first, head: end, rest, is_head, may_switch, repeats, table, ..Self::default() }
    }

    /// A request with this head, which is plain, and this body, to be answered within `left`.
    pub(crate) fn plain(head: PlainHead, body: &[u8], left: Duration) -> Self {
        let mut first = head.bytes;
        headers::write_end(&mut first, left);
        let end = first.len();
        first.extend_from_slice(body);
        Self { first, head: end, repeats: head.is_idempotent, ..Self::default() }
    }

    /// The memory that it was written into, for something else.
    pub(crate) fn into_memory(self) -> Vec<u8> {
        let mut memory = self.first;
        memory.clear();
        memory
    }

    /// All of it is sent.
    pub(crate) const fn is_sent(&self) -> bool {
        self.written == self.first.len() && self.rest.is_none()
    }

    /// It is answered, or nobody can be asked: what still comes of its body is wanted by nobody.
    pub(crate) fn discard(self) {
        if let Some(rest) = self.rest {
            rest.body.discard();
        }
    }

    /// Nothing of it is sent.
    pub(crate) const fn is_unsent(&self) -> bool {
        self.written == 0
    }

    /// It could be sent twice.
    pub(crate) const fn repeats(&self) -> bool {
        self.repeats
    }

    /// Makes it ready to be sent on another connection, to be answered within `left`.
    pub(crate) fn rewind(&mut self, left: Duration) {
        self.written = 0;
        self.head = headers::rewrite_end(&mut self.first, self.head, left);
    }

    /// What has been sent of it was enough: it is answered.
    pub(crate) const fn set_sent(&mut self) {
        self.written = self.first.len();
    }

    /// Writes what there is. Ready when all is sent or nothing more can be.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<Result<(), SendError>> {
        while self.written < self.first.len() {
            let slice = [IoSlice::new(&self.first[self.written..])];
            let written = ready!(connection.poll_write(cx, &slice));
            self.written += written.map_err(|_| SendError::Server)?;
        }
        if let Some(rest) = &mut self.rest {
            ready!(rest.poll_send(cx, connection))?;
            self.rest = None;
        }
        Poll::Ready(Ok(()))
    }
}

/// How the body goes out. What the head says is trusted: it was checked on the way in.
fn framing(fields: &HeaderMap, body: &RequestBody) -> OutgoingFraming {
    if body.is_empty() {
        OutgoingFraming::Given
    } else if fields.contains_key(http::header::TRANSFER_ENCODING) {
        OutgoingFraming::Chunked
    } else if fields.contains_key(http::header::CONTENT_LENGTH) {
        OutgoingFraming::Given
    } else {
        body.length().map_or(OutgoingFraming::Chunked, OutgoingFraming::Length)
    }
}

// === impl Rest ===

impl Rest {
    const fn new(body: RequestBody, is_chunked: bool) -> Self {
        let piece = Bytes::new();
        Self { body, is_chunked, before: Vec::new(), piece, after: b"", ended: false }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<Result<(), SendError>> {
        loop {
            while !(self.before.is_empty() && self.piece.is_empty() && self.after.is_empty()) {
                let slices = [&self.before[..], &self.piece[..], self.after].map(IoSlice::new);
                let written = ready!(connection.poll_write(cx, &slices));
                self.advance(written.map_err(|_| SendError::Server)?);
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.body.poll_piece(cx)) {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    if self.is_chunked {
                        write_size(&mut self.before, piece.len());
                        self.after = b"\r\n";
                    }
                    self.piece = piece;
                }
                Some(Err(_)) => return Poll::Ready(Err(SendError::Client)),
                None => {
                    self.ended = true;
                    self.after = if self.is_chunked { b"0\r\n\r\n" } else { b"" };
                }
            }
        }
    }

    fn advance(&mut self, written: usize) {
        let mut written = written;
        let before = written.min(self.before.len());
        self.before.drain(..before);
        written -= before;
        let piece = written.min(self.piece.len());
        self.piece.advance(piece);
        self.after = &self.after[written - piece..];
    }
}

fn write_size(out: &mut Vec<u8>, size: usize) {
    // Writing to a Vec cannot fail.
    drop(write!(out, "{size:x}\r\n"));
}
