//! The turnstile in front of sockets that can be looked into.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use floodgate_loadtest::load::{self, Phase, Plan, Template};
use tokio::runtime::{Builder, LocalOptions};

use super::*;
use crate::clock;
use crate::open_keys::OpenKeys;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

const RULES: &str = "
    [upstreams.checkout]
    servers = [\"127.0.0.1:9\"]
    [[routes]]
    path = \"/closed/{*rest}\"
    rate = \"0/s\"
    [[routes]]
    path = \"/open/{*rest}\"
    max_body = \"1KiB\"
";

pub(super) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn worker() -> Rc<Worker> {
    worker_with(RULES)
}

/// A worker under these rules.
pub(super) fn worker_with(rules: &str) -> Rc<Worker> {
    let config = floodgate_config::parse("rules", rules).unwrap();
    let snapshot = Snapshot::compile(config, OpenKeys::default(), None, 1, clock::now());
    Worker::new(0, Shared::new(snapshot, 1, 10_000))
}

/// A socket whose other end is the test.
#[derive(Default)]
pub(super) struct Wire {
    /// What is on its way to us.
    pub comes: Vec<u8>,
    /// The client sends nothing more.
    pub ended: bool,
    /// What was sent to the client.
    pub sent: Vec<u8>,
    /// So many bytes are taken.
    pub room: usize,
    broken: bool,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.comes.is_empty() && !self.ended {
            return Poll::Pending;
        }
        let some = self.comes.len().min(out.remaining());
        out.put_slice(&self.comes[..some]);
        self.comes.drain(..some);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let some = bytes.len().min(self.room);
        if some == 0 {
            return Poll::Pending;
        }
        self.room -= some;
        self.sent.extend_from_slice(&bytes[..some]);
        Poll::Ready(Ok(some))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// One connection at the turnstile.
struct Visit {
    worker: Rc<Worker>,
    turnstile: Turnstile,
    alarm: Alarm,
    wire: Wire,
}

impl Visit {
    fn new(worker: &Rc<Worker>) -> Self {
        Self {
            worker: Rc::clone(worker),
            turnstile: Turnstile::new(PEER, 0),
            alarm: worker.wheel.alarm(),
            wire: Wire { room: usize::MAX, ..Wire::default() },
        }
    }

    fn poll(&mut self) -> Poll<Exit> {
        let cx = &mut Context::from_waker(Waker::noop());
        self.turnstile.poll(&self.worker, &mut self.wire, &self.alarm, cx)
    }

    fn comes(&mut self, text: &str) -> Poll<Exit> {
        self.wire.comes.extend_from_slice(text.as_bytes());
        self.poll()
    }

    fn statuses(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.wire.sent);
        let lines = text.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 "));
        lines.map(|line| line[..3].to_owned()).collect()
    }
}

const CLOSED: &str = "GET /closed/a HTTP/1.1\r\nhost: a\r\n\r\n";
const OPEN: &str = "GET /open/a HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn a_refused_connection_keeps_no_memory() {
    let mut visit = Visit::new(&worker());
    assert!(visit.comes(CLOSED).is_pending());
    assert!(visit.comes(&CLOSED[..20]).is_pending());
    assert!(visit.comes(&CLOSED[20..]).is_pending());
    assert_eq!(visit.statuses(), ["503", "503"]);
    assert_eq!((visit.turnstile.pending.capacity(), visit.turnstile.unsent.capacity()), (0, 0));
}

#[test]
fn what_comes_behind_an_admitted_request_goes_with_it() {
    let mut visit = Visit::new(&worker());
    let Poll::Ready(Exit::Pass(passage)) = visit.comes(&[CLOSED, OPEN, CLOSED].concat()) else {
        panic!("does not pass")
    };
    assert_eq!(passage.bytes, [OPEN, CLOSED].concat());
    assert_eq!(passage.pass.head, OPEN.len());
    assert_eq!(visit.statuses(), ["503"]);
}

#[test]
fn an_admitted_request_waits_until_the_answers_before_it_are_taken() {
    let mut visit = Visit::new(&worker());
    visit.wire.room = 10;
    assert!(visit.comes(&[CLOSED, OPEN].concat()).is_pending());
    visit.wire.room = usize::MAX;
    assert!(matches!(visit.poll(), Poll::Ready(Exit::Pass(passage)) if passage.bytes == OPEN));
    assert_eq!(visit.statuses(), ["503"]);
}

#[test]
fn a_client_that_takes_nothing_is_not_answered_without_end() {
    let mut visit = Visit::new(&worker());
    visit.wire.room = 0;
    for _ in 0..1_000 {
        assert!(visit.comes(&CLOSED.repeat(100)).is_pending());
    }
    assert!(visit.turnstile.unsent.len() < 2 * GATHER);
    assert!(visit.turnstile.pending.len() <= READ);
}

#[test]
fn an_answer_that_could_not_be_sent_goes_to_nobody_else() {
    let worker = worker();
    let mut broken = Visit::new(&worker);
    broken.wire.broken = true;
    assert!(matches!(broken.comes(CLOSED), Poll::Ready(Exit::Reset)));
    let mut next = Visit::new(&worker);
    assert!(matches!(next.comes(OPEN), Poll::Ready(Exit::Pass(_))));
    assert_eq!(next.wire.sent, b"");
    assert!(matches!(next.comes("nonsense\r\n\r\n"), Poll::Ready(Exit::Close)));
    assert_eq!(next.statuses(), ["400"]);
}

#[test]
fn a_refused_body_is_skipped_where_it_is_small_and_ends_the_connection_where_it_is_large() {
    let post = |length: usize| {
        format!("POST /closed/a HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")
    };
    let mut visit = Visit::new(&worker());
    assert!(visit.comes(&(post(5) + "abc")).is_pending());
    assert!(visit.comes(&("de".to_owned() + CLOSED)).is_pending());
    assert_eq!(visit.statuses(), ["503", "503"]);
    assert!(matches!(visit.comes(&post(64 * 1024 + 1)), Poll::Ready(Exit::Close)));
    assert_eq!(visit.statuses(), ["503", "503", "503"]);
    assert!(visit.wire.sent.ends_with(b"}\n"));
}

#[test]
fn one_connection_does_not_keep_the_others_waiting() {
    struct Woken(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let mut visit = Visit::new(&worker());
    visit.wire.comes = CLOSED.repeat(100_000).into_bytes();
    let woken = Arc::new(Woken(false.into()));
    let waker = Waker::from(Arc::clone(&woken));
    let cx = &mut Context::from_waker(&waker);
    let polled = visit.turnstile.poll(&visit.worker, &mut visit.wire, &visit.alarm, cx);
    assert!(polled.is_pending() && woken.0.load(std::sync::atomic::Ordering::Relaxed));
    assert!(visit.statuses().len() <= READS * READ / CLOSED.len() + READS);
}

#[test]
fn refusals_ask_what_time_it_is_once_for_all_that_came_together() {
    let mut visit = Visit::new(&worker());
    assert!(visit.comes(CLOSED).is_pending());
    for (wire, answers) in [
        (CLOSED.to_owned(), 1),
        (CLOSED.repeat(20), 20),
        ("GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 1),
        ("POST /closed/a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello".to_owned(), 1),
    ] {
        let (before, had) = (clock::READS.get(), visit.statuses().len());
        assert!(visit.comes(&wire).is_pending());
        assert_eq!((clock::READS.get() - before, visit.statuses().len() - had), (1, answers));
    }
    // What is let in brings the time along.
    let before = clock::READS.get();
    assert!(matches!(visit.comes(OPEN), Poll::Ready(Exit::Pass(_))));
    assert_eq!(clock::READS.get() - before, 1);
}

#[test]
fn a_malformed_head_request_behind_an_empty_line_is_answered_without_a_body() {
    let mut visit = Visit::new(&worker());
    assert!(matches!(visit.comes("\r\nHEAD /open HTTP/1.1\r\n\r\n"), Poll::Ready(Exit::Close)));
    assert_eq!(visit.statuses(), ["400"]);
    assert!(visit.wire.sent.ends_with(b"\r\n\r\n"), "{}", visit.wire.sent.escape_ascii());
    // So many empty lines are refused before it is known what follows them.
    let lines = "\r\n".repeat(5);
    for wire in [lines.clone(), lines + "HEAD /open HTTP/1.1\r\nhost: a\r\n\r\n"] {
        let mut visit = Visit::new(&worker());
        assert!(matches!(visit.comes(&wire), Poll::Ready(Exit::Close)));
        assert!(visit.wire.sent.ends_with(b"}\n"), "{}", visit.wire.sent.escape_ascii());
    }
}

/// A socket that notes how long it takes from bytes to their answer.
struct Timed {
    socket: tokio::net::TcpStream,
    came: Cell<Option<Instant>>,
    micros: Rc<RefCell<Vec<u32>>>,
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_read(cx, out);
        if polled.is_ready() {
            self.came.set(Some(Instant::now()));
        }
        polled
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, bytes);
        if let Some(came) = self.came.take() {
            self.micros.borrow_mut().push(came.elapsed().as_micros() as u32);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[test]
#[ignore = "prints figures: cargo test --release -p floodgate-gateway --lib -- --ignored --nocapture figures_of_a_storm"]
fn figures_of_a_storm() {
    const RATE: f64 = 50_000.0;
    const SECONDS: u64 = 5;
    let micros = Rc::new(RefCell::new(Vec::with_capacity(RATE as usize * 2 * SECONDS as usize)));
    let runtime =
        Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    let report = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut plan = Plan::new(listener.local_addr().unwrap())
            .template(Template::new("refused", "GET", "/closed/a"))
            .phase(Phase::new("storm", Duration::from_secs(SECONDS), RATE, [1]));
        plan.connections = 512;
        plan.threads = 1;
        let load = std::thread::spawn(|| load::start(plan).unwrap().finish());
        let worker = worker();
        let kept = Rc::clone(&micros);
        tokio::task::spawn_local(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let worker = Rc::clone(&worker);
                let mut socket = Timed { socket, came: Cell::default(), micros: Rc::clone(&kept) };
                tokio::task::spawn_local(async move {
                    let (mut turnstile, alarm) = (Turnstile::new(PEER, 0), worker.wheel.alarm());
                    let exit =
                        std::future::poll_fn(|cx| turnstile.poll(&worker, &mut socket, &alarm, cx));
                    let _exit = exit.await;
                });
            }
        });
        while !load.is_finished() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        load.join().unwrap()
    });
    let mut micros = micros.take();
    micros.sort_unstable();
    let at = |share: f64| micros[(micros.len() as f64 * share) as usize];
    println!(
        "{} refusals of {} asked for in {SECONDS} s ({} late), from read to handed over: p50 {} p99 {} p99.9 {} us, longest {} us",
        micros.len(),
        report.arrivals,
        report.late,
        at(0.5),
        at(0.99),
        at(0.999),
        micros[micros.len() - 1],
    );
}
