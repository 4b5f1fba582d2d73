//! The compiled configuration of one generation, with the live state that its names stand for.
//!
//! This is the only place where live state is built. What the previous generation had under the same
//! name is carried over: permits in flight, waiters, buckets, breakers and counters outlive a reload.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use floodgate_config::{Config, Identity, Retry, Sticky, TenantSource};
use floodgate_limiter::{Gcra, Rate, TierId, Timestamp};
use http::{HeaderValue, StatusCode};

use crate::explain::RouteNames;
use crate::journey::Journey;
use crate::jwt::Jwt;
use crate::keyed::{Keyed, Shares};
use crate::metrics::{RouteStats, TierStats};
use crate::objective::Promise;
use crate::open_keys::OpenKeys;
use crate::purchase::{self, Purchases};
use crate::reason::Reason;
use crate::refusals::Refusals;
use crate::stock::Stocks;
use crate::tenant::Tenants;
use crate::upstream::Upstream;

/// Names of a route and its tier: what its counters are kept under.
pub(crate) type RouteAndTier = (String, String);

/// Most retired counters that are kept, about 1 KiB each per core.
const MAX_RETIRED: usize = 10_000;

/// Everything that a request needs to know, and the state it meets.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Counts the configurations this process has had, from 1.
    pub generation: u64,
    /// What was meant by the file.
    pub config: Config,
    /// In the order of the file: the first match wins.
    pub routes: Vec<Route>,
    /// In the order of priority.
    pub tiers: Vec<Tier>,
    /// In the order of the file.
    pub upstreams: Vec<Arc<Upstream>>,
    /// What the keys of each upstream hold, where they are isolated from each other.
    pub shares: Vec<Option<Arc<Shares>>>,
    /// In the order of the file.
    pub journeys: Vec<Journey>,
    /// Whether the breaker of any tier is in the shadow.
    pub has_shadow_breakers: bool,
    /// A path may have one spelling only: something goes by it that must not be evaded by another.
    pub one_spelling: bool,
    /// How tokens are verified.
    pub jwt: Option<Jwt>,
    /// Who shares the gateway.
    pub tenants: Tenants,
    /// What is left of what is sold.
    pub stocks: Arc<Stocks>,
    /// What is being bought, and what was.
    pub purchases: Arc<Purchases>,
    /// Ready-made refusals.
    pub refusals: Refusals,
    /// Requests that belong to no route.
    pub unmatched: Arc<RouteStats>,
    /// Upstreams of earlier generations that still had requests when this one began: should one come
    /// back, its permits are not given twice.
    pub leaving: Vec<Arc<Upstream>>,
    /// Counters of what earlier generations had, by the names of route and tier: what was counted
    /// stays counted, and requests under the old rules still count.
    pub retired: BTreeMap<RouteAndTier, Arc<RouteStats>>,
    /// Our entry in the Via chain, for requests that came as HTTP/1.0 and as HTTP/1.1.
    pub via: [HeaderValue; 2],
}

/// A route's live state.
#[derive(Debug)]
pub(crate) struct Route {
    /// Name of the route.
    pub name: String,
    /// Its rate.
    pub rate: Option<Arc<Gcra>>,
    /// Whether that only counts what it would refuse.
    pub rate_shadow: bool,
    /// What is bounded per key, if something is.
    pub keyed: Option<Box<Keyed>>,
    /// Its counters.
    pub stats: Arc<RouteStats>,
    /// Whether something goes by what the tokens of its requests say.
    pub reads_token: bool,
    /// Which tier its requests belong to.
    pub tier: TierId,
    /// Index of the upstream.
    pub upstream: usize,
    /// Longest request body in bytes.
    pub max_body: u64,
    /// Which of its requests are sent again.
    pub retry: Retry,
    /// Index of its journey, and which step of that it is.
    pub journey: Option<(usize, usize)>,
    /// What its decisions are kept under.
    pub names: Arc<RouteNames>,
}

/// A tier's live state.
#[derive(Debug)]
pub(crate) struct Tier {
    /// Name of the tier.
    pub name: String,
    /// Head received to answer complete.
    pub deadline: Duration,
    /// Its rate over all routes.
    pub rate: Option<Arc<Gcra>>,
    /// Whether that only counts what it would refuse.
    pub rate_shadow: bool,
    /// Its latencies.
    pub stats: Arc<TierStats>,
    /// What its customers are promised.
    pub promise: Arc<Promise>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Makes `config` live after `previous`, for `cores` cores, at `now`. What keeps its name keeps
    /// its state.
    ///
    /// Limits and rates that the two share change at once, before the snapshot is live: nothing after
    /// this may fail. `keys` are those of `config`.
    pub(crate) fn compile(
        config: Config,
        keys: OpenKeys,
        previous: Option<&Self>,
        cores: usize,
        now: Timestamp,
    ) -> Self {
        let old = Old::of(previous);
        let earlier =
            |name: &str| previous.and_then(|p| p.tiers.iter().position(|tier| tier.name == name));
        let from: Vec<Option<usize>> =
            config.tiers.iter().map(|tier| earlier(&tier.name)).collect();
        let upstreams = config.upstreams.iter().map(|meant| {
            let old = old.upstreams.get(meant.name.as_str());
            let old = old.map(|old| old.as_ref());
            Arc::new(Upstream::compile(meant, &config.tiers, old, &from, cores, now))
        });
        let shares: Vec<Option<Arc<Shares>>> = config
            .upstreams
            .iter()
            .map(|meant| {
                let isolate = meant.isolate.as_ref()?;
                Some(Shares::carry(isolate, previous.and_then(|p| p.shares_of(&meant.name)), cores))
            })
            .collect();
        let tiers = config.tiers.iter().map(|meant| {
            let old = old.tiers.get(meant.name.as_str());
            Tier {
                name: meant.name.clone(),
                deadline: meant.deadline,
                rate: carried_rate(meant.rate, old.and_then(|old| old.rate.as_ref()), now),
                rate_shadow: meant.rate_shadow,
                stats: old
                    .map_or_else(|| Arc::new(TierStats::new(cores)), |old| Arc::clone(&old.stats)),
                promise: Arc::new(Promise::new(&meant.name, &meant.objective)),
            }
        });
        let mut retired = old.stats;
        let routes = config.routes.iter().map(|meant| {
            let tier = config.tiers[meant.tier.index()].name.clone();
            let stats = retired.remove(&(meant.name.clone(), tier.clone()));
            let journey = meant.journey.map(|(journey, _)| config.journeys[journey].name.clone());
            let upstream = config.upstreams[meant.upstream].name.clone();
            let old = old.routes.get(meant.name.as_str());
            let shares = shares[meant.upstream].as_ref();
            let limits = old.and_then(|old| old.keyed.as_deref());
            Route {
                keyed: Keyed::compile(&config, meant, shares, limits, cores, now),
                name: meant.name.clone(),
                rate: carried_rate(meant.rate, old.and_then(|old| old.rate.as_ref()), now),
                rate_shadow: meant.rate_shadow,
                stats: stats.unwrap_or_else(|| Arc::new(RouteStats::new(cores))),
                reads_token: reads_token(&config, meant),
                tier: meant.tier,
                upstream: meant.upstream,
                max_body: meant.max_body,
                retry: meant.retry,
                journey: meant.journey,
                names: Arc::new(RouteNames {
                    route: meant.name.clone(),
                    tier,
                    upstream,
                    journey,
                    limits: meant.limits.iter().map(|limit| limit.name.clone()).collect(),
                }),
            }
        });
        let journeys = keys.journeys.into_iter().enumerate().map(|(index, keys)| {
            let name = &config.journeys[index].name;
            let old = previous.and_then(|p| p.journeys.iter().find(|old| old.name == *name));
            Journey::compile(&config, index, keys, old, cores, now)
        });
        let upstreams: Vec<_> = upstreams.collect();
        let tenants =
            Tenants::compile(&config, &upstreams, previous.map(|p| &p.tenants), &from, cores, now);
        let snapshot = Self {
            jwt: Jwt::compile(&config, keys.tokens, previous.and_then(|p| p.jwt.as_ref()), cores),
            tenants,
            generation: previous.map_or(1, |p| p.generation + 1),
            routes: routes.collect(),
            shares: shares.clone(),
            has_shadow_breakers: config.tiers.iter().any(|tier| tier.watermarks.is_shadow()),
            one_spelling: has_one_spelling(&config),
            journeys: journeys.collect(),
            stocks: Stocks::carry(&config.latch, previous.map(|p| &p.stocks)),
            purchases: purchase::carry(&config.once, previous.map(|p| &p.purchases)),
            refusals: Refusals::new(|reason| status(&config, reason)),
            tiers: tiers.collect(),
            leaving: previous
                .into_iter()
                .flat_map(|previous| previous.leaving(&config, now))
                .collect(),
            upstreams,
            unmatched: previous
                .map_or_else(|| Arc::new(RouteStats::new(cores)), |p| Arc::clone(&p.unmatched)),
            retired: retired.into_iter().take(MAX_RETIRED).collect(),
            via: ["1.0", "1.1"].map(|version| {
                HeaderValue::try_from(format!("{version} {}", config.server.via))
                    .unwrap_or_else(|_| HeaderValue::from_static("1.1 floodgate"))
            }),
            config,
        };
        // Upstreams that are new or come back have not heard of it, and have not heard that it is over.
        if let Some(pressed) = previous.and_then(|previous| previous.upstreams.first()) {
            snapshot.press(pressed.permits.pressure(), now);
        }
        // A journey that has not seen its upstreams lets nobody begin.
        snapshot.tick(now);
        snapshot
    }

    /// Lets the journeys judge how it goes, and the upstreams how many permits they are to have. Often: each does something only
    /// when a window of its own is over.
    pub(crate) fn tick(&self, now: Timestamp) {
        for upstream in &self.upstreams {
            if let Some(circuits) = &upstream.circuits {
                circuits.tick(now);
            }
            upstream.find_permits(now);
            upstream.retries.budget.tick(now);
        }
        for journey in &self.journeys {
            journey.tick(&self.upstreams, &self.tenants, now);
        }
        self.tenants.tick(&self.upstreams, now);
    }

    /// Takes over the pressure of the process, 0..1.
    pub(crate) fn press(&self, pressure: f64, now: Timestamp) {
        for upstream in &self.upstreams {
            upstream.press(pressure, now);
        }
    }

    /// Learns what the upstreams can take. Once a second.
    pub(crate) fn learn(&self) {
        for upstream in &self.upstreams {
            upstream.capacity.learn(upstream.limiter.totals());
        }
    }

    /// The status that a refusal for `reason` has.
    pub(crate) fn status(&self, reason: Reason) -> StatusCode {
        status(&self.config, reason)
    }

    /// Upstreams that `config` has no more and that have not finished.
    fn leaving(&self, config: &Config, now: Timestamp) -> Vec<Arc<Upstream>> {
        let is_gone = |name: &str| config.upstreams.iter().all(|meant| meant.name != name);
        let gone = self.all_upstreams().filter(|upstream| is_gone(&upstream.name));
        let busy = gone.filter(|upstream| {
            let status = upstream.limiter.status(now);
            status.in_flight > 0 || status.waiting > 0
        });
        busy.map(Arc::clone).collect()
    }

    /// Those that are configured, and those that were and have not finished.
    pub(crate) fn all_upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.leaving.iter().chain(&self.upstreams)
    }

    /// What the keys of the upstream of this name hold.
    fn shares_of(&self, name: &str) -> Option<&Arc<Shares>> {
        let at = self.upstreams.iter().position(|upstream| upstream.name == name)?;
        self.shares[at].as_ref()
    }

    /// Whether `address` may speak for the clients behind it.
    pub(crate) fn trusts(&self, address: std::net::IpAddr) -> bool {
        self.config.server.trusted_proxies.iter().any(|proxy| proxy.contains(address))
    }
}

/// The previous generation by name.
struct Old<'a> {
    upstreams: HashMap<&'a str, &'a Arc<Upstream>>,
    tiers: HashMap<&'a str, &'a Tier>,
    routes: HashMap<&'a str, &'a Route>,
    stats: BTreeMap<RouteAndTier, Arc<RouteStats>>,
}

// === impl Old ===

impl<'a> Old<'a> {
    fn of(previous: Option<&'a Snapshot>) -> Self {
        let Some(previous) = previous else {
            return Self {
                upstreams: HashMap::new(),
                tiers: HashMap::new(),
                routes: HashMap::new(),
                stats: BTreeMap::new(),
            };
        };
        let mut stats = previous.retired.clone();
        for route in &previous.routes {
            let tier = previous.tiers[route.tier.index()].name.clone();
            stats.insert((route.name.clone(), tier), Arc::clone(&route.stats));
        }
        Self {
            upstreams: previous.all_upstreams().map(|old| (old.name.as_str(), old)).collect(),
            tiers: previous.tiers.iter().map(|old| (old.name.as_str(), old)).collect(),
            routes: previous.routes.iter().map(|old| (old.name.as_str(), old)).collect(),
            stats,
        }
    }
}

/// Whether something is bound to paths that one customer would evade: grants, tokens, limits and shares of keys. The rate of
/// a route is no such thing: it is everybody's, and who spells its path otherwise comes under those of another
/// route, of its tier and of the upstream. For that alone nobody's careless `//` is refused.
fn has_one_spelling(config: &Config) -> bool {
    let is_bound = |meant: &floodgate_config::Route| {
        meant.require_token || !meant.limits.is_empty() || meant.isolate.is_some()
    };
    config.journeys.iter().any(|meant| meant.sticky == Sticky::Grant)
        || config.routes.iter().any(is_bound)
        || config.upstreams.iter().any(|meant| meant.isolate.is_some())
}

/// Whether something goes by what the tokens of the requests of `route` say.
fn reads_token(config: &Config, route: &floodgate_config::Route) -> bool {
    let journey = route.journey.map(|(journey, _)| &config.journeys[journey]);
    let identity = journey.filter(|it| it.sticky == Sticky::Grant).map(|it| &it.identity);
    let isolates = [&route.isolate, &config.upstreams[route.upstream].isolate];
    let keys = isolates.into_iter().flatten().map(|isolate| &isolate.key);
    let mut keys = keys.chain(route.limits.iter().map(|limit| &limit.key));
    route.require_token
        || keys.any(|key| key.claims().next().is_some())
        || matches!(identity, Some(Identity::Claim(_)))
        || (!config.tenants.is_empty()
            && matches!(config.server.tenant_from, Some(TenantSource::Claim(_))))
}

fn status(config: &Config, reason: Reason) -> StatusCode {
    let sold_out = StatusCode::from_u16(config.latch.status).ok();
    sold_out.filter(|_| reason == Reason::SoldOut).unwrap_or_else(|| reason.status())
}

/// The state of a rate: `old`'s, if there was one, so that nobody gets a fresh burst.
pub(crate) fn carried_rate(
    rate: Option<Rate>,
    old: Option<&Arc<Gcra>>,
    now: Timestamp,
) -> Option<Arc<Gcra>> {
    let rate = rate?;
    Some(match old {
        Some(old) => {
            old.set_rate(rate, now);
            Arc::clone(old)
        }
        None => Arc::new(Gcra::new(rate)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(upstreams: &[&str], isolate: &str) -> Config {
        let servers =
            |name: &&str| format!("[upstreams.{name}]\nservers = [\"127.0.0.1:1\"]\n{isolate}\n");
        let upstreams_text: String = upstreams.iter().map(servers).collect();
        let route = format!(
            "[[routes]]\nname = \"r\"\npath = \"/buy/{{sku}}\"\nupstream = \"{}\"\n",
            upstreams[0]
        );
        floodgate_config::parse("test", &format!("{upstreams_text}{route}")).unwrap()
    }

    #[test]
    fn an_upstream_that_comes_back_is_under_the_pressure_of_the_others() {
        let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let compile = |upstreams: &[&str], previous: Option<&Snapshot>, now| {
            Snapshot::compile(config(upstreams, ""), OpenKeys::default(), previous, 1, at(now))
        };
        let first = compile(&["a", "b"], None, 1);
        let limiter = Arc::clone(&first.upstreams[1].limiter);
        let tier = TierId::new(0).unwrap();
        // Somebody is inside, so that it is kept.
        let _inside = limiter.acquire(tier, at(1), Timestamp::MAX);
        first.press(1.0, at(1));
        let second = compile(&["a"], Some(&first), 2);
        second.press(0.0, at(2));
        let third = compile(&["a", "b"], Some(&second), 3);
        assert!(Arc::ptr_eq(&third.upstreams[1].limiter, &limiter));
        assert_eq!(limiter.pressure(at(3)), 0.0);
        third.press(1.0, at(4));
        let fourth = compile(&["a", "b", "c"], Some(&third), 5);
        assert_eq!(fourth.upstreams[2].limiter.pressure(at(5)), 1.0);
    }

    #[test]
    fn what_was_sent_again_stays_counted_over_a_change() {
        let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let compile = |keys: &str, previous: Option<&Snapshot>| {
            let config = config(&["a"], keys);
            Snapshot::compile(config, OpenKeys::default(), previous, 1, at(1))
        };
        let keys = "retries = { budget = 0.0, min_per_second = 1 }";
        let first = compile(keys, None);
        let budget = &first.upstreams[0].retries.budget;
        assert!(budget.take(at(1)) && !budget.take(at(1)));
        let same = compile(keys, Some(&first));
        assert!(!same.upstreams[0].retries.budget.take(at(1)));
        let more = compile("retries = { budget = 1.0, attempts = 2 }", Some(&same));
        let upstream = &more.upstreams[0];
        (0..2).for_each(|_| upstream.retries.budget.admitted(0));
        assert_eq!((upstream.attempts, upstream.retries.status(at(1)).retries), (2, 1));
        assert!(upstream.retries.budget.take(at(1)));
    }

    #[test]
    fn paths_have_one_spelling_where_anything_goes_by_them() {
        let has = |isolate| has_one_spelling(&config(&["a"], isolate));
        assert!(!has(""));
        assert!(has("isolate = { key = \"path:sku\", share = 0.3 }"));
        let route = |keys| {
            let text = format!(
                "[upstreams.a]\nservers = [\"127.0.0.1:1\"]\n[jwt]\nkeys = \"env:K\"\n[[routes]]\n{keys}\n"
            );
            has_one_spelling(&floodgate_config::parse("test", &text).unwrap())
        };
        assert!(route("require_token = true"));
        assert!(route("limits = [{ key = \"client_ip\", rate = \"1/s\" }]"));
        assert!(!route("rate = \"1/s\""));
    }
}
