//! The table of live grants: what their holders have called, who is still on the way.
//!
//! Filled by verified nonces only, and bounded: what finds no room is let pass uncounted. Sharded; every operation is
//! O(1), amortised over those that cleared up before.

use std::time::Duration;

use crate::sync::{AtomicU64, Mutex, Ordering, Padded, lock};
use crate::timestamp::{Timestamp, saturating_nanos};

mod shard;

pub(crate) use shard::Pace;
use shard::Shard;

/// Enough that two cores seldom meet.
const SHARDS: usize = 16;

/// Why a holder may not call any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// It has made all the calls that a grant is good for.
    Calls,
    /// The grant was ended, or its time is over.
    Over,
}

/// What has been heard of grants since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Heard {
    /// Calls of holders.
    pub(crate) calls: u64,
    /// Grants that came to an end less those that were heard of again after that.
    pub(crate) ended: i64,
    /// The calls they had made, the entry among them.
    pub(crate) ended_calls: i64,
    /// Grants that finished.
    pub(crate) finished: u64,
    /// Times between two calls of one grant: how many, their sum in seconds and that of their squares.
    pub(crate) gaps: u64,
    pub(crate) gap_seconds: f64,
    pub(crate) gap_squares: f64,
}

/// Live grants by nonce.
#[derive(Debug)]
pub(crate) struct Grants {
    shards: Box<[Padded<Mutex<Shard>>]>,
    /// Grants in the table.
    live: AtomicU64,
    /// Those of them that have finished or were ended: nobody is kept out for their sake.
    over: AtomicU64,
    /// Those of them that are in progress: neither finished nor ended nor silent.
    active: AtomicU64,
    /// After how many nanoseconds without a call a grant counts as silent.
    silence: AtomicU64,
}

impl Grants {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Padded(Mutex::new(Shard::new()))).collect(),
            live: AtomicU64::new(0),
            over: AtomicU64::new(0),
            active: AtomicU64::new(0),
            silence: AtomicU64::new(u64::MAX),
        }
    }

    /// Grants in the table, whatever became of them.
    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// Grants in the table that nobody is done with.
    pub(crate) fn unfinished(&self) -> u64 {
        self.live().saturating_sub(self.over.load(Ordering::Relaxed))
    }

    /// Grants in progress.
    pub(crate) fn active(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }

    /// After how long without a call a grant counts as silent from now on.
    pub(crate) fn set_silence(&self, silence: Duration) {
        self.silence.store(saturating_nanos(silence), Ordering::Relaxed);
    }

    pub(crate) fn silence(&self) -> Duration {
        Duration::from_nanos(self.silence.load(Ordering::Relaxed))
    }

    /// A new grant; its entry was its first call. Not noted if there are `max` already.
    pub(crate) fn begin(&self, nonce: u64, expires: Timestamp, max: u64, pace: Pace) {
        self.make_room(max);
        self.with(nonce, pace, |shard, live| shard.begin(nonce, expires, live < max, pace));
    }

    /// A call of the holder of `nonce`, which may make `calls` in all.
    pub(crate) fn call(
        &self,
        nonce: u64,
        expires: Timestamp,
        (calls, max): (u32, u64),
        pace: Pace,
    ) -> Result<(), Ended> {
        self.make_room(max);
        self.with(nonce, pace, |shard, live| shard.call(nonce, expires, calls, live < max, pace))
    }

    /// Whether the holder of `nonce` would be let call now, which may make `calls` in all.
    pub(crate) fn is_good(&self, nonce: u64, expires: Timestamp, calls: u32, pace: Pace) -> bool {
        self.with(nonce, pace, |shard, _| shard.is_good(nonce, expires, calls, pace))
    }

    /// A call that was let in was not made: the grant is good for another.
    pub(crate) fn give_back(&self, nonce: u64, pace: Pace) {
        self.with(nonce, pace, |shard, _| shard.give_back(nonce));
    }

    /// The grant has come to what it was for; its holder may go on calling.
    pub(crate) fn finish(&self, nonce: u64, pace: Pace) {
        self.with(nonce, pace, |shard, _| shard.finish(nonce));
    }

    /// The grant, which expires by `expires`, is good for nothing any more.
    pub(crate) fn end(&self, nonce: u64, expires: Timestamp, max: u64, pace: Pace) {
        self.make_room(max);
        self.with(nonce, pace, |shard, live| shard.end(nonce, expires, live < max, pace));
    }

    /// Forgets a grant that has finished if there are `max`: somebody else may need its place.
    fn make_room(&self, max: u64) {
        if self.live() >= max {
            let mut shards = self.shards.iter();
            shards.any(|shard| self.change(&mut lock(shard), Shard::make_room));
        }
    }

    /// Clears up everywhere, and tells what was heard since the last time.
    pub(crate) fn collect(&self, pace: Pace) -> Heard {
        let mut all = Heard::default();
        for shard in &self.shards {
            let mut shard = lock(shard);
            self.change(&mut shard, |shard| shard.sweep(pace));
            all.add(shard.take_heard());
        }
        all
    }

    fn with<T>(&self, nonce: u64, pace: Pace, act: impl FnOnce(&mut Shard, u64) -> T) -> T {
        // The high bits of a product: all bits of the nonce tell (Knuth's multiplicative hashing).
        let index = nonce.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
        let mut shard = lock(&self.shards[index as usize % SHARDS]);
        self.change(&mut shard, |shard| {
            shard.clear_up(pace);
            act(shard, self.live())
        })
    }

    /// Brings the sums up to what `act` does to one shard.
    fn change<T>(&self, shard: &mut Shard, act: impl FnOnce(&mut Shard) -> T) -> T {
        let before = (shard.live(), shard.active(), shard.over());
        let done = act(shard);
        // Wrapping: a difference below zero is added as what it is modulo 2^64.
        let add = |sum: &AtomicU64, before: u64, after: u64| {
            if after != before {
                sum.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
            }
        };
        add(&self.live, before.0, shard.live());
        add(&self.active, before.1, shard.active());
        add(&self.over, before.2, shard.over());
        done
    }

    /// The pace at which time goes here.
    pub(crate) fn pace(&self, now: Timestamp, stalled: Duration) -> Pace {
        Pace {
            now,
            clock: now.saturating_since(Timestamp::default() + stalled),
            silence: self.silence(),
        }
    }
}

impl Heard {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.ended += other.ended;
        self.ended_calls += other.ended_calls;
        self.finished += other.finished;
        self.gaps += other.gaps;
        self.gap_seconds += other.gap_seconds;
        self.gap_squares += other.gap_squares;
    }
}
