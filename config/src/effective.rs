//! The effective values of a configuration, each under its key and in the form in which it is typed in the file.

use std::fmt;
use std::time::Duration;

use floodgate_limiter::{AdaptiveSettings, Rate};

use crate::config::{
    AccessLog, Circuit, CircuitOverride, Config, Explain, Isolate, Journey, Jwt, Latch, Limit,
    Once, Route, Server, Tenant, Tier, Upstream,
};
use crate::duration::Time;
use crate::objective::{Objective, Stage, Window};
use crate::rate::Ceiling;
use crate::size;
use crate::sku::TypedSku;
use crate::value::Text;

/// Most entries of a list that are shown.
const LISTED: usize = 8;

/// One table of the file with its effective values; a key without a value has none by default.
#[derive(Clone, Debug)]
pub(crate) struct Table<'c> {
    pub(crate) section: Section,
    /// Its name; empty where there is one such table only.
    pub(crate) name: &'c str,
    pub(crate) values: Vec<(&'static str, Shown)>,
}

/// Which table of the file, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Section {
    Server,
    Upstreams,
    Tiers,
    Routes,
    Journeys,
    Jwt,
    Tenants,
    Latch,
    Once,
    Explain,
    AccessLog,
}

/// A value as it is typed, without the quotes of a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    List(Vec<String>),
    One(String),
}

// === impl Table ===

impl Table<'_> {
    /// The path of `key`: `upstreams.checkout.buffer`.
    pub(crate) fn path(&self, key: &str) -> String {
        self.section.path(self.name, key)
    }

    pub(crate) fn value(&self, wanted: &str) -> Option<&Shown> {
        self.values.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value)
    }
}

// === impl Section ===

impl Section {
    pub(crate) const ALL: [Self; 11] = [
        Self::Server,
        Self::Upstreams,
        Self::Tiers,
        Self::Routes,
        Self::Journeys,
        Self::Jwt,
        Self::Tenants,
        Self::Latch,
        Self::Once,
        Self::Explain,
        Self::AccessLog,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Upstreams => "upstreams",
            Self::Tiers => "tiers",
            Self::Routes => "routes",
            Self::Journeys => "journeys",
            Self::Jwt => "jwt",
            Self::Tenants => "tenants",
            Self::Latch => "latch",
            Self::Once => "once",
            Self::Explain => "explain",
            Self::AccessLog => "access_log",
        }
    }

    /// Whether there is one such table, without a name.
    pub(crate) fn is_single(self) -> bool {
        matches!(
            self,
            Self::Server | Self::Jwt | Self::Latch | Self::Once | Self::Explain | Self::AccessLog
        )
    }

    /// Whether its tables stand under their names.
    pub(crate) fn is_named(self) -> bool {
        matches!(self, Self::Upstreams | Self::Tenants)
    }

    /// The tables of this section.
    pub(crate) fn tables(self, config: &Config) -> Vec<Table<'_>> {
        match self {
            Self::Server => vec![server(&config.server)],
            Self::Upstreams => config.upstreams.iter().map(upstream).collect(),
            Self::Tiers => config.tiers.iter().map(tier).collect(),
            Self::Routes => config.routes.iter().map(|one| route(one, config)).collect(),
            Self::Journeys => config.journeys.iter().map(|one| journey(one, config)).collect(),
            Self::Jwt => config.jwt.iter().map(jwt).collect(),
            Self::Tenants => config.tenants.iter().map(|one| tenant(one, config)).collect(),
            Self::Latch => vec![latch(&config.latch)],
            Self::Once => vec![once(&config.once)],
            Self::Explain => vec![explain(&config.explain)],
            Self::AccessLog => vec![access_log(&config.access_log)],
        }
    }

    /// The path of `key` in the table `name`, which is quoted where TOML would want it.
    pub(crate) fn path(self, name: &str, key: &str) -> String {
        let section = self.as_str();
        match name {
            "" => format!("{section}.{key}"),
            name if name.contains('.') => format!("{section}.\"{name}\".{key}"),
            name => format!("{section}.{name}.{key}"),
        }
    }
}

// === impl Shown ===

impl Shown {
    /// The part of the list around the first entry in which it differs from `other`, or the value if it is no list.
    pub(crate) fn beside(&self, other: &Self) -> String {
        match (self, other) {
            (Self::List(list), Self::List(other)) => {
                let same = list.iter().zip(other).take_while(|(one, other)| one == other).count();
                window(list, same.saturating_sub(1))
            }
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(list) => f.write_str(&window(list, 0)),
            Self::One(value) => f.write_str(value),
        }
    }
}

/// A few of the entries of a list, from the one at `start`; all of them if they are few.
fn window(list: &[String], start: usize) -> String {
    let start = if list.len() <= LISTED { 0 } else { start.min(list.len() - LISTED) };
    let end = list.len().min(start + LISTED);
    let quoted = list[start..end].iter().map(|entry| format!("\"{entry}\""));
    let before = (start > 0).then(|| "…".to_owned());
    let after = (end < list.len()).then(|| format!("… {} in all", list.len()));
    let shown: Vec<String> = before.into_iter().chain(quoted).chain(after).collect();
    format!("[{}]", shown.join(", "))
}

fn server(server: &Server) -> Table<'_> {
    let mut values = vec![
        ("listen", one(server.listen)),
        ("admin", one(server.admin)),
        ("workers", one(server.workers)),
        ("backlog", one(server.backlog)),
        ("max_connections", one(server.max_connections)),
        ("max_connections_per_client", one(server.max_connections_per_client)),
        ("header_timeout", time(server.header_timeout)),
        ("idle_timeout", time(server.idle_timeout)),
        ("body_timeout", time(server.body_timeout)),
        ("drain", time(server.drain)),
        ("max_head", bytes(server.max_head as u64)),
        ("max_headers", one(server.max_headers)),
        ("trusted_proxies", list(&server.trusted_proxies)),
    ];
    values.extend(server.tenant_from.as_ref().map(|source| ("tenant_from", one(source))));
    values.extend([("via", one(&server.via)), ("log", one(&server.log))]);
    values.extend(server.max_memory.map(|memory| ("max_memory", bytes(memory))));
    Table { section: Section::Server, name: "", values }
}

fn upstream(upstream: &Upstream) -> Table<'_> {
    let mut values = vec![("servers", list(&upstream.servers))];
    values.extend(in_flight(&upstream.in_flight));
    values.push(("buffer", one(upstream.limits.buffer())));
    values.extend(rate(upstream.rate, upstream.rate_shadow));
    values.extend([
        ("connect_timeout", time(upstream.connect_timeout)),
        ("idle_timeout", time(upstream.idle_timeout)),
        ("max_upgraded", one(upstream.max_upgraded)),
        ("retries.budget", one(upstream.retries.budget.ratio())),
        ("retries.min_per_second", one(upstream.retries.budget.min_per_second())),
        ("retries.attempts", one(upstream.retries.attempts)),
        ("retries.on", list(&upstream.retries.on)),
    ]);
    values.extend(isolate(&upstream.isolate));
    values.extend(circuit(&upstream.circuit));
    Table { section: Section::Upstreams, name: &upstream.name, values }
}

fn tier(tier: &Tier) -> Table<'_> {
    let mut values = vec![
        ("max_wait", time(tier.max_wait)),
        ("deadline", time(tier.deadline)),
        ("weight", one(tier.weight)),
        ("guaranteed", one(tier.guaranteed)),
        ("watermarks.high", one(tier.watermarks.high())),
        ("watermarks.low", one(tier.watermarks.low())),
        ("watermarks.shadow", one(tier.watermarks.is_shadow())),
    ];
    values.extend(rate(tier.rate, tier.rate_shadow));
    values.extend(objective(&tier.objective));
    values.extend(circuit_override(&tier.circuit));
    Table { section: Section::Tiers, name: &tier.name, values }
}

fn objective(objective: &Objective) -> impl Iterator<Item = (&'static str, Shown)> {
    let values = [
        ("objective.availability", one(objective.availability)),
        ("objective.latency", time(objective.latency)),
        ("objective.percentile", one(objective.percentile)),
        ("objective.window", one(Window(objective.window).show())),
        ("objective.refusals", one(objective.refusals)),
    ];
    let budgets = Stage::ALL.into_iter().zip(objective.budgets);
    values.into_iter().chain(budgets.map(|(stage, budget)| (budget_key(stage), time(budget))))
}

/// The key of the budget of `stage` in a tier.
pub(crate) fn budget_key(stage: Stage) -> &'static str {
    match stage {
        Stage::Accept => "objective.budgets.accept",
        Stage::Head => "objective.budgets.head",
        Stage::Decide => "objective.budgets.decide",
        Stage::Queue => "objective.budgets.queue",
        Stage::Connect => "objective.budgets.connect",
        Stage::FirstByte => "objective.budgets.first_byte",
        Stage::LastByte => "objective.budgets.last_byte",
    }
}

fn route<'c>(route: &'c Route, config: &'c Config) -> Table<'c> {
    let mut values = Vec::with_capacity(12);
    values.extend(route.methods.as_ref().map(|methods| ("methods", list(methods))));
    values.push(("path", one(&route.path)));
    let tier = config.tiers.get(route.tier.index()).map(|tier| tier.name.as_str());
    values.push(("tier", one(tier.unwrap_or_default())));
    let upstream = config.upstreams.get(route.upstream).map(|upstream| upstream.name.as_str());
    values.push(("upstream", one(upstream.unwrap_or_default())));
    values.extend(rate(route.rate, route.rate_shadow));
    values.push(("max_body", bytes(route.max_body)));
    let sku = route.sku.as_ref().map(|sku| TypedSku::of(sku, &route.path));
    values.extend(sku.map(|sku| ("sku", one(sku))));
    values.push(("once", one(route.once)));
    values.push(("require_token", one(route.require_token)));
    values.push(("retry", one(route.retry.as_str())));
    let limits: Vec<String> = route.limits.iter().map(limit).collect();
    values.push(("limits", list(&limits)));
    values.extend(isolate(&route.isolate));
    Table { section: Section::Routes, name: &route.name, values }
}

fn limit(limit: &Limit) -> String {
    let Limit { name, key, rate, max_keys, missing, shadow } = limit;
    let (shown, burst) = (Ceiling::of(*rate).show(), rate.burst());
    let name = if *name == key.to_string() { String::new() } else { format!("{name}: ") };
    let shadow = if *shadow { ", shadow" } else { "" };
    let missing = missing.as_str();
    format!("{name}{key} {shown}, burst {burst}, max_keys {max_keys}, missing {missing}{shadow}")
}

fn isolate(isolate: &Option<Isolate>) -> Option<(&'static str, Shown)> {
    let Isolate { key, share, shadow } = isolate.as_ref()?;
    let shadow = if *shadow { ", shadow" } else { "" };
    Some(("isolate", one(format_args!("{key} share {share}{shadow}"))))
}

/// Every key, or that it is off.
fn circuit(circuit: &Option<Circuit>) -> Vec<(&'static str, Shown)> {
    let Some(Circuit { settings, slow_after, failures }) = circuit else {
        return vec![("circuit", one(false))];
    };
    circuit_override(&CircuitOverride {
        on: true,
        failure_rate: Some(settings.failure_rate()),
        slow_rate: Some(settings.slow_rate()),
        slow_after: *slow_after,
        min_calls: Some(settings.min_calls()),
        window: Some(settings.window()),
        open: Some(settings.open()),
        max_open: Some(settings.max_open()),
        probes: Some(settings.probes()),
        failures: Some(failures.clone()),
        shadow: Some(settings.is_shadow()),
    })
}

/// The keys that are given.
fn circuit_override(given: &CircuitOverride) -> Vec<(&'static str, Shown)> {
    if !given.on {
        return vec![("circuit", one(false))];
    }
    let values = [
        ("circuit.failure_rate", given.failure_rate.map(one)),
        ("circuit.slow_rate", given.slow_rate.map(one)),
        ("circuit.slow_after", given.slow_after.map(time)),
        ("circuit.min_calls", given.min_calls.map(one)),
        ("circuit.window", given.window.map(time)),
        ("circuit.open", given.open.map(time)),
        ("circuit.max_open", given.max_open.map(time)),
        ("circuit.probes", given.probes.map(one)),
        ("circuit.failures", given.failures.as_deref().map(list)),
        ("circuit.shadow", given.shadow.map(one)),
    ];
    values.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn journey<'c>(journey: &'c Journey, config: &'c Config) -> Table<'c> {
    let name = |step: &usize| config.routes.get(*step).map_or("", |route| route.name.as_str());
    let steps: Vec<&str> = journey.steps.iter().map(name).collect();
    let finish = steps.get(journey.finish.step).copied().unwrap_or_default();
    let values = vec![
        ("identity", one(&journey.identity)),
        ("sticky", one(journey.sticky.as_str())),
        ("steps", list(&steps)),
        ("finish.step", one(finish)),
        ("finish.status", one(format_args!("{:?}", journey.finish.status))),
        ("ttl", time(journey.ttl)),
        ("headroom", one(journey.headroom)),
        ("keys", one(&journey.keys)),
        ("calls", one(journey.calls)),
        ("reserve", one(journey.reserve)),
        ("max_grants", one(journey.max_grants)),
        ("max_customers", one(journey.max_customers)),
    ];
    Table { section: Section::Journeys, name: &journey.name, values }
}

fn jwt(jwt: &Jwt) -> Table<'_> {
    let mut values = vec![("keys", one(&jwt.keys)), ("algorithms", list(&jwt.algorithms))];
    values.extend(jwt.issuer.as_ref().map(|issuer| ("issuer", one(issuer))));
    values.extend((!jwt.audience.is_empty()).then(|| ("audience", list(&jwt.audience))));
    values.extend([("leeway", time(jwt.leeway)), ("cache", one(jwt.cache))]);
    Table { section: Section::Jwt, name: "", values }
}

fn tenant<'c>(tenant: &'c Tenant, config: &'c Config) -> Table<'c> {
    let mut values = vec![("id", one(&tenant.id))];
    values.extend(own_rate(tenant.rate));
    let tier = config.tiers.get(tenant.highest_tier.index()).map(|tier| tier.name.as_str());
    values.extend([
        ("share", one(tenant.share)),
        ("buffer_share", one(tenant.buffer_share)),
        ("highest_tier", one(tier.unwrap_or_default())),
        ("shadow", one(tenant.shadow)),
    ]);
    Table { section: Section::Tenants, name: &tenant.name, values }
}

fn latch(latch: &Latch) -> Table<'_> {
    let values = vec![
        ("status", one(latch.status)),
        ("ttl", time(latch.ttl)),
        ("max_skus", one(latch.max_skus)),
        ("low", one(latch.low)),
    ];
    Table { section: Section::Latch, name: "", values }
}

fn once(once: &Once) -> Table<'_> {
    let values = vec![("memory", bytes(once.memory)), ("ttl", time(once.ttl))];
    Table { section: Section::Once, name: "", values }
}

fn explain(explain: &Explain) -> Table<'_> {
    let values = vec![("header", one(explain.header)), ("sample", one(explain.sample))];
    Table { section: Section::Explain, name: "", values }
}

fn access_log(log: &AccessLog) -> Table<'_> {
    let mut values: Vec<_> = log.to.iter().map(|to| ("to", one(to))).collect();
    values.extend([
        ("sample", one(log.sample)),
        ("sample_refusals", one(log.sample_refusals)),
        ("failures", one(log.failures)),
        ("query", one(log.query)),
        ("client", one(log.client.as_str())),
    ]);
    Table { section: Section::AccessLog, name: "", values }
}

/// The number itself where there is nothing to find, as it is typed most often.
fn in_flight(settings: &AdaptiveSettings) -> Vec<(&'static str, Shown)> {
    if *settings == AdaptiveSettings::fixed(settings.start()) {
        return vec![("max_in_flight", one(settings.start()))];
    }
    let mut values = vec![
        ("max_in_flight.min", one(settings.min())),
        ("max_in_flight.max", one(settings.max())),
        ("max_in_flight.start", one(settings.start())),
        ("max_in_flight.algorithm", one(settings.algorithm().as_str())),
        ("max_in_flight.shadow", one(settings.is_shadow())),
    ];
    values.extend(settings.max_latency().map(|it| ("max_in_flight.max_latency", time(it))));
    values
}

fn rate(rate: Option<Rate>, is_shadow: bool) -> impl Iterator<Item = (&'static str, Shown)> {
    let shadow = rate.map(|_| ("rate_shadow", one(is_shadow)));
    own_rate(rate).chain(shadow)
}

/// That of a tenant, which is in the shadow with all else that is the tenant's.
fn own_rate(rate: Option<Rate>) -> impl Iterator<Item = (&'static str, Shown)> {
    let shown =
        |rate: Rate| [("rate", one(Ceiling::of(rate).show())), ("burst", one(rate.burst()))];
    rate.map(shown).into_iter().flatten()
}

fn one(value: impl ToString) -> Shown {
    Shown::One(value.to_string())
}

fn time(duration: Duration) -> Shown {
    Shown::One(Time(duration).show())
}

fn bytes(bytes: u64) -> Shown {
    Shown::One(size::show(bytes))
}

fn list(entries: &[impl ToString]) -> Shown {
    Shown::List(entries.iter().map(ToString::to_string).collect())
}
