//! One part of the store: a hash table chained through a slab, with the finished entries in the order of their finishing.
//!
//! Every entry is charged what it can cost at the worst, so that the sum of the charges bounds the memory at any time.

use std::sync::Arc;
use std::time::Duration;

use super::flight::{Flight, Follow};
use crate::chain::{Chain, Linked, Links};
use crate::timestamp::Timestamp;

const NIL: u32 = u32::MAX;
/// A slab of fewer entries is not worth making smaller.
const SMALL: usize = 64;
/// Expired entries that each call clears away: more than it can add.
const CLEARED: usize = 2;

pub(super) enum State<A> {
    Free,
    InFlight(Option<Arc<Flight<A>>>),
    Finished { answer: A, at: Timestamp },
}

struct Entry<A> {
    key: u128,
    fingerprint: u64,
    state: State<A>,
    cost: usize,
    /// Among the finished.
    links: Links,
    /// The next of the same bucket, or the next free one.
    next: u32,
}

/// What there is under a key.
pub(super) enum Known<A> {
    Nothing,
    Mismatch,
    Finished(A),
    Follow(Follow<A>),
    /// In flight, and no room for one more who follows.
    Busy,
}

/// What became of an answer.
pub(super) struct Settled<A> {
    pub(super) flight: Option<Arc<Flight<A>>>,
    pub(super) stored: bool,
}

pub(super) struct Shard<A> {
    pub(super) memory: usize,
    pub(super) ttl: Duration,
    entries: Vec<Entry<A>>,
    free: u32,
    /// First entry of each bucket; a power of two of them.
    heads: Vec<u32>,
    finished: Chain,
    pub(super) in_flight: usize,
    /// The cost of all entries.
    pub(super) used: usize,
    /// The part of it that is in flight and cannot be made to go.
    held: usize,
    pub(super) evicted: u64,
}

impl<A> Shard<A> {
    /// What an entry costs beside its answer. The slab has room for 1.7 times what is in it at most (an eighth to grow, and
    /// a third of it free), and while it moves to another place both are there. The rest is for the buckets.
    pub(super) const OVERHEAD: usize = 3 * size_of::<Entry<A>>() + 32;

    pub(super) const fn new(memory: usize, ttl: Duration) -> Self {
        Self {
            memory,
            ttl,
            entries: Vec::new(),
            free: NIL,
            heads: Vec::new(),
            finished: Chain::EMPTY,
            in_flight: 0,
            used: 0,
            held: 0,
            evicted: 0,
        }
    }

    pub(super) fn finished(&self) -> usize {
        self.finished.len()
    }

    /// Whether something is in flight or can be replayed under `key`.
    pub(super) fn knows(&self, key: u128, now: Timestamp) -> bool {
        self.find(key).is_some_and(|index| !self.is_over(index, now))
    }

    /// Enters `key` as in flight. Whether there was room; it is not there yet.
    pub(super) fn enter(&mut self, key: u128, fingerprint: u64) -> bool {
        if !self.make_room(Self::OVERHEAD) {
            return false;
        }
        let cost = Self::OVERHEAD;
        let state = State::InFlight(None);
        self.insert(Entry { key, fingerprint, state, cost, links: Links::NONE, next: NIL });
        self.in_flight += 1;
        self.used += cost;
        self.held += cost;
        true
    }

    /// Forgets what is in flight under `key`, and gives who is to be told.
    pub(super) fn forget(&mut self, key: u128) -> Option<Arc<Flight<A>>> {
        let index = self.find(key)?;
        let State::InFlight(flight) = &mut self.entries[index].state else { return None };
        let flight = flight.take();
        self.remove(index);
        flight
    }

    /// Keeps `answer` for what is in flight under `key`, if there is room for it without what is in flight.
    pub(super) fn finish(
        &mut self,
        key: u128,
        answer: A,
        bytes: usize,
        now: Timestamp,
    ) -> Settled<A> {
        let nothing = Settled { flight: None, stored: false };
        let Some(index) = self.find(key) else { return nothing };
        let entry = &mut self.entries[index];
        let State::InFlight(flight) = &mut entry.state else { return nothing };
        let flight = flight.take();
        let cost = std::mem::replace(&mut entry.cost, Self::OVERHEAD);
        self.used -= cost - Self::OVERHEAD;
        self.held -= cost - Self::OVERHEAD;
        let fits = self.held.saturating_add(bytes) <= self.memory && self.make_room(bytes);
        // Making room may have moved it.
        let Some(index) = self.find(key) else { return nothing };
        if !fits {
            self.remove(index);
            return Settled { flight, stored: false };
        }
        let entry = &mut self.entries[index];
        entry.state = State::Finished { answer, at: now };
        entry.cost += bytes;
        self.used += bytes;
        self.held -= Self::OVERHEAD;
        self.in_flight -= 1;
        self.finished.push(&mut self.entries, index);
        self.clear(now);
        Settled { flight, stored: true }
    }

    /// Makes finished entries go, oldest first, until the shard is within its memory or nothing but what is in flight is
    /// left.
    pub(super) fn shrink(&mut self) {
        self.make_room(0);
    }

    fn make_room(&mut self, need: usize) -> bool {
        while self.used.saturating_add(need) > self.memory {
            let Some(oldest) = self.finished.oldest() else { return false };
            self.remove(oldest);
            self.evicted += 1;
        }
        true
    }

    /// Clears away a few entries that have expired.
    fn clear(&mut self, now: Timestamp) {
        for _ in 0..CLEARED {
            match self.finished.oldest() {
                Some(index) if self.is_over(index, now) => self.remove(index),
                _ => break,
            }
        }
    }

    fn is_over(&self, index: usize, now: Timestamp) -> bool {
        match self.entries[index].state {
            State::Finished { at, .. } => at + self.ttl <= now,
            State::InFlight(_) | State::Free => false,
        }
    }

    fn find(&self, key: u128) -> Option<usize> {
        let mut index = *self.heads.get(self.bucket(key))?;
        while index != NIL {
            let entry = &self.entries[index as usize];
            if entry.key == key {
                return Some(index as usize);
            }
            index = entry.next;
        }
        None
    }

    fn bucket(&self, key: u128) -> usize {
        key as usize & self.heads.len().wrapping_sub(1)
    }

    fn insert(&mut self, mut entry: Entry<A>) -> usize {
        let live = self.in_flight + self.finished.len();
        if live >= self.heads.len() {
            self.rehash((live * 2).next_power_of_two().max(4));
        }
        let bucket = self.bucket(entry.key);
        entry.next = self.heads[bucket];
        let index = if self.free == NIL {
            if self.entries.len() == self.entries.capacity() {
                // By an eighth, not twofold: it is memory that is charged for.
                self.entries.reserve_exact((self.entries.len() / 8).max(4));
            }
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let index = self.free as usize;
            self.free = self.entries[index].next;
            self.entries[index] = entry;
            index
        };
        self.heads[bucket] = index as u32;
        index
    }

    fn remove(&mut self, index: usize) {
        let bucket = self.bucket(self.entries[index].key);
        let next = self.entries[index].next;
        let mut at = self.heads[bucket];
        if at as usize == index {
            self.heads[bucket] = next;
        } else {
            while at != NIL && self.entries[at as usize].next as usize != index {
                at = self.entries[at as usize].next;
            }
            if let Some(before) = self.entries.get_mut(at as usize) {
                before.next = next;
            }
        }
        let cost = self.entries[index].cost;
        self.used -= cost;
        match std::mem::replace(&mut self.entries[index].state, State::Free) {
            State::Finished { .. } => self.finished.remove(&mut self.entries, index),
            State::InFlight(_) => {
                self.in_flight -= 1;
                self.held -= cost;
            }
            State::Free => {}
        }
        self.entries[index].next = self.free;
        self.free = index as u32;
        if self.entries.len() > SMALL
            && (self.in_flight + self.finished.len()) * 3 < self.entries.len() * 2
        {
            self.compact();
        }
    }

    /// Moves all entries to a slab of their number. Half as many have been removed before as are moved now.
    fn compact(&mut self) {
        let order: Vec<_> = self.finished.iter(&mut self.entries).collect();
        let live = self.in_flight + order.len();
        let mut old = std::mem::replace(&mut self.entries, Vec::with_capacity(live));
        self.free = NIL;
        self.finished = Chain::EMPTY;
        for index in order {
            if let Some(entry) = take(&mut old[index]) {
                self.entries.push(entry);
                let index = self.entries.len() - 1;
                self.finished.push(&mut self.entries, index);
            }
        }
        self.entries.extend(old.iter_mut().filter_map(take));
        self.rehash(live.next_power_of_two().max(4));
    }

    fn rehash(&mut self, buckets: usize) {
        self.heads = vec![NIL; buckets];
        for index in 0..self.entries.len() {
            if matches!(self.entries[index].state, State::Free) {
                continue;
            }
            let bucket = self.bucket(self.entries[index].key);
            self.entries[index].next = std::mem::replace(&mut self.heads[bucket], index as u32);
        }
    }
}

impl<A: Clone> Shard<A> {
    /// What there is under `key`, after what has expired is gone.
    pub(super) fn known(&mut self, key: u128, fingerprint: u64, now: Timestamp) -> Known<A> {
        self.clear(now);
        let Some(index) = self.find(key) else { return Known::Nothing };
        if self.is_over(index, now) {
            self.remove(index);
            return Known::Nothing;
        }
        let entry = &self.entries[index];
        if entry.fingerprint != fingerprint {
            return Known::Mismatch;
        }
        match &entry.state {
            State::Finished { answer, .. } => Known::Finished(answer.clone()),
            State::InFlight(Some(flight)) => flight.follow().map_or(Known::Busy, Known::Follow),
            State::InFlight(None) => self.first_follower(key),
            State::Free => Known::Nothing,
        }
    }

    fn first_follower(&mut self, key: u128) -> Known<A> {
        if !self.make_room(Flight::<A>::COST) {
            return Known::Busy;
        }
        // Making room may have moved it.
        let Some(index) = self.find(key) else { return Known::Busy };
        let flight = Arc::new(Flight::new());
        let follow = flight.follow();
        self.entries[index].state = State::InFlight(Some(flight));
        self.entries[index].cost += Flight::<A>::COST;
        self.used += Flight::<A>::COST;
        self.held += Flight::<A>::COST;
        follow.map_or(Known::Busy, Known::Follow)
    }
}

/// Takes a live entry out of a slab that is given up.
fn take<A>(entry: &mut Entry<A>) -> Option<Entry<A>> {
    let state = std::mem::replace(&mut entry.state, State::Free);
    let Entry { key, fingerprint, cost, .. } = *entry;
    let taken = Entry { key, fingerprint, state, cost, links: Links::NONE, next: NIL };
    (!matches!(taken.state, State::Free)).then_some(taken)
}

impl<A> Linked for Entry<A> {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}
