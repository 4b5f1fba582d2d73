//! The raw client: sends given bytes in given steps and keeps all it receives.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use socket2::SockRef;

use crate::{
    origin::{Origin, PROBE},
    wire::{self, Answers},
};

/// Longest time that any one step waits.
pub(crate) const BOUND: Duration = Duration::from_secs(3);

/// One thing the client does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends this on a connection of its own, which stays open to the end of the case.
    Beside(Vec<u8>),
    /// Closes the connection and leaves.
    Close,
    /// Sends pieces of `piece` bytes with `gap` between them, until done or closed.
    Drip {
        bytes: Vec<u8>,
        piece: usize,
        gap: Duration,
    },
    /// Closes the sending side only.
    HalfClose,
    /// Reads until the gateway closes.
    ReadToEnd,
    /// Leaves with a TCP reset.
    Reset,
    Send(Vec<u8>),
    /// Reads until so many final responses are complete.
    WaitAnswers(usize),
    /// Reads until these bytes have come.
    WaitBytes(Vec<u8>),
    /// Waits until the origin has received these bytes.
    WaitUpstream(Vec<u8>),
    /// Waits until the gateway has closed every connection of this case to the origin.
    WaitUpstreamEnd,
}

/// How the connection stood at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    /// Another request was answered on it.
    Kept,
    /// The client left first.
    Left,
    /// Neither closed nor usable, or not asked.
    #[default]
    Open,
    Reset,
}

/// A client in the middle of its steps.
pub(crate) struct Client {
    stream: TcpStream,
    /// Connections opened by [`Step::Beside`].
    beside: Vec<TcpStream>,
    pub(crate) received: Vec<u8>,
    pub(crate) end: End,
    /// What did not happen in time.
    pub(crate) overdue: Vec<String>,
    bodiless: bool,
}

// === impl Client ===

impl Client {
    /// `bodiless`: the first request is a HEAD.
    pub(crate) fn connect(address: SocketAddr, bodiless: bool) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_write_timeout(Some(BOUND)).ok()?;
        Some(Self {
            stream,
            beside: Vec::new(),
            received: Vec::new(),
            end: End::Open,
            overdue: Vec::new(),
            bodiless,
        })
    }

    pub(crate) fn answers(&self) -> Answers {
        let closed = self.end == End::Closed;
        wire::answers(&self.received, self.bodiless, closed)
    }

    pub(crate) fn step(&mut self, step: &Step, origin: &Origin) {
        let in_time = match step {
            Step::Beside(bytes) => match self.stream.peer_addr().and_then(TcpStream::connect) {
                Ok(mut other) => {
                    let sent = other.write_all(bytes).is_ok();
                    self.beside.push(other);
                    sent
                }
                Err(_) => false,
            },
            Step::Close => {
                self.stream.shutdown(Shutdown::Both).ok();
                self.end = End::Left;
                true
            }
            Step::Drip { bytes, piece, gap } => {
                for piece in bytes.chunks(*piece) {
                    self.send(piece);
                    if self.read_until(*gap, |_| false) || self.end != End::Open {
                        break;
                    }
                }
                true
            }
            Step::HalfClose => self.stream.shutdown(Shutdown::Write).is_ok(),
            Step::ReadToEnd => {
                self.read_until(BOUND, |_| false);
                self.end != End::Open
            }
            Step::Reset => {
                SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).ok();
                self.end = End::Left;
                true
            }
            Step::Send(bytes) => {
                self.send(bytes);
                true
            }
            // Where the connection ends first, the checks say whether that was right.
            Step::WaitAnswers(count) => {
                self.read_until(BOUND, |c| c.complete() >= *count) || self.end != End::Open
            }
            Step::WaitBytes(bytes) => {
                self.read_until(BOUND, |c| wire::find(&c.received, bytes).is_some())
                    || self.end != End::Open
            }
            Step::WaitUpstream(bytes) => origin.wait_for(bytes, BOUND),
            Step::WaitUpstreamEnd => origin.wait_for_end(BOUND),
        };
        if !in_time {
            self.overdue.push(format!("{step:.60?}"));
        }
    }

    /// Finds out how the connection stands: an announced close must come, otherwise another
    /// request must be answered. Gives the answer to that request.
    pub(crate) fn conclude(&mut self) -> bool {
        if self.end != End::Open {
            return false;
        }
        let before = self.answers();
        let announced = before.finals.last().is_some_and(|last| {
            last.lists("connection", "close") || last.framing == wire::Framing::UntilClose
        });
        if announced {
            self.read_until(BOUND, |_| false);
            return false;
        }
        self.send(format!("GET {PROBE} HTTP/1.1\r\nHost: probe\r\n\r\n").as_bytes());
        let wanted = before.finals.len() + 1;
        let answered = self.read_until(BOUND / 2, |c| c.complete() >= wanted);
        if answered && self.end == End::Open {
            self.end = End::Kept;
        }
        answered
    }

    fn send(&mut self, bytes: &[u8]) {
        // A gateway may have closed already; what it answered is read all the same.
        self.stream.write_all(bytes).ok();
    }

    fn complete(&self) -> usize {
        self.answers().finals.iter().filter(|m| m.complete).count()
    }

    /// Reads until `done`, the end of the connection or the bound; whether `done` came true.
    fn read_until(&mut self, bound: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let until = Instant::now() + bound;
        let mut piece = vec![0; 64 * 1024];
        loop {
            if done(self) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if self.end != End::Open || left.is_zero() {
                return false;
            }
            self.stream.set_read_timeout(Some(left)).ok();
            match self.stream.read(&mut piece) {
                Ok(0) => self.end = End::Closed,
                Ok(count) => self.received.extend_from_slice(&piece[..count]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.end = End::Reset,
            }
        }
    }
}
