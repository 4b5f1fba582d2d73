//! What is bounded per key: the rates of clients, customers, articles, and how much of an upstream one of them
//! may hold.
//!
//! ```text
//! head ── key ──> digest ── limit ────> looked at with the head, taken with the permit
//!                    │      isolate ──> looked at with the head, held with the permit or the place
//!                    └─ one in 64 ────> hot keys
//! ```

mod isolate;
mod key;
mod limit;
mod status;

use std::sync::Arc;
use std::time::Duration;

use floodgate_config::{Config, Route, Upstream};
use floodgate_limiter::{Holding, Timestamp};

use crate::classify::HeadView;
use crate::metrics::Counter;
use crate::reason::Reason;
use crate::snapshot::Snapshot;
use crate::worker::Worker;

use isolate::Isolate;
use limit::Limit;

pub(crate) use isolate::{Across, Shares};
pub(crate) use limit::Limited;
pub(crate) use status::{LimitStatus, Scope, ShareStatus, status, top};

/// Most limits of a route, by the configuration.
const LIMITS: usize = 8;

/// The first bit of the rules in what is seen, behind those of limits and shares.
const RULES: usize = LIMITS + 2;

/// What is bounded per key on a route.
#[derive(Debug)]
pub(crate) struct Keyed {
    limits: Box<[Limit]>,
    /// That of the route and that of its upstream.
    isolates: [Option<Isolate>; 2],
}

/// A request that is asked for its keys, and what was found about it.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// Who asks.
    pub worker: &'a Worker,
    /// By which rules.
    pub snapshot: &'a Snapshot,
    /// What came.
    pub head: HeadView<'a>,
    /// What was found.
    pub seen: Seen,
    /// Which limit refused it, if one did.
    pub limited: Option<Limited>,
}

/// A rule of a route, its tier or its upstream that may be in the shadow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rule {
    /// The watermarks of its tier, or of one above it.
    Watermark,
    /// The rate of its route.
    RouteRate,
    /// That of the tier it is served in.
    TierRate,
    /// That of its upstream.
    UpstreamRate,
}

/// What was found about the keys of a request, and what rules in the shadow say of it. It is counted once, however often it
/// is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Limits and shares that it is over, refused or not: a bit for each limit, then for each share; then one for each rule in
    /// the shadow that would refuse it.
    over: u16,
    /// Those whose key it does not have.
    missing: u16,
}

/// What a look at one limit or share found.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    /// It is over it, and will not be after this time, if that is known.
    over: Option<Duration>,
    /// It does not have the key.
    is_missing: bool,
}

/// One core's counters of a limit or a share, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    /// Requests that were refused.
    refused: Counter,
    /// Requests that would have been refused, in the shadow.
    would_refuse: Counter,
    /// Requests that did not have the key.
    missing: Counter,
}

/// What a request holds of the shares of its keys.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Given back when dropped.
    _holdings: Option<Box<[Option<Holding>; 2]>>,
}

// === impl Asked ===

impl<'a> Asked<'a> {
    /// Nothing is known yet.
    pub(crate) const fn new(
        worker: &'a Worker,
        snapshot: &'a Snapshot,
        head: HeadView<'a>,
    ) -> Self {
        Self { worker, snapshot, head, seen: Seen::NOTHING, limited: None }
    }
}

// === impl Keyed ===

impl Keyed {
    /// What is bounded on the route `meant`, after `previous`, for `cores` cores at `now`; `None` if nothing is.
    pub(crate) fn compile(
        config: &Config,
        meant: &Route,
        upstream: Option<&Arc<Shares>>,
        previous: Option<&Self>,
        cores: usize,
        now: Timestamp,
    ) -> Option<Box<Self>> {
        let limit = |meant_limit| {
            let old = previous.and_then(|old| old.limit(meant_limit));
            Limit::compile(meant_limit, &meant.path, old, cores, now)
        };
        let own = meant.isolate.as_ref().map(|isolate| {
            let old = previous.and_then(|old| old.isolates[0].as_ref());
            let shares = Shares::carry(isolate, old.map(Isolate::shares), cores);
            Isolate::compile(isolate, Across::Route, &meant.path, meant.upstream, shares)
        });
        let shared = upstream_isolate(config, meant).zip(upstream).map(|(isolate, shares)| {
            Isolate::compile(
                isolate,
                Across::Upstream,
                &meant.path,
                meant.upstream,
                Arc::clone(shares),
            )
        });
        let keyed =
            Self { limits: meant.limits.iter().map(limit).collect(), isolates: [own, shared] };
        let is_any = !keyed.limits.is_empty() || keyed.isolates.iter().any(Option::is_some);
        is_any.then(|| Box::new(keyed))
    }

    /// Whether a request would be refused at `now` for the sake of its keys. Writes nothing but the sample of hot keys.
    ///
    /// # Errors
    /// The reason to refuse it with.
    pub(crate) fn look(&self, asked: &mut Asked<'_>, now: Timestamp) -> Result<(), Reason> {
        let is_shown = asked.worker.sampler.picks();
        for (index, limit) in self.limits.iter().enumerate() {
            let looked = limit.look(asked, is_shown, now);
            asked.seen.note(index, &looked);
            if let (Some(wait), false) = (looked.over, limit.meant.shadow) {
                asked.limited = Some(Limited { limit: index as u8, wait });
                return Err(Reason::KeyLimit);
            }
        }
        for (index, isolate) in self.isolates() {
            let looked = isolate.look(asked, is_shown, now);
            asked.seen.note(index, &looked);
            if looked.over.is_some() && !isolate.meant.shadow {
                return Err(Reason::KeyShare);
            }
        }
        Ok(())
    }

    /// Counts what was `seen` of a request.
    pub(crate) fn count(&self, core: usize, seen: Seen) {
        for (index, limit) in self.limits.iter().enumerate() {
            limit.stats[core].count(index, seen, limit.meant.shadow);
        }
        for (index, isolate) in self.isolates() {
            isolate.shares.stats[core].count(index, seen, isolate.meant.shadow);
        }
    }

    /// Each with its bit among what is seen.
    fn isolates(&self) -> impl Iterator<Item = (usize, &Isolate)> {
        let isolates = self.isolates.iter().enumerate();
        isolates.filter_map(|(index, isolate)| Some((LIMITS + index, isolate.as_ref()?)))
    }

    /// Holds one of the share of each key of the request.
    ///
    /// # Errors
    /// One of them holds all of its share.
    pub(crate) fn hold(&self, asked: &Asked<'_>) -> Result<Held, Reason> {
        if self.isolates.iter().all(Option::is_none) {
            return Ok(Held::default());
        }
        let mut held = [None, None];
        for (held, isolate) in held.iter_mut().zip(&self.isolates) {
            if let Some(isolate) = isolate {
                *held = Some(isolate.hold(asked)?);
            }
        }
        Ok(Held { _holdings: Some(Box::new(held)) })
    }

    /// Accounts for a request that everything else has said yes to.
    ///
    /// # Errors
    /// Another request was faster.
    pub(crate) fn take(&self, asked: &mut Asked<'_>, now: Timestamp) -> Result<(), Reason> {
        for (index, limit) in self.limits.iter().enumerate() {
            if let Err(wait) = limit.take(asked, now) {
                asked.limited = Some(Limited { limit: index as u8, wait });
                return Err(Reason::KeyLimit);
            }
        }
        Ok(())
    }

    fn limit(&self, meant: &floodgate_config::Limit) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.is_same(meant))
    }
}

// === impl Rule ===

impl Rule {
    /// All of them, in the order of [`Rule::index`].
    pub(crate) const ALL: [Self; 4] =
        [Self::Watermark, Self::RouteRate, Self::TierRate, Self::UpstreamRate];

    /// Position in [`Rule::ALL`], for tables.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// As it stands in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Watermark => "watermark",
            Self::RouteRate => "route_rate",
            Self::TierRate => "tier_rate",
            Self::UpstreamRate => "upstream_rate",
        }
    }
}

// === impl Seen ===

impl Seen {
    /// Nothing.
    pub(crate) const NOTHING: Self = Self { over: 0, missing: 0 };

    /// Whether there is nothing to count.
    pub(crate) const fn is_nothing(self) -> bool {
        self.over | self.missing == 0
    }

    /// A rule in the shadow would refuse it.
    pub(crate) const fn note_shadow(&mut self, rule: Rule) {
        self.over |= 1 << (RULES + rule.index());
    }

    /// The rules in the shadow that would refuse it.
    pub(crate) fn in_shadow(self) -> impl Iterator<Item = Rule> {
        Rule::ALL.into_iter().filter(move |rule| self.over >> (RULES + rule.index()) & 1 == 1)
    }

    fn note(&mut self, index: usize, looked: &Looked) {
        self.over |= u16::from(looked.over.is_some()) << index;
        self.missing |= u16::from(looked.is_missing) << index;
    }
}

// === impl Shard ===

impl Shard {
    fn all(cores: usize) -> Arc<[Self]> {
        (0..cores).map(|_| Self::default()).collect()
    }

    fn count(&self, index: usize, seen: Seen, is_shadow: bool) {
        if seen.missing >> index & 1 == 1 {
            self.missing.increment();
        }
        match (seen.over >> index & 1 == 1, is_shadow) {
            (true, false) => self.refused.increment(),
            (true, true) => self.would_refuse.increment(),
            (false, _) => {}
        }
    }
}

fn sum(shards: &[Shard], field: impl Fn(&Shard) -> &Counter) -> u64 {
    shards.iter().map(|shard| field(shard).value()).sum()
}

/// What isolates the keys of the whole upstream of `route`, if they stand in its path.
fn upstream_isolate<'c>(
    config: &'c Config,
    route: &Route,
) -> Option<&'c floodgate_config::Isolate> {
    let Upstream { isolate, .. } = &config.upstreams[route.upstream];
    isolate.as_ref().filter(|isolate| isolate.key.stands_in(&route.path))
}
