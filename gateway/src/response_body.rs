//! The body of an answer: our own few bytes, or the upstream's stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::clock;
use crate::exchange::Exchange;
use crate::forward::UpstreamBody;

/// Why a stream was cut: hyper ends the connection without finishing the message.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    kind: Kind,
    /// Dropped with the body, so the exchange lasts until the last byte is hyper's.
    exchange: Option<Exchange>,
}

#[derive(Debug)]
enum Kind {
    Full(Option<Bytes>),
    Upstream(Box<UpstreamBody>),
}

// === impl ResponseBody ===

impl ResponseBody {
    /// No body.
    pub(crate) const fn empty() -> Self {
        Self { kind: Kind::Full(None), exchange: None }
    }

    /// These bytes.
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self { kind: Kind::Full((!bytes.is_empty()).then_some(bytes)), exchange: None }
    }

    /// What still comes from an upstream.
    pub(crate) const fn upstream(body: Box<UpstreamBody>) -> Self {
        Self { kind: Kind::Upstream(body), exchange: None }
    }

    /// Waits for all of it, if it is no longer than `max`; otherwise it stays as it was.
    ///
    /// # Errors
    /// It does not come to its end.
    pub(crate) async fn collect(&mut self, max: usize) -> Result<Option<Bytes>, BodyError> {
        if let Kind::Upstream(body) = &mut self.kind {
            let Some(bytes) = body.collect(max).await? else { return Ok(None) };
            self.kind = Kind::Full((!bytes.is_empty()).then_some(bytes));
        }
        Ok(self.whole().filter(|bytes| bytes.len() <= max).cloned().or_else(|| {
            let is_empty = matches!(self.kind, Kind::Full(None));
            is_empty.then(Bytes::new)
        }))
    }

    /// All of it, if it is here and not empty.
    pub(crate) const fn whole(&self) -> Option<&Bytes> {
        match &self.kind {
            Kind::Full(Some(bytes)) => Some(bytes),
            Kind::Full(None) | Kind::Upstream(_) => None,
        }
    }

    /// All of it, if it is here.
    pub(crate) fn here(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Full(bytes) => Some(bytes.as_deref().unwrap_or_default()),
            Kind::Upstream(_) => None,
        }
    }

    /// Keeps `exchange` until the body is gone.
    pub(crate) fn keep(mut self, exchange: Exchange) -> Self {
        self.exchange = Some(exchange);
        self
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match &mut this.kind {
            Kind::Full(bytes) => {
                let bytes = bytes.take();
                if let (Some(exchange), Some(bytes)) = (&this.exchange, &bytes) {
                    exchange.pass(bytes.len());
                }
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Kind::Upstream(body) => {
                let polled = body.poll_frame(cx);
                let ended = body.is_end_stream();
                if let Some(exchange) = &mut this.exchange {
                    if let Poll::Ready(Some(Ok(frame))) = &polled {
                        exchange.pass(frame.data_ref().map_or(0, Bytes::len));
                    }
                    match &polled {
                        Poll::Ready(Some(Err(_))) => exchange.cut(body.fault()),
                        Poll::Ready(_) if ended => {
                            exchange.set_idle(body.idle());
                            exchange.complete(clock::now());
                        }
                        _ => {}
                    }
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Kind::Upstream(body) => body.size_hint(),
        }
    }
}
