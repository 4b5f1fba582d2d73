//! One core's connections to the upstreams' servers.
//!
//! No task stands behind a connection: whoever holds the [`Lease`] polls it, in the same task that
//! serves the request. An idle connection is polled by nobody, so it is looked at before it is used
//! again and once a second, when those that ended are thrown away.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use floodgate_limiter::Timestamp;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::clock;
use crate::request_body::RequestBody;
use crate::upstream::{Server, Upstream, Visit};

type Http = http1::Connection<TokioIo<TcpStream>, RequestBody>;

/// Largest head of an answer.
const MAX_ANSWER_HEAD: usize = 64 * 1024;

/// A connection that was given up tells of its server if it took so long, also where more was allowed:
/// deadlines are often shorter than `connect_timeout`, and a handshake is a single round trip.
const LONG_CONNECT: Duration = Duration::from_millis(200);

/// One core's idle connections, by [`Server::id`].
#[derive(Debug, Default)]
pub(crate) struct Pool(RefCell<Vec<Vec<Idle>>>);

#[derive(Debug)]
struct Idle {
    connection: Connection,
    until: Timestamp,
}

/// A connection to a server.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<RequestBody>,
    http: Box<Http>,
}

/// A connection in the hands of one request.
#[derive(Debug)]
pub(crate) struct Lease {
    connection: Connection,
    upstream: Arc<Upstream>,
    visit: Visit,
    pool: Rc<Pool>,
    /// It has carried a request before, so the server may just have closed it.
    pub reused: bool,
    ended: bool,
}

/// A connection in the making. Given up half-way, which a deadline does, it still tells of the server.
struct Attempt<'a> {
    upstream: &'a Upstream,
    server: &'a Server,
    began: Timestamp,
    over: bool,
}

// === impl Attempt ===

impl Attempt<'_> {
    fn failed(&self, error: &io::Error) {
        // Our own lack of descriptors or ports is no fault of the server's.
        let is_ours =
            matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::EADDRNOTAVAIL));
        if is_ours {
            tracing::debug!(%error, "no connection can be made");
        } else if self.server.refused(self.began, clock::now()) {
            let (upstream, server) = (&self.upstream.name, &self.server.address);
            tracing::warn!(upstream, %server, %error, "server refuses connections, left out for a while");
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // A client that leaves at once says nothing of the server.
        let long = (self.upstream.connect_timeout / 2).min(LONG_CONNECT);
        if !self.over && clock::now().saturating_since(self.began) >= long {
            self.failed(&io::ErrorKind::TimedOut.into());
        }
    }
}

// === impl Pool ===

impl Pool {
    /// An idle connection to `server` that is still good.
    pub(crate) fn take(
        self: &Rc<Self>,
        upstream: &Arc<Upstream>,
        server: &Arc<Server>,
        now: Timestamp,
    ) -> Option<Lease> {
        loop {
            let idle = self.0.borrow_mut().get_mut(server.id)?.pop()?;
            let mut lease = Lease {
                connection: idle.connection,
                upstream: Arc::clone(upstream),
                visit: server.visit(),
                pool: Rc::clone(self),
                reused: true,
                ended: false,
            };
            if now < idle.until && lease.connection.is_usable() {
                return Some(lease);
            }
        }
    }

    /// A new connection to `server`, which is judged by the outcome.
    ///
    /// # Errors
    /// It could not be made within the upstream's `connect_timeout`.
    pub(crate) async fn connect(
        self: &Rc<Self>,
        upstream: &Arc<Upstream>,
        server: &Arc<Server>,
    ) -> io::Result<Lease> {
        let visit = server.visit();
        let mut attempt = Attempt { upstream, server, began: clock::now(), over: false };
        let connect = async {
            let stream = TcpStream::connect(server.resolve().await?).await?;
            stream.set_nodelay(true)?;
            let mut builder = http1::Builder::new();
            builder.max_buf_size(MAX_ANSWER_HEAD).max_headers(256);
            builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)
        };
        let result = tokio::time::timeout(upstream.connect_timeout, connect).await;
        let result = result.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        attempt.over = true;
        match result {
            Ok((sender, http)) => {
                if server.connected() {
                    tracing::info!(upstream = upstream.name, server = %server.address, "server takes connections again");
                }
                let connection = Connection { sender, http: Box::new(http) };
                let (upstream, pool) = (Arc::clone(upstream), Rc::clone(self));
                Ok(Lease { connection, upstream, visit, pool, reused: false, ended: false })
            }
            Err(error) => {
                attempt.failed(&error);
                Err(error)
            }
        }
    }

    /// Throws away what has ended or idled too long. Once a second.
    pub(crate) fn sweep(&self, now: Timestamp) {
        for idle in self.0.borrow_mut().iter_mut() {
            idle.retain_mut(|idle| now < idle.until && idle.connection.is_usable());
        }
    }

    fn put(&self, server: &Server, connection: Connection, upstream: &Upstream) {
        let mut pools = self.0.borrow_mut();
        if pools.len() <= server.id {
            pools.resize_with(server.id + 1, Vec::new);
        }
        let idle: usize =
            upstream.servers.iter().filter_map(|server| pools.get(server.id)).map(Vec::len).sum();
        if idle < upstream.pool_size {
            pools[server.id].push(Idle { connection, until: clock::now() + upstream.idle_timeout });
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Looks at what has come meanwhile: nothing must have.
    fn is_usable(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.http.poll_without_shutdown(&mut cx).is_pending() && self.sender.is_ready()
    }
}

// === impl Lease ===

impl Lease {
    /// Hands over a request; it moves when the lease is [driven](Self::poll_drive).
    pub(crate) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<>
    {
        self.connection.sender.try_send_request(request)
    }

    /// Moves bytes both ways. Ready when the connection has ended.
    pub(crate) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        let polled = self.connection.http.poll_without_shutdown(cx);
        self.ended = polled.is_ready();
        polled
    }

    /// Back into the pool, if the connection stands between two requests. Otherwise it is closed:
    /// an answer that came before the request was sent leaves no other way.
    pub(crate) fn give_back(mut self, cx: &mut Context<'_>) {
        if self.poll_drive(cx).is_pending() && self.connection.sender.is_ready() {
            self.pool.put(self.visit.server(), self.connection, &self.upstream);
        }
    }

    /// The bare socket and what was read ahead, once both sides left HTTP.
    pub(crate) fn into_socket(self) -> (TcpStream, Bytes) {
        let parts = self.connection.http.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }
}
