//! One server of an upstream: how busy it is, and whether it takes connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use floodgate_config::ServerAddress;
use floodgate_limiter::Timestamp;

use crate::snapshot::Upstream;

/// How long a server is left out after its first refused connection; doubles with each in a row.
const FIRST_EJECTION: Duration = Duration::from_millis(500);
/// Longest time a server is left out before it is tried again.
const LONGEST_EJECTION: Duration = Duration::from_secs(30);

static NEXT_ID: AtomicUsize = AtomicUsize::new(0);

/// One server of an upstream.
#[derive(Debug)]
pub struct Server {
    /// Where it listens, as configured.
    pub address: ServerAddress,
    /// Unique in the process; the place of its connections in every core's pool.
    pub id: usize,
    in_flight: AtomicU32,
    /// Refused connections in a row.
    failures: AtomicU32,
    /// Not chosen before this moment (nanoseconds of the limiter's clock).
    out_until: AtomicU64,
}

/// A request that is with a server.
#[derive(Debug)]
pub struct Visit(Arc<Server>);

// === impl Server ===

impl Server {
    /// A server nothing is known about.
    pub fn new(address: ServerAddress) -> Self {
        Self {
            address,
            id: NEXT_ID.fetch_add(1, Relaxed),
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            out_until: AtomicU64::new(0),
        }
    }

    /// Requests that are with it now.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Whether it is left out at `now`.
    pub fn is_ejected(&self, now: Timestamp) -> bool {
        self.out_until.load(Relaxed) > now.as_nanos()
    }

    /// It took a connection. True if it had refused before.
    pub fn connected(&self) -> bool {
        if self.failures.load(Relaxed) == 0 {
            return false;
        }
        self.out_until.store(0, Relaxed);
        self.failures.swap(0, Relaxed) > 0
    }

    /// It refused a connection, or did not answer in time: it is left out for a while. True if this
    /// is news.
    pub fn refused(&self, now: Timestamp) -> bool {
        let failures = self.failures.fetch_add(1, Relaxed);
        let out = FIRST_EJECTION.saturating_mul(1 << failures.min(10)).min(LONGEST_EJECTION);
        self.out_until.store((now + out).as_nanos(), Relaxed);
        failures == 0
    }

    /// Its address, looked up if it is a name.
    ///
    /// # Errors
    /// The name does not resolve.
    pub async fn resolve(&self) -> std::io::Result<SocketAddr> {
        match &self.address {
            ServerAddress::Socket(address) => Ok(*address),
            ServerAddress::Host { host, port } => tokio::net::lookup_host((host.as_str(), *port))
                .await?
                .next()
                .ok_or_else(|| std::io::Error::other("the name has no address")),
        }
    }

    /// Counts a request in.
    pub fn visit(self: &Arc<Self>) -> Visit {
        self.in_flight.fetch_add(1, Relaxed);
        Visit(Arc::clone(self))
    }
}

impl Upstream {
    /// The least busy server that takes connections and was not `tried`; if none takes any, the one
    /// that is tried again soonest. `None` when all were tried.
    pub fn choose(&self, tried: &[usize], now: Timestamp) -> Option<&Arc<Server>> {
        if let ([only], []) = (self.servers.as_slice(), tried) {
            return Some(only);
        }
        let turn = self.turn.fetch_add(1, Relaxed);
        let count = self.servers.len().max(1);
        (0..self.servers.len())
            .map(|at| &self.servers[(at + turn) % count])
            .filter(|server| !tried.contains(&server.id))
            .min_by_key(|server| {
                let out = server.is_ejected(now).then(|| server.out_until.load(Relaxed));
                (out, server.in_flight())
            })
    }
}

// === impl Visit ===

impl Visit {
    /// Whom the request is with.
    pub fn server(&self) -> &Arc<Server> {
        &self.0
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
