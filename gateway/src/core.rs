//! What belongs to one core: its connections to the upstreams, its counters, its view of the
//! configuration.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapAny, Cache};
use floodgate_limiter::{MAX_TIERS, Timestamp};

use crate::clock;
use crate::pool::Pool;
use crate::retry_after::RetryAfter;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// A generation in the hands of a request; cloning it touches no other core's memory.
pub type Live = Rc<Arc<Snapshot>>;

type SnapshotCache = Cache<SharedSnapshot, Arc<Snapshot>>;

/// What belongs to one core.
#[derive(Debug)]
pub struct Core {
    /// Number of the core, the index of its shards.
    pub index: usize,
    /// What all cores share.
    pub shared: Arc<Shared>,
    /// Idle connections to the upstreams.
    pub pool: Rc<Pool>,
    cache: RefCell<SnapshotCache>,
    live: RefCell<Live>,
    retry_after: [RetryAfter; MAX_TIERS],
    /// An accept has failed this second, and it was said.
    told_of_accept_error: Cell<bool>,
}

/// Lets the cache reach the snapshot through the [`Shared`] that owns it.
#[derive(Clone, Debug)]
pub struct SharedSnapshot(Arc<Shared>);

// === impl Core ===

impl Core {
    /// Core number `index` of the process.
    pub fn new(index: usize, shared: Arc<Shared>) -> Rc<Self> {
        let mut cache = Cache::new(SharedSnapshot(Arc::clone(&shared)));
        let live = Rc::new(Arc::clone(cache.load()));
        let seed = |tier: usize| (index as u64 + 1) * 1000 + tier as u64 + clock::now().as_nanos();
        Rc::new(Self {
            index,
            pool: Rc::default(),
            cache: RefCell::new(cache),
            live: RefCell::new(live),
            retry_after: std::array::from_fn(|tier| RetryAfter::new(seed(tier))),
            told_of_accept_error: Cell::new(false),
            shared,
        })
    }

    /// The live generation. A request asks once and keeps it to its end.
    pub fn live(&self) -> Live {
        let mut cache = self.cache.borrow_mut();
        let newest = cache.load();
        let mut live = self.live.borrow_mut();
        if !Arc::ptr_eq(newest, &live) {
            *live = Rc::new(Arc::clone(newest));
        }
        Rc::clone(&live)
    }

    /// When one more refused request of this tier should come back.
    pub fn retry_after(&self, tier: usize, now: Timestamp) -> Duration {
        self.retry_after[tier.min(MAX_TIERS - 1)].next(now)
    }

    /// Whether a failed accept is news: once a second.
    pub fn should_tell_of_accept_error(&self) -> bool {
        !self.told_of_accept_error.replace(true)
    }

    /// A second has passed.
    pub fn tick(&self) {
        self.told_of_accept_error.set(false);
    }

    /// A request has begun.
    pub fn enter(&self) {
        self.shared.active[self.index].enter();
    }

    /// A request has ended.
    pub fn leave(&self) {
        self.shared.active[self.index].leave();
    }
}

// === impl SharedSnapshot ===

impl std::ops::Deref for SharedSnapshot {
    type Target = ArcSwapAny<Arc<Snapshot>>;

    fn deref(&self) -> &Self::Target {
        &self.0.snapshot
    }
}
