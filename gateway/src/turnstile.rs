//! Where a connection waits, owning no buffer, and where most requests of a storm end.
//!
//! ```text
//!                      ┌─ incomplete: kept, and waited for
//! socket ──> one head ─┼─ refused, or malformed: ready-made bytes ──> socket, and the next head
//!      ^               └─ anything else ──> upstream (`direct`), or hyper behind an inlet ──┐
//!      └───────────────────────────────────── nothing more to do ────┘
//! ```
//!
//! What is read lies in memory that all connections of a worker share, until something has to be kept.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use floodgate_limiter::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::reason::Reason;
use crate::verdict::{Moment, Pass, Turned, Verdict};
use crate::wheel::Alarm;
use crate::worker::Worker;

/// Bytes read at once.
const READ: usize = 16 * 1024;
/// Reads in a row, after which other connections have their turn.
const READS: usize = 4;
/// Answers to pipelined requests that are gathered before they are written.
const GATHER: usize = 16 * 1024;

/// What the connections of a worker share, since only one is looked at at a time.
struct Scratch {
    read: Box<[u8]>,
    answers: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        read: vec![0; READ].into_boxed_slice(),
        answers: Vec::with_capacity(2 * GATHER),
    });
}

/// A connection between two requests.
#[derive(Debug)]
pub(crate) struct Turnstile {
    /// The other end.
    peer: IpAddr,
    /// What came and is not dealt with. Unallocated on an idle connection.
    pending: BytesMut,
    /// So much of it is an incomplete head for certain.
    searched: usize,
    /// Bytes of a refused body that are still to come.
    skip: u64,
    /// Answers that the client has yet to take. Unallocated like the other.
    unsent: Vec<u8>,
    /// After those the connection ends.
    is_last: bool,
    /// What the alarm is set for.
    awaited: Option<Awaited>,
    /// Something was read or written since it was set.
    has_moved: bool,
    /// No head has come yet: a new connection has to speak as fast as one that has begun to.
    is_fresh: bool,
    /// How long the connection waited until its worker came to it, in nanoseconds.
    accept: u64,
    /// When the head that is `searched` began.
    began: Timestamp,
}

/// What a connection waits for, each with a limit of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Awaited {
    /// The rest of a body that nobody wants.
    Body,
    /// The first byte of the connection.
    First,
    /// The rest of a head.
    Head,
    /// The next request.
    Request,
    /// That the client takes its answers.
    Taking,
}

/// How a connection leaves the turnstile.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be an allocation of each request that is let in"
)]
#[derive(Debug)]
pub(crate) enum Exit {
    /// It ends, once the client has read what it was sent.
    Close,
    /// The client has ended it, and has been sent all it gets.
    Ended,
    /// With a request that goes on.
    Pass(Passage),
    /// It breaks off.
    Reset,
}

/// A request that goes on, directly or with hyper.
#[derive(Debug)]
pub(crate) struct Passage {
    /// Its head, and whatever has come behind that.
    pub bytes: BytesMut,
    /// What is known of it.
    pub pass: Pass,
    /// Where it comes from.
    pub peer: IpAddr,
}

/// What came: just now, in memory that others will read into, or before.
enum Came<'a> {
    Here(&'a [u8]),
    Kept(BytesMut),
}

/// What remains after requests were refused.
enum Next {
    /// Nothing, or what has to wait until the answers are written.
    Later,
    /// An incomplete head, looked at then.
    More(Timestamp),
    /// A request that goes on.
    Pass(Pass),
}

/// Lends the memory that bytes are read into, of clients and of upstreams.
pub(crate) fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| read(&mut scratch.read))
}

// === impl Turnstile ===

impl Turnstile {
    /// In front of the first byte of a connection of `peer`, for which its worker took `accept` nanoseconds.
    pub(crate) fn new(peer: IpAddr, accept: u64) -> Self {
        Self {
            peer,
            pending: BytesMut::new(),
            searched: 0,
            skip: 0,
            unsent: Vec::new(),
            is_last: false,
            awaited: None,
            has_moved: false,
            is_fresh: true,
            accept,
            began: Timestamp::default(),
        }
    }

    /// The connection is back, with what came and is not dealt with.
    pub(crate) fn put_back(&mut self, pending: BytesMut) {
        self.pending = pending;
        self.searched = 0;
        self.awaited = None;
    }

    /// The same with an answer that the client has yet to take.
    pub(crate) fn put_back_answered(&mut self, pending: BytesMut, answer: Vec<u8>) {
        self.put_back(pending);
        self.unsent = answer;
    }

    /// Whether the client has yet to take an answer.
    pub(crate) fn is_active(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Reads and refuses until there is something else to do.
    pub(crate) fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        worker: &Worker,
        socket: &mut S,
        alarm: &Alarm,
        cx: &mut Context<'_>,
    ) -> Poll<Exit> {
        SCRATCH.with_borrow_mut(|scratch| {
            let polled = match self.poll_turns(worker, socket, scratch, cx) {
                Poll::Pending => self.poll_patience(worker, socket, scratch, alarm, cx),
                ready => ready,
            };
            // An error of the socket's: the client is gone.
            polled.map(|result| result.unwrap_or(Exit::Reset))
        })
    }

    fn poll_turns<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        worker: &Worker,
        socket: &mut S,
        scratch: &mut Scratch,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Exit>> {
        for _ in 0..READS {
            ready!(self.poll_send(socket, cx))?;
            if self.is_last {
                return Poll::Ready(Ok(Exit::Close));
            }
            let next = if self.searched < self.pending.len() {
                let came = std::mem::take(&mut self.pending);
                self.take(worker, Came::Kept(came), &mut scratch.answers)
            } else {
                let mut buffer = ReadBuf::new(&mut scratch.read);
                ready!(Pin::new(&mut *socket).poll_read(cx, &mut buffer))?;
                self.has_moved = true;
                match buffer.filled() {
                    [] => return Poll::Ready(Ok(Exit::Ended)),
                    came if self.pending.is_empty() => {
                        self.take(worker, Came::Here(came), &mut scratch.answers)
                    }
                    came => {
                        self.pending.extend_from_slice(came);
                        // Only bytes that can end a head are worth parsing again: a head that comes in
                        // drips must not cost the square of its length.
                        if !came.contains(&b'\n') && self.pending.len() <= worker.max_head() {
                            self.searched = self.pending.len();
                        }
                        continue;
                    }
                }
            };
            self.send(socket, &scratch.answers, cx)?;
            match next {
                Some(passage) if self.unsent.is_empty() => {
                    return Poll::Ready(Ok(Exit::Pass(passage)));
                }
                // Looked at again once the answers before it are taken.
                Some(passage) => self.put_back(passage.bytes),
                None => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Refuses what is to be refused of what came, and keeps what is left. What goes on, if anything.
    fn take(&mut self, worker: &Worker, came: Came<'_>, answers: &mut Vec<u8>) -> Option<Passage> {
        // What is left in it was meant for somebody else.
        answers.clear();
        let (used, next) = self.refuse_all(worker, came.bytes(), answers);
        let rest = came.rest(used);
        match next {
            Next::Later => self.put_back(rest),
            Next::More(now) => {
                if used > 0 || self.searched == 0 {
                    self.began = now;
                }
                self.searched = rest.len();
                self.pending = rest;
            }
            Next::Pass(mut pass) => {
                if used == 0 && self.searched > 0 {
                    pass.before.head = pass.at.as_nanos().saturating_sub(self.began.as_nanos());
                }
                if self.is_fresh {
                    pass.before.accept = self.accept;
                }
                self.is_fresh = false;
                return Some(Passage { bytes: rest, pass, peer: self.peer });
            }
        }
        None
    }

    /// Refuses one request after the other. How many bytes that took, and what comes then.
    fn refuse_all(
        &mut self,
        worker: &Worker,
        bytes: &[u8],
        answers: &mut Vec<u8>,
    ) -> (usize, Next) {
        let skipped = bytes.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        self.skip -= skipped as u64;
        let mut used = skipped;
        let mut moment = None;
        while used < bytes.len() && answers.len() < GATHER {
            let moment = moment.get_or_insert_with(|| Moment::now(worker, self.peer));
            let turned = match moment.judge(worker, &bytes[used..]) {
                Verdict::Incomplete => return (used, Next::More(moment.at())),
                Verdict::Pass(pass) => return (used, Next::Pass(pass)),
                Verdict::Refuse(turned) => turned,
            };
            self.is_fresh = false;
            self.awaited = None;
            self.is_last = turned.is_last;
            moment.refuse(worker, &turned, &bytes[used..], answers);
            if turned.is_last {
                return (bytes.len(), Next::Later);
            }
            let ahead = (bytes.len() - used) as u64;
            self.skip = turned.len.saturating_sub(ahead);
            used += turned.len.min(ahead) as usize;
        }
        (used, Next::Later)
    }

    /// Writes what was not taken before.
    fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = ready!(Pin::new(&mut *socket).poll_write(cx, &self.unsent))?;
            self.has_moved = true;
            self.unsent.drain(..sent);
        }
        self.unsent = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Writes `answers` as far as the client takes them now, and keeps the rest.
    fn send<S: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        answers: &[u8],
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        if answers.is_empty() {
            return Ok(());
        }
        let sent = match Pin::new(socket).poll_write(cx, answers) {
            Poll::Ready(sent) => sent?,
            Poll::Pending => 0,
        };
        self.unsent.extend_from_slice(&answers[sent..]);
        Ok(())
    }

    /// Minds how long the client takes.
    fn poll_patience<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        worker: &Worker,
        socket: &mut S,
        scratch: &mut Scratch,
        alarm: &Alarm,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Exit>> {
        let awaited = self.awaits();
        let has_moved = std::mem::take(&mut self.has_moved);
        // A body and its taking have their time anew with each piece, a head from its first byte.
        let is_steady = matches!(awaited, Awaited::Body | Awaited::Taking);
        if self.awaited != Some(awaited) || (has_moved && is_steady) {
            self.awaited = Some(awaited);
            alarm.set(
                worker.patience(|server| match awaited {
                    Awaited::Body | Awaited::Taking => server.body_timeout,
                    Awaited::First | Awaited::Head => server.header_timeout,
                    Awaited::Request => server.idle_timeout,
                }),
                cx,
            );
            return Poll::Pending;
        }
        if !alarm.is_due() {
            return Poll::Pending;
        }
        match awaited {
            Awaited::Body | Awaited::First | Awaited::Request => Poll::Ready(Ok(Exit::Close)),
            Awaited::Taking => Poll::Ready(Ok(Exit::Reset)),
            Awaited::Head => {
                let turned = Turned::malformed(&self.pending, Reason::RequestTimeout);
                scratch.answers.clear();
                let moment = Moment::now(worker, self.peer);
                moment.refuse(worker, &turned, &self.pending, &mut scratch.answers);
                self.pending = BytesMut::new();
                self.is_last = true;
                self.send(socket, &scratch.answers, cx)?;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn awaits(&self) -> Awaited {
        // A stray empty line is nothing.
        let is_blank = self.pending.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        if !self.unsent.is_empty() {
            Awaited::Taking
        } else if self.skip > 0 {
            Awaited::Body
        } else if !is_blank {
            Awaited::Head
        } else if self.is_fresh {
            Awaited::First
        } else {
            Awaited::Request
        }
    }
}

// === impl Came ===

impl Came<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Here(bytes) => bytes,
            Self::Kept(bytes) => bytes,
        }
    }

    /// All but the first `used` bytes.
    fn rest(self, used: usize) -> BytesMut {
        match self {
            Self::Here(bytes) => BytesMut::from(&bytes[used..]),
            Self::Kept(mut bytes) => {
                bytes.advance(used);
                // Gives the memory back once nothing is left in it.
                if bytes.is_empty() { BytesMut::new() } else { bytes }
            }
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
