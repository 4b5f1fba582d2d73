//! What is meant: checked values, free of the file's format. Equal configurations compare equal.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use floodgate_limiter::{Limits, Rate, TierId, Watermarks};

use crate::address::{Cidr, ServerAddress};
use crate::pattern::Pattern;

/// A whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The listeners, and the bounds of the process.
    pub server: Server,
    /// The services behind the gateway, at least one, in the order of the file.
    pub upstreams: Vec<Upstream>,
    /// The classes of service, 1 to 8, the first is served first. A [`TierId`] is an index into it.
    pub tiers: Vec<Tier>,
    /// What requests are for; the first match wins.
    pub routes: Vec<Route>,
}

/// The listeners, and the bounds of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Where customers come in.
    pub listen: SocketAddr,
    /// Metrics, health, control.
    pub admin: SocketAddr,
    /// Threads that serve customers; 0: one per core.
    pub workers: usize,
    /// Connections that the kernel holds until they are accepted, per worker.
    pub backlog: u32,
    /// Connections of customers at once.
    pub max_connections: u32,
    /// Connections at once from one client address; 0: no limit.
    pub max_connections_per_client: u32,
    /// Longest time from the first byte of a head to its last.
    pub header_timeout: Duration,
    /// Longest silence between two requests.
    pub idle_timeout: Duration,
    /// Longest time without a byte while a body is awaited.
    pub body_timeout: Duration,
    /// Longest time for requests in flight to finish after the signal to stop; may be zero.
    pub drain: Duration,
    /// Longest head of a request, in bytes.
    pub max_head: usize,
    /// Most header lines of a request.
    pub max_headers: usize,
    /// Networks of proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Pseudonym in `Via`: a token.
    pub via: String,
    /// Filter of the log: a level, or `target=level` pairs separated by commas.
    pub log: String,
}

/// A service behind the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Unique among the upstreams; live state is carried over a reload by it.
    pub name: String,
    /// At least one, no two the same.
    pub servers: Vec<ServerAddress>,
    /// Permits, buffer, and what each tier may do with them.
    pub limits: Limits,
    /// Ceiling of what is admitted.
    pub rate: Option<Rate>,
    /// Longest time to connect to a server.
    pub connect_timeout: Duration,
    /// Longest time that an unused connection is kept.
    pub idle_timeout: Duration,
    /// Upgraded connections at once.
    pub max_upgraded: u32,
}

/// A class of service.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// Unique among the tiers.
    pub name: String,
    /// Longest stay in the buffer; zero: never waits.
    pub max_wait: Duration,
    /// From the head received to the answer complete.
    pub deadline: Duration,
    /// Share of what the first tier leaves.
    pub weight: NonZeroU32,
    /// Where the breaker trips and resets.
    pub watermarks: Watermarks,
    /// Ceiling of what is admitted.
    pub rate: Option<Rate>,
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Unique among the routes; live state is carried over a reload by it.
    pub name: String,
    /// The methods that match; `None`: every method.
    pub methods: Option<Vec<String>>,
    /// The paths that match.
    pub path: Pattern,
    /// Index into [`Config::tiers`].
    pub tier: TierId,
    /// Index into [`Config::upstreams`].
    pub upstream: usize,
    /// Ceiling of what is admitted.
    pub rate: Option<Rate>,
    /// Longest body of a request, in bytes.
    pub max_body: u64,
}

// === impl Route ===

impl Route {
    /// Whether a request with this method, and this path without its query, takes this route.
    pub fn matches(&self, method: &str, path: &str) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.iter().any(|one| one == method))
            && self.path.matches(path)
    }
}
