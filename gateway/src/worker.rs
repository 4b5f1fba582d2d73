//! What belongs to one worker alone: connections to the upstreams, alarms, calendars, its view of the
//! configuration.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwapAny, ArcSwapOption, Cache};
use floodgate_limiter::{RefusedKeys, Sampler, Timestamp};

use crate::access_log::Picker;
use crate::clock;
use crate::come_back::{Calendars, Told};
use crate::date::Date;
use crate::decide::{Decided, Refused};
use crate::explain::Levels;
use crate::fields::Fields;
use crate::journey::Part;
use crate::jwt::{Tokens, Verified};
use crate::keyed::Seen;
use crate::pool::Pool;
use crate::reason::Reason;
use crate::shadow::Shadow;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::tenant::Tenancy;
use crate::wheel::Wheel;

/// A snapshot in the hands of a request; cloning it touches no other worker's memory.
pub(crate) type SnapshotRef = Rc<Arc<Snapshot>>;

type SnapshotCache = Cache<SharedSnapshot, Arc<Snapshot>>;

type ShadowCache = Cache<SharedShadow, Option<Arc<Shadow>>>;

/// What belongs to one worker: one thread, and on a machine of its own one core.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Number of the worker, the index of its shards.
    pub index: usize,
    /// What all cores share.
    pub shared: Arc<Shared>,
    /// Idle connections to the upstreams.
    pub pool: Rc<Pool>,
    /// Alarms of the connections.
    pub wheel: Rc<Wheel>,
    /// What answers say the time is.
    pub date: Date,
    /// How full the upstreams were when it last looked.
    pub levels: Levels,
    /// Tokens that it has seen.
    tokens: Tokens,
    /// Which keys it has to refuse, and until when.
    pub refused_keys: RefusedKeys,
    /// Picks the requests whose keys are counted.
    pub sampler: Sampler,
    /// Picks the requests that the access log tells of.
    pub picker: Picker,
    /// Lines of a refusal that are not ready-made, in memory that is kept.
    pub lines: RefCell<Vec<u8>>,
    cache: RefCell<SnapshotCache>,
    live: RefCell<SnapshotRef>,
    shadow: RefCell<ShadowCache>,
    calendars: Calendars,
}

/// Lets the cache reach the shadow through the [`Shared`] that owns it.
#[derive(Clone, Debug)]
pub(crate) struct SharedShadow(Arc<Shared>);

/// Lets the cache reach the snapshot through the [`Shared`] that owns it.
#[derive(Clone, Debug)]
pub(crate) struct SharedSnapshot(Arc<Shared>);

// === impl Worker ===

impl Worker {
    /// Worker number `index` of the process.
    pub(crate) fn new(index: usize, shared: Arc<Shared>) -> Rc<Self> {
        let mut cache = Cache::new(SharedSnapshot(Arc::clone(&shared)));
        let live = Rc::new(Arc::clone(cache.load()));
        let seed = (index as u64 + 1) * 1000 + clock::now().as_nanos();
        Rc::new(Self {
            index,
            pool: Rc::default(),
            wheel: Wheel::new(),
            tokens: Tokens::default(),
            lines: RefCell::default(),
            refused_keys: RefusedKeys::new(),
            sampler: Sampler::new(index as u32 + 1),
            picker: Picker::new(seed),
            date: Date::new(SystemTime::now()),
            levels: Levels::default(),
            shadow: RefCell::new(Cache::new(SharedShadow(Arc::clone(&shared)))),
            cache: RefCell::new(cache),
            live: RefCell::new(live),
            calendars: Calendars::new(shared.active.len(), seed),
            shared,
        })
    }

    /// The live snapshot. A request asks once and keeps it to its end.
    pub(crate) fn snapshot(&self) -> SnapshotRef {
        let mut cache = self.cache.borrow_mut();
        let newest = cache.load();
        let mut live = self.live.borrow_mut();
        if !Arc::ptr_eq(newest, &live) {
            *live = Rc::new(Arc::clone(newest));
        }
        Rc::clone(&live)
    }

    /// A time limit of the live configuration.
    pub(crate) fn patience(
        &self,
        limit: impl FnOnce(&floodgate_config::Server) -> Duration,
    ) -> Duration {
        limit(&self.snapshot().config.server)
    }

    /// Longest head in bytes.
    pub(crate) fn max_head(&self) -> usize {
        self.snapshot().config.server.max_head
    }

    /// The candidate that is evaluated beside the live generation, if there is one.
    pub(crate) fn shadow(&self) -> Option<Arc<Shadow>> {
        self.shadow.borrow_mut().load().clone()
    }

    /// Lets go of a generation that was replaced, even if no request comes.
    pub(crate) fn catch_up(&self) {
        drop(self.snapshot());
    }

    /// What a request that is refused at `now` is told of coming back.
    pub(crate) fn come_back(&self, snapshot: &Snapshot, refused: Refused, now: Timestamp) -> Told {
        self.calendars.tell(snapshot, refused, now)
    }

    /// The good token of whoever sent `fields` at `now`; `None` if there is none.
    ///
    /// # Errors
    /// It is bad, or there were too many that are.
    pub(crate) fn token(
        &self,
        snapshot: &Snapshot,
        fields: Fields<'_>,
        now: Timestamp,
    ) -> Result<Option<Rc<Verified>>, Reason> {
        let Some(jwt) = &snapshot.jwt else { return Ok(None) };
        self.tokens.check(self.index, jwt, fields, now, self.date.unix_ms())
    }

    /// Counts what a request was that is refused.
    pub(crate) fn count_refused(&self, snapshot: &Snapshot, refused: Refused) {
        let Refused { route, reason, part, tenancy, .. } = refused;
        if let Some(route) = route {
            self.count(snapshot, route, part, tenancy, Some(reason));
        }
    }

    /// Counts what a request is that is not.
    pub(crate) fn count_decided(&self, snapshot: &Snapshot, decided: Decided) {
        let Decided { route, part, tenancy, .. } = decided;
        self.count(snapshot, route, part, tenancy, None);
    }

    /// Counts the grant that a request of `route` brought, if it counts as none, and its tenant.
    fn count(
        &self,
        snapshot: &Snapshot,
        route: usize,
        part: Part,
        tenancy: Tenancy,
        reason: Option<Reason>,
    ) {
        let route = &snapshot.routes[route];
        if let (Some(invalid), Some((journey, _))) = (part.invalid(), route.journey) {
            snapshot.journeys[journey].stats.shard(self.index).invalid[invalid.index()].increment();
        }
        snapshot.tenants.count(self.index, tenancy, route.tier, reason);
    }

    /// Counts what was seen of the keys of a request of `route`, and what rules in the shadow say of it.
    #[inline]
    pub(crate) fn count_seen(&self, snapshot: &Snapshot, route: Option<usize>, seen: Seen) {
        let Some(route) = route.filter(|_| !seen.is_nothing()) else { return };
        let route = &snapshot.routes[route];
        for rule in seen.in_shadow() {
            route.stats.shard(self.index).would_refuse[rule.index()].increment();
        }
        if let Some(keyed) = &route.keyed {
            keyed.count(self.index, seen);
        }
    }

    /// Something is to be finished before the process may end: what a connection owes its client, or a purchase.
    pub(crate) fn enter(&self) {
        self.shared.active[self.index].enter();
    }

    /// It is finished.
    pub(crate) fn leave(&self) {
        self.shared.active[self.index].leave();
    }
}

// === impl SharedShadow ===

impl std::ops::Deref for SharedShadow {
    type Target = ArcSwapOption<Shadow>;

    fn deref(&self) -> &Self::Target {
        &self.0.shadow
    }
}

// === impl SharedSnapshot ===

impl std::ops::Deref for SharedSnapshot {
    type Target = ArcSwapAny<Arc<Snapshot>>;

    fn deref(&self) -> &Self::Target {
        &self.0.snapshot
    }
}

/// How many threads serve customers.
pub(crate) fn count(config: &floodgate_config::Config) -> usize {
    match config.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::open_keys::OpenKeys;

    fn config(routes: usize, upstreams: usize) -> floodgate_config::Config {
        let servers: String = (0..upstreams)
            .map(|n| format!("[upstreams.u{n}]\nservers = [\"127.0.0.1:{}\"]\n", 10_000 + n))
            .collect();
        let routes: String = (0..routes)
            .map(|n| {
                format!(
                    "[[routes]]\nname = \"r{n}\"\npath = \"/r{n}\"\nupstream = \"u{}\"\n",
                    n % upstreams
                )
            })
            .collect();
        floodgate_config::parse("figures", &format!("{servers}{routes}")).unwrap()
    }

    #[test]
    fn a_worker_without_requests_lets_go_of_an_old_generation() {
        let first = Snapshot::compile(config(1, 1), OpenKeys::default(), None, 1, clock::now());
        let shared = Shared::new(first, 1, 100);
        let worker = Worker::new(0, Arc::clone(&shared));
        let old = Arc::downgrade(&shared.snapshot.load_full());
        let live = shared.snapshot.load_full();
        let second =
            Snapshot::compile(config(2, 1), OpenKeys::default(), Some(&live), 1, clock::now());
        drop(live);
        shared.snapshot.store(Arc::new(second));
        assert!(old.upgrade().is_some(), "the worker has not looked yet");
        worker.catch_up();
        assert!(old.upgrade().is_none());
        assert_eq!(worker.snapshot().generation, 2);
    }

    #[test]
    #[ignore = "prints figures: cargo test --release -p floodgate-gateway --lib -- --ignored --nocapture figures"]
    fn figures_of_a_reload() {
        let live =
            Snapshot::compile(config(1_000, 100), OpenKeys::default(), None, 2, clock::now());
        let shared = Shared::new(live, 2, 100);
        let worker = Worker::new(0, Arc::clone(&shared));
        let begun = Instant::now();
        let previous = shared.snapshot.load_full();
        let next = Snapshot::compile(
            config(1_000, 100),
            OpenKeys::default(),
            Some(&previous),
            2,
            clock::now(),
        );
        let compiled = begun.elapsed();
        let next = Arc::new(next);
        let begun = Instant::now();
        shared.snapshot.store(next);
        println!(
            "1,000 routes, 100 upstreams: parsed and compiled in {compiled:?}, swapped in {:?}",
            begun.elapsed()
        );
        let begun = Instant::now();
        for _ in 0..10_000_000 {
            std::hint::black_box(worker.snapshot());
        }
        println!("a request's snapshot: {:?}", begun.elapsed() / 10_000_000);
    }
}
