//! The floor: the least that refusing over HTTP/1.1 can cost on this machine.
//!
//! A thread for each listener, level-triggered epoll, [`httparse`], and one canned answer. There is no limit, no
//! tier, no metric, no time-out: whatever a gateway costs above this is the price of being one.
//!
//! ```text
//! epoll_wait ─> read ─> count whole heads ─> one write with as many answers
//! ```
//!
//! Requests must have no body. What cannot be served in this way (a malformed or large head, a
//! client that does not read) ends its connection.

use std::{
    io::{self, Read as _, Write as _},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// What every request gets; as long as a gateway's refusal usually is.
const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\n\
    content-length: 42\r\n\
    retry-after: 1\r\n\
    cache-control: no-store\r\n\
    date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
    \r\n\
    {\"reason\":\"the floor refuses everything\"}\n";
/// Events taken from the kernel at once.
const EVENTS: usize = 256;
/// Length of the accept queue; the default of the standard library drops connections in a storm.
const BACKLOG: i32 = 4096;
/// Most connections at once; the rest waits in the backlog.
const MAX_CONNECTIONS: usize = 16_384;
/// Longest head, and most bytes that are read at once.
const MAX_HEAD: usize = 16 * 1024;
/// Most header lines of a head.
const MAX_HEADERS: usize = 64;
/// Most answers that are written at once.
const MAX_PIPELINED: usize = 64;
/// How often `stop` is looked at while nothing happens.
const TICK_MS: i32 = 100;

/// One connection.
#[derive(Debug)]
struct Client {
    stream: TcpStream,
    /// The begin of a head whose end has not come yet; empty but for clients that cut their heads.
    rest: Vec<u8>,
}

/// The kernel's list of what to watch.
#[derive(Debug)]
struct Epoll(OwnedFd);

/// All that the loop holds.
#[derive(Debug)]
struct Floor {
    answers: Vec<u8>,
    buffer: Vec<u8>,
    /// By file descriptor.
    clients: Vec<Option<Client>>,
    epoll: Epoll,
    listener: TcpListener,
    open: usize,
}

/// The connection cannot go on.
struct Broken;

/// A listener with room for a storm; port 0 lets the system choose.
///
/// # Errors
/// The address cannot be listened on.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    open(addr, false)
}

/// `count` of them on one address, among which the kernel divides the connections.
///
/// # Errors
/// The address cannot be listened on.
pub fn listen_shared(addr: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let first = open(addr, true)?;
    let addr = first.local_addr()?;
    let others = (1..count).map(|_| open(addr, true));
    std::iter::once(Ok(first)).chain(others).collect()
}

fn open(addr: SocketAddr, is_shared: bool) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(addr);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Answers every request on `listener` with 503, on this thread, until `stop` is set.
///
/// # Errors
/// The kernel refuses to watch the listener, or to wait.
pub fn serve(listener: TcpListener, stop: &AtomicBool) -> io::Result<()> {
    let mut floor = Floor::new(listener)?;
    let mut ready = [const { libc::epoll_event { events: 0, u64: 0 } }; EVENTS];
    while !stop.load(Relaxed) {
        let count = floor.epoll.wait(&mut ready)?;
        for event in &ready[..count] {
            let fd = event.u64 as RawFd;
            if fd == floor.listener.as_raw_fd() {
                floor.accept()?;
            } else {
                floor.attend(fd);
            }
        }
    }
    Ok(())
}

// === impl Floor ===

impl Floor {
    fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let epoll = Epoll::new()?;
        epoll.watch(listener.as_raw_fd())?;
        Ok(Self {
            answers: ANSWER.repeat(MAX_PIPELINED),
            buffer: vec![0; MAX_HEAD],
            clients: Vec::new(),
            epoll,
            listener,
            open: 0,
        })
    }

    /// Takes what waits; at the limit the newcomer is closed, since the event would come again.
    fn accept(&mut self) -> io::Result<()> {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.open >= MAX_CONNECTIONS {
                continue;
            }
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let fd = stream.as_raw_fd();
            self.epoll.watch(fd)?;
            let at = fd as usize;
            if self.clients.len() <= at {
                self.clients.resize_with(at + 1, || None);
            }
            self.clients[at] = Some(Client { stream, rest: Vec::new() });
            self.open += 1;
        }
        Ok(())
    }

    /// Closing a socket takes it off the kernel's list.
    fn attend(&mut self, fd: RawFd) {
        let Some(place) = self.clients.get_mut(fd as usize) else { return };
        let Some(client) = place else { return };
        if client.turn(&mut self.buffer, &self.answers).is_err() {
            *place = None;
            self.open -= 1;
        }
    }
}

// === impl Client ===

impl Client {
    /// One read, and one write of all the answers that it calls for.
    fn turn(&mut self, buffer: &mut [u8], answers: &[u8]) -> Result<(), Broken> {
        let kept = self.rest.len();
        buffer[..kept].copy_from_slice(&self.rest);
        let read = match self.stream.read(&mut buffer[kept..]) {
            Ok(0) => return Err(Broken),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(Broken),
        };
        let (heads, used) = whole_heads(&buffer[..kept + read])?;
        let rest = &buffer[used..kept + read];
        if rest.len() == buffer.len() {
            return Err(Broken);
        }
        self.rest.clear();
        self.rest.extend_from_slice(rest);
        for batch in (0..heads).step_by(MAX_PIPELINED) {
            let bytes = (heads - batch).min(MAX_PIPELINED) * ANSWER.len();
            if !matches!(self.stream.write(&answers[..bytes]), Ok(written) if written == bytes) {
                return Err(Broken);
            }
        }
        Ok(())
    }
}

/// How many whole heads `bytes` begins with, and how long they are.
fn whole_heads(bytes: &[u8]) -> Result<(usize, usize), Broken> {
    let (mut heads, mut used) = (0, 0);
    while used < bytes.len() {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut []);
        match head.parse_with_uninit_headers(&bytes[used..], &mut headers) {
            Ok(httparse::Status::Complete(length)) => used += length,
            Ok(httparse::Status::Partial) => break,
            Err(_) => return Err(Broken),
        }
        heads += 1;
    }
    Ok((heads, used))
}

// === impl Epoll ===

#[expect(unsafe_code, reason = "the three calls of epoll; the standard library has no safe ones")]
impl Epoll {
    fn new() -> io::Result<Self> {
        // SAFETY: no pointer is passed.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just handed us `fd`, and nobody else knows it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    fn watch(&self, fd: RawFd) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: fd as u64 };
        // SAFETY: `event` outlives the call, which only reads it.
        match unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// How many of `ready` have been filled; none after a tick without an event.
    fn wait(&self, ready: &mut [libc::epoll_event; EVENTS]) -> io::Result<usize> {
        // SAFETY: `ready` has room for EVENTS events and outlives the call.
        let count = unsafe {
            libc::epoll_wait(self.0.as_raw_fd(), ready.as_mut_ptr(), EVENTS as i32, TICK_MS)
        };
        usize::try_from(count).or_else(|_| match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error => Err(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, thread, time::Duration};

    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    /// Stops a floor, also when a check has failed.
    struct Stop<'a>(&'a AtomicBool);

    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }

    /// A connection on which a missing answer is an error and not a wait for ever.
    fn connect(addr: SocketAddr) -> TcpStream {
        let client = TcpStream::connect(addr).unwrap();
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client
    }

    fn with_floor(check: impl FnOnce(SocketAddr)) {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let (addr, stop) = (listener.local_addr().unwrap(), AtomicBool::new(false));
        thread::scope(|scope| {
            let floor = scope.spawn(|| serve(listener, &stop));
            let stopping = Stop(&stop);
            check(addr);
            drop(stopping);
            floor.join().unwrap().unwrap();
        });
    }

    #[test]
    fn the_answer_is_one_whole_message() {
        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut head = httparse::Response::new(&mut headers);
        let length = head.parse(ANSWER).unwrap().unwrap();
        let announced = head.headers.iter().find(|header| header.name == "content-length").unwrap();
        assert_eq!(announced.value, (ANSWER.len() - length).to_string().as_bytes());
    }

    #[test]
    fn several_listeners_have_the_port_that_the_system_chose() {
        let listeners = listen_shared(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 3).unwrap();
        let ports: Vec<_> = listeners.iter().map(|it| it.local_addr().unwrap().port()).collect();
        assert_eq!(ports, [ports[0]; 3]);
        assert_ne!(ports[0], 0);
    }

    #[test]
    fn every_head_is_answered_once_however_it_is_cut() {
        with_floor(|addr| {
            let mut client = connect(addr);
            let pipelined = GET.repeat(3);
            for step in [1, 7, GET.len() + 5, pipelined.len()] {
                pipelined.chunks(step).for_each(|piece| client.write_all(piece).unwrap());
                let mut answers = vec![0; ANSWER.len() * 3];
                client.read_exact(&mut answers).unwrap();
                assert_eq!(answers, ANSWER.repeat(3), "step {step}");
            }
        });
    }

    #[test]
    fn what_is_no_head_ends_the_connection_and_only_it() {
        with_floor(|addr| {
            let mut good = connect(addr);
            let endless = vec![b'a'; MAX_HEAD];
            for bad in [&b"\0\0\0\0"[..], &endless] {
                let mut client = connect(addr);
                client.write_all(bad).unwrap();
                let mut answer = Vec::new();
                let end = client.read_to_end(&mut answer);
                let reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
                assert!(matches!(&end, Ok(0)) || end.as_ref().is_err_and(reset), "{end:?}");
            }
            good.write_all(GET).unwrap();
            good.read_exact(&mut vec![0; ANSWER.len()]).unwrap();
        });
    }
}
