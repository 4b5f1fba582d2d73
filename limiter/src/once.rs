//! Purchase once: however often it is clicked, one request goes, and all are told what became of it.
//!
//! What is known lives in memory: it does not outlast the process, nor do two gateways share it. So the upstream must be
//! idempotent too; this spares it the repetitions.

mod flight;
mod shard;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::sync::{Mutex, MutexGuard, lock};
use crate::timestamp::Timestamp;
use flight::Flight;
use shard::{Known, Shard};

pub use flight::{Follow, Followed, MAX_FOLLOWERS};

/// A shard has about this much memory...
const SHARD_MEMORY: usize = 4 << 20;
/// ...unless that would make more of them than this.
const MAX_SHARDS: usize = 1_024;

/// What the store goes by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OnceSettings {
    /// Bytes that everything known may take together.
    pub memory: usize,
    /// How long an answer is replayed.
    pub ttl: Duration,
}

/// What a request with a key is.
#[derive(Debug)]
#[must_use = "a claim that is dropped is forgotten"]
pub enum Begin<A> {
    /// The first, which goes to the upstream.
    First(Claim<A>),
    /// One more of one that is under way; it can wait for it.
    InFlight(Follow<A>),
    /// One more of one that was answered so.
    Replay(A),
    /// The key was used for something else.
    Mismatch,
    /// One more of one that is under way, for which too many wait already.
    Busy,
    /// There is no memory for another one: all of it is taken by what is in flight.
    Full,
}

/// How full the store is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OnceStatus {
    /// Requests under way.
    pub in_flight: usize,
    /// Answers that can be replayed, or have expired and not been cleared away yet.
    pub finished: usize,
    /// Bytes that all of it is charged with.
    pub used: usize,
    /// Answers that had to go before their time, since the start.
    pub evicted: u64,
}

/// Answers by key, and the requests that will give them.
///
/// Keys are digests of the caller's; they should be seeded, so that nobody outside can choose keys that meet. `A` is cloned
/// under a lock: it should be a pointer to the answer rather than the answer.
pub struct Once<A> {
    shards: Box<[Mutex<Shard<A>>]>,
}

impl<A> Once<A> {
    /// What an entry is charged with beside the bytes of its answer.
    pub const OVERHEAD: usize = Shard::<A>::OVERHEAD;

    /// What it is charged with besides, while somebody follows.
    pub const FOLLOWERS_OVERHEAD: usize = Flight::<A>::COST;

    /// Knows nothing yet.
    #[must_use]
    pub fn new(settings: OnceSettings) -> Arc<Self> {
        let shards = (settings.memory / SHARD_MEMORY).clamp(1, MAX_SHARDS).next_power_of_two();
        let shard = || Mutex::new(Shard::new(settings.memory / shards, settings.ttl));
        Arc::new(Self { shards: (0..shards).map(|_| shard()).collect() })
    }

    /// Whether a request with this key would not be a first one. Reads only.
    #[must_use]
    pub fn knows(&self, key: u128, now: Timestamp) -> bool {
        self.shard(key).knows(key, now)
    }

    /// Changes memory and time at once. Answers that have no place any more go, oldest first; what is in flight stays.
    pub fn apply(&self, settings: OnceSettings) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.memory = settings.memory / self.shards.len();
            shard.ttl = settings.ttl;
            shard.shrink();
        }
    }

    /// How full it is.
    #[must_use]
    pub fn status(&self) -> OnceStatus {
        self.shards.iter().fold(OnceStatus::default(), |sum, shard| {
            let shard = lock(shard);
            OnceStatus {
                in_flight: sum.in_flight + shard.in_flight,
                finished: sum.finished + shard.finished(),
                used: sum.used + shard.used,
                evicted: sum.evicted + shard.evicted,
            }
        })
    }

    /// The buckets go by the lower half of the key, the shards by the upper.
    fn shard(&self, key: u128) -> MutexGuard<'_, Shard<A>> {
        lock(&self.shards[(key >> 64) as usize & (self.shards.len() - 1)])
    }

    fn forget(&self, key: u128) {
        let flight = self.shard(key).forget(key);
        if let Some(flight) = flight {
            flight.settle(Followed::Retry);
        }
    }
}

impl<A: Clone> Once<A> {
    /// What a request with this key is. `fingerprint` is a digest of what it asks for: a key stands for one thing.
    pub fn begin(self: &Arc<Self>, key: u128, fingerprint: u64, now: Timestamp) -> Begin<A> {
        let mut shard = self.shard(key);
        match shard.known(key, fingerprint, now) {
            Known::Nothing if shard.enter(key, fingerprint) => {
                Begin::First(Claim { once: Some(Arc::clone(self)), key })
            }
            Known::Nothing => Begin::Full,
            Known::Mismatch => Begin::Mismatch,
            Known::Finished(answer) => Begin::Replay(answer),
            Known::Follow(follow) => Begin::InFlight(follow),
            Known::Busy => Begin::Busy,
        }
    }
}

/// The right and the duty to say what became of the first request of a key. Dropped, it is as if it had never been, and
/// those who follow are told to begin anew.
#[must_use = "a claim that is dropped is forgotten"]
pub struct Claim<A> {
    /// Empty once it has been said.
    once: Option<Arc<Once<A>>>,
    key: u128,
}

impl<A: Clone> Claim<A> {
    /// It was answered so: all who follow get this, and all who come within the time. `bytes` is what `answer` takes in
    /// memory. `None`: it is not to be shared, such as a failure that may be tried again.
    ///
    /// Whether it was stored: not if it is larger than the store, or what is in flight leaves no room.
    pub fn finish(mut self, answer: Option<A>, bytes: usize, now: Timestamp) -> bool {
        let Some(answer) = answer else { return false };
        let Some(once) = self.once.take() else { return false };
        let settled = once.shard(self.key).finish(self.key, answer.clone(), bytes, now);
        if let Some(flight) = settled.flight {
            flight.settle(Followed::Replay(answer));
        }
        settled.stored
    }
}

impl<A> Drop for Claim<A> {
    fn drop(&mut self) {
        if let Some(once) = self.once.take() {
            once.forget(self.key);
        }
    }
}

impl<A> fmt::Debug for Once<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Once").field(&self.status()).finish()
    }
}

impl<A> fmt::Debug for Claim<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("key", &self.key).finish_non_exhaustive()
    }
}
