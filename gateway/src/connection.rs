//! One downstream connection: turnstile, hyper, and what comes after HTTP.

use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::closing;
use crate::connections::ConnectionSlot;
use crate::headers::Peer;
use crate::http1::HeadLimits;
use crate::link::Link;
use crate::proxy::{self, Client};
use crate::turnstile::{Patience, Turnstile};
use crate::worker::Worker;

/// hyper's buffer for a head that the turnstile has passed, and for answers.
const BUFFER: usize = 64 * 1024;

/// Serves a connection to its end.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    socket: TcpStream,
    peer: SocketAddr,
    _slot: ConnectionSlot,
) {
    let (limits, patience) = {
        let snapshot = worker.snapshot();
        let server = &snapshot.config.server;
        let limits = HeadLimits { bytes: server.max_head, headers: server.max_headers };
        let patience = Patience {
            head: server.header_timeout,
            idle: server.idle_timeout,
            body: server.body_timeout,
        };
        (limits, patience)
    };
    let link = Rc::<Link>::default();
    let turnstile = Turnstile::new(socket, Rc::clone(&link), limits, patience);
    let activity_of = Rc::clone(&worker);
    let client = Client { worker, link: Rc::clone(&link), peer: Rc::new(Peer::new(peer.ip())) };
    let service = service_fn(move |request| proxy::handle(client.clone(), request));
    let mut builder = http1::Builder::new();
    builder
        .max_headers(limits.headers)
        .max_buf_size(limits.bytes.max(BUFFER))
        .header_read_timeout(None);
    // In a box of its own: inline in the task an idle connection would keep several KiB.
    let mut http = Box::new(builder.serve_connection(turnstile, service));
    let mut activity = Activity { worker: activity_of, is_active: false };
    let result = std::future::poll_fn(|cx| {
        let polled = http.poll_without_shutdown(cx);
        activity.set(polled.is_pending() && link.is_active());
        match polled {
            // hyper does not ask for more of an answer that its client does not read. The timer of
            // the answer's body wakes this task for it.
            Poll::Pending if link.cut_if_overdue(Instant::now) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => Poll::Ready(Some(result)),
        }
    });
    let result = result.await;
    let parts = http.into_parts();
    let (socket, pending) = parts.io.into_parts();
    drop(parts.service);
    if let (Some(Ok(())), Some(tunnel)) = (result, link.take_tunnel()) {
        let early = [&parts.read_buf[..], &pending[..]].concat();
        tunnel.run(socket, &early).await;
    } else if link.is_cut() {
        closing::reset(&socket);
    } else {
        closing::close(socket).await;
    }
}

/// Counts the connection among the active ones while it owes its client something.
struct Activity {
    worker: Rc<Worker>,
    is_active: bool,
}

// === impl Activity ===

impl Activity {
    fn set(&mut self, is_active: bool) {
        match (std::mem::replace(&mut self.is_active, is_active), is_active) {
            (false, true) => self.worker.enter(),
            (true, false) => self.worker.leave(),
            _ => {}
        }
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.set(false);
    }
}
