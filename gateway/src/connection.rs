//! One downstream connection: at the turnstile, with hyper and back, and what comes after HTTP.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use floodgate_limiter::Timestamp;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::clock;
use crate::closing;
use crate::connections::ConnectionSlot;
use crate::direct::{Answered, Direct};
use crate::exchange::Exchange;
use crate::headers::Peer;
use crate::inlet::Inlet;
use crate::proxy::{self, Answering, Client};
use crate::response_body::ResponseBody;
use crate::service::finish;
use crate::turnstile::{Exit, Passage, Turnstile};
use crate::wheel::Alarm;
use crate::worker::Worker;

/// hyper's buffer for a head that the turnstile has passed, and for answers.
const BUFFER: usize = 64 * 1024;

/// How long hyper keeps a connection that has nothing to do: going back and forth for each request costs
/// instructions, keeping what hyper has costs memory.
pub(crate) const HYPER_IDLE: Duration = Duration::from_millis(100);

/// Fields that hyper takes unless it is told otherwise.
const OWN_MAX_HEADERS: usize = 100;

/// Serves a connection to its end. What only some connections need has boxes of its own: most wait at
/// the turnstile, and there each shall take little memory. It was `accepted` then.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    socket: TcpStream,
    peer: SocketAddr,
    _slot: ConnectionSlot,
    accepted: Timestamp,
) {
    let waited = clock::now().as_nanos().saturating_sub(accepted.as_nanos());
    let alarm = worker.wheel.alarm();
    // An IPv4 client on a dual-stack listener is an IPv4 client.
    let address = peer.ip().to_canonical();
    let mut peer = Known::Address(address);
    let mut socket = socket;
    let mut turnstile = Turnstile::new(address, waited);
    let mut activity = Activity::new(&worker);
    loop {
        let exit = std::future::poll_fn(|cx| {
            let polled = turnstile.poll(&worker, &mut socket, &alarm, cx);
            activity.set(turnstile.is_active());
            polled
        });
        match exit.await {
            Exit::Pass(passage) => {
                let client =
                    Client { worker: Rc::clone(&worker), link: Rc::default(), peer: peer.peer() };
                let passed = Box::pin(pass(client, socket, passage, &alarm, &mut activity));
                let Some(back) = passed.await else { return };
                socket = back.socket;
                turnstile.put_back_answered(back.pending, back.answer);
            }
            // Nothing more can come that would turn the end into a reset.
            Exit::Ended => return,
            Exit::Close => return Box::pin(closing::close(socket)).await,
            Exit::Reset => return closing::reset(&socket),
        }
    }
}

/// The other end, of which more is known once it has asked for something that was let in.
enum Known {
    Address(IpAddr),
    Peer(Rc<Peer>),
}

/// A connection that is given back to the turnstile.
struct Back {
    socket: TcpStream,
    /// What came and is not dealt with.
    pending: BytesMut,
    /// What is yet to be written.
    answer: Vec<u8>,
}

/// Serves a request that has passed the turnstile: directly, or with hyper. Gives the connection back, unless it
/// has ended.
#[expect(clippy::manual_async_fn, reason = "an async fn would keep its arguments twice")]
fn pass(
    client: Client,
    mut socket: TcpStream,
    mut passage: Passage,
    alarm: &Alarm,
    activity: &mut Activity<'_>,
) -> impl Future<Output = Option<Back>> {
    async move {
        let Some(mut direct) = Direct::of(&client, &passage) else {
            return Box::pin(serve_http(client, socket, passage, None, alarm, activity)).await;
        };
        activity.set(true);
        let answered = direct.serve(&client, &mut socket, &mut passage.bytes).await;
        match answered {
            Answered::Here(answer) => {
                let pending = passage.bytes;
                Some(Back { socket, pending, answer })
            }
            Answered::Elsewhere(answer) => {
                let answer = Some(*answer);
                Box::pin(serve_http(client, socket, passage, answer, alarm, activity)).await
            }
            Answered::Left => {
                Box::pin(closing::close(socket)).await;
                None
            }
        }
    }
}

/// Has hyper serve requests until there is none for it, the first of which may be answered already. Gives the
/// connection back, unless it has ended.
async fn serve_http(
    client: Client,
    socket: TcpStream,
    passage: Passage,
    answer: Option<(Response<ResponseBody>, Exchange)>,
    alarm: &Alarm,
    activity: &mut Activity<'_>,
) -> Option<Back> {
    let Client { worker, link, .. } = client.clone();
    let inlet = Inlet::new(socket, passage, &worker, &link, alarm);
    let answer = Cell::new(answer);
    let service = service_fn(move |request: Request<Incoming>| match answer.take() {
        Some((response, exchange)) => {
            closing::discard(request.into_body());
            Answering::Now(Some(finish(response, exchange)))
        }
        None => proxy::handle(client.clone(), request),
    });
    let mut http = builder(&worker.snapshot().config.server).serve_connection(inlet, service);
    let result = std::future::poll_fn(|cx| {
        let polled = http.poll_without_shutdown(cx);
        activity.set(polled.is_pending() && link.is_active());
        if polled.is_pending() && link.begins_to_idle() {
            // When this task is woken by it, hyper asks the inlet, and the inlet ends the stream.
            alarm.set(HYPER_IDLE, cx);
        }
        match polled {
            // hyper does not ask for more of an answer that its client does not read. The timer of
            // the answer's body wakes this task for it.
            Poll::Pending if link.cut_if_overdue(Instant::now) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => Poll::Ready(Some(result)),
        }
    });
    let is_good = matches!(result.await, Some(Ok(())));
    let parts = http.into_parts();
    let returns = parts.io.is_leaving() && !link.is_last();
    let (socket, pending) = parts.io.into_parts();
    drop(parts.service);
    if link.is_cut() {
        closing::reset(&socket);
    } else if !is_good {
        closing::close(socket).await;
    } else if let Some(tunnel) = link.take_tunnel() {
        let early = [&parts.read_buf[..], &pending[..]].concat();
        tunnel.run(socket, &early).await;
    } else if returns {
        return Some(Back { socket, pending, answer: Vec::new() });
    } else {
        closing::close(socket).await;
    }
    None
}

/// How hyper reads what has been checked, and writes.
pub(crate) fn builder(server: &floodgate_config::Server) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(server.max_head.max(BUFFER)).header_read_timeout(None).writev(false);
    // Not that it may: the inlet sees to it.
    builder.half_close(true);
    // Within its own limit hyper keeps the table on the stack, and the fields are counted already.
    if server.max_headers > OWN_MAX_HEADERS {
        builder.max_headers(server.max_headers);
    }
    builder
}

// === impl Known ===

impl Known {
    fn peer(&mut self) -> Rc<Peer> {
        if let Self::Address(address) = *self {
            *self = Self::Peer(Rc::new(Peer::new(address)));
        }
        match self {
            Self::Peer(peer) => Rc::clone(peer),
            Self::Address(address) => Rc::new(Peer::new(*address)),
        }
    }
}

/// Counts the connection among the active ones while it owes its client something.
struct Activity<'a> {
    worker: &'a Worker,
    is_active: bool,
}

// === impl Activity ===

impl<'a> Activity<'a> {
    fn new(worker: &'a Worker) -> Self {
        Self { worker, is_active: false }
    }

    fn set(&mut self, is_active: bool) {
        match (std::mem::replace(&mut self.is_active, is_active), is_active) {
            (false, true) => self.worker.enter(),
            (true, false) => self.worker.leave(),
            _ => {}
        }
    }
}

impl Drop for Activity<'_> {
    fn drop(&mut self) {
        self.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::Arc;

    use floodgate_config::Stage;
    use tokio::runtime::{Builder, LocalOptions};

    use super::*;
    use crate::open_keys::OpenKeys;
    use crate::shared::Shared;
    use crate::snapshot::Snapshot;

    /// A server that answers one request.
    fn server() -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut came = [0; 1024];
            while !came.windows(4).any(|four| four == b"\r\n\r\n") {
                assert_ne!(stream.read(&mut came).unwrap(), 0);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        address
    }

    /// The stages behind this one are made slow in `tests/objectives.rs`.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "this time is what is measured")]
    fn a_worker_that_is_slow_to_come_to_a_connection_is_to_blame() {
        const BUSY: Duration = Duration::from_millis(900);
        let text = format!(
            "[upstreams.x]\nservers = [\"{}\"]\n[[tiers]]\nobjective.latency = \"400ms\"\n",
            server()
        );
        let config = floodgate_config::parse("test", &text).unwrap();
        let snapshot = Snapshot::compile(config, OpenKeys::default(), None, 1, clock::now());
        let shared = Shared::new(snapshot, 1, 10);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .unwrap();
        let told = Arc::clone(&shared);
        runtime.block_on(async move {
            let worker = Worker::new(0, Arc::clone(&shared));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            let (socket, peer) = listener.accept().await.unwrap();
            let slot = shared.connections.take(peer.ip()).unwrap();
            let served = tokio::task::spawn_local(serve(worker, socket, peer, slot, clock::now()));
            // Its thread has something else to do.
            std::thread::sleep(BUSY);
            served.await.unwrap();
        });
        let violations = told.violations.last(10);
        let [violation] = violations.as_slice() else { panic!("{violations:?}") };
        assert_eq!(violation.blame.stage, Stage::Accept, "{violation:?}");
        assert!(u128::from(violation.took[0]) >= BUSY.as_nanos(), "{violation:?}");
    }

    fn size_of_future<A, B, C, D, E, F: Future>(
        _: impl FnOnce(A, B, C, D, E) -> F,
    ) -> (usize, usize) {
        (size_of::<F>(), align_of::<F>())
    }

    /// Each request that is let in takes one.
    #[test]
    fn the_future_of_a_request_that_goes_the_direct_way_is_small() {
        let (size, align) = size_of_future(pass);
        assert!(size <= 2_048, "{size}");
        assert!(align <= 8, "the allocator has to look for more: {align}");
    }
}
