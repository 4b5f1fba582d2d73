//! Who has a place, and who makes room: a ring of keys with a hand that goes round it (a clock, Corbató 1968).

use std::sync::atomic::AtomicUsize;

use dashmap::DashMap;

use super::digest::{AsItIs, Digest};
use super::quota::Quota;
use super::table::Time;
use super::word::Word;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock};

/// Places that a newcomer looks at: so much a request costs at most, however full the table is. While less than nine
/// tenths of the places are taken, four in five newcomers find one.
const LOOKS: usize = 16;

/// One company to so many places.
const PLACES_PER_COMPANY: usize = 16;

/// A part of the keys.
#[derive(Debug)]
pub(super) struct Segment {
    ring: Mutex<Ring>,
    /// Keys without a place are accounted for together, those of a company by one time: each gets at most what
    /// one key would.
    companies: Box<[Time]>,
    capacity: AtomicUsize,
    len: AtomicUsize,
    in_company: AtomicU64,
}

/// The keys that have a place, in no order.
#[derive(Debug, Default)]
pub(super) struct Ring {
    places: Vec<Place>,
    hand: usize,
    capacity: usize,
    /// Places of keys that have come more than once, as far as was seen.
    regulars: usize,
}

#[derive(Debug)]
struct Place {
    key: Digest,
    /// What was known of it when it was last looked at: times only go forward, so until then the map need not be asked.
    seen: Word,
}

// === impl Segment ===

impl Segment {
    pub(super) fn new(capacity: usize) -> Self {
        let companies = (capacity / PLACES_PER_COMPANY).max(1).next_power_of_two();
        Self {
            ring: Mutex::new(Ring { capacity, ..Ring::default() }),
            companies: (0..companies).map(|_| Time::new(Word::NOTHING)).collect(),
            capacity: AtomicUsize::new(capacity),
            len: AtomicUsize::new(0),
            in_company: AtomicU64::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ring> {
        let mut ring = lock(&self.ring);
        ring.capacity = self.capacity.load(Ordering::Relaxed);
        ring
    }

    pub(super) fn set_capacity(&self, capacity: usize) {
        self.capacity.store(capacity, Ordering::Relaxed);
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(super) fn in_company(&self) -> u64 {
        self.in_company.load(Ordering::Relaxed)
    }

    /// With whom `key` is accounted for while it has no place. Written under the lock only.
    pub(super) fn company(&self, key: Digest) -> &Time {
        // A power of two; the lower bits have chosen the segment.
        &self.companies[(key.high() >> 32) as usize & (self.companies.len() - 1)]
    }

    /// Takes over what is known of the companies of `other`, whose keys may be in any that their digests allow for. Nobody
    /// is in this one yet.
    pub(super) fn join(&self, other: &Self, quota: &Quota) {
        // Both are powers of two: the lower bits that both go by are the same.
        let (own, others) = (self.companies.len(), other.companies.len());
        for at in 0..own.max(others) {
            self.companies[at % own].write_later(other.companies[at % others].read(), quota);
        }
    }

    pub(super) fn add_in_company(&self, count: u64) {
        self.in_company.fetch_add(count, Ordering::Relaxed);
    }

    /// Nobody has a place any more.
    pub(super) fn clear(&self) {
        let mut ring = self.lock();
        *ring = Ring { capacity: ring.capacity, ..Ring::default() };
        self.note_len(&ring);
    }

    pub(super) fn note_len(&self, ring: &Ring) {
        self.len.store(ring.places.len(), Ordering::Relaxed);
    }

    pub(super) fn note_company(&self) {
        self.in_company.fetch_add(1, Ordering::Relaxed);
    }
}

// === impl Ring ===

impl Ring {
    /// Notes `key`, of which `word` is known, if there is a place for it or one becomes free.
    pub(super) fn place(
        &mut self,
        times: &DashMap<Digest, Time, AsItIs>,
        key: Digest,
        word: Word,
        quota: &Quota,
        now: u64,
    ) -> bool {
        let place = Place { key, seen: word };
        if self.places.len() < self.capacity {
            if self.places.len() == self.places.capacity() {
                // Not to twice as many: that is beyond what was allowed for.
                let more = (self.places.len() / 4).max(4);
                self.places.reserve_exact(more.min(self.capacity - self.places.len()));
            }
            self.places.push(place);
            return true;
        }
        match self.make_room(times, quota, now) {
            Some(at) => {
                self.places[at] = place;
                true
            }
            None => false,
        }
    }

    /// Finds a key of which no more is known than that it has been here, and forgets it. Its place.
    ///
    /// Those that have come more than once are kept for a while, so that a crowd of newcomers who come once does not
    /// drive out the regulars. But when they are more than three quarters, they too make room as soon as their
    /// buckets are full.
    fn make_room(
        &mut self,
        times: &DashMap<Digest, Time, AsItIs>,
        quota: &Quota,
        now: u64,
    ) -> Option<usize> {
        let is_crowded = self.regulars * 4 > self.places.len() * 3;
        for _ in 0..LOOKS.min(self.places.len()) {
            let at = self.advance();
            let place = &mut self.places[at];
            let was_regular = place.seen.has_returned();
            let leaves = place.leaves(times, |word| match is_crowded {
                true => quota.time(word) <= now,
                false => quota.free_at(word) <= now,
            });
            if was_regular && leaves {
                self.regulars -= 1;
            } else if !leaves && place.seen.has_returned() && !was_regular {
                self.regulars += 1;
            }
            if leaves && self.places.len() <= self.capacity {
                return Some(at);
            } else if leaves {
                // There are fewer places than there were.
                self.places.swap_remove(at);
            }
        }
        None
    }

    fn advance(&mut self) -> usize {
        self.hand = if self.hand + 1 < self.places.len() { self.hand + 1 } else { 0 };
        self.hand
    }
}

// === impl Place ===

impl Place {
    /// Forgets its key, if what is known of it `is_free`.
    fn leaves(
        &mut self,
        times: &DashMap<Digest, Time, AsItIs>,
        is_free: impl Fn(Word) -> bool,
    ) -> bool {
        if !is_free(self.seen) {
            return false;
        }
        // Whoever is accounting for a request of this key holds the lock of its piece of the map: it is seen, or comes too
        // late and finds that nothing is known, which is as much as there was.
        let left = times.remove_if(&self.key, |_, time| {
            self.seen = time.read();
            is_free(self.seen)
        });
        left.is_some()
    }
}
