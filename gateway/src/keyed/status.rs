//! What is told of limits and shares: for metrics, for the status, and which keys are hot.

use std::collections::HashSet;

use floodgate_config::{Isolate as MeantIsolate, Limit as MeantLimit};
use floodgate_limiter::{HotKey, KeysStatus, Timestamp};

use super::{Across, sum};
use crate::snapshot::Snapshot;

/// About one limit of one route.
#[derive(Debug)]
pub(crate) struct LimitStatus<'s> {
    /// The name of the route.
    pub route: &'s str,
    /// What is meant.
    pub meant: &'s MeantLimit,
    /// Requests that it refused.
    pub refused: u64,
    /// Requests that it would have refused, in the shadow.
    pub would_refuse: u64,
    /// Requests that did not have the key.
    pub missing: u64,
    /// What it remembers.
    pub keys: KeysStatus,
}

/// Whose shares they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scope<'s> {
    /// Those of the keys of this route.
    Route(&'s str),
    /// Those of the keys of this upstream.
    Upstream(&'s str),
}

/// About what isolates keys.
#[derive(Debug)]
pub(crate) struct ShareStatus<'s> {
    /// Of what.
    pub scope: Scope<'s>,
    /// What is meant.
    pub meant: &'s MeantIsolate,
    /// What a key may hold.
    pub most: u32,
    /// Requests that were refused.
    pub refused: u64,
    /// Requests that would have been refused, in the shadow.
    pub would_refuse: u64,
    /// Requests that did not have the key.
    pub missing: u64,
    /// Keys that hold something.
    pub holders: usize,
    /// What one of them holds at most.
    pub largest: u32,
}

/// A key that comes often, of a limit or of what isolates.
#[derive(Debug)]
pub(crate) struct Hot<'s> {
    /// Where it comes.
    pub scope: Scope<'s>,
    /// Name of the limit; `None`: it is isolated.
    pub limit: Option<&'s str>,
    /// What the key is made of.
    pub of: &'s floodgate_config::Key,
    /// The key.
    pub key: HotKey,
}

/// Everything that is per key.
pub(crate) fn status(snapshot: &Snapshot) -> (Vec<LimitStatus<'_>>, Vec<ShareStatus<'_>>) {
    let (mut limits, mut shares) = (Vec::new(), Vec::new());
    for route in &snapshot.routes {
        for limit in route.keyed.iter().flat_map(|keyed| &keyed.limits) {
            limits.push(LimitStatus {
                route: &route.name,
                meant: &limit.meant,
                refused: sum(&limit.stats, |shard| &shard.refused),
                would_refuse: sum(&limit.stats, |shard| &shard.would_refuse),
                missing: sum(&limit.stats, |shard| &shard.missing),
                keys: limit.keys.status(),
            });
        }
    }
    isolates(snapshot, |scope, isolate| {
        shares.push(ShareStatus {
            scope,
            meant: &isolate.meant,
            most: isolate.most(snapshot),
            refused: sum(&isolate.shares.stats, |shard| &shard.refused),
            would_refuse: sum(&isolate.shares.stats, |shard| &shard.would_refuse),
            missing: sum(&isolate.shares.stats, |shard| &shard.missing),
            holders: isolate.shares.holdings.len(),
            largest: isolate.shares.holdings.most(),
        });
    });
    (limits, shares)
}

/// The `most` keys that come most at `now`.
pub(crate) fn top(snapshot: &Snapshot, most: usize, now: Timestamp) -> Vec<Hot<'_>> {
    let mut found = Vec::new();
    for route in &snapshot.routes {
        for limit in route.keyed.iter().flat_map(|keyed| &keyed.limits) {
            let hot = |key| Hot {
                scope: Scope::Route(&route.name),
                limit: Some(&limit.meant.name),
                of: &limit.meant.key,
                key,
            };
            found.extend(limit.hot.top(most, now).into_iter().map(hot));
        }
    }
    isolates(snapshot, |scope, isolate| {
        let keys = isolate.shares.hot.top(most, now).into_iter();
        found.extend(keys.map(|key| Hot { scope, limit: None, of: &isolate.meant.key, key }));
    });
    found.sort_by(|one, other| other.key.per_second.total_cmp(&one.key.per_second));
    found.truncate(most);
    found
}

/// Calls `tell` for each route that isolates its keys and for each upstream that does.
fn isolates<'s>(
    snapshot: &'s Snapshot,
    mut tell: impl FnMut(Scope<'s>, &'s super::isolate::Isolate),
) {
    let mut told = HashSet::new();
    for route in &snapshot.routes {
        for isolate in route.keyed.iter().flat_map(|keyed| keyed.isolates.iter().flatten()) {
            match isolate.across {
                Across::Route => tell(Scope::Route(&route.name), isolate),
                Across::Upstream if told.insert(route.upstream) => {
                    tell(Scope::Upstream(&snapshot.upstreams[route.upstream].name), isolate);
                }
                Across::Upstream => {}
            }
        }
    }
}
