//! The body of a request on its way to an upstream: bounded, and honest about how it ended.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::link::Link;
use crate::reason::Reason;
use crate::response_body::BodyError;

/// The body of a request on its way to an upstream.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// None.
    Empty,
    /// What comes from the client.
    Stream(Box<Stream>),
}

/// What comes from the client.
#[derive(Debug)]
pub(crate) struct Stream {
    incoming: Incoming,
    /// Bytes that may still come.
    left: u64,
    link: Rc<Link>,
    fault: Rc<Fault>,
}

/// Whether the client spoiled its own request while it was being forwarded.
#[derive(Debug, Default)]
pub(crate) struct Fault(Cell<Option<Reason>>);

// === impl RequestBody ===

impl RequestBody {
    /// `incoming`, of which `max` bytes are passed on. What goes wrong on the client's side is told
    /// through `fault`.
    pub(crate) fn new(incoming: Incoming, max: u64, link: Rc<Link>, fault: Rc<Fault>) -> Self {
        match incoming.is_end_stream() {
            true => Self::Empty,
            false => Self::Stream(Box::new(Stream { incoming, left: max, link, fault })),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Stream(stream) => stream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(stream) => stream.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(stream) => stream.incoming.size_hint(),
        }
    }
}

// === impl Stream ===

impl Stream {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(result) = ready!(Pin::new(&mut self.incoming).poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let frame = match result {
            Ok(frame) => frame,
            Err(error) => {
                let reason = self.link.take_verdict().unwrap_or(Reason::BadRequest);
                self.fault.0.set(Some(reason));
                return Poll::Ready(Some(Err(error.into())));
            }
        };
        if let Some(data) = frame.data_ref() {
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                self.fault.0.set(Some(Reason::BodyTooLarge));
                return Poll::Ready(Some(Err(Reason::BodyTooLarge.as_str().into())));
            };
            self.left = left;
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

// === impl Fault ===

impl Fault {
    /// What the client did wrong, if it did.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.0.get()
    }
}
