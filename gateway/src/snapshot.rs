//! The compiled configuration of one generation, with the live state that its names stand for.
//!
//! This is the only place where live state is built. What the previous generation had under the same
//! name is carried over: permits in flight, waiters, buckets, breakers and counters outlive a reload.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use floodgate_config::{Config, ServerAddress};
use floodgate_limiter::{Gcra, Limiter, Rate, TierId, Timestamp};
use http::HeaderValue;

use crate::metrics::{RouteStats, TierStats};
use crate::server::Server;

/// Everything that a request needs to know, and the state it meets.
#[derive(Debug)]
pub struct Snapshot {
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
    /// Requests that belong to no route.
    pub unmatched: Arc<RouteStats>,
    /// Our entry in the Via chain, for requests that came as HTTP/1.0 and as HTTP/1.1.
    pub via: [HeaderValue; 2],
}

/// A route's live state; what was typed stands in the configuration under the same index.
#[derive(Debug)]
pub struct Route {
    /// Name of the route.
    pub name: String,
    /// Its ceiling.
    pub rate: Option<Arc<Gcra>>,
    /// Its counters.
    pub stats: Arc<RouteStats>,
    /// Which tier its requests belong to.
    pub tier: TierId,
    /// Index of the upstream.
    pub upstream: usize,
    /// Longest request body in bytes.
    pub max_body: u64,
}

/// A tier's live state.
#[derive(Debug)]
pub struct Tier {
    /// Name of the tier.
    pub name: String,
    /// Head received to answer complete.
    pub deadline: Duration,
    /// Its ceiling over all routes.
    pub rate: Option<Arc<Gcra>>,
    /// Its latencies.
    pub stats: Arc<TierStats>,
}

/// An upstream's live state.
#[derive(Debug)]
pub struct Upstream {
    /// Name of the upstream.
    pub name: String,
    /// Permits, buffer and breakers.
    pub limiter: Arc<Limiter>,
    /// Its ceiling over all routes.
    pub rate: Option<Arc<Gcra>>,
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
    pub upgraded: Arc<Upgraded>,
    /// How many of them there may be.
    pub max_upgraded: u32,
}

/// How many connections of an upstream have left HTTP.
#[derive(Debug, Default)]
pub struct Upgraded(AtomicU32);

/// One of them.
#[derive(Debug)]
pub struct UpgradedSlot(Arc<Upgraded>);

// === impl Snapshot ===

impl Snapshot {
    /// Makes `config` live beside or after `previous`, for `cores` cores, at `now`.
    pub fn compile(config: Config, previous: Option<&Self>, cores: usize, now: Timestamp) -> Self {
        let upstreams = config.upstreams.iter().map(|typed| {
            let old = previous.and_then(|p| p.upstreams.iter().find(|old| old.name == typed.name));
            Arc::new(Upstream::compile(typed, old.map(Arc::as_ref), now))
        });
        let tiers = config.tiers.iter().map(|typed| {
            let old = previous.and_then(|p| p.tiers.iter().find(|old| old.name == typed.name));
            Tier {
                name: typed.name.clone(),
                deadline: typed.deadline,
                rate: bucket(typed.rate, old.and_then(|old| old.rate.as_ref()), now),
                stats: old
                    .map_or_else(|| Arc::new(TierStats::new(cores)), |old| Arc::clone(&old.stats)),
            }
        });
        let routes = config.routes.iter().map(|typed| {
            let old = previous.and_then(|p| p.routes.iter().find(|old| old.name == typed.name));
            Route {
                name: typed.name.clone(),
                rate: bucket(typed.rate, old.and_then(|old| old.rate.as_ref()), now),
                stats: old
                    .map_or_else(|| Arc::new(RouteStats::new(cores)), |old| Arc::clone(&old.stats)),
                tier: typed.tier,
                upstream: typed.upstream,
                max_body: typed.max_body,
            }
        });
        Self {
            generation: previous.map_or(1, |p| p.generation + 1),
            routes: routes.collect(),
            tiers: tiers.collect(),
            upstreams: upstreams.collect(),
            unmatched: previous
                .map_or_else(|| Arc::new(RouteStats::new(cores)), |p| Arc::clone(&p.unmatched)),
            via: ["1.0", "1.1"].map(|version| {
                HeaderValue::try_from(format!("{version} {}", config.server.via))
                    .unwrap_or_else(|_| HeaderValue::from_static("1.1 floodgate"))
            }),
            config,
        }
    }

    /// Whether `address` may speak for the clients behind it.
    pub fn trusts(&self, address: std::net::IpAddr) -> bool {
        self.config.server.trusted_proxies.iter().any(|proxy| proxy.contains(address))
    }
}

/// The bucket of a rate, filled as far as the old one was.
fn bucket(rate: Option<Rate>, old: Option<&Arc<Gcra>>, now: Timestamp) -> Option<Arc<Gcra>> {
    let rate = rate?;
    Some(match old {
        Some(old) => {
            old.set_rate(rate, now);
            Arc::clone(old)
        }
        None => Arc::new(Gcra::new(rate)),
    })
}

// === impl Upstream ===

impl Upstream {
    fn compile(typed: &floodgate_config::Upstream, old: Option<&Self>, now: Timestamp) -> Self {
        let limiter = match old {
            Some(old) => {
                old.limiter.apply(&typed.limits, now);
                Arc::clone(&old.limiter)
            }
            None => Limiter::new(&typed.limits),
        };
        let server = |address: &ServerAddress| {
            old.and_then(|old| old.servers.iter().find(|server| server.address == *address))
                .map_or_else(|| Arc::new(Server::new(address.clone())), Arc::clone)
        };
        Self {
            name: typed.name.clone(),
            limiter,
            rate: bucket(typed.rate, old.and_then(|old| old.rate.as_ref()), now),
            servers: typed.servers.iter().map(server).collect(),
            turn: AtomicUsize::new(0),
            connect_timeout: typed.connect_timeout,
            pool_size: typed.limits.max_in_flight() as usize,
            idle_timeout: typed.idle_timeout,
            upgraded: old.map_or_else(Arc::default, |old| Arc::clone(&old.upgraded)),
            max_upgraded: typed.max_upgraded,
        }
    }

    /// What stands in Host when the client, speaking HTTP/1.0, named none.
    pub fn host(&self) -> HeaderValue {
        let first = self.servers.first().map(|server| server.address.to_string());
        first
            .and_then(|host| host.try_into().ok())
            .unwrap_or_else(|| HeaderValue::from_static("upstream"))
    }

    /// A place for one more upgraded connection, if there is one.
    pub fn take_upgraded(&self) -> Option<UpgradedSlot> {
        let limit = self.max_upgraded;
        let take = |count| (count < limit).then_some(count + 1);
        self.upgraded.0.fetch_update(Relaxed, Relaxed, take).ok()?;
        Some(UpgradedSlot(Arc::clone(&self.upgraded)))
    }
}

// === impl Upgraded ===

impl Upgraded {
    /// How many there are now.
    pub fn count(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

impl Drop for UpgradedSlot {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}
