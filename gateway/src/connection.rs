//! One downstream connection: at the turnstile, with hyper and back, and what comes after HTTP.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::closing;
use crate::connections::ConnectionSlot;
use crate::headers::Peer;
use crate::inlet::Inlet;
use crate::link::Link;
use crate::proxy::{self, Client};
use crate::turnstile::{Exit, Passage, Turnstile};
use crate::wheel::Alarm;
use crate::worker::Worker;

/// hyper's buffer for a head that the turnstile has passed, and for answers.
const BUFFER: usize = 64 * 1024;

/// How long hyper keeps a connection that has nothing to do: going back and forth for each request costs
/// instructions, keeping what hyper has costs memory.
const HYPER_IDLE: Duration = Duration::from_millis(100);

/// Fields that hyper takes unless it is told otherwise.
const OWN_MAX_HEADERS: usize = 100;

/// Serves a connection to its end. What only some connections need has boxes of its own: most wait at
/// the turnstile, and there each shall take little memory.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    socket: TcpStream,
    peer: SocketAddr,
    _slot: ConnectionSlot,
) {
    let alarm = worker.wheel.alarm();
    // An IPv4 client on a dual-stack listener is an IPv4 client.
    let peer = peer.ip().to_canonical();
    let mut socket = socket;
    let mut turnstile = Turnstile::new(peer);
    let mut activity = Activity::new(&worker);
    loop {
        let exit = std::future::poll_fn(|cx| {
            let polled = turnstile.poll(&worker, &mut socket, &alarm, cx);
            activity.set(turnstile.is_active());
            polled
        });
        match exit.await {
            Exit::Pass(passage) => {
                let served = Box::pin(serve_http(&worker, socket, peer, passage, &alarm));
                let Some((returned, pending)) = served.await else { return };
                socket = returned;
                turnstile.put_back(pending);
            }
            // Nothing more can come that would turn the end into a reset.
            Exit::Ended => return,
            Exit::Close => return Box::pin(closing::close(socket)).await,
            Exit::Reset => return closing::reset(&socket),
        }
    }
}

/// Has hyper serve requests until there is none for it. Gives the connection back, with what came and
/// is not dealt with, unless it has ended.
async fn serve_http(
    worker: &Rc<Worker>,
    socket: TcpStream,
    peer: IpAddr,
    passage: Passage,
    alarm: &Alarm,
) -> Option<(TcpStream, BytesMut)> {
    let link = Rc::<Link>::default();
    let inlet = Inlet::new(socket, passage, worker, &link, alarm);
    let client = Client {
        worker: Rc::clone(worker),
        link: Rc::clone(&link),
        peer: Rc::new(Peer::new(peer)),
    };
    let service = service_fn(move |request| proxy::handle(client.clone(), request));
    let mut http = builder(&worker.snapshot().config.server).serve_connection(inlet, service);
    let mut activity = Activity::new(worker);
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
        return Some((socket, pending));
    } else {
        closing::close(socket).await;
    }
    None
}

/// How hyper reads what has been checked, and writes.
fn builder(server: &floodgate_config::Server) -> http1::Builder {
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
