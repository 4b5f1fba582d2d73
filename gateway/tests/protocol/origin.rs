//! The scripted origin: records every byte it is sent and answers with raw bytes.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, SockRef, Socket, Type};

use crate::wire::{self, Kind, Parsed};

/// A request to this path is the harness's own question whether a connection still works. It is
/// always echoed and is no part of the case.
pub(crate) const PROBE: &str = "/c/probe";

/// When the origin begins to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// The request has arrived whole.
    Body,
    /// The connection is open, nothing has been read.
    Connect,
    /// The head has arrived.
    Head,
}

/// One thing the origin does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Closes the connection.
    Close,
    /// Reads on until the gateway closes.
    Hang,
    /// Does nothing for so long.
    Pause(Duration),
    /// Reads until these bytes have arrived on this connection.
    ReadUntil(Vec<u8>),
    /// Closes with a TCP reset.
    Reset,
    /// Writes these bytes one by one, each in a segment of its own.
    Trickle(Vec<u8>),
    Write(Vec<u8>),
}

/// The answer to one request.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) when: When,
    pub(crate) acts: Vec<Act>,
}

/// What one connection from the gateway brought.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection {
    pub(crate) bytes: Vec<u8>,
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// In the midst of a message or of an answer.
    #[default]
    Busy,
    /// The gateway has closed, or the script has.
    Ended,
    /// Between two requests, or hanging by script.
    Quiet,
}

pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    round: Mutex<Arc<Round>>,
    /// Where our own connection of [`Origin::catch_up`] comes from, until it has been accepted.
    marker: Mutex<Option<SocketAddr>>,
    accepted: Condvar,
}

/// All that belongs to one case.
#[derive(Default)]
struct Round {
    replies: Vec<Reply>,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Requests answered so far, which is the index of the next reply.
    answered: usize,
    connections: Vec<Connection>,
    streams: Vec<Option<Arc<TcpStream>>>,
    /// The case is over: late connections are closed at once.
    over: bool,
}

// === impl Reply ===

impl Reply {
    /// Answers with these bytes when the request is complete, and keeps the connection.
    pub(crate) fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self { when: When::Body, acts: vec![Act::Write(bytes.as_ref().to_vec())] }
    }

    pub(crate) fn acts(when: When, acts: Vec<Act>) -> Self {
        Self { when, acts }
    }

    /// Closes behind the answer.
    pub(crate) fn close(mut self) -> Self {
        self.acts.push(Act::Close);
        self
    }
}

// === impl Origin ===

impl Origin {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the origin");
        let address = listener.local_addr().expect("the origin's address");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut marker = lock(&accepting.marker);
                if marker.is_some() && stream.peer_addr().ok() == *marker {
                    *marker = None;
                    accepting.accepted.notify_all();
                    continue;
                }
                drop(marker);
                let round = Arc::clone(&lock(&accepting.round));
                thread::spawn(move || serve(&Arc::new(stream), &round));
            }
        });
        Self { address, shared }
    }

    /// Begins a case: connections from here on are recorded for it and answered by its replies,
    /// further requests by an echo of the request line.
    pub(crate) fn arm(&self, replies: Vec<Reply>) {
        *lock(&self.shared.round) = Arc::new(Round { replies, ..Round::default() });
    }

    /// Accepts every connection that was made before now, so that none is taken for one of the next
    /// case: connections are accepted in their order, and the last is our own.
    pub(crate) fn catch_up(&self) {
        let marker = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        marker.bind(&any.into()).expect("a port for the marker");
        let from = marker.local_addr().ok().and_then(|a| a.as_socket());
        *lock(&self.shared.marker) = from;
        marker.connect(&self.address.into()).expect("connect to the origin");
        let mut pending = lock(&self.shared.marker);
        while pending.is_some() {
            pending = self.shared.accepted.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until a connection has received `needle`.
    pub(crate) fn wait_for(&self, needle: &[u8], bound: Duration) -> bool {
        self.wait(bound, |inner| {
            inner.connections.iter().any(|c| wire::find(&c.bytes, needle).is_some())
        })
    }

    /// Waits until every connection of the case has been closed by the gateway, and there was one.
    pub(crate) fn wait_for_end(&self, bound: Duration) -> bool {
        self.wait(bound, |inner| {
            !inner.connections.is_empty()
                && inner.connections.iter().all(|c| c.state == State::Ended)
        })
    }

    /// Waits until no connection is in the midst of anything.
    pub(crate) fn settle(&self, bound: Duration) -> bool {
        self.wait(bound, |inner| inner.connections.iter().all(|c| c.state != State::Busy))
    }

    /// Ends the case: what was seen. All its connections are closed.
    pub(crate) fn finish(&self) -> Vec<Connection> {
        let round = Arc::clone(&lock(&self.shared.round));
        let mut inner = lock(&round.inner);
        inner.over = true;
        let seen = inner.connections.clone();
        for stream in inner.streams.drain(..).flatten() {
            stream.shutdown(Shutdown::Both).ok();
        }
        seen
    }

    fn wait(&self, bound: Duration, done: impl Fn(&Inner) -> bool) -> bool {
        let round = Arc::clone(&lock(&self.shared.round));
        let until = Instant::now() + bound;
        let mut inner = lock(&round.inner);
        while !done(&inner) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            inner = round
                .changed
                .wait_timeout(inner, left)
                .map_or_else(|e| e.into_inner().0, |(guard, _)| guard);
        }
        true
    }
}

// === one connection ===

/// A connection as its thread sees it.
struct Session<'a> {
    stream: &'a Arc<TcpStream>,
    round: &'a Round,
    index: usize,
    /// Bytes of the record that belong to answered requests.
    taken: usize,
}

fn serve(stream: &Arc<TcpStream>, round: &Round) {
    stream.set_nodelay(true).ok();
    let index = {
        let mut inner = lock(&round.inner);
        if inner.over {
            return;
        }
        inner.connections.push(Connection { state: State::Quiet, ..Connection::default() });
        inner.streams.push(Some(Arc::clone(stream)));
        inner.connections.len() - 1
    };
    let mut session = Session { stream, round, index, taken: 0 };
    while session.exchange().is_some() {}
    session.state(State::Ended);
}

impl Session<'_> {
    /// One request and its answer; `None` when the connection is over.
    fn exchange(&mut self) -> Option<()> {
        let early = self.reply(None).when == When::Connect;
        if early {
            return self.perform(&self.next_reply(""));
        }
        let reply = loop {
            let (target, whole) = self.look();
            if let Some(target) = target {
                let reply = self.reply(Some(&target));
                if whole || reply.when == When::Head {
                    break self.next_reply(&target);
                }
            }
            self.read()?;
        };
        self.state(State::Busy);
        self.perform(&reply)?;
        // The rest of a body that was answered early.
        while !self.look().1 {
            self.read()?;
        }
        self.taken += self.extent();
        if self.look().0.is_none() {
            self.state(State::Quiet);
        }
        Some(())
    }

    fn perform(&self, reply: &Reply) -> Option<()> {
        for act in &reply.acts {
            match act {
                Act::Close => {
                    self.stream.shutdown(Shutdown::Both).ok();
                    return None;
                }
                Act::Hang => {
                    self.state(State::Quiet);
                    while self.read().is_some() {}
                    return None;
                }
                Act::Pause(time) => {
                    let until = Instant::now() + *time;
                    while Instant::now() < until {
                        thread::park_timeout(until.saturating_duration_since(Instant::now()));
                    }
                }
                Act::ReadUntil(bytes) => {
                    while wire::find(&lock(&self.round.inner).connections[self.index].bytes, bytes)
                        .is_none()
                    {
                        self.read()?;
                    }
                }
                Act::Reset => {
                    SockRef::from(&**self.stream).set_linger(Some(Duration::ZERO)).ok();
                    lock(&self.round.inner).streams[self.index] = None;
                    return None;
                }
                Act::Trickle(bytes) => {
                    for byte in bytes {
                        (&**self.stream).write_all(&[*byte]).ok()?;
                        thread::yield_now();
                    }
                }
                Act::Write(bytes) => (&**self.stream).write_all(bytes).ok()?,
            }
        }
        Some(())
    }

    /// Reads what there is into the record.
    fn read(&self) -> Option<()> {
        let mut piece = [0; 16 * 1024];
        let count = (&**self.stream).read(&mut piece).ok().filter(|count| *count > 0)?;
        let mut inner = lock(&self.round.inner);
        let connection = &mut inner.connections[self.index];
        connection.bytes.extend_from_slice(&piece[..count]);
        connection.state = State::Busy;
        self.round.changed.notify_all();
        Some(())
    }

    /// The target of the request at hand, once its head is there, and whether it is complete. A
    /// request that a strict reader refuses never completes: the origin reads on, the judge decides.
    fn look(&self) -> (Option<String>, bool) {
        let inner = lock(&self.round.inner);
        match wire::read(&inner.connections[self.index].bytes[self.taken..], Kind::Request) {
            Parsed::Message(message) => (Some(message.target().to_owned()), message.complete),
            Parsed::Fault(_) | Parsed::Partial => (None, false),
        }
    }

    fn extent(&self) -> usize {
        let inner = lock(&self.round.inner);
        match wire::read(&inner.connections[self.index].bytes[self.taken..], Kind::Request) {
            Parsed::Message(message) => message.length,
            Parsed::Fault(_) | Parsed::Partial => 0,
        }
    }

    /// The reply that is due, without taking it.
    fn reply(&self, target: Option<&str>) -> Reply {
        let answered = lock(&self.round.inner).answered;
        match target {
            Some(target) if target.starts_with(PROBE) => echo(target),
            _ => self
                .round
                .replies
                .get(answered)
                .cloned()
                .unwrap_or_else(|| echo(target.unwrap_or(""))),
        }
    }

    fn next_reply(&self, target: &str) -> Reply {
        let reply = self.reply(Some(target));
        if !target.starts_with(PROBE) {
            lock(&self.round.inner).answered += 1;
        }
        reply
    }

    fn state(&self, state: State) {
        lock(&self.round.inner).connections[self.index].state = state;
        self.round.changed.notify_all();
    }
}

/// The answer where the script has none: the request's target as the body.
fn echo(target: &str) -> Reply {
    Reply::new(format!(
        "HTTP/1.1 200 OK\r\nx-origin: echo\r\ncontent-length: {}\r\n\r\n{target}",
        target.len()
    ))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
