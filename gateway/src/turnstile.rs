//! Where downstream's bytes come in: every head and every chunk is checked before hyper sees it.
//!
//! ```text
//! socket ──> [ head? good ─────────────> hyper ]          the bytes as they came
//!            [       bad ─> verdict, and a placeholder ]  hyper asks the service, which refuses
//!            [ body? length counted, chunks checked ]
//! ```
//!
//! A bad head never reaches hyper. In its place goes a harmless one, and the [`Link`] carries the
//! verdict to the service, so that a refusal takes its turn behind earlier pipelined answers, is
//! counted, and leaves by the same door as every other answer. A broken body is ended by a byte that
//! hyper must refuse, one that stalls by the end of the stream; the verdict again waits in the link.
//!
//! The time limits on heads, idle connections and stalled bodies live here as well: one timer per
//! connection, which is moved only where it would fire too late.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::http1::{self, Chunked, Framing, HeadLimits};
use crate::link::Link;
use crate::reason::Reason;

/// Bytes read from a socket at once, into a buffer that all connections of a core share.
const SCRATCH: usize = 64 * 1024;

thread_local! {
    static SCRATCH_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// Bytes of later requests that are read while one is being answered.
const MAX_AHEAD: usize = SCRATCH;

/// What hyper gets in place of a bad head.
const PLACEHOLDER: &[u8] = b"GET / HTTP/1.1\r\nhost: placeholder\r\nconnection: close\r\n\r\n";
/// The same when the client asked by HEAD and expects no body.
const PLACEHOLDER_HEAD: &[u8] =
    b"HEAD / HTTP/1.1\r\nhost: placeholder\r\nconnection: close\r\n\r\n";
/// What hyper gets in place of the rest of a broken chunked body: no reader takes it for framing.
const POISON: &[u8] = b"\n";

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Between two pieces of a body.
    pub body: Duration,
}

/// The checking reader between a socket and hyper.
#[derive(Debug)]
pub(crate) struct Turnstile<S> {
    socket: S,
    link: Rc<Link>,
    limits: HeadLimits,
    patience: Patience,
    /// Bytes that came and were not passed on. Unallocated on an idle connection.
    pending: BytesMut,
    /// So many of the pending bytes are checked.
    checked: usize,
    /// How far the search for the end of an incomplete head got.
    searched: usize,
    /// Bytes of our own that go to hyper next.
    own: &'static [u8],
    at: At,
    /// Limits what is waited for from the client: bytes, or that it takes some.
    timer: Option<Pin<Box<Sleep>>>,
    /// Since when bytes are awaited, if they are.
    awaiting: Option<Instant>,
    /// Since when the client takes nothing of what there is for it.
    blocked: Option<Instant>,
    /// The client has ended its side, which hyper is told once everything is written.
    ended: bool,
    /// No head has passed yet: a new connection has to speak as fast as one that has begun to.
    fresh: bool,
}

#[derive(Debug)]
enum At {
    Head,
    Length(u64),
    Chunked(Chunked),
    /// Nothing more is passed on.
    End,
}

// === impl Turnstile ===

impl<S: AsyncRead + AsyncWrite + Unpin> Turnstile<S> {
    /// In front of the first byte of a connection.
    pub(crate) fn new(socket: S, link: Rc<Link>, limits: HeadLimits, patience: Patience) -> Self {
        Self {
            socket,
            link,
            limits,
            patience,
            pending: BytesMut::new(),
            checked: 0,
            searched: 0,
            own: b"",
            at: At::Head,
            timer: None,
            awaiting: None,
            blocked: None,
            ended: false,
            fresh: true,
        }
    }

    /// The socket and what was read from it and not passed on.
    pub(crate) fn into_parts(self) -> (S, BytesMut) {
        (self.socket, self.pending)
    }

    /// Passes on what is checked, checks what has come, reads what is there, in this order.
    fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut impl FnMut(&[u8]) -> usize,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.own.is_empty() {
                let passed = out(self.own);
                self.own = &self.own[passed..];
                return Poll::Ready(Ok(()));
            }
            if self.checked > 0 {
                let passed = out(&self.pending[..self.checked]);
                self.pending.advance(passed);
                self.checked -= passed;
                if self.pending.is_empty() {
                    // Gives the memory back once nothing is left of it.
                    self.pending = BytesMut::new();
                }
                return Poll::Ready(Ok(()));
            }
            if self.check() {
                continue;
            }
            if matches!(self.at, At::End) {
                return Poll::Pending;
            }
            if self.holds_a_later_head() {
                self.link.wake_when_answered(cx.waker());
                if self.pending.len() >= MAX_AHEAD {
                    return Poll::Pending;
                }
            }
            if self.ended {
                return if self.blocked.is_some() { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
            match self.poll_fill(cx)? {
                Poll::Ready(0) => self.ended = true,
                Poll::Ready(_) => {}
                Poll::Pending => {
                    ready!(self.poll_patience(cx));
                    if self.own.is_empty() {
                        return Poll::Ready(Ok(())); // reads as end of file
                    }
                }
            }
        }
    }

    /// The next request has come before the present one is answered. It waits; what comes behind it
    /// is read only to see whether the client leaves.
    fn holds_a_later_head(&self) -> bool {
        matches!(self.at, At::Head) && self.link.is_busy() && !self.pending.is_empty()
    }

    /// Looks at the pending bytes; true when there is now something to pass on.
    fn check(&mut self) -> bool {
        match &mut self.at {
            At::Head if self.link.is_busy() => return false,
            At::Head => self.check_head(),
            At::Length(left) => {
                let whole = usize::try_from(*left).unwrap_or(usize::MAX);
                self.checked = self.pending.len().min(whole);
                *left -= self.checked as u64;
                if *left == 0 {
                    self.at = At::Head;
                }
            }
            At::Chunked(chunked) => match chunked.read(&self.pending) {
                Ok(step) => {
                    self.checked = step.pass;
                    if step.done {
                        self.at = At::Head;
                    }
                }
                Err(reason) => self.give_up(reason, POISON),
            },
            At::End => {}
        }
        self.checked > 0 || !self.own.is_empty()
    }

    fn check_head(&mut self) {
        // Only bytes that can end a head are worth parsing again: a head that comes in drips must
        // not cost the square of its length.
        let new = &self.pending[self.searched.min(self.pending.len())..];
        let may_be_whole =
            self.searched == 0 || new.contains(&b'\n') || self.pending.len() > self.limits.bytes;
        if new.is_empty() || !may_be_whole {
            return;
        }
        match http1::parse(&self.pending, self.limits) {
            Ok(None) => self.searched = self.pending.len(),
            Ok(Some(head)) => {
                self.searched = 0;
                self.fresh = false;
                self.awaiting = None;
                self.checked = head.len;
                self.at = match head.framing {
                    Framing::Chunked => At::Chunked(Chunked::default()),
                    Framing::Length(0) => At::Head,
                    Framing::Length(length) => At::Length(length),
                };
                // Before hyper hands the request to the service it may ask for more: that would be
                // the next head, and it has to wait.
                self.link.set_busy();
            }
            Err(reason) => self.refuse(reason),
        }
    }

    /// Puts the placeholder in place of a head.
    fn refuse(&mut self, reason: Reason) {
        let is_head = self.pending.starts_with(b"HEAD ");
        self.link.set_busy();
        self.give_up(reason, if is_head { PLACEHOLDER_HEAD } else { PLACEHOLDER });
    }

    fn give_up(&mut self, reason: Reason, instead: &'static [u8]) {
        self.link.set_verdict(reason);
        self.pending = BytesMut::new();
        self.own = instead;
        self.at = At::End;
    }

    /// Reads once. `Ready(0)` is the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<usize>> {
        SCRATCH_BUFFER.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(result) => result?,
            }
            let came = buffer.filled();
            // A head has all its time from its first byte; a body starts anew with each piece.
            let was_blank = self.is_blank();
            self.pending.extend_from_slice(came);
            if !matches!(self.at, At::Head) || (was_blank && !self.is_blank()) {
                self.awaiting = None;
            }
            Ok(Poll::Ready(came.len()))
        })
    }

    /// Nothing of a head is here; a stray empty line is nothing.
    fn is_blank(&self) -> bool {
        self.pending.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    /// Ready when the client took too long to send: either `own` holds what to say, or the connection
    /// ends.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = match self.at {
            At::Head if self.link.is_busy() => {
                // The time to the next request begins with the end of this one.
                self.link.wake_when_answered(cx.waker());
                return Poll::Pending;
            }
            // While it does not read, that is what is limited.
            _ if self.blocked.is_some() => return Poll::Pending,
            At::Head if self.is_blank() && !self.fresh => self.patience.idle,
            At::Head => self.patience.head,
            At::Length(_) | At::Chunked(_) => self.patience.body,
            At::End => return Poll::Pending,
        };
        let since = *self.awaiting.get_or_insert_with(Instant::now);
        ready!(self.poll_timer(cx, since + limit));
        match self.at {
            At::Head if self.is_blank() => self.at = At::End,
            At::Head => self.refuse(Reason::RequestTimeout),
            _ => {
                self.link.set_verdict(Reason::RequestTimeout);
                self.at = At::End;
            }
        }
        Poll::Ready(())
    }

    /// Minds how writing goes: a client that takes nothing for too long is given up.
    fn mind(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if polled.is_ready() {
            if self.blocked.take().is_some() {
                // Now it is again limited what is awaited from the client: the reading side has to see
                // to its timer.
                cx.waker().wake_by_ref();
            }
            self.link.set_writing(false);
            return polled;
        }
        if self.blocked.is_none() {
            // There may be room for more of the answer in front of a full socket: what is taken in is
            // with the upstream no longer.
            cx.waker().wake_by_ref();
        }
        let since = *self.blocked.get_or_insert_with(Instant::now);
        self.link.set_writing(true);
        ready!(self.poll_timer(cx, since + self.patience.body));
        self.link.set_cut();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Ready once it is `due`. A timer that stands too early fires for nothing and is moved then; one
    /// that stands too late is moved now.
    fn poll_timer(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        ready!(timer.as_mut().poll(cx));
        if Instant::now() >= due {
            return Poll::Ready(());
        }
        timer.as_mut().reset(due);
        timer.as_mut().poll(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Read for Turnstile<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut out: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().poll_pass(cx, &mut |bytes| {
            let room = bytes.len().min(out.remaining());
            out.put_slice(&bytes[..room]);
            room
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for Turnstile<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.mind(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, bytes);
        self.mind(cx, polled)
    }
}
