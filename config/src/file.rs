//! What can be typed: every table and key of the file, with its default.
//!
//! The doc comments are the reference documentation: schema and README are made of them.

use std::net::{Ipv4Addr, SocketAddr};

use floodgate_limiter::{MAX_BUFFER, MAX_TIERS};

use crate::access_log::{ClientShown, LogTarget};
use crate::address::{Cidr, ServerAddress};
use crate::circuit::{FileCircuit, FileTierCircuit, Switched};
use crate::duration::{Period, Time, Timeout};
use crate::in_flight::InFlight;
use crate::journey::{Identity, KeySource, Sticky};
use crate::jwt::{Algorithm, Label, TenantSource};
use crate::key::{MissingKey, TypedKey};
use crate::limits::MOST as MAX_LIMITS;
use crate::objective::Window;
use crate::pattern::Pattern;
use crate::rate::Ceiling;
use crate::retries::{FileRetries, Retry};
use crate::size::Size;
use crate::sku::TypedSku;
use crate::table::table;
use crate::value::{Fraction, Integer, List, Name, Named, Setting};
use crate::word::{LogFilter, Method, Pseudonym};

/// Most servers of an upstream.
const MAX_SERVERS: usize = 1_000;

/// Most upstreams.
const MAX_UPSTREAMS: usize = 1_000;

/// Most routes.
const MAX_ROUTES: usize = 10_000;

/// Most journeys.
const MAX_JOURNEYS: usize = 64;

/// Most tenants: each has counters of its own.
const MAX_TENANTS: usize = 1_000;

/// Most steps of a journey.
const MAX_STEPS: usize = 32;

/// Memory of the process.
pub(crate) type Memory = Size<{ 1 << 20 }, { 1 << 50 }>;

/// The burst of a rate.
pub(crate) type Burst = Integer<1, { u32::MAX as u64 }>;

table! {
    /// The configuration of a flash-sale admission gateway.
    FileConfig {
        /// The listeners, and the bounds of the process.
        inner server: FileServer,
        /// The services behind the gateway, each under a name: `[upstreams.checkout]`.
        required upstreams: Named<FileUpstream, MAX_UPSTREAMS>,
        /// The classes of service, in order of priority: the first is served first. Left out: one tier, `l1`.
        default tiers: List<FileTier, 0, MAX_TIERS> = List(Vec::new()),
        /// What requests are for. The first match wins, no match is 404. Left out: everything goes to the only upstream.
        default routes: List<FileRoute, 0, MAX_ROUTES> = List(Vec::new()),
        /// Checkouts that take several requests: decided upon once, at the entry. Left out: every request is decided upon alone.
        default journeys: List<FileJourney, 0, MAX_JOURNEYS> = List(Vec::new()),
        /// How bearer tokens are verified. Left out: nothing goes by what they say.
        optional jwt: FileJwt,
        /// Those who share the gateway, each under a name: `[tenants.acme]`. `[tenants.none]` is whoever is of no other. Left out: nobody is told from anybody else.
        optional tenants: Named<FileTenant, MAX_TENANTS>,
        /// What is remembered of goods that are sold out.
        inner latch: FileLatch,
        /// What is remembered of purchases, so that each is made once.
        inner once: FileOnce,
        /// What the gateway tells of its decisions.
        inner explain: FileExplain,
        /// What is told of single requests, a JSON object a line.
        inner access_log: FileAccessLog,
    }
}

table! {
    /// The listeners, and the bounds of the process.
    FileServer {
        /// Where customers come in.
        default listen: SocketAddr = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
        /// Metrics, health and control: on a thread of its own, never the public port.
        default admin: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
        /// Threads that serve customers; 0: one per core.
        default workers: Integer<0, 1_024> = Integer(0),
        /// Connections that the kernel holds until they are accepted, per worker; bounded by `net.core.somaxconn`.
        default backlog: Integer<1, 65_535> = Integer(4_096),
        /// Connections of customers at once.
        default max_connections: Integer<1, 10_000_000> = Integer(50_000),
        /// Connections at once from one client address; 0: no limit of its own.
        default max_connections_per_client: Integer<0, 10_000_000> = Integer(10_000),
        /// Longest time from the first byte of a request's head to its last.
        default header_timeout: Timeout = Timeout::from_secs(10),
        /// Longest silence between two requests on a connection.
        default idle_timeout: Timeout = Timeout::from_secs(60),
        /// Longest time without a byte while a request's body is awaited, or while a client takes nothing of its answer.
        default body_timeout: Timeout = Timeout::from_secs(30),
        /// Longest time for requests in flight to finish after the signal to stop.
        default drain: Time = Time::from_millis(30_000),
        /// Longest head of a request; a longer one is 431.
        default max_head: Size<1_024, 1_048_576> = Size(32 << 10),
        /// Most header lines of a request; more are 431.
        default max_headers: Integer<1, 256> = Integer(100),
        /// Networks of proxies whose `Forwarded` and `X-Forwarded-For` are believed.
        default trusted_proxies: List<Cidr, 0, 1_000> = List(Vec::new()),
        /// Where a request says which tenant's it is: `"claim:NAME"`, a claim of its verified token, or `"header:NAME"`, a header that a trusted proxy sets. Left out: it is nobody's.
        optional tenant_from: TenantSource,
        /// The name of this gateway in the `Via` header.
        default via: Pseudonym = Pseudonym("floodgate".to_owned()),
        /// Memory of this process that counts as full: pressure on every upstream rises towards it. Left out: the limit of its cgroup, or none where that has none.
        optional max_memory: Memory,
        /// What is logged: a level, or `target=level` pairs separated by commas.
        default log: LogFilter = LogFilter("info".to_owned()),
    }
}

table! {
    /// A service behind the gateway.
    FileUpstream {
        /// Its servers, each `address:port` or `host:port`.
        required servers: List<ServerAddress, 1, MAX_SERVERS>,
        /// Permits: requests at this upstream at once, all servers together. 0 closes it. Or how their number is found, `{ min = 8, max = 400, start = 200 }`.
        default max_in_flight: InFlight = InFlight::Fixed(Integer(64)),
        /// Places in the buffer of requests that wait for a permit, all tiers together. 0: nobody waits.
        default buffer: Integer<0, { MAX_BUFFER as u64 }> = Integer(1_024),
        /// Ceiling of what is admitted to this upstream: `"N/s"`, `"N/m"` or `"N/h"`; `"0/s"` is closed. Left out: none.
        optional rate: Ceiling,
        /// Requests admitted at once after idleness. Left out: a tenth of a second's worth of `rate`, at least 1.
        optional burst: Burst,
        /// Whether `rate` only counts what it would refuse.
        default rate_shadow: bool = false,
        /// Longest time to connect to a server.
        default connect_timeout: Timeout = Timeout::from_secs(1),
        /// Longest time that an unused connection to a server is kept.
        default idle_timeout: Timeout = Timeout::from_secs(30),
        /// Upgraded connections (WebSocket) at once; they hold no permit.
        default max_upgraded: Integer<0, 1_000_000> = Integer(1_024),
        /// What is sent again, to another server, when one has failed.
        inner retries: FileRetries,
        /// How much of it one key may take, such as `{ key = "path:sku", share = 0.3 }`. Left out: all.
        optional isolate: FileIsolate,
        /// When it, or one of its servers, is taken for broken and asked nothing for a while; false: never. Left out: with the defaults below.
        optional circuit: Switched<FileCircuit>,
    }
}

table! {
    /// A class of service.
    FileTier {
        /// Its name, in routes, metrics and refusals. Left out: `l1` for the first, `l2` for the second, and so on.
        optional name: Name,
        /// Longest stay in the buffer; `"0ms"`: never waits. Left out: 500ms for the first tier, 100ms for the second, 50ms for the others.
        optional max_wait: Time,
        /// From the head received to the answer complete, waiting included. Left out: 2s for the first tier, 3s for the second, 10s for the others.
        optional deadline: Timeout,
        /// Share of what the first tier leaves, against the other lower tiers.
        default weight: Integer<1, 1_000> = Integer(1),
        /// Part of the permits and of the buffer's places that is this tier's however many of the others there are; all tiers together at most 1. Permits that it does not use are lent, and the next ones that come back are its own.
        default guaranteed: Fraction = Fraction(0.0),
        /// Where the breaker of this tier trips and resets. Left out: 0.95 and 0.80 for the first tier, 0.75 and 0.55 for the second, 0.60 and 0.45 for the others.
        optional watermarks: FileWatermarks,
        /// Ceiling of what is admitted in this tier, such as `"5000/s"`. Left out: none.
        optional rate: Ceiling,
        /// Requests admitted at once after idleness. Left out: a tenth of a second's worth of `rate`, at least 1.
        optional burst: Burst,
        /// Whether `rate` only counts what it would refuse.
        default rate_shadow: bool = false,
        /// What its customers are promised: who misses it is told of by `/api/violations`.
        inner objective: FileObjective,
        /// What is different for the circuits of this tier; false: it has none. Left out: nothing.
        optional circuit: Switched<FileTierCircuit>,
    }
}

table! {
    /// What the customers of a tier are promised.
    FileObjective {
        /// Share of the requests that are to be answered, below 1. Left out: 0.9999 for the first tier, 0.999 for the second, 0.99 for the others.
        optional availability: Fraction<true>,
        /// How long an answer may take to its last byte. Left out: 200ms for the first tier, 3s for the second, 24h for the others.
        optional latency: Timeout,
        /// Share of the answers that are to come within `latency`, below 1.
        default percentile: Fraction<true> = Fraction(0.99),
        /// Over what the shares are counted, `"1h"` to `"90d"`.
        default window: Window = Window::from_days(30),
        /// Whether those who are refused for want of capacity, with a 503, were to be answered.
        default refusals: bool = true,
        /// How much of `latency` each stage of a request may take, together at most all of it: which one is to blame goes by that.
        inner budgets: FileBudgets,
    }
}

table! {
    /// How much of the latency each stage may take.
    FileBudgets {
        /// Until the worker looks at a new connection. Left out: 1 part of what those that are typed leave of `latency`.
        optional accept: Time,
        /// The head, first byte to last. Left out: 1 part.
        optional head: Time,
        /// Until a permit is asked for, the reading of a body included. Left out: 1 part.
        optional decide: Time,
        /// Waiting for the permit. Left out: 5 parts.
        optional queue: Time,
        /// Until there is a connection to a server. Left out: 1 part.
        optional connect: Time,
        /// Until the upstream's answer begins. Left out: 9 parts.
        optional first_byte: Time,
        /// Until it has come to its end. Left out: 2 parts.
        optional last_byte: Time,
    }
}

table! {
    /// A pair of levels of pressure, 0 to 1.
    FileWatermarks {
        /// At this pressure the breaker trips, and the tier is refused.
        required high: Fraction,
        /// At this pressure it resets; below `high`.
        required low: Fraction,
        /// Whether the breaker refuses nobody: it trips and resets, and what it would refuse is counted. Memory that runs out then sheds nobody of this tier either.
        default shadow: bool = false,
    }
}

table! {
    /// What a request is for.
    FileRoute {
        /// Its name, in metrics; live state is carried over a reload by it. Left out: `route-1` for the first, and so on.
        optional name: Name,
        /// The methods that match. Left out: every method.
        optional methods: List<Method, 1, 32>,
        /// The paths that match: `{name}` is one segment, `{*name}` at the end the rest, also none.
        default path: Pattern = Pattern::everything(),
        /// The tier, by name. Left out: the last one, so that what nobody classified does not take the place of what somebody did.
        optional tier: Name,
        /// The upstream, by name. Left out: the only one.
        optional upstream: Name,
        /// Ceiling of what is admitted on this route, such as `"5000/s"`; `"0/s"` is closed. Left out: none.
        optional rate: Ceiling,
        /// Requests admitted at once after idleness. Left out: a tenth of a second's worth of `rate`, at least 1.
        optional burst: Burst,
        /// Whether `rate` only counts what it would refuse.
        default rate_shadow: bool = false,
        /// Longest body of a request; a longer one is 413.
        default max_body: Size<0, { 1 << 40 }> = Size(1 << 20),
        /// Where the SKU stands that the request is about: `"path:NAME"`, a name in `path`; `"header:NAME"`; `"query:NAME"`. What is sold out is refused by it. Left out: about none.
        optional sku: TypedSku,
        /// A purchase, made once: a second request with the same `Idempotency-Key`, or without one of the same customer for the same SKU at the same step, gets the answer to the first.
        default once: bool = false,
        /// Nobody is let in without a good bearer token: 401.
        default require_token: bool = false,
        /// Which of its requests are sent to another server when one has failed: `"idempotent"`: those of which nothing was sent, and GET, HEAD, OPTIONS, TRACE, PUT and DELETE whose body is here; `"unsent"`: only those of which nothing was sent; `"off"`: none. A purchase, and the step that finishes a journey, never are.
        default retry: Retry = Retry::Idempotent,
        /// Limits of each key's own, such as `[{ key = "client_ip", rate = "10/s", burst = 20 }]`; what is over one of them is 429.
        default limits: List<FileLimit, 0, MAX_LIMITS> = List(Vec::new()),
        /// How much of the upstream one key may take through this route, such as `{ key = "path:sku", share = 0.3 }`. Left out: all.
        optional isolate: FileIsolate,
    }
}

table! {
    /// How bearer tokens are verified.
    FileJwt {
        /// The keys: `"file:PATH"`, from the folder of this file, or `"env:NAME"`. Public keys as PEM, a JWKS, or secrets of 32 bytes or more, one a line; read again when they change.
        required keys: KeySource,
        /// The signatures that count, of `"HS256"`, `"RS256"`, `"ES256"`, `"EdDSA"`. Left out: those that the keys are for.
        default algorithms: List<Algorithm, 0, 4> = List(Vec::new()),
        /// Who has to have issued a token (`iss`). Left out: anybody who has a key.
        optional issuer: Label,
        /// One of these has to be meant by a token (`aud`). Left out: whoever is meant.
        optional audience: List<Label, 1, 16>,
        /// By how much clocks may differ, when a token begins and ends.
        default leeway: Period<0, 600_000> = Period::from_secs(30),
        /// Good tokens that each worker remembers, so that they are verified once; some 300 bytes each.
        default cache: Integer<1, 10_000_000> = Integer(20_000),
    }
}

table! {
    /// One of those who share the gateway.
    FileTenant {
        /// What requests say. Left out: the name.
        optional id: Label,
        /// Ceiling of what is admitted for it, such as `"500/s"`; beyond it 429. Left out: none.
        optional rate: Ceiling,
        /// Requests admitted at once after idleness. Left out: a tenth of a second's worth of `rate`, at least 1.
        optional burst: Burst,
        /// Share of the permits of each upstream that it may hold. Left out: all.
        optional share: Fraction<true>,
        /// Share of the places of each buffer that it may take. Left out: as `share`.
        optional buffer_share: Fraction<true>,
        /// The highest tier in which it is served, by name: its requests on routes of higher ones go there. Left out: the first.
        optional highest_tier: Name,
        /// What would be refused is counted and let in.
        default shadow: bool = false,
    }
}

table! {
    /// A rate for each key of its own.
    FileLimit {
        /// What requests are told apart by: `"client_ip"`, `"header:NAME"`, `"cookie:NAME"`, `"query:NAME"`, `"path:NAME"` (a name in the route's `path`), `"claim:NAME"` (a claim of the verified token, by `[jwt]`), or a list of these, all of which together are the key.
        required key: TypedKey,
        /// Its name, in metrics; live state is carried over a reload by it. Left out: its key, such as `client_ip+path:sku`.
        optional name: Name,
        /// What each key may do: `"N/s"`, `"N/m"` or `"N/h"`; `"0/s"` refuses whoever has the key.
        required rate: Ceiling,
        /// Requests of one key at once after idleness. Left out: a second's worth of `rate`, at least 1.
        optional burst: Burst,
        /// Keys that are remembered at once, at most 141 bytes each; those beyond share.
        default max_keys: Integer<1, 10_000_000> = Integer(100_000),
        /// What becomes of a request that does not have all of the key, which is counted: `"client_ip"`: it is told apart by the address of its client, so that nobody gets rid of the limit by leaving something out; `"pass"`: it passes.
        default missing: MissingKey = MissingKey::ClientIp,
        /// Whether it only counts what it would refuse.
        default shadow: bool = false,
    }
}

table! {
    /// How much of an upstream one key may take.
    FileIsolate {
        /// What requests are told apart by, as in `limits`. One that does not have all of it is not bounded.
        required key: TypedKey,
        /// Share of the permits that a key may hold or wait for, at least one permit; what is over it is 503.
        required share: Fraction<true>,
        /// Whether it only counts what it would refuse.
        default shadow: bool = false,
    }
}

table! {
    /// A checkout that takes several requests.
    FileJourney {
        /// Its name, in metrics and grants; live state is carried over a reload by it.
        required name: Name,
        /// Who the customer is: `"header:NAME"`, `"cookie:NAME"`, or `"claim:NAME"`, a claim at the top level of the bearer token, which `[jwt]` verifies. Left out: a signed device id that the gateway sets as a cookie.
        optional identity: Identity,
        /// Who takes the later steps: `"grant"`: only customers let in at the first, before all others; `"stage"`: anybody, the later step first; `"off"`: anybody, nobody first.
        default sticky: Sticky = Sticky::Grant,
        /// Its routes, by name, in the order of the checkout; the first is the entry. A route is a step once.
        required steps: List<Name, 1, MAX_STEPS>,
        /// Which answer ends the checkout.
        inner finish: FileFinish,
        /// How long a grant is good for.
        default ttl: Period<1_000, 3_600_000> = Period::from_secs(120),
        /// Share of what the upstreams can serve that is granted to checkouts; what is left is for their delays and retries.
        default headroom: Fraction<true> = Fraction(0.75),
        /// The keys that grants are signed with, newest first, two at most: `"file:PATH"`, from the folder of this file, or `"env:NAME"`. Left out: one random key for this process, so that grants end with it and other gateways do not know them.
        optional keys: KeySource,
        /// Requests that one grant is good for.
        default calls: Integer<1, 10_000> = Integer(40),
        /// Share of the permits of its upstreams that is kept for its customers; the largest where journeys share an upstream.
        default reserve: Fraction<false, 9> = Fraction(0.2),
        /// Grants that have neither finished nor ended, at once; nobody is let in beyond it.
        default max_grants: Integer<1, 10_000_000> = Integer(100_000),
        /// Refused customers whose time to come back is remembered; 16 bytes each.
        default max_customers: Integer<1, 100_000_000> = Integer(1_000_000),
    }
}

table! {
    /// Which answer ends a checkout.
    FileFinish {
        /// The step, by the name of its route. Left out: the last one.
        optional step: Name,
        /// The statuses of its answer that end the checkout; any other leaves the grant alive.
        default status: List<Integer<200, 599>, 1, 16> = List([200, 201, 202, 204].map(|it| Setting::default(Integer(it))).to_vec()),
    }
}

table! {
    /// What is remembered of goods that are sold out.
    FileLatch {
        /// The answer to requests about what is sold out; what is reserved to the last piece is 409.
        default status: Integer<200, 599> = Integer(410),
        /// How long it is believed; then one request asks the upstream again.
        default ttl: Period<1, 3_600_000> = Period::from_secs(2),
        /// SKUs that are remembered at once.
        default max_skus: Integer<1, 1_000_000> = Integer(10_000),
        /// Remaining stock from which on `low` is shown; 0: never.
        default low: Integer<0, { u32::MAX as u64 }> = Integer(0),
    }
}

table! {
    /// What is remembered of purchases, so that each is made once.
    FileOnce {
        /// Memory for the answers that are given again.
        default memory: Size<{ 1 << 20 }, { 64 << 30 }> = Size(64 << 20),
        /// How long an answer is given again.
        default ttl: Period<1_000, 86_400_000> = Period::from_secs(15 * 60),
    }
}

table! {
    /// What the gateway tells of its decisions.
    FileExplain {
        /// Whether answers say how they were decided upon, in `x-floodgate-decision`.
        default header: bool = false,
        /// Share of the decisions that is kept for the admin API, the last 10,000 of each core; 0: none.
        default sample: Fraction = Fraction(1.0),
    }
}

table! {
    /// What is told of single requests, a JSON object a line.
    FileAccessLog {
        /// Where it goes: `"stdout"`, or `"file:PATH"`, from the folder of this file; a file is opened anew at SIGHUP. Left out: nowhere.
        optional to: LogTarget,
        /// Share of the requests that are let in, and of those whose clients left.
        default sample: Fraction = Fraction(0.01),
        /// Share of those that are refused.
        default sample_refusals: Fraction = Fraction(0.001),
        /// Of those that fail, so many a second are told of whatever the shares, by each worker.
        default failures: Integer<0, 1_000_000> = Integer(100),
        /// Whether the query is told: it may hold what is nobody's business.
        default query: bool = false,
        /// What is told of the client's address: `"full"`, `"network"` (24 bits of an IPv4 address, 48 of an IPv6 address) or `"none"`.
        default client: ClientShown = ClientShown::Network,
    }
}
