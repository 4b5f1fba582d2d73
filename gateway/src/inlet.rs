//! What hyper reads from and writes to: requests of which the [turnstile](crate::turnstile) has seen
//! the head, and bodies of which every byte is checked on the way.
//!
//! ```text
//! turnstile ──> [ head? as it was judged ──────────> hyper ]
//! socket ─────> [ body? length counted, chunks checked ──> hyper ]
//!               [ next head? another admitted one ──────> hyper; anything else ends the stream,
//!                                                  and the connection goes back to the turnstile ]
//! ```
//!
//! A broken body is ended by a byte that hyper must refuse, one that stalls by the end of the stream;
//! why waits in the [`Link`]. An end of the stream between two requests makes hyper finish what
//! it has to write and let go of the socket.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http1::{Chunked, Framing};
use crate::link::Link;
use crate::reason::Reason;
use crate::turnstile::{self, Passage};
use crate::verdict::{Moment, Verdict};
use crate::wheel::Alarm;
use crate::worker::Worker;

/// Bytes of later requests that are read while one is being answered.
pub(crate) const MAX_AHEAD: usize = 64 * 1024;
/// What hyper gets in place of the rest of a broken chunked body: no reader takes it for framing.
const POISON: &[u8] = b"\n";

/// The checking reader between a socket and hyper.
#[derive(Debug)]
pub(crate) struct Inlet<'a, S> {
    socket: S,
    worker: &'a Worker,
    /// The other end.
    peer: IpAddr,
    link: &'a Link,
    alarm: &'a Alarm,
    /// Bytes that came and were not passed on.
    pending: BytesMut,
    /// So many of the pending bytes are checked.
    checked: usize,
    /// Bytes of our own that go to hyper next.
    own: &'static [u8],
    at: At,
    /// What the alarm is set for.
    awaited: Option<Awaited>,
    /// The client has ended its side, which hyper is told once everything is written.
    ended: bool,
    /// hyper waits for what comes: it is not to be read behind its back.
    awaits: bool,
}

#[derive(Debug)]
enum At {
    Head,
    Length(u64),
    Chunked(Chunked),
    /// Nothing more is passed on.
    End,
    /// Nothing more is passed on; the connection goes back to the turnstile.
    Leaving,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Awaited {
    /// The next piece of a body.
    Body,
    /// That the client takes what there is for it.
    Taking,
}

// === impl Inlet ===

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Inlet<'a, S> {
    /// In front of what the turnstile lets pass.
    pub(crate) fn new(
        socket: S,
        passage: Passage,
        worker: &'a Worker,
        link: &'a Link,
        alarm: &'a Alarm,
    ) -> Self {
        alarm.clear();
        link.begin(passage.pass);
        Self {
            socket,
            worker,
            peer: passage.peer,
            link,
            alarm,
            pending: passage.bytes,
            checked: passage.pass.head,
            own: b"",
            at: passage.pass.framing.into(),
            awaited: None,
            ended: false,
            awaits: false,
        }
    }

    /// The socket, and what was read from it and not passed on.
    pub(crate) fn into_parts(self) -> (S, BytesMut) {
        (self.socket, self.pending)
    }

    /// Whether hyper was told of an end so that the connection goes back to the turnstile.
    pub(crate) const fn is_leaving(&self) -> bool {
        matches!(self.at, At::Leaving)
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
            match self.at {
                At::Leaving => return Poll::Ready(Ok(())), // reads as end of file
                At::End => return Poll::Pending,
                _ => {}
            }
            if matches!(self.at, At::Head) && !self.is_free() && self.pending.len() >= MAX_AHEAD {
                return Poll::Pending;
            }
            if self.ended {
                let is_blocked = self.awaited == Some(Awaited::Taking);
                return if is_blocked { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
            match self.poll_fill(cx)? {
                Poll::Ready(0) => self.ended = true,
                Poll::Ready(_) => {}
                Poll::Pending => {
                    ready!(self.poll_patience(cx));
                    return Poll::Ready(Ok(())); // reads as end of file
                }
            }
        }
    }

    /// Another request may begin, or the stream end: hyper, which is told of an end between two
    /// requests, forgets what it has not written.
    fn is_free(&self) -> bool {
        !self.link.is_busy() && !self.link.is_last() && self.awaited != Some(Awaited::Taking)
    }

    /// Looks at the pending bytes; true when there is now something to pass on.
    fn check(&mut self) -> bool {
        match &mut self.at {
            At::Head => {
                if self.is_free() && !self.pending.is_empty() {
                    self.check_head();
                }
            }
            At::Length(left) => {
                let whole = usize::try_from(*left).unwrap_or(usize::MAX);
                self.checked = self.pending.len().min(whole);
                *left -= self.checked as u64;
                if *left == 0 {
                    self.at = At::Head;
                    self.link.set_whole();
                }
            }
            At::Chunked(chunked) => match chunked.read(&self.pending) {
                Ok(step) => {
                    self.checked = step.pass;
                    if step.done {
                        self.at = At::Head;
                        self.link.set_whole();
                    }
                }
                Err(reason) => self.give_up(reason),
            },
            At::End | At::Leaving => {}
        }
        self.checked > 0 || !self.own.is_empty()
    }

    fn check_head(&mut self) {
        match Moment::now(self.worker, self.peer).judge(self.worker, &self.pending) {
            Verdict::Pass(pass) => {
                self.checked = pass.head;
                self.at = pass.framing.into();
                // Before hyper hands the request to the service it may ask for more: that would be
                // the next head, and it has to wait.
                self.link.begin(pass);
                self.awaited = None;
                self.alarm.clear();
            }
            Verdict::Incomplete | Verdict::Refuse(_) => self.at = At::Leaving,
        }
    }

    /// Sees whether the client leaves while it is being served. What comes instead waits.
    fn watch(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.pending.len() < MAX_AHEAD {
            match self.poll_fill(cx)? {
                Poll::Ready(0) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Poll::Ready(_) => {}
                Poll::Pending => break,
            }
        }
        if !self.pending.is_empty() {
            self.link.wake_when_answered(cx.waker());
        }
        Ok(())
    }

    /// The body is broken here.
    fn give_up(&mut self, reason: Reason) {
        self.link.set_fault(reason);
        self.pending = BytesMut::new();
        self.own = POISON;
        self.at = At::End;
    }

    /// Reads once. `Ready(0)` is the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<usize>> {
        turnstile::with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(result) => result?,
            }
            let came = buffer.filled();
            self.pending.extend_from_slice(came);
            if self.awaited != Some(Awaited::Taking) {
                self.awaited = None;
            }
            Ok(Poll::Ready(came.len()))
        })
    }

    /// Ready when enough was waited for the client: the stream ends here.
    fn poll_patience(&mut self, cx: &Context<'_>) -> Poll<()> {
        match self.at {
            // While it does not read, that is what is limited.
            _ if self.awaited == Some(Awaited::Taking) => return Poll::Pending,
            At::Head if self.link.is_active() || !self.alarm.is_due() => return Poll::Pending,
            At::Head => self.at = At::Leaving,
            At::Length(_) | At::Chunked(_) => {
                if self.awaited.is_none() {
                    self.await_until(Awaited::Body, cx);
                }
                if !self.alarm.is_due() {
                    return Poll::Pending;
                }
                self.link.set_fault(Reason::RequestTimeout);
                self.at = At::End;
            }
            At::End | At::Leaving => return Poll::Pending,
        }
        Poll::Ready(())
    }

    /// Minds how writing goes: a client that takes nothing for too long is given up.
    fn mind(
        &mut self,
        cx: &Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let was_taking = self.awaited == Some(Awaited::Taking);
        if polled.is_ready() {
            if was_taking {
                // Now it is again limited what is awaited from the client: the reading side has to see
                // to the alarm.
                self.awaited = None;
                self.alarm.clear();
                self.link.set_writing(false);
                cx.waker().wake_by_ref();
            }
            return polled;
        }
        if !was_taking {
            self.link.set_writing(true);
            self.await_until(Awaited::Taking, cx);
            // hyper takes in more of the answer when it is asked once more, and the upstream is free
            // the sooner.
            cx.waker().wake_by_ref();
        } else if self.alarm.is_due() {
            self.link.set_cut();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    fn await_until(&mut self, awaited: Awaited, cx: &Context<'_>) {
        self.alarm.set(self.worker.patience(|server| server.body_timeout), cx);
        self.awaited = Some(awaited);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Read for Inlet<'_, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut out: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = this.poll_pass(cx, &mut |bytes| {
            let room = bytes.len().min(out.remaining());
            out.put_slice(&bytes[..room]);
            room
        });
        this.awaits = polled.is_pending();
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for Inlet<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.mind(cx, polled)
    }

    /// hyper comes by here whenever it has written what there is. It is left to the inlet to see a client
    /// leave: hyper would look for it through a buffer of its own.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        let is_blind = match self.at {
            At::Head => self.link.is_busy(),
            // hyper reads a body as fast as the service takes it: hardly while that waits for a permit.
            At::Length(_) | At::Chunked(_) => self.link.is_waiting() && !self.awaits,
            At::End | At::Leaving => false,
        };
        if is_blind {
            self.watch(cx)?;
        }
        Poll::Ready(Ok(()))
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

impl From<Framing> for At {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::Chunked => Self::Chunked(Chunked::default()),
            Framing::Length(0) => Self::Head,
            Framing::Length(length) => Self::Length(length),
        }
    }
}
