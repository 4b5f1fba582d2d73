//! The body of a request on its way to an upstream: bounded, and honest about how it ended.
//!
//! It is read before the request asks for a permit, if it is small and comes at once, as most are:
//! a client that sends slowly, or nothing, shall hold none. Of the others only some may, at a time.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::clock;
use crate::closing;
use crate::link::Link;
use crate::places::Place;
use crate::reason::Reason;
use crate::response_body::BodyError;
use crate::upstream::Upstream;

/// So much of a body is read before there is a permit: a cart or an order is smaller.
const READ_AHEAD: usize = 16 * 1024;
/// And so long it is waited for before a permit is asked for without it.
const PROMPT: Duration = Duration::from_millis(100);
/// Longest pause between two pieces of the rest, which is sent while a permit is held, if somebody else
/// wants it.
const STALL: Duration = Duration::from_secs(1);

/// What was read of a body before the request asked for a permit.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead {
    bytes: BytesMut,
    whole: bool,
    /// The right to send the rest while a permit is held.
    upload: Option<Place>,
}

/// The body of a request on its way to an upstream.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// The rest comes from the client.
    Stream(Box<Stream>),
    /// All of it, until it is taken.
    Whole(Option<Bytes>),
}

/// What comes from the client.
#[derive(Debug)]
pub(crate) struct Stream {
    ahead: Bytes,
    incoming: Incoming,
    /// Some of it was asked for: a client that waits for our 100 has had it.
    is_begun: bool,
    /// Bytes that may still come.
    left: u64,
    stall: Pin<Box<Sleep>>,
    upstream: Arc<Upstream>,
    link: Rc<Link>,
    fault: Rc<Fault>,
    _upload: Option<Place>,
}

/// What a client does to its own request while that is being forwarded: spoil it, or delay it.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    reason: Cell<Option<Reason>>,
    /// The upstream has taken all that has come, and the client has yet to send the rest.
    awaits: Cell<bool>,
    /// That was so at some time.
    awaited: Cell<bool>,
}

// === impl ReadAhead ===

impl ReadAhead {
    /// There is no body.
    pub(crate) fn none() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// Nothing yet of the body of a client that waits for our 100: to read is to say it.
    ///
    /// # Errors
    /// Too many send their bodies already.
    pub(crate) fn nothing(upstream: &Upstream) -> Result<Self, Reason> {
        let upload = Some(upstream.take_upload().ok_or(Reason::BufferFull)?);
        Ok(Self { upload, ..Self::default() })
    }

    /// Until when most bodies are awaited.
    pub(crate) fn prompt() -> Instant {
        Instant::now() + PROMPT
    }

    /// Reads `body` to its end if that comes by `prompt`; otherwise until it may be sent while a permit
    /// is held.
    ///
    /// # Errors
    /// What is wrong with the body, that it is longer than `max`, that it has not come by `deadline`,
    /// or that it is large and too many are being sent already.
    pub(crate) async fn of(
        body: &mut Incoming,
        max: u64,
        link: &Link,
        upstream: &Upstream,
        prompt: Instant,
        deadline: Instant,
    ) -> Result<Self, Reason> {
        let mut this = Self::default();
        if let Ok(read) = tokio::time::timeout_at(prompt, this.read(body, max, link)).await {
            read?;
        }
        if !this.whole {
            this.upload = upstream.take_upload();
        }
        if !this.whole && this.upload.is_none() {
            let patient = tokio::time::timeout_at(deadline, this.read(body, max, link)).await;
            patient.unwrap_or(Err(Reason::RequestTimeout))?;
        }
        if !this.whole && this.upload.is_none() {
            this.upload = Some(upstream.take_upload().ok_or(Reason::BufferFull)?);
        }
        Ok(this)
    }

    /// The beginning of the body, the same of the same body: however much of it has come.
    pub(crate) fn beginning(&self) -> &[u8] {
        &self.bytes[..self.bytes.len().min(READ_AHEAD)]
    }

    /// Reads until the body is whole or enough of it is here. May be given up at any time.
    async fn read(&mut self, body: &mut Incoming, max: u64, link: &Link) -> Result<(), Reason> {
        while !self.whole && self.bytes.len() < READ_AHEAD {
            match std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
                Some(Ok(frame)) => {
                    self.bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                    self.whole = frame.is_trailers() || body.is_end_stream();
                }
                Some(Err(_)) => return Err(link.take_fault().unwrap_or(Reason::BadRequest)),
                None => self.whole = true,
            }
            if self.bytes.len() as u64 > max {
                return Err(Reason::BodyTooLarge);
            }
        }
        Ok(())
    }
}

// === impl RequestBody ===

impl RequestBody {
    /// What was read `ahead` and the rest of `incoming`, `max` bytes in all. If there is a rest, what
    /// goes wrong on the client's side is told through the fault.
    pub(crate) fn new(
        ahead: ReadAhead,
        incoming: Option<Incoming>,
        max: u64,
        upstream: &Arc<Upstream>,
        link: &Rc<Link>,
    ) -> (Self, Option<Rc<Fault>>) {
        let bytes = ahead.bytes.freeze();
        let Some(incoming) = incoming.filter(|_| !ahead.whole) else {
            return (Self::Whole((!bytes.is_empty()).then_some(bytes)), None);
        };
        let fault = Rc::<Fault>::default();
        let left = max - bytes.len() as u64;
        let stall = Box::pin(tokio::time::sleep(STALL));
        let upload = ahead.upload;
        let is_begun = !bytes.is_empty();
        let stream = Stream {
            ahead: bytes,
            incoming,
            is_begun,
            left,
            stall,
            upstream: Arc::clone(upstream),
            link: Rc::clone(link),
            fault: Rc::clone(&fault),
            _upload: upload,
        };
        (Self::Stream(Box::new(stream)), Some(fault))
    }

    /// No body.
    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    /// Its length, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Stream(stream) => {
                let rest = stream.incoming.size_hint().exact()?;
                Some(stream.ahead.len() as u64 + rest)
            }
            Self::Whole(bytes) => Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }

    /// Nobody wants the rest. What is left of a body that its client is sending is thrown away, if that is little: whether
    /// its connection goes on shall not depend on how much of it has come by now.
    pub(crate) fn discard(self) {
        let Self::Stream(stream) = self else { return };
        let Stream { incoming, is_begun, fault, .. } = *stream;
        if is_begun && fault.reason.get().is_none() && !fault.awaits.get() {
            closing::discard(incoming);
        }
    }

    /// The next piece; `None` once it has ended.
    pub(crate) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            Self::Stream(stream) => stream.poll_piece(cx),
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(Ok)),
        }
    }
}

// === impl Stream ===

impl Stream {
    /// The next piece of data. Trailers of a request end here.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if !self.ahead.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.ahead))));
        }
        self.is_begun = true;
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        // The pause is the client's only from here on: before, the upstream was made to listen.
        if polled.is_pending() && !self.fault.awaits.get() {
            self.stall.as_mut().reset(Instant::now() + STALL);
        }
        self.fault.set_awaits(polled.is_pending());
        let frame = match polled {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                self.fault.reason.set(Some(self.link.take_fault().unwrap_or(Reason::BadRequest)));
                return Poll::Ready(Some(Err(error.into())));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                ready!(self.stall.as_mut().poll(cx));
                if self.upstream.is_wanted(clock::now()) {
                    return Poll::Ready(Some(Err(self.spoil(Reason::RequestTimeout))));
                }
                // Until the connection's own limit on pauses.
                self.stall.as_mut().reset(Instant::now() + STALL);
                ready!(self.stall.as_mut().poll(cx));
                return Poll::Pending;
            }
        };
        let Ok(piece) = frame.into_data() else { return Poll::Ready(None) };
        match self.left.checked_sub(piece.len() as u64) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Some(Err(self.spoil(Reason::BodyTooLarge)))),
        }
        Poll::Ready(Some(Ok(piece)))
    }

    fn spoil(&self, reason: Reason) -> BodyError {
        self.fault.reason.set(Some(reason));
        reason.as_str().into()
    }
}

// === impl Fault ===

impl Fault {
    /// What the client did wrong, if it did.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.reason.get()
    }

    /// The same once the time for the request is over: it is the client's fault, too, if the rest of
    /// its body is still awaited.
    pub(crate) fn reason_at_deadline(&self) -> Option<Reason> {
        self.reason().or_else(|| self.awaits.get().then_some(Reason::RequestTimeout))
    }

    /// Whether the client made the upstream wait: how long that took says nothing of the upstream.
    pub(crate) const fn is_delayed(&self) -> bool {
        self.awaited.get()
    }

    fn set_awaits(&self, awaits: bool) {
        self.awaits.set(awaits);
        self.awaited.set(self.awaited.get() || awaits);
    }
}
