//! The states of a connection against a reference that is a list: pieces of any length, a client that takes its answers in
//! bits, pauses, half-closes and time limits, between the turnstile, the direct way (played) and hyper behind its
//! inlet (real).
//!
//! `MODEL_RUNS=100000 cargo test -p floodgate-gateway --lib model` plays as many, `MODEL_SEED=n` only the one of this seed.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;

use super::tests::{PEER, Wire, worker_with};
use super::*;
use crate::connection;
use crate::differential::random::Random;
use crate::inlet::{Inlet, MAX_AHEAD};
use crate::link::Link;

/// How many connections are played unless told otherwise.
const RUNS: u64 = 400;
/// Polls without an end: it spins.
const SPINS: usize = 10_000;

/// Nothing ends by time but at the end, when all of it has passed.
const RULES: &str = "
    [server]
    header_timeout = \"1h\"
    idle_timeout = \"1h\"
    body_timeout = \"1h\"
    [upstreams.checkout]
    servers = [\"127.0.0.1:9\"]
    [[routes]]
    path = \"/closed/{*rest}\"
    rate = \"0/s\"
    [[routes]]
    path = \"/open/{*rest}\"
    max_body = \"1KiB\"
";
const ALL_TIME: Duration = Duration::from_secs(2 * 3600);
const SERVED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A request, and what has to come of it.
struct Item {
    wire: Vec<u8>,
    status: u16,
    is_head: bool,
    /// The connection ends with the answer.
    ends: bool,
    /// It is let in.
    passes: bool,
    is_chunked: bool,
}

/// The socket, whose other end is the test.
#[derive(Clone)]
struct Line(Rc<RefCell<Wire>>);

/// Where the connection is.
enum Place {
    Turnstile,
    Hyper(Pin<Box<dyn Future<Output = Option<BytesMut>>>>),
    /// How it ended.
    Over(Over),
}

#[derive(Debug, Eq, PartialEq)]
enum Over {
    Close,
    Ended,
    Reset,
    /// With hyper, for whatever reason.
    Hyper,
}

/// Whether somebody was woken.
struct Woken(AtomicBool);

/// An answer's body, with whose end the request is answered.
struct Answer(Option<Bytes>, Rc<Link>);

struct Model {
    random: Random,
    worker: Rc<Worker>,
    turnstile: Turnstile,
    alarm: Rc<Alarm>,
    wire: Line,
    place: Place,
    items: Vec<Item>,
    /// What was let in, so far.
    passed: usize,
    /// All bytes of the client, of which so many were sent.
    script: Vec<u8>,
    sent: usize,
    time: Duration,
    woken: Arc<Woken>,
}

// === impl Item ===

impl Item {
    fn generate(random: &mut Random) -> Self {
        let mut item = Self {
            wire: Vec::new(),
            status: 503,
            is_head: false,
            ends: false,
            passes: false,
            is_chunked: false,
        };
        let mut text = |text: &str| item.wire.extend_from_slice(text.as_bytes());
        match random.below(32) {
            0..6 => text("GET /closed/a HTTP/1.1\r\nhost: a\r\n\r\n"),
            6..8 => text("\r\nGET /closed/a HTTP/1.1\r\nhost: a\r\n\r\n"),
            8..10 => {
                text("\r\nHEAD /closed/a HTTP/1.1\r\nhost: a\r\n\r\n");
                item.is_head = true;
            }
            10..14 => {
                let body = "b".repeat(random.below(3_000));
                let length = body.len();
                text(&format!(
                    "POST /closed HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}"
                ));
            }
            14..16 => {
                text("GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n");
                item.status = 404;
            }
            16..21 => {
                text("GET /open/a HTTP/1.1\r\nhost: a\r\n\r\n");
                (item.status, item.passes) = (200, true);
            }
            21..24 => {
                let body = "c".repeat(random.below(1_024));
                let length = body.len();
                text(&format!(
                    "PUT /open HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}"
                ));
                (item.status, item.passes) = (200, true);
            }
            24..27 => {
                text(
                    "PUT /open HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                );
                (item.status, item.passes, item.is_chunked) = (200, true, true);
            }
            27 => {
                text("GET /open/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
                (item.status, item.passes, item.ends) = (200, true, true);
            }
            28 => {
                text("GET /closed/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
                item.ends = true;
            }
            29 => {
                let body = "d".repeat(65 * 1024);
                let length = body.len();
                text(&format!(
                    "POST /closed HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}"
                ));
                item.ends = true;
            }
            30 => {
                text("\r\nHEAD /open/a HTTP/1.1\r\nx-no: host\r\n\r\n");
                (item.status, item.is_head, item.ends) = (400, true, true);
            }
            _ => {
                text("POST /open HTTP/1.1\r\nhost: a\r\ncontent-length: 1025\r\n\r\n");
                (item.status, item.ends) = (413, true);
            }
        }
        item
    }
}

// === impl Model ===

impl Model {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let items: Vec<_> = (0..1 + random.below(8)).map(|_| Item::generate(&mut random)).collect();
        let script = items.iter().flat_map(|item| item.wire.iter().copied()).collect();
        let worker = worker_with(RULES);
        Self {
            turnstile: Turnstile::new(PEER, 0),
            alarm: Rc::new(worker.wheel.alarm()),
            wire: Line(Rc::default()),
            place: Place::Turnstile,
            passed: 0,
            sent: 0,
            time: Duration::ZERO,
            woken: Arc::new(Woken(false.into())),
            random,
            worker,
            items,
            script,
        }
    }

    /// Sends so many more bytes of the script.
    fn send(&mut self, bytes: usize) {
        let end = (self.sent + bytes).min(self.script.len());
        self.wire.0.borrow_mut().comes.extend_from_slice(&self.script[self.sent..end]);
        self.sent = end;
    }

    fn pass_time(&mut self, time: Duration) {
        self.time += time;
        self.worker.wheel.turn(self.time);
    }

    /// Polls until nothing more happens by itself.
    fn settle(&mut self) {
        for _ in 0..SPINS {
            self.woken.0.store(false, Relaxed);
            let before = self.progress();
            self.poll();
            if before == self.progress() && !self.woken.0.load(Relaxed) {
                return;
            }
        }
        panic!("it spins");
    }

    fn progress(&self) -> (usize, usize, usize, u8) {
        let wire = self.wire.0.borrow();
        let place = match self.place {
            Place::Turnstile => 0,
            Place::Hyper(_) => 1,
            Place::Over(_) => 2,
        };
        (wire.comes.len(), wire.sent.len(), self.passed, place)
    }

    fn poll(&mut self) {
        let waker = std::task::Waker::from(Arc::clone(&self.woken));
        let cx = &mut Context::from_waker(&waker);
        match &mut self.place {
            Place::Over(_) => {}
            Place::Hyper(future) => {
                if let Poll::Ready(back) = future.as_mut().poll(cx) {
                    self.place = match back {
                        Some(pending) => {
                            self.turnstile.put_back(pending);
                            Place::Turnstile
                        }
                        None => Place::Over(Over::Hyper),
                    };
                }
            }
            Place::Turnstile => {
                let exit = self.turnstile.poll(&self.worker, &mut self.wire, &self.alarm, cx);
                let pending = &self.turnstile.pending;
                // A head, or what hyper had of the requests behind its own.
                let most = self.worker.max_head().max(MAX_AHEAD) + READ;
                assert!(pending.len() <= most, "keeps {}", pending.len());
                match exit {
                    Poll::Pending => {}
                    Poll::Ready(Exit::Close) => self.place = Place::Over(Over::Close),
                    Poll::Ready(Exit::Ended) => self.place = Place::Over(Over::Ended),
                    Poll::Ready(Exit::Reset) => self.place = Place::Over(Over::Reset),
                    Poll::Ready(Exit::Pass(passage)) => self.pass(passage),
                }
            }
        }
    }

    /// It is let in: directly if all of it is here, as it may be, or by hyper.
    fn pass(&mut self, passage: Passage) {
        assert!(!self.turnstile.is_active(), "before the answers in front of it are taken");
        let mut let_in = self.items.iter().enumerate().filter(|(_, item)| item.passes);
        let at = self.answered();
        let (index, item) = let_in.find(|(index, _)| *index >= at).expect("one to let in");
        assert_eq!(index, at, "before the answers in front of it");
        assert!(passage.bytes.starts_with(&item.wire[..passage.pass.head]));
        assert_eq!(passage.pass.is_last, item.ends);
        self.passed += 1;
        let (length, bytes) = (item.wire.len(), &passage.bytes);
        let may = !item.ends && !item.is_chunked && bytes.len() >= length;
        if may && self.random.chance(50) {
            let mut rest = passage.bytes;
            rest.advance(length);
            if rest.is_empty() {
                rest = BytesMut::new();
            }
            self.turnstile.put_back_answered(rest, SERVED.as_bytes().to_vec());
            self.woken.0.store(true, Relaxed);
            return;
        }
        let delay = self.random.below(4);
        let future = serve(
            Rc::clone(&self.worker),
            self.wire.clone(),
            Rc::clone(&self.alarm),
            passage,
            delay,
        );
        self.place = Place::Hyper(Box::pin(future));
        self.woken.0.store(true, Relaxed);
    }

    /// How many whole answers the client has; each has to be that of its request.
    fn answered(&self) -> usize {
        let wire = self.wire.0.borrow();
        let mut rest = &wire.sent[..];
        for (at, item) in self.items.iter().enumerate() {
            let Some((answer, behind)) = take_answer(rest, item.is_head) else { return at };
            assert_eq!(&answer[..3], item.status.to_string(), "request {at}: {answer}");
            assert_eq!(answer.contains("\r\nconnection: close"), item.ends, "{at}: {answer}");
            rest = behind;
            if item.ends {
                assert!(rest.is_empty(), "more than the last: {}", rest.escape_ascii());
                return at + 1;
            }
        }
        self.items.len()
    }

    /// All answers that are due once everything was sent.
    fn due(&self) -> usize {
        self.items.iter().position(|item| item.ends).map_or(self.items.len(), |last| last + 1)
    }

    /// How many requests were sent to their end.
    fn sent_whole(&self) -> usize {
        let mut end = 0;
        let ends = self.items.iter().map(|item| {
            end += item.wire.len();
            end
        });
        ends.take_while(|end| *end <= self.sent).count()
    }

    /// Bits and pieces until everything, or `until`, was sent.
    fn play(&mut self, until: usize) {
        let largest = self.random.pick(&[1, 7, 60, 2_000, 40_000, 400_000]);
        let taken = self.random.pick(&[3, 100, 5_000, 1_000_000]);
        let mut bits = 0;
        while self.sent < until && bits < 3_000 {
            bits += 1;
            let some = (1 + self.random.below(largest)).min(until - self.sent);
            match self.random.below(8) {
                0..4 => self.send(some),
                4..6 => {
                    let more = self.random.below(taken);
                    let mut wire = self.wire.0.borrow_mut();
                    wire.room = wire.room.saturating_add(more);
                }
                6 => {
                    let millis = self.random.below(300) as u64;
                    self.pass_time(Duration::from_millis(millis));
                }
                _ => {}
            }
            if self.random.chance(70) {
                self.poll();
            } else {
                self.settle();
            }
            self.answered();
        }
        self.send(until - self.sent);
        self.settle();
        self.answered();
    }

    /// The client takes all there is, and enough time passes for hyper to let go of what is idle.
    fn take_all(&mut self) {
        self.wire.0.borrow_mut().room = usize::MAX;
        self.settle();
        self.pass_time(Duration::from_millis(400));
        self.settle();
    }
}

/// The first answer of these bytes, if it is whole, and what is behind it.
fn take_answer(bytes: &[u8], is_head: bool) -> Option<(String, &[u8])> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).expect("a head");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a length").trim().parse().expect("a number");
    let whole = if is_head { head } else { head + length };
    (bytes.len() >= whole)
        .then(|| (text.strip_prefix("HTTP/1.1 ").expect("an answer").to_owned(), &bytes[whole..]))
}

/// What hyper does with a connection, as in [`connection`]; what has come and is not dealt with if it goes back.
async fn serve(
    worker: Rc<Worker>,
    line: Line,
    alarm: Rc<Alarm>,
    passage: Passage,
    delay: usize,
) -> Option<BytesMut> {
    let link = Rc::<Link>::default();
    let inlet = Inlet::new(line, passage, &worker, &link, &alarm);
    let service = service_fn(|request| Box::pin(answer(request, Rc::clone(&link), delay)));
    let server = &worker.snapshot().config.server;
    let mut http = connection::builder(server).serve_connection(inlet, service);
    let result = std::future::poll_fn(|cx| {
        let polled = http.poll_without_shutdown(cx);
        if polled.is_pending() && link.begins_to_idle() {
            alarm.set(connection::HYPER_IDLE, cx);
        }
        polled
    });
    let is_good = result.await.is_ok();
    let parts = http.into_parts();
    let returns = is_good && parts.io.is_leaving() && !link.is_last();
    assert!(!returns || parts.read_buf.is_empty(), "hyper keeps what is not its own");
    returns.then(|| parts.io.into_parts().1)
}

/// Takes in the body, thinks, and answers.
async fn answer(
    request: Request<Incoming>,
    link: Rc<Link>,
    delay: usize,
) -> Result<Response<Answer>, Infallible> {
    let mut left = delay;
    let mut body = request.into_body();
    let answer = Answer(Some(Bytes::from_static(b"ok")), link);
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if frame.is_err() {
            return Ok(Response::builder().status(400).body(answer).expect("a response"));
        }
    }
    std::future::poll_fn(|cx| match left {
        0 => Poll::Ready(()),
        _ => {
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
    let mut response = Response::new(answer);
    if response.body().1.is_last() {
        response.headers_mut().insert("connection", http::HeaderValue::from_static("close"));
    }
    Ok(response)
}

// === impl Line ===

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, out)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }
}

// === impl Answer ===

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.1.answered();
    }
}

// === impl Woken ===

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// Plays every seed, and says which one it was that failed.
fn play_all(play: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MODEL_RUNS").unwrap_or(RUNS),
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| play(seed)) {
            eprintln!("MODEL_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn however_bytes_come_and_go_each_request_has_its_answer_and_the_connection_its_end() {
    play_all(|seed| {
        let mut model = Model::new(seed);
        model.play(model.script.len());
        model.take_all();
        assert_eq!(model.answered(), model.due());
        let passes = model.items[..model.due()].iter().filter(|item| item.passes).count();
        assert!(model.passed <= passes);
        if model.due() < model.items.len() || model.items[model.due() - 1].ends {
            assert!(matches!(model.place, Place::Over(Over::Close | Over::Hyper)));
            return;
        }
        assert!(matches!(model.place, Place::Turnstile), "where it waits");
        let Turnstile { pending, unsent, .. } = &model.turnstile;
        assert_eq!((pending.capacity(), unsent.capacity()), (0, 0), "owning no buffer");
        if model.random.chance(50) {
            model.wire.0.borrow_mut().ended = true;
            model.settle();
            assert!(matches!(model.place, Place::Over(Over::Ended)));
        } else {
            model.pass_time(ALL_TIME);
            model.settle();
            assert!(matches!(model.place, Place::Over(Over::Close)));
        }
        assert_eq!(model.answered(), model.due(), "not a byte more");
    });
}

#[test]
fn a_client_that_stops_within_a_request_has_the_answers_before_it_and_an_end_in_time() {
    play_all(|seed| {
        let mut model = Model::new(seed);
        let until = model.random.below(model.script.len());
        model.play(until);
        model.take_all();
        let whole = model.sent_whole().min(model.due());
        // A refusal waits for no body, and the first byte of a body is one too many for a connection that ends.
        let answered = model.answered();
        assert!(answered >= whole, "{answered} of {whole}");
        if !matches!(model.place, Place::Turnstile) {
            return;
        }
        let is_within_head = !model.turnstile.pending.iter().all(|byte| b"\r\n".contains(byte));
        model.pass_time(ALL_TIME);
        model.settle();
        assert!(matches!(model.place, Place::Over(Over::Close)), "its time is over");
        let wire = model.wire.0.borrow();
        let told = String::from_utf8_lossy(&wire.sent);
        assert_eq!(told.contains("HTTP/1.1 408"), is_within_head, "{told}");
    });
}

#[test]
fn a_client_that_takes_nothing_or_leaves_at_any_time_ends_its_connection() {
    play_all(|seed| {
        let mut model = Model::new(seed);
        let until = model.random.below(model.script.len() + 1);
        model.play(until);
        if model.random.chance(50) {
            model.wire.0.borrow_mut().room = 0;
            model.settle();
            // hyper looks at what is idle, and the turnstile then at the rest.
            for _ in 0..3 {
                model.pass_time(ALL_TIME);
                model.settle();
            }
        } else {
            model.wire.0.borrow_mut().ended = true;
            model.take_all();
        }
        assert!(matches!(model.place, Place::Over(_)), "it stays for ever");
    });
}
