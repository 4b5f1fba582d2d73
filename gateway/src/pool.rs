//! One core's connections to the upstreams' servers.
//!
//! No task stands behind a connection: whoever holds the [`Lease`] polls it, in the same task that
//! serves the request. An idle connection is polled by nobody, so it is looked at before it is used
//! again and once a second, when those that ended are thrown away.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::Timestamp;
use tokio::net::TcpStream;

use crate::admission::Admitted;
use crate::circuits::Ending;
use crate::clock;
use crate::outbound::Connection;
use crate::upstream::{Server, Upstream, Visit};

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

/// A connection in the hands of one request.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The connection, which nobody else polls.
    pub connection: Connection,
    upstream: Arc<Upstream>,
    visit: Visit,
    pool: Rc<Pool>,
    /// It has carried a request before, so the server may just have closed it.
    pub reused: bool,
}

/// A connection in the making. Given up half-way, which a deadline does, it still tells of the server.
struct Attempt<'a> {
    upstream: &'a Upstream,
    server: &'a Server,
    began: Timestamp,
    /// Gone when it is over.
    visit: Option<Visit>,
}

// === impl Attempt ===

impl Attempt<'_> {
    fn failed(&self, visit: &mut Visit, error: &io::Error) {
        // Our own lack of descriptors or ports is no fault of the server's.
        let is_ours =
            matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::EADDRNOTAVAIL));
        if is_ours {
            tracing::debug!(%error, "no connection can be made");
            return;
        }
        let now = clock::now();
        // Attempts that ran side by side count once here, too: one blip is no series of failures.
        if let Some(circuits) = &self.upstream.circuits
            && self.server.counts(self.began)
        {
            circuits.judge_server(visit, Ending::Connect, Duration::ZERO, now);
        }
        if self.server.refused(self.began, now) {
            let (upstream, server) = (&self.upstream.name, &self.server.address);
            tracing::warn!(upstream, %server, %error, "server refuses connections, left out for a while");
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // A client that leaves at once says nothing of the server.
        let long = (self.upstream.connect_timeout / 2).min(LONG_CONNECT);
        if let Some(mut visit) = self.visit.take()
            && clock::now().saturating_since(self.began) >= long
        {
            self.failed(&mut visit, &io::ErrorKind::TimedOut.into());
        }
    }
}

// === impl Pool ===

impl Pool {
    /// An idle connection to the server of this visit that is still good; with it the visit is gone.
    pub(crate) fn take(
        self: &Rc<Self>,
        upstream: &Arc<Upstream>,
        visit: &mut Option<Visit>,
        now: Timestamp,
    ) -> Option<Lease> {
        let server = visit.as_ref()?.server().id;
        loop {
            let Idle { connection, until } =
                self.0.borrow_mut().get_mut(server).and_then(Vec::pop)?;
            if now < until && connection.is_usable() {
                return Some(Lease {
                    connection,
                    upstream: Arc::clone(upstream),
                    visit: visit.take()?,
                    pool: Rc::clone(self),
                    reused: true,
                });
            }
        }
    }

    /// A new connection to the server of `visit`, which is judged by the outcome.
    ///
    /// # Errors
    /// It could not be made within the upstream's `connect_timeout`.
    pub(crate) async fn connect(
        self: &Rc<Self>,
        upstream: &Arc<Upstream>,
        visit: Visit,
    ) -> io::Result<Lease> {
        let server = &Arc::clone(visit.server());
        let mut attempt = Attempt { upstream, server, began: clock::now(), visit: Some(visit) };
        let connect = async {
            let stream = TcpStream::connect(server.resolve().await?).await?;
            stream.set_nodelay(true)?;
            Ok(Connection::new(stream))
        };
        let result = tokio::time::timeout(upstream.connect_timeout, connect).await;
        let result = result.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let visit = attempt.visit.take();
        match result {
            Ok(connection) => {
                if server.connected() {
                    tracing::info!(upstream = upstream.name, server = %server.address, "server takes connections again");
                }
                let visit = visit.ok_or(io::ErrorKind::Other)?;
                let (upstream, pool) = (Arc::clone(upstream), Rc::clone(self));
                Ok(Lease { connection, upstream, visit, pool, reused: false })
            }
            Err(error) => {
                if let Some(mut visit) = visit {
                    attempt.failed(&mut visit, &error);
                }
                Err(error)
            }
        }
    }

    /// Throws away what has ended or idled too long. Once a second.
    pub(crate) fn sweep(&self, now: Timestamp) {
        for idle in self.0.borrow_mut().iter_mut() {
            idle.retain(|idle| now < idle.until && idle.connection.is_usable());
        }
    }

    fn put(&self, server: &Server, connection: Connection, upstream: &Upstream, now: Timestamp) {
        let mut pools = self.0.borrow_mut();
        if pools.len() <= server.id {
            pools.resize_with(server.id + 1, Vec::new);
        }
        let idle: usize =
            upstream.servers.iter().filter_map(|server| pools.get(server.id)).map(Vec::len).sum();
        if idle < upstream.pool_size {
            pools[server.id].push(Idle { connection, until: now + upstream.idle_timeout });
        }
    }
}

// === impl Lease ===

impl Lease {
    /// Whom the request is with.
    pub(crate) fn server(&self) -> &Arc<Server> {
        self.visit.server()
    }

    /// What was `admitted` has ended so at `now`, after it took so long until the head of its answer: tells the circuits.
    pub(crate) fn judge(
        &mut self,
        admitted: &mut Admitted,
        ending: Ending,
        took: Duration,
        now: Timestamp,
    ) {
        if let Some(circuits) = &self.upstream.circuits {
            let (tier, call) = admitted.take_call();
            circuits.judge(tier, call, Some(&mut self.visit), (ending, took), now);
        }
    }

    /// So ended what was asked at `asked`, and another server is asked next: tells the circuit of this one.
    pub(crate) fn judge_server(&mut self, ending: Ending, asked: Timestamp) {
        if let Some(circuits) = &self.upstream.circuits {
            let now = clock::now();
            circuits.judge_server(&mut self.visit, ending, now.saturating_since(asked), now);
        }
    }

    /// Back into the pool at `now`: the connection stands between two requests.
    pub(crate) fn give_back(self, now: Timestamp) {
        self.pool.put(self.visit.server(), self.connection, &self.upstream, now);
    }
}
