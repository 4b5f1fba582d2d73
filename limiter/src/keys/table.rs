//! Times by key, of a bounded number of keys.

use std::sync::{Arc, OnceLock};

use dashmap::DashMap;

use super::digest::{AsItIs, Digest};
use super::quota::Quota;
use super::segment::Segment;
use super::word::Word;
use crate::sync::{AtomicU64, Ordering, Padded};

/// Keys per segment, about; also the size of a piece of the map, which grows piece by piece: nobody waits until
/// more than that has been moved.
const SEGMENT: usize = 2_048;

/// Most segments.
const MOST: usize = 8_192;

/// For so many times as many segments the keys move to another table.
const MUCH: usize = 4;

/// Fewest pieces of the map: cores that meet in one wait for each other.
const FEWEST_PIECES: usize = 16;

/// Times by key. Whoever is known needs no lock but that of the map's piece, for reading; whoever is new, that of a
/// segment first.
#[derive(Debug)]
pub(super) struct Table {
    times: DashMap<Digest, Time, AsItIs>,
    segments: Box<[Padded<Segment>]>,
    /// Where its keys go, or have gone: whoever is not known here is asked for there.
    successor: OnceLock<Arc<Self>>,
}

/// A [`Word`] that is changed by compare and exchange.
#[derive(Debug)]
pub(super) struct Time(AtomicU64);

// === impl Table ===

impl Table {
    /// For at most `max_keys` keys.
    pub(super) fn new(max_keys: usize) -> Self {
        let segments = segments(max_keys);
        let pieces = segments.max(FEWEST_PIECES);
        let capacity = share(max_keys, segments);
        Self {
            times: DashMap::with_hasher_and_shard_amount(AsItIs, pieces),
            segments: (0..segments).map(|_| Padded(Segment::new(capacity))).collect(),
            successor: OnceLock::new(),
        }
    }

    /// For at most `max_keys` keys from `now` on: the same, or for many more than before another one, to which all move.
    /// Nobody is forgotten for it but as places are needed.
    pub(super) fn with_max_keys(
        self: &Arc<Self>,
        max_keys: usize,
        quota: &Quota,
        now: u64,
    ) -> Arc<Self> {
        if let Some(successor) = self.successor.get() {
            return successor.with_max_keys(max_keys, quota, now);
        }
        if segments(max_keys) >= MUCH * self.segments.len() {
            let next = Arc::new(Self::new(max_keys));
            self.move_to(&next, quota, now);
            return next;
        }
        let capacity = share(max_keys, self.segments.len());
        self.segments.iter().for_each(|segment| segment.set_capacity(capacity));
        Arc::clone(self)
    }

    /// Keys that have a place.
    pub(super) fn len(&self) -> usize {
        let own: usize = self.segments.iter().map(|segment| segment.len()).sum();
        own + self.successor.get().map_or(0, |next| next.len())
    }

    /// Requests that were accounted for in company, for want of a place.
    pub(super) fn in_company(&self) -> u64 {
        match self.successor.get() {
            Some(next) => next.in_company(),
            None => self.segments.iter().map(|segment| segment.in_company()).sum(),
        }
    }

    /// What is known of `key`: of itself if it has a place, else of those that it is in company with.
    pub(super) fn read(&self, key: Digest) -> Word {
        if let Some(time) = self.times.get(&key) {
            return time.read();
        }
        match self.successor.get() {
            Some(next) => next.read(key),
            None => self.segment(key).company(key).read(),
        }
    }

    /// Changes what is known of `key` as `account` says, at `now`; nothing if it says no.
    pub(super) fn change<T, E>(
        &self,
        key: Digest,
        quota: &Quota,
        now: u64,
        account: impl Fn(Word) -> Result<(T, Word), E>,
    ) -> Result<T, E> {
        if let Some(time) = self.times.get(&key) {
            return time.change(account);
        }
        if let Some(next) = self.successor.get() {
            return next.change(key, quota, now, account);
        }
        let segment = self.segment(key);
        // Refused by reading.
        account(segment.company(key).read())?;
        let mut ring = segment.lock();
        if let Some(time) = self.times.get(&key) {
            return time.change(account);
        }
        if let Some(next) = self.successor.get() {
            drop(ring);
            return next.change(key, quota, now, account);
        }
        let company = segment.company(key);
        let before = company.read();
        let (outcome, word) = account(before)?;
        // A place of its own begins with what is known of the company, in which it may have used up its share.
        if ring.place(&self.times, key, word.first(), quota, now) {
            self.times.insert(key, Time::new(word.first()));
            segment.note_len(&ring);
        } else {
            company.write(word);
            segment.note_company();
        }
        Ok(outcome)
    }

    /// Moves everybody to `next`, which has more segments and nobody in it, piece by piece of the map. Who is asked for meanwhile is
    /// here, or has been moved: a piece is locked while it is.
    fn move_to(&self, next: &Arc<Self>, quota: &Quota, now: u64) {
        // Newcomers come under these locks: whoever has one is done, whoever gets one sees the successor.
        let rings: Vec<_> = self.segments.iter().map(|segment| segment.lock()).collect();
        for (index, segment) in next.segments.iter().enumerate() {
            // The segment that has held all the keys of this one.
            segment.join(&self.segments[index & (self.segments.len() - 1)], quota);
        }
        next.segments[0].add_in_company(self.in_company());
        // Nobody else sets it: the caller has seen that it is not set, and only who changes the configuration comes here.
        let _is_set = self.successor.set(Arc::clone(next));
        drop(rings);
        self.times.retain(|key, time| {
            next.receive(*key, time.read(), quota, now);
            false
        });
        for segment in &self.segments {
            segment.clear();
        }
    }

    /// Takes over what was known of `key` elsewhere.
    fn receive(&self, key: Digest, word: Word, quota: &Quota, now: u64) {
        let segment = self.segment(key);
        let mut ring = segment.lock();
        if ring.place(&self.times, key, word.first(), quota, now) {
            self.times.insert(key, Time::new(word));
            segment.note_len(&ring);
        } else {
            segment.company(key).write_later(word, quota);
        }
    }

    fn segment(&self, key: Digest) -> &Segment {
        // A power of two.
        &self.segments[key.high() as usize & (self.segments.len() - 1)]
    }
}

/// How many segments there are for so many keys.
fn segments(max_keys: usize) -> usize {
    max_keys.div_ceil(SEGMENT).next_power_of_two().min(MOST)
}

/// Each segment's share of the keys: all together never more.
fn share(max_keys: usize, segments: usize) -> usize {
    (max_keys / segments).max(1)
}

// === impl Time ===

impl Time {
    pub(super) const fn new(word: Word) -> Self {
        Self(AtomicU64::new(word.bits()))
    }

    pub(super) fn read(&self) -> Word {
        Word::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Only by who holds the lock that all writers hold.
    pub(super) fn write(&self, word: Word) {
        self.0.store(word.bits(), Ordering::Relaxed);
    }

    /// The same, if more is owed by `word` than by what is known.
    pub(super) fn write_later(&self, word: Word, quota: &Quota) {
        let owed = |word: Word| if word.is_nothing() { 0 } else { quota.time(word) };
        if owed(word) > owed(self.read()) {
            self.write(word.first());
        }
    }

    fn change<T, E>(&self, account: impl Fn(Word) -> Result<(T, Word), E>) -> Result<T, E> {
        let mut before = self.read();
        loop {
            let (outcome, word) = account(before)?;
            // The word is all there is: nothing else has to be seen in order with it.
            let changed = self.0.compare_exchange_weak(
                before.bits(),
                word.bits(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match changed {
                Ok(_) => return Ok(outcome),
                Err(bits) => before = Word::from_bits(bits),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rate::Rate;

    #[test]
    fn a_table_for_many_more_keys_has_as_many_segments_as_a_new_one() {
        let quota = Quota::new(Rate::new(1, Duration::from_secs(1), 1).unwrap());
        let table = Arc::new(Table::new(10_000));
        let more = table.with_max_keys(20_000, &quota, 0);
        assert!(Arc::ptr_eq(&table, &more));
        let many = table.with_max_keys(1_000_000, &quota, 0);
        assert_eq!(many.segments.len(), Table::new(1_000_000).segments.len());
        // Nobody goes back: a table that was large once has its memory.
        assert!(Arc::ptr_eq(&many, &table.with_max_keys(10_000, &quota, 0)));
    }
}
