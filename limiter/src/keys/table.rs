//! Times by key, of a bounded number of keys.

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

/// Fewest pieces of the map: cores that meet in one wait for each other.
const FEWEST_PIECES: usize = 16;

/// Times by key. Whoever is known needs no lock but that of the map's piece, for reading; whoever is new, that of a
/// segment first.
#[derive(Debug)]
pub(super) struct Table {
    times: DashMap<Digest, Time, AsItIs>,
    segments: Box<[Padded<Segment>]>,
}

/// A [`Word`] that is changed by compare and exchange.
#[derive(Debug)]
pub(super) struct Time(AtomicU64);

// === impl Table ===

impl Table {
    /// For at most `max_keys` keys.
    pub(super) fn new(max_keys: usize) -> Self {
        let segments = max_keys.div_ceil(SEGMENT).next_power_of_two().min(MOST);
        let pieces = segments.max(FEWEST_PIECES);
        let capacity = share(max_keys, segments);
        Self {
            times: DashMap::with_hasher_and_shard_amount(AsItIs, pieces),
            segments: (0..segments).map(|_| Padded(Segment::new(capacity))).collect(),
        }
    }

    /// For at most `max_keys` keys from now on. Nobody is forgotten for it but as places are needed.
    pub(super) fn set_max_keys(&self, max_keys: usize) {
        let capacity = share(max_keys, self.segments.len());
        self.segments.iter().for_each(|segment| segment.set_capacity(capacity));
    }

    /// Keys that have a place.
    pub(super) fn len(&self) -> usize {
        self.segments.iter().map(|segment| segment.len()).sum()
    }

    /// Requests that were accounted for in company, for want of a place.
    pub(super) fn in_company(&self) -> u64 {
        self.segments.iter().map(|segment| segment.in_company()).sum()
    }

    /// What is known of `key`: of itself if it has a place, else of those that it is in company with.
    pub(super) fn read(&self, key: Digest) -> Word {
        match self.times.get(&key) {
            Some(time) => time.read(),
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
        let segment = self.segment(key);
        // Refused by reading.
        account(segment.company(key).read())?;
        let mut ring = segment.lock();
        if let Some(time) = self.times.get(&key) {
            return time.change(account);
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

    fn segment(&self, key: Digest) -> &Segment {
        // A power of two.
        &self.segments[key.high() as usize & (self.segments.len() - 1)]
    }
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
