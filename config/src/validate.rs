//! What was typed to what is meant: references, pairs and sums of keys, with every problem collected.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use floodgate_limiter::{Limits, Rate, TierId, TierLimits, Watermarks};

use crate::access_log::access_log;
use crate::address::ServerAddress;
use crate::circuit::{circuits, tier_circuit};
use crate::config::{Config, Explain, Latch, Once, Route, Server, Tier, Upstream};
use crate::file::{Burst, FileConfig, FileRoute, FileServer, FileTier, FileUpstream};
use crate::journeys::{journeys, refer_back};
use crate::limits::{check_upstreams, isolate, limits};
use crate::names::{Names, listed, refer};
use crate::objective::{Promised, objective};
use crate::problem::Report;
use crate::rate::Ceiling;
use crate::retries::Retry;
use crate::source::Span;
use crate::tenants::{jwt, tenants};
use crate::value::{Complaint, Name, Setting};

/// What a tier gets when its keys are left out, by its place; the last entry holds for all that follow.
const TIER_DEFAULTS: [TierDefaults; 3] = [
    TierDefaults {
        high: 0.95,
        low: 0.80,
        max_wait_ms: 500,
        deadline_s: 2,
        promised: promised(0.9999, 200),
    },
    TierDefaults {
        high: 0.75,
        low: 0.55,
        max_wait_ms: 100,
        deadline_s: 3,
        promised: promised(0.999, 3_000),
    },
    TierDefaults {
        high: 0.60,
        low: 0.45,
        max_wait_ms: 50,
        deadline_s: 10,
        promised: promised(0.99, 24 * 3_600_000),
    },
];

/// The name of the one route when none is typed.
pub(crate) const EVERYTHING_ELSE: &str = "everything-else";

#[derive(Clone, Copy)]
struct TierDefaults {
    high: f64,
    low: f64,
    max_wait_ms: u64,
    deadline_s: u64,
    promised: Promised,
}

const fn promised(availability: f64, latency_ms: u64) -> Promised {
    Promised { availability, latency: Duration::from_millis(latency_ms) }
}

/// The configuration that `file` means; `None` if the report has errors, which it then has all of.
pub(crate) fn validate(file: &FileConfig, report: &mut Report<'_>) -> Option<Config> {
    let server = server(&file.server, report);
    let tiers = tiers(file, report);
    let upstreams = upstreams(file, &tiers, report);
    let routes = routes(file, &tiers, report);
    let journeys = journeys(file, report);
    let jwt = jwt(file, report);
    let tenants = tenants(file, &tier_names(file, &tiers), report);
    if report.has_errors() {
        return None;
    }
    let mut config = Config {
        server,
        upstreams,
        tiers,
        routes,
        journeys,
        jwt,
        tenants,
        latch: Latch {
            status: narrow(file.latch.status.0),
            ttl: file.latch.ttl.0,
            max_skus: narrow(file.latch.max_skus.0),
            low: narrow(file.latch.low.0),
        },
        once: Once { memory: file.once.memory.0, ttl: file.once.ttl.0 },
        explain: Explain { header: file.explain.header.value, sample: file.explain.sample.0 },
        access_log: access_log(&file.access_log, report),
    };
    refer_back(&mut config);
    check_upstreams(file, &config, report);
    (!report.has_errors()).then_some(config)
}

fn server(file: &FileServer, report: &mut Report<'_>) -> Server {
    let (listen, admin) = (&file.listen, &file.admin);
    if collide(listen.value, admin.value) {
        let message =
            format!("`server.listen` and `server.admin` are both on port {}", listen.port());
        let suggestion = "give each a port of its own";
        match (listen.span, admin.span) {
            (Some(first), Some(span)) if first.start < span.start => {
                report.collision("server.admin", span, first, message, suggestion);
            }
            (Some(span), Some(first)) => {
                report.collision("server.listen", span, first, message, suggestion);
            }
            (Some(span), None) => report.error("server.listen", span, message, suggestion),
            (None, span) => {
                report.error("server.admin", span.unwrap_or(file.span), message, suggestion);
            }
        }
    }
    Server {
        listen: listen.value,
        admin: admin.value,
        workers: narrow(file.workers.0),
        backlog: narrow(file.backlog.0),
        max_connections: narrow(file.max_connections.0),
        max_connections_per_client: narrow(file.max_connections_per_client.0),
        header_timeout: file.header_timeout.0,
        idle_timeout: file.idle_timeout.0,
        body_timeout: file.body_timeout.0,
        drain: file.drain.0,
        max_head: narrow(file.max_head.0),
        max_headers: narrow(file.max_headers.0),
        trusted_proxies: file.trusted_proxies.values().copied().collect(),
        tenant_from: file.tenant_from.as_ref().map(|source| source.value.clone()),
        max_memory: file.max_memory.as_ref().map(|it| it.0),
        via: file.via.0.clone(),
        log: file.log.0.clone(),
    }
}

fn tiers(file: &FileConfig, report: &mut Report<'_>) -> Vec<Tier> {
    let mut names = Names::new("tier");
    let mut tiers = Vec::new();
    for (index, typed) in file.tiers.values().enumerate() {
        let path = format!("tiers[{index}]");
        let name = name_or(typed.name.as_ref(), || format!("l{}", index + 1));
        names.declare(&name, span_of(&typed.name, typed.span), format!("{path}.name"), report);
        tiers.extend(tier(name, index, typed, &path, report));
    }
    if file.tiers.0.is_empty() {
        let typed = FileTier::left_out(file.span, report);
        tiers.extend(tier("l1".to_owned(), 0, &typed, "tiers", report));
    }
    guarantees(file, report);
    tiers
}

/// Nobody can be guaranteed what somebody else is.
fn guarantees(file: &FileConfig, report: &mut Report<'_>) {
    let mut sum = 0.0;
    for (index, typed) in file.tiers.values().enumerate() {
        sum += typed.guaranteed.0;
        // What decimal fractions add up to may be beyond 1 by their rounding.
        if sum > 1.0 + 1e-9 {
            // To the last digit that somebody typed, not to those of the rounding.
            let sum = (sum * 1e6).round() / 1e6;
            report.error(
                format!("tiers[{index}].guaranteed"),
                typed.guaranteed.span.unwrap_or(typed.span),
                format!("the tiers up to this one are guaranteed {sum} of the permits"),
                "there is 1 to divide: lower `guaranteed` of this tier or of one before it",
            );
            return;
        }
    }
}

fn tier(
    name: String,
    index: usize,
    typed: &FileTier,
    path: &str,
    report: &mut Report<'_>,
) -> Option<Tier> {
    let defaults = TIER_DEFAULTS[index.min(TIER_DEFAULTS.len() - 1)];
    let max_wait = Duration::from_millis(defaults.max_wait_ms);
    let deadline = Duration::from_secs(defaults.deadline_s);
    let (high, low, span) = match &typed.watermarks {
        // What is missing or wrong inside has been reported.
        Some(pair) => (pair.high.as_ref()?.0, pair.low.as_ref()?.0, pair.value.span),
        None => (defaults.high, defaults.low, typed.span),
    };
    let is_shadow = typed.watermarks.as_ref().is_some_and(|pair| pair.shadow.value);
    let watermarks = match Watermarks::new(high, low) {
        Ok(watermarks) => watermarks.with_shadow(is_shadow),
        Err(error) => {
            let key = format!("{path}.watermarks");
            let suggestion = "`high` trips, `low` resets, such as { high = 0.95, low = 0.80 }";
            report.error(key, span, error.to_string(), suggestion);
            return None;
        }
    };
    Some(Tier {
        name,
        max_wait: typed.max_wait.as_ref().map_or(max_wait, |typed| typed.0),
        deadline: typed.deadline.as_ref().map_or(deadline, |typed| typed.0),
        weight: NonZeroU32::new(narrow(typed.weight.0)).unwrap_or(NonZeroU32::MIN),
        guaranteed: typed.guaranteed.0,
        watermarks,
        circuit: tier_circuit(&typed.circuit),
        rate: rate(&typed.rate, &typed.burst, path, report),
        objective: objective(&typed.objective, defaults.promised, path, report)?,
        rate_shadow: rate_shadow(&typed.rate, &typed.rate_shadow, path, report),
    })
}

fn upstreams(file: &FileConfig, tiers: &[Tier], report: &mut Report<'_>) -> Vec<Upstream> {
    let typed = file.upstreams.iter().flat_map(|upstreams| &upstreams.0);
    typed
        .filter_map(|(name, typed)| {
            upstream(&name.value, typed, file.server.listen.value, tiers, report)
        })
        .collect()
}

fn upstream(
    name: &str,
    typed: &FileUpstream,
    listen: SocketAddr,
    tiers: &[Tier],
    report: &mut Report<'_>,
) -> Option<Upstream> {
    let path = format!("upstreams.{name}");
    let rate = rate(&typed.rate, &typed.burst, &path, report);
    let rate_shadow = rate_shadow(&typed.rate, &typed.rate_shadow, &path, report);
    let isolate = isolate(&typed.isolate, None, &path, report);
    let retries = typed.retries.meant(&format!("{path}.retries"), report)?;
    let mut seen: HashMap<&ServerAddress, Span> = HashMap::new();
    for (index, server) in typed.servers.iter().flat_map(|servers| &servers.0).enumerate() {
        let key = format!("{path}.servers[{index}]");
        let span = server.span.unwrap_or(typed.span);
        if is_itself(&server.value, listen) {
            let message = format!("the server `{}` is the gateway itself", server.value);
            report.error(key, span, message, "name the service behind it");
        } else if let Some(first) = seen.insert(&server.value, span) {
            let message = format!("the server `{}` is listed twice", server.value);
            report.collision(key, span, first, message, "leave one of them out");
        }
    }
    let differ: Vec<_> = tiers.iter().map(|tier| (&tier.circuit, tier.deadline)).collect();
    let (circuit, tier_circuits) = circuits(&typed.circuit, &differ, typed.span, &path, report);
    let guaranteed: Vec<f64> = tiers.iter().map(|tier| tier.guaranteed).collect();
    let tiers = tiers.iter().map(|tier| TierLimits {
        max_wait: tier.max_wait,
        weight: tier.weight,
        watermarks: tier.watermarks,
    });
    let in_flight = typed.max_in_flight.settings(&format!("{path}.max_in_flight"), report)?;
    let most = if in_flight.moves() { in_flight.max() } else { in_flight.start() };
    match Limits::new(most, narrow(typed.buffer.0), tiers.collect()) {
        Ok(limits) => Some(Upstream {
            name: name.to_owned(),
            servers: typed.servers.as_ref()?.values().cloned().collect(),
            limits: limits.guaranteed(&guaranteed),
            in_flight,
            // What follows from the journeys is not known yet.
            reserved: 0,
            rate,
            rate_shadow,
            connect_timeout: typed.connect_timeout.0,
            idle_timeout: typed.idle_timeout.0,
            max_upgraded: narrow(typed.max_upgraded.0),
            retries,
            isolate,
            circuit,
            tier_circuits,
        }),
        Err(error) => {
            // The reader has checked every number, so only tiers that were refused above are missing here.
            if !report.has_errors() {
                report.error(path, typed.span, error.to_string(), "choose other limits");
            }
            None
        }
    }
}

fn routes(file: &FileConfig, tiers: &[Tier], report: &mut Report<'_>) -> Vec<Route> {
    let upstreams = file.upstreams.as_ref().map_or(&[][..], |upstreams| &upstreams.0);
    let upstreams: Vec<&str> = upstreams.iter().map(|(name, _)| name.value.as_str()).collect();
    if file.routes.0.is_empty() {
        if let Some((second, _)) = file.upstreams.iter().flat_map(|upstreams| &upstreams.0).nth(1) {
            report.error(
                "routes",
                second.span.unwrap_or(file.span),
                format!("{} upstreams and no route", upstreams.len()),
                "add [[routes]] that say which path goes to which upstream",
            );
        }
        let typed = FileRoute::left_out(file.span, report);
        // Nothing is classified, so nothing has to be kept out of the first tier.
        let tiers = &tiers.iter().map(|tier| tier.name.as_str()).take(1).collect::<Vec<_>>();
        let upstreams = &upstreams[..upstreams.len().min(1)];
        let name = EVERYTHING_ELSE.to_owned();
        return route(name, &typed, "routes", tiers, upstreams, report).into_iter().collect();
    }
    let tier_names = tier_names(file, tiers);
    let tier_names: Vec<&str> = tier_names.iter().map(String::as_str).collect();
    let mut names = Names::new("route");
    let mut routes = Vec::new();
    for (index, typed) in file.routes.values().enumerate() {
        let path = format!("routes[{index}]");
        let name = name_or(typed.name.as_ref(), || format!("route-{}", index + 1));
        names.declare(&name, span_of(&typed.name, typed.span), format!("{path}.name"), report);
        routes.extend(route(name, typed, &path, &tier_names, &upstreams, report));
    }
    routes
}

/// Tiers by the names that were typed, those with other problems included, so that a reference to them is not one more.
fn tier_names(file: &FileConfig, tiers: &[Tier]) -> Vec<String> {
    match file.tiers.0.is_empty() {
        true => tiers.iter().map(|tier| tier.name.clone()).collect(),
        false => (file.tiers.values().enumerate())
            .map(|(index, tier)| name_or(tier.name.as_ref(), || format!("l{}", index + 1)))
            .collect(),
    }
}

fn route(
    name: String,
    typed: &FileRoute,
    path: &str,
    tiers: &[&str],
    upstreams: &[&str],
    report: &mut Report<'_>,
) -> Option<Route> {
    let rate = rate(&typed.rate, &typed.burst, path, report);
    let rate_shadow = rate_shadow(&typed.rate, &typed.rate_shadow, path, report);
    let tier = match &typed.tier {
        Some(tier) => refer(tier, "tier", tiers, format!("{path}.tier"), report),
        None => Some(tiers.len().saturating_sub(1)),
    };
    let upstream = match &typed.upstream {
        Some(upstream) => {
            refer(upstream, "upstream", upstreams, format!("{path}.upstream"), report)
        }
        None if upstreams.len() > 1 => {
            let message = format!("the route `{name}` does not say which upstream");
            let suggestion = format!("add `upstream = …`, one of {}", listed(upstreams));
            report.error(format!("{path}.upstream"), typed.span, message, suggestion);
            None
        }
        None => Some(0),
    };
    let sku = typed.sku.as_ref().and_then(|sku| {
        let told = |complaint: Complaint| {
            let span = sku.span.unwrap_or(typed.span);
            report.error(format!("{path}.sku"), span, complaint.message, complaint.suggestion);
        };
        sku.at(&typed.path).map_err(told).ok()
    });
    let limits = limits(&typed.limits, &typed.path, path, report);
    let isolate = isolate(&typed.isolate, Some(&typed.path), path, report);
    Some(Route {
        name,
        methods: typed
            .methods
            .as_ref()
            .map(|methods| methods.values().map(|method| method.0.clone()).collect()),
        path: typed.path.value.clone(),
        tier: TierId::new(u8::try_from(tier?).ok()?)?,
        upstream: upstream?,
        rate,
        rate_shadow,
        max_body: typed.max_body.0,
        // What the journeys say is not known yet.
        journey: None,
        sku,
        once: typed.once.value,
        require_token: typed.require_token.value,
        retry: if typed.once.value { Retry::Off } else { typed.retry.value },
        limits,
        isolate,
    })
}

pub(crate) fn rate(
    rate: &Option<Setting<Ceiling>>,
    burst: &Option<Setting<Burst>>,
    path: &str,
    report: &mut Report<'_>,
) -> Option<Rate> {
    let Some(rate) = rate else {
        if let Some(span) = burst.as_ref().and_then(|burst| burst.span) {
            let suggestion = "add `rate = \"N/s\"` or leave `burst` out";
            report.error(format!("{path}.burst"), span, "`burst` without `rate`", suggestion);
        }
        return None;
    };
    let typed = burst.as_ref().map(|burst| narrow(burst.0));
    match rate.with_burst(typed) {
        Ok(rate) => Some(rate),
        Err(error) => {
            let span = rate.span.unwrap_or_default();
            report.error(format!("{path}.rate"), span, error, "choose another rate or burst");
            None
        }
    }
}

/// Whether a rate that is there is in the shadow.
fn rate_shadow(
    rate: &Option<Setting<Ceiling>>,
    shadow: &Setting<bool>,
    path: &str,
    report: &mut Report<'_>,
) -> bool {
    if let (None, Some(span), true) = (rate, shadow.span, shadow.value) {
        let suggestion = "add `rate = \"N/s\"` or leave `rate_shadow` out";
        let message = "`rate_shadow` without `rate`";
        report.error(format!("{path}.rate_shadow"), span, message, suggestion);
    }
    shadow.value
}

pub(crate) fn name_or(name: Option<&Setting<Name>>, default: impl FnOnce() -> String) -> String {
    name.map_or_else(default, |name| name.0.clone())
}

pub(crate) fn span_of<T>(setting: &Option<Setting<T>>, table: Span) -> Span {
    setting.as_ref().and_then(|setting| setting.span).unwrap_or(table)
}

/// Whether one socket would be in the way of the other.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_ip =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && same_ip
}

/// Whether a server is the listener of the gateway, as far as that can be told from the text.
fn is_itself(server: &ServerAddress, listen: SocketAddr) -> bool {
    match server {
        ServerAddress::Host { host, port } => {
            let local = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            host == "localhost" && collide(local, listen)
        }
        ServerAddress::Socket(address) => {
            (address.ip().is_loopback() || address.ip() == listen.ip()) && collide(*address, listen)
        }
    }
}

/// A number whose range the reader has checked, in the type it is used in.
pub(crate) fn narrow<T: TryFrom<u64> + Bounded>(number: u64) -> T {
    T::try_from(number).unwrap_or(T::LARGEST)
}

/// A type with a largest value.
pub(crate) trait Bounded {
    const LARGEST: Self;
}

impl Bounded for u16 {
    const LARGEST: Self = Self::MAX;
}

impl Bounded for u32 {
    const LARGEST: Self = Self::MAX;
}

impl Bounded for usize {
    const LARGEST: Self = Self::MAX;
}
