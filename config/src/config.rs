//! What is meant: checked values, free of the file's format. Equal configurations compare equal.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use floodgate_limiter::{AdaptiveSettings, CircuitSettings, Limits, Rate, TierId, Watermarks};

use crate::access_log::{ClientShown, LogTarget};
use crate::address::{Cidr, ServerAddress};
use crate::circuit::FailureKind;
use crate::journey::{Identity, KeySource, Sticky};
use crate::jwt::{Algorithm, TenantSource};
use crate::key::{Key, MissingKey};
use crate::objective::Objective;
use crate::pattern::Pattern;
use crate::retries::{Retries, Retry};
use crate::sku::SkuSource;

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
    /// How tokens are verified.
    pub jwt: Option<Jwt>,
    /// Who shares the gateway, in the order of the file.
    pub tenants: Vec<Tenant>,
    /// Checkouts that take several requests.
    pub journeys: Vec<Journey>,
    /// What is remembered of goods that are sold out.
    pub latch: Latch,
    /// What is remembered of purchases.
    pub once: Once,
    /// What the gateway tells of its decisions.
    pub explain: Explain,
    /// What is told of single requests.
    pub access_log: AccessLog,
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
    /// Memory of the process that counts as full, in bytes; `None`: what its cgroup may have.
    pub max_memory: Option<u64>,
    /// Where a request says which tenant's it is.
    pub tenant_from: Option<TenantSource>,
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
    /// Permits, buffer, and what each tier may do with them. Where their number is found, there are as many permits as
    /// there ever may be.
    pub limits: Limits,
    /// How the number of permits is found.
    pub in_flight: AdaptiveSettings,
    /// Permits kept for the customers of journeys, fewer than there are.
    pub reserved: u32,
    /// Ceiling of what is admitted.
    pub rate: Option<Rate>,
    /// Whether that only counts what it would refuse.
    pub rate_shadow: bool,
    /// Longest time to connect to a server.
    pub connect_timeout: Duration,
    /// Longest time that an unused connection is kept.
    pub idle_timeout: Duration,
    /// Upgraded connections at once.
    pub max_upgraded: u32,
    /// What is sent again.
    pub retries: Retries,
    /// What keeps its keys from taking all of it, over all routes.
    pub isolate: Option<Isolate>,
    /// The circuit of each of its servers, if there is one.
    pub circuit: Option<Circuit>,
    /// The circuits of its tiers, in their order.
    pub tier_circuits: Vec<Option<Circuit>>,
}

/// When a circuit opens, and how it closes again.
#[derive(Clone, Debug, PartialEq)]
pub struct Circuit {
    /// Rates and times.
    pub settings: CircuitSettings,
    /// From when on a call is slow. `None`, of a server: what its tier says.
    pub slow_after: Option<Duration>,
    /// What counts as a failure.
    pub failures: Vec<FailureKind>,
}

/// What a tier changes of the circuits of all upstreams; [`Upstream::tier_circuits`] has what comes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitOverride {
    /// Whether it has circuits.
    pub on: bool,
    /// Share of failures at which one opens.
    pub failure_rate: Option<f64>,
    /// Share of slow calls at which one opens.
    pub slow_rate: Option<f64>,
    /// From when on a call is slow.
    pub slow_after: Option<Duration>,
    /// Calls below which no rate says anything.
    pub min_calls: Option<u32>,
    /// How long a call counts.
    pub window: Option<Duration>,
    /// How long it is open at first.
    pub open: Option<Duration>,
    /// How long at most.
    pub max_open: Option<Duration>,
    /// Calls that find out whether it may close.
    pub probes: Option<u32>,
    /// What counts as a failure.
    pub failures: Option<Vec<FailureKind>>,
    /// Whether it only counts.
    pub shadow: Option<bool>,
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
    /// Part of the permits and places that is its own, 0 to 1; [`Upstream::limits`] has what follows.
    pub guaranteed: f64,
    /// Where the breaker trips and resets.
    pub watermarks: Watermarks,
    /// What it changes of the circuits.
    pub circuit: CircuitOverride,
    /// Ceiling of what is admitted.
    pub rate: Option<Rate>,
    /// What its customers are promised.
    pub objective: Objective,
    /// Whether that only counts what it would refuse.
    pub rate_shadow: bool,
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
    /// Whether that only counts what it would refuse.
    pub rate_shadow: bool,
    /// Longest body of a request, in bytes.
    pub max_body: u64,
    /// Indices into [`Config::journeys`] and into [`Journey::steps`], if it is a step.
    pub journey: Option<(usize, usize)>,
    /// Where the SKU stands that a request is about.
    pub sku: Option<SkuSource>,
    /// Whether it is a purchase, which is made once.
    pub once: bool,
    /// Limits of each key's own, at most 8, no two of the same name.
    pub limits: Vec<Limit>,
    /// What keeps its keys from taking all of the upstream.
    pub isolate: Option<Isolate>,
    /// Whether nobody is let in without a good token.
    pub require_token: bool,
    /// Which of its requests are sent again: of a purchase, and of the step that finishes a journey, none.
    pub retry: Retry,
}

/// How tokens (RFC 7519) are verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Jwt {
    /// Where the keys come from.
    pub keys: KeySource,
    /// The signatures that count; empty: those that the keys are for.
    pub algorithms: Vec<Algorithm>,
    /// Who has to have issued a token.
    pub issuer: Option<String>,
    /// Of whom one has to be meant by a token; empty: anybody.
    pub audience: Vec<String>,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// Tokens that each worker remembers, at least 1.
    pub cache: usize,
}

/// One of those who share the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Unique among the tenants; live state is carried over a reload by it.
    pub name: String,
    /// What requests say, unique too.
    pub id: String,
    /// Ceiling of what is admitted.
    pub rate: Option<Rate>,
    /// Share of the permits of each upstream, above 0 and at most 1.
    pub share: f64,
    /// Share of the places of each buffer, above 0 and at most 1.
    pub buffer_share: f64,
    /// The highest tier in which it is served.
    pub highest_tier: TierId,
    /// Whether what would be refused is counted and let in.
    pub shadow: bool,
}

/// A rate for each key of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Unique among the limits of its route; live state is carried over a reload by it.
    pub name: String,
    /// What requests are told apart by. Its parts that are of the path have their place in that of the route.
    pub key: Key,
    /// The rate of each key.
    pub rate: Rate,
    /// Keys that are remembered at once, at least 1.
    pub max_keys: usize,
    /// What becomes of a request that does not have all of the key.
    pub missing: MissingKey,
    /// Whether it only counts what it would refuse.
    pub shadow: bool,
}

/// How much of an upstream one key may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Isolate {
    /// What requests are told apart by. Those that do not have all of it are not bounded.
    pub key: Key,
    /// Share of the permits that a key may hold or wait for, above 0 and at most 1.
    pub share: f64,
    /// Whether it only counts what it would refuse.
    pub shadow: bool,
}

/// A checkout that takes several requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Journey {
    /// Unique among the journeys; live state is carried over a reload by it.
    pub name: String,
    /// Who the customer is.
    pub identity: Identity,
    /// Who takes the later steps.
    pub sticky: Sticky,
    /// Indices into [`Config::routes`], 1 to 32, no two the same and none in another journey; the first is the entry.
    pub steps: Vec<usize>,
    /// Which answer ends it.
    pub finish: Finish,
    /// How long a grant is good for, 1 s to 1 h.
    pub ttl: Duration,
    /// Share of what the upstreams can serve that is granted, above 0 and at most 1.
    pub headroom: f64,
    /// Where the keys come from that grants are signed with.
    pub keys: KeySource,
    /// Requests that one grant is good for, at least 1.
    pub calls: u32,
    /// Share of the permits of its upstreams that is kept for its customers; [`Upstream::reserved`] is what follows.
    pub reserve: f64,
    /// Grants live at once, at least 1.
    pub max_grants: usize,
    /// Refused customers whose time to come back is remembered, at least 1.
    pub max_customers: usize,
}

/// Which answer ends a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// Index into [`Journey::steps`].
    pub step: usize,
    /// Statuses of the answer, at least one, ascending.
    pub status: Vec<u16>,
}

/// What is remembered of goods that are sold out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latch {
    /// The answer to requests about what is sold out, 200 to 599.
    pub status: u16,
    /// How long it is believed.
    pub ttl: Duration,
    /// SKUs that are remembered at once, at least 1.
    pub max_skus: usize,
    /// Remaining stock from which on `low` is shown; 0: never.
    pub low: u32,
}

/// What is remembered of purchases, so that each is made once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// Memory for the answers that are given again, in bytes.
    pub memory: u64,
    /// How long an answer is given again.
    pub ttl: Duration,
}

/// What the gateway tells of its decisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    /// Whether answers say how they were decided upon.
    pub header: bool,
    /// Share of the decisions that is kept, 0 to 1.
    pub sample: f64,
}

/// What is told of single requests.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// Where it goes; `None`: nothing is told.
    pub to: Option<LogTarget>,
    /// Share of the requests that are let in, 0 to 1.
    pub sample: f64,
    /// Share of those that are refused, 0 to 1.
    pub sample_refusals: f64,
    /// Failures that each worker tells of in a second, whatever the shares.
    pub failures: u32,
    /// Whether the query is told.
    pub query: bool,
    /// What is told of the client's address.
    pub client: ClientShown,
}

// === impl Config ===

impl Config {
    /// The names of all claims that are asked for, each once.
    pub fn claims(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        if let Some(TenantSource::Claim(name)) = &self.server.tenant_from {
            names.push(name);
        }
        for journey in &self.journeys {
            if let Identity::Claim(name) = &journey.identity {
                names.push(name);
            }
        }
        for route in &self.routes {
            names.extend(route.limits.iter().flat_map(|limit| limit.key.claims()));
        }
        names.extend(self.isolates().flat_map(|isolate| isolate.key.claims()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whatever isolates keys, of routes and of upstreams.
    fn isolates(&self) -> impl Iterator<Item = &Isolate> {
        let of_routes = self.routes.iter().filter_map(|route| route.isolate.as_ref());
        of_routes.chain(self.upstreams.iter().filter_map(|upstream| upstream.isolate.as_ref()))
    }
}

// === impl Route ===

impl Route {
    /// Whether a request with this method, and this path without its query, takes this route.
    pub fn matches(&self, method: &str, path: &str) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.iter().any(|one| one == method))
            && self.path.matches(path)
    }
}
