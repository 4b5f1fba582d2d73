//! An upstream: what guards it, its servers, and which of them takes the next request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use floodgate_config::{RetryOn, ServerAddress};
use floodgate_limiter::{
    Call, Circuit, CircuitSettings, Entered, Gcra, Limiter, TierId, Timestamp,
};
use http::HeaderValue;

use crate::capacity::Capacity;
use crate::circuits::{self, Circuits};
use crate::permits::Permits;
use crate::places::{Place, Places};
use crate::retry::Retries;
use crate::snapshot::carried_rate;

/// How long a server is left out after its first refused connection; doubles with each in a row.
const FIRST_EJECTION: Duration = Duration::from_millis(500);
/// Longest time a server is left out before it is tried again.
const LONGEST_EJECTION: Duration = Duration::from_secs(30);

static NEXT_ID: AtomicUsize = AtomicUsize::new(0);
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// An upstream's live state.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Name of the upstream.
    pub name: String,
    /// Unique in the process, and the same for as long as it keeps its name.
    pub number: u64,
    /// Permits, buffer and breakers.
    pub limiter: Arc<Limiter>,
    /// How many permits there are.
    pub permits: Arc<Permits>,
    /// Its ceiling over all routes.
    pub rate: Option<Arc<Gcra>>,
    /// Whether that only counts what it would refuse.
    pub rate_shadow: bool,
    /// Where it answers.
    pub servers: Vec<Arc<Server>>,
    /// Turns the choice among equally busy servers.
    pub turn: AtomicUsize,
    /// Time for a connection to come about.
    pub connect_timeout: Duration,
    /// Idle connections that a core keeps at most, to all servers together: the permits.
    pub pool_size: usize,
    /// Longest idleness of a pooled connection.
    pub idle_timeout: Duration,
    /// Connections that have left HTTP.
    pub upgraded: Arc<Places>,
    /// Requests whose bodies are still coming while they hold a permit.
    pub(crate) uploads: Arc<Places>,
    /// How many upgraded connections there may be.
    pub max_upgraded: u32,
    /// How many requests it can take.
    pub capacity: Arc<Capacity>,
    /// What is left to be sent again.
    pub retries: Arc<Retries>,
    /// How often one request is sent again.
    pub attempts: u32,
    /// After which failures.
    pub retry_on: Vec<RetryOn>,
    /// Whether it, or part of it, is taken for broken; nothing if nobody wants to know.
    pub circuits: Option<Circuits>,
}

/// One server of an upstream.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens, as configured.
    pub address: ServerAddress,
    /// Unique in the process; the place of its connections in every core's pool.
    pub id: usize,
    in_flight: AtomicU32,
    /// Refused connections in a row.
    failures: AtomicU32,
    /// When it was last left out (nanoseconds of the limiter's clock).
    ejected_at: AtomicU64,
    /// Not chosen before this moment (nanoseconds of the limiter's clock).
    out_until: AtomicU64,
    /// Whether it is taken for broken. Refused connections leave it out at once and softly, so that somebody else is asked; this
    /// goes by all that became of its calls, and nothing but probes gets past it.
    pub circuit: Arc<Circuit>,
}

/// A request that is with a server.
#[derive(Debug)]
pub(crate) struct Visit {
    server: Arc<Server>,
    tier: TierId,
    /// What becomes of it counts, until it is told or the visit is over.
    call: Option<Call>,
}

// === impl Upstream ===

impl Upstream {
    /// As `meant`, with the state that `old` has, whose tiers stood where `from` says, for `cores` cores.
    pub(crate) fn compile(
        meant: &floodgate_config::Upstream,
        tiers: &[floodgate_config::Tier],
        old: Option<&Self>,
        from: &[Option<usize>],
        cores: usize,
        now: Timestamp,
    ) -> Self {
        let limits = meant.limits.clone().reserved(meant.reserved);
        let (permits, limiter) = match old {
            Some(old) => {
                old.permits.apply(&old.limiter, meant.in_flight, limits, from, now);
                (Arc::clone(&old.permits), Arc::clone(&old.limiter))
            }
            None => Permits::new(meant.in_flight, limits, now),
        };
        let server = |address: &ServerAddress| {
            old.and_then(|old| old.servers.iter().find(|server| server.address == *address))
                .map_or_else(|| Arc::new(Server::new(address.clone())), Arc::clone)
        };
        let servers: Vec<_> = meant.servers.iter().map(server).collect();
        let circuits = old.and_then(|old| old.circuits.as_ref());
        let circuits = Circuits::compile(meant, tiers, &servers, circuits, from, now);
        Self {
            name: meant.name.clone(),
            number: old.map_or_else(|| NEXT_NUMBER.fetch_add(1, Relaxed), |old| old.number),
            limiter,
            permits,
            rate: carried_rate(meant.rate, old.and_then(|old| old.rate.as_ref()), now),
            rate_shadow: meant.rate_shadow,
            servers,
            circuits,
            turn: AtomicUsize::new(0),
            connect_timeout: meant.connect_timeout,
            pool_size: meant.limits.max_in_flight() as usize,
            idle_timeout: meant.idle_timeout,
            upgraded: old.map_or_else(Arc::default, |old| Arc::clone(&old.upgraded)),
            uploads: old.map_or_else(Arc::default, |old| Arc::clone(&old.uploads)),
            max_upgraded: meant.max_upgraded,
            capacity: old.map_or_else(
                || Arc::new(Capacity::assumed(meant.limits.max_in_flight())),
                |old| Arc::clone(&old.capacity),
            ),
            retries: Retries::carry(&meant.retries, old.map(|old| &old.retries), cores, now),
            attempts: meant.retries.attempts,
            retry_on: meant.retries.on.clone(),
        }
    }

    /// Finds out how many permits there are to be, where that is wanted. Often.
    pub(crate) fn find_permits(&self, now: Timestamp) {
        // Where no server takes connections, or a circuit is not closed, what comes back says nothing of how many are right.
        let frozen = self.servers.iter().all(|server| server.is_ejected(now))
            || self.circuits.as_ref().is_some_and(Circuits::is_alarmed);
        self.permits.tick(&self.limiter, frozen, now);
    }

    /// Takes over the pressure of the process, 0..1.
    pub(crate) fn press(&self, pressure: f64, now: Timestamp) {
        self.limiter.set_external_pressure(pressure, now);
        self.permits.press(pressure);
    }

    /// A place for a request that takes its permit before its body is here. A quarter of the permits may
    /// be held so: clients that send slowly must not hold them all.
    pub(crate) fn take_upload(&self) -> Option<Place> {
        self.uploads.take(self.max_uploads())
    }

    /// Whether somebody else would have the permit, or the place, of an upload that has paused.
    pub(crate) fn is_wanted(&self, now: Timestamp) -> bool {
        self.uploads.taken() >= self.max_uploads() || self.limiter.status(now).waiting > 0
    }

    fn max_uploads(&self) -> u32 {
        // Of those there are now, which may be fewer than there may ever be.
        (self.limiter.totals().limit / 4).max(1)
    }

    /// What stands in Host when the client, speaking HTTP/1.0, named none.
    pub(crate) fn host(&self) -> HeaderValue {
        let first = self.servers.first().map(|server| server.address.to_string());
        first
            .and_then(|host| host.try_into().ok())
            .unwrap_or_else(|| HeaderValue::from_static("upstream"))
    }

    /// The least busy server that takes connections, whose circuit admits and that was not `tried`; if none takes any, the one
    /// that is tried again soonest. `None` when all were tried, or no circuit of the others admits.
    pub(crate) fn choose(&self, tried: &[usize], now: Timestamp) -> Option<&Arc<Server>> {
        if let ([only], []) = (self.servers.as_slice(), tried) {
            return Some(only);
        }
        let turn = self.turn.fetch_add(1, Relaxed);
        let count = self.servers.len().max(1);
        (0..self.servers.len())
            .map(|at| &self.servers[(at + turn) % count])
            .filter(|server| !tried.contains(&server.id))
            .filter(|server| self.circuits.is_none() || !server.circuit.refuses(now))
            .min_by_key(|server| {
                let out = server.is_ejected(now).then(|| server.out_until.load(Relaxed));
                (out, server.in_flight())
            })
    }

    /// A request of `tier` goes to `server` at `now`, unless its circuit does not admit it.
    pub(crate) fn visit(
        &self,
        server: &Arc<Server>,
        tier: TierId,
        now: Timestamp,
    ) -> Option<Visit> {
        let call = match self.circuits.as_ref().map(|_| server.circuit.enter(now)) {
            None | Some(Entered::Unseen) => None,
            Some(Entered::In(call)) => Some(call),
            Some(Entered::Refused) => return None,
        };
        server.in_flight.fetch_add(1, Relaxed);
        Some(Visit { server: Arc::clone(server), tier, call })
    }
}

// === impl Server ===

impl Server {
    /// A server nothing is known about.
    pub(crate) fn new(address: ServerAddress) -> Self {
        Self {
            address,
            id: NEXT_ID.fetch_add(1, Relaxed),
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            ejected_at: AtomicU64::new(0),
            out_until: AtomicU64::new(0),
            circuit: circuits::new(CircuitSettings::default()),
        }
    }

    /// Requests that are with it now.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Whether it is left out at `now`.
    pub(crate) fn is_ejected(&self, now: Timestamp) -> bool {
        self.out_until.load(Relaxed) > now.as_nanos()
    }

    /// It took a connection. True if it had refused before.
    pub(crate) fn connected(&self) -> bool {
        if self.failures.load(Relaxed) == 0 {
            return false;
        }
        self.out_until.store(0, Relaxed);
        self.failures.swap(0, Relaxed) > 0
    }

    /// Whether a connection that was begun at `began` tells something that is not known yet.
    pub(crate) fn counts(&self, began: Timestamp) -> bool {
        began.as_nanos() >= self.ejected_at.load(Relaxed)
    }

    /// It refused a connection that was begun at `began`, or did not answer in time: it is left out for
    /// a while. Attempts that ran side by side count once. True if this is news.
    pub(crate) fn refused(&self, began: Timestamp, now: Timestamp) -> bool {
        if !self.counts(began) {
            return false;
        }
        self.ejected_at.store(now.as_nanos(), Relaxed);
        let failures = self.failures.fetch_add(1, Relaxed);
        let out = FIRST_EJECTION.saturating_mul(1 << failures.min(10)).min(LONGEST_EJECTION);
        self.out_until.store((now + out).as_nanos(), Relaxed);
        failures == 0
    }

    /// Its address, looked up if it is a name.
    ///
    /// # Errors
    /// The name does not resolve.
    pub(crate) async fn resolve(&self) -> std::io::Result<SocketAddr> {
        match &self.address {
            ServerAddress::Socket(address) => Ok(*address),
            ServerAddress::Host { host, port } => tokio::net::lookup_host((host.as_str(), *port))
                .await?
                .next()
                .ok_or_else(|| std::io::Error::other("the name has no address")),
        }
    }
}

// === impl Visit ===

impl Visit {
    /// Whom the request is with.
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Of which tier it is.
    pub(crate) const fn tier(&self) -> TierId {
        self.tier
    }

    /// Whether it is to find out whether the server's circuit may be closed.
    pub(crate) fn is_probe(&self) -> bool {
        self.call.as_ref().is_some_and(Call::is_probe)
    }

    /// What its server's circuit is to be told by, once.
    pub(crate) fn take_call(&mut self) -> Option<Call> {
        self.call.take()
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.server.in_flight.fetch_sub(1, Relaxed);
    }
}
