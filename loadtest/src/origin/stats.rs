//! What an origin has seen.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::shop::ShopStats;

/// Path prefixes counted apart; the rest is counted as `other`.
const MAX_PREFIXES: usize = 64;

/// What an origin has seen so far. The counts of one moment need not be of the same instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginStats {
    /// Answers whose last byte was written.
    pub answered: u64,
    /// Requests that were malformed and got a 4xx or 5xx of the origin's own.
    pub bad_requests: u64,
    /// Requests by first path segment, at most 64 of them, then `other`.
    pub by_prefix: BTreeMap<String, u64>,
    /// Requests whose client left before the answer was complete: work for nobody.
    pub client_left: u64,
    /// Requests at once above which a request counts as over the limit.
    pub concurrency_limit: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Requests that are with the origin now.
    pub in_flight: u64,
    /// Connections open now.
    pub open_connections: u64,
    /// Requests that came while the limit was reached.
    pub over_limit: u64,
    /// Most requests that were with the origin at once.
    pub peak_concurrency: u64,
    /// Requests whose head was received.
    pub requests: u64,
    /// What was traded, by an origin that has stock.
    #[serde(default)]
    pub shop: Option<ShopStats>,
}

/// The live counts.
#[derive(Debug)]
pub(super) struct Stats {
    answered: AtomicU64,
    bad_requests: AtomicU64,
    by_prefix: [(OnceLock<Box<str>>, AtomicU64); MAX_PREFIXES - 1],
    changed: Notify,
    client_left: AtomicU64,
    concurrency_limit: u64,
    connections: AtomicU64,
    in_flight: AtomicU64,
    open_connections: AtomicU64,
    /// Requests of all prefixes beyond the bound.
    other: AtomicU64,
    over_limit: AtomicU64,
    peak_concurrency: AtomicU64,
    requests: AtomicU64,
    /// How many wait for a change: mostly none, and then nobody needs to be told.
    watchers: AtomicUsize,
}

/// A request that is with the origin; dropped when it is not any more.
#[must_use]
#[derive(Debug)]
pub(super) struct Visit<'a> {
    stats: &'a Stats,
    /// How many requests were received before this one.
    pub(super) before: u64,
}

/// A connection that is open; dropped when it is not any more.
#[must_use]
#[derive(Debug)]
pub(super) struct Open(Arc<Stats>);

/// Somebody who waits for a change; dropped when not any more.
#[derive(Debug)]
struct Watcher<'a>(&'a Stats);

// === impl Stats ===

impl Stats {
    pub(super) fn new(concurrency_limit: usize) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            answered: zero(),
            bad_requests: zero(),
            by_prefix: std::array::from_fn(|_| (OnceLock::new(), zero())),
            changed: Notify::new(),
            client_left: zero(),
            concurrency_limit: concurrency_limit as u64,
            connections: zero(),
            in_flight: zero(),
            open_connections: zero(),
            other: zero(),
            over_limit: zero(),
            peak_concurrency: zero(),
            requests: zero(),
            watchers: AtomicUsize::new(0),
        }
    }

    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.open_connections.fetch_add(1, SeqCst);
        self.count(&self.connections);
        Open(Arc::clone(self))
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(SeqCst)
    }

    /// Whether one more request would be over the limit.
    pub(super) fn is_full(&self) -> bool {
        self.in_flight.load(SeqCst) >= self.concurrency_limit
    }

    /// Counts a request in.
    pub(super) fn enter(&self, prefix: &str) -> Visit<'_> {
        let now = self.in_flight.fetch_add(1, SeqCst) + 1;
        // A look costs less than a write, and the peak is seldom a new one.
        if now > self.peak_concurrency.load(SeqCst) {
            self.peak_concurrency.fetch_max(now, SeqCst);
        }
        if now > self.concurrency_limit {
            self.over_limit.fetch_add(1, SeqCst);
        }
        self.count_of(prefix).fetch_add(1, SeqCst);
        let before = self.requests.fetch_add(1, SeqCst);
        self.tell();
        Visit { stats: self, before }
    }

    pub(super) fn count_bad_request(&self) {
        self.count(&self.bad_requests);
    }

    pub(super) fn reset_peak(&self) {
        self.peak_concurrency.store(self.in_flight.load(SeqCst), SeqCst);
    }

    pub(super) async fn wait_for(&self, wanted: impl Fn(&OriginStats) -> bool) -> OriginStats {
        let _watching = Watcher::of(self);
        loop {
            let mut changed = pin!(self.changed.notified());
            // Registered before the look, so that no change between look and wait is missed.
            changed.as_mut().enable();
            let stats = self.snapshot();
            if wanted(&stats) {
                return stats;
            }
            changed.await;
        }
    }

    pub(super) fn snapshot(&self) -> OriginStats {
        let counts = self.by_prefix.iter().map_while(|(name, count)| Some((name.get()?, count)));
        let counts = counts.map(|(name, count)| (name.to_string(), count.load(SeqCst)));
        let other = Some(self.other.load(SeqCst)).filter(|count| *count > 0);
        let other = other.map(|count| ("other".to_owned(), count));
        OriginStats {
            answered: self.answered.load(SeqCst),
            bad_requests: self.bad_requests.load(SeqCst),
            by_prefix: counts.chain(other).collect(),
            client_left: self.client_left.load(SeqCst),
            concurrency_limit: self.concurrency_limit,
            connections: self.connections.load(SeqCst),
            in_flight: self.in_flight.load(SeqCst),
            open_connections: self.open_connections.load(SeqCst),
            over_limit: self.over_limit.load(SeqCst),
            peak_concurrency: self.peak_concurrency.load(SeqCst),
            requests: self.requests.load(SeqCst),
            shop: None,
        }
    }

    fn count(&self, counter: &AtomicU64) {
        counter.fetch_add(1, SeqCst);
        self.tell();
    }

    /// A watcher is counted before it looks, so whoever finds none here has been seen by it.
    fn tell(&self) {
        if self.watchers.load(SeqCst) > 0 {
            self.changed.notify_waiters();
        }
    }

    /// Where requests with this prefix are counted; the first of a prefix takes a place.
    fn count_of(&self, prefix: &str) -> &AtomicU64 {
        let place = self.by_prefix.iter().find(|(name, _)| {
            // Whoever comes first has it; who comes second finds what the first has left.
            &**name.get_or_init(|| prefix.into()) == prefix
        });
        place.map_or(&self.other, |(_, count)| count)
    }
}

// === impl Visit ===

impl Visit<'_> {
    /// The answer is complete.
    pub(super) fn answered(self) {
        self.stats.answered.fetch_add(1, SeqCst);
    }

    /// Nobody waits for the answer any more.
    pub(super) fn client_left(self) {
        self.stats.client_left.fetch_add(1, SeqCst);
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.stats.in_flight.fetch_sub(1, SeqCst);
        self.stats.tell();
    }
}

// === impl Open ===

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open_connections.fetch_sub(1, SeqCst);
        self.0.tell();
    }
}

// === impl Watcher ===

impl<'a> Watcher<'a> {
    fn of(stats: &'a Stats) -> Self {
        stats.watchers.fetch_add(1, SeqCst);
        Self(stats)
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_and_over_limit_count_what_came_at_once() {
        let stats = Arc::new(Stats::new(2));
        let visits: Vec<_> = (0..3).map(|_| stats.enter("/a")).collect();
        drop(visits);
        stats.enter("/a").answered();
        stats.enter("/b").client_left();
        let seen = stats.snapshot();
        assert_eq!((seen.peak_concurrency, seen.over_limit, seen.in_flight), (3, 1, 0));
        assert_eq!((seen.requests, seen.answered, seen.client_left), (5, 1, 1));
        assert_eq!(seen.by_prefix, BTreeMap::from([("/a".into(), 4), ("/b".into(), 1)]));
    }

    #[test]
    fn prefixes_are_bounded_and_no_request_is_lost() {
        let stats = Arc::new(Stats::new(1));
        for n in 0..1000 {
            stats.enter(&format!("/{n}")).answered();
        }
        let seen = stats.snapshot();
        assert_eq!(seen.by_prefix.len(), MAX_PREFIXES);
        assert_eq!(seen.by_prefix.values().sum::<u64>(), 1000);
    }
}
