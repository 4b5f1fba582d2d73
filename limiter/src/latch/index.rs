//! Where a SKU's state is looked up: a fixed table that readers probe without a lock, and writers change under one.
//!
//! A slot's word holds both whose it is and what is known, so that one load answers. Only a reader that finds nothing can
//! have been misled, by a writer that moved an entry past it; it reads the version before and after to know.

use crate::stock::Stock;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::timestamp::Timestamp;

/// How often a reader that was overtaken by writers tries again before it asks for the lock.
const TRIES: u32 = 8;

/// A SKU as the table knows it: its digest without the two bits in which the state is kept. Never 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Tag(u64);

impl Tag {
    pub(super) const fn new(sku: u64) -> Self {
        match sku & !3 {
            0 => Self(4),
            tag => Self(tag),
        }
    }
}

#[derive(Debug)]
struct Slot {
    /// Tag and state; 0: empty.
    word: AtomicU64,
    /// When the next canary may go, in nanoseconds.
    due: AtomicU64,
    /// The SKU's record; only read under the lock.
    record: AtomicU32,
}

/// What a slot says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) at: usize,
    pub(super) stock: Stock,
}

/// What a reader without the lock found.
pub(super) enum Found {
    Entry(Entry),
    Nothing,
    /// Writers are at it: to be asked again under the lock.
    Unsure,
}

/// At most half full, so that a probe ends soon.
#[derive(Debug)]
pub(super) struct Index {
    slots: Box<[Slot]>,
    /// Odd while entries are being moved.
    version: AtomicU64,
}

impl Index {
    pub(super) fn new(entries: usize) -> Self {
        let slot =
            || Slot { word: AtomicU64::new(0), due: AtomicU64::new(0), record: AtomicU32::new(0) };
        let slots = (entries * 2).next_power_of_two().max(2);
        Self { slots: (0..slots).map(|_| slot()).collect(), version: AtomicU64::new(0) }
    }

    /// Without the lock. What it finds was true at some moment during the call.
    pub(super) fn read(&self, tag: Tag) -> Found {
        for _ in 0..TRIES {
            let before = self.version.load(Ordering::Acquire);
            if let Some(entry) = self.find(tag) {
                return Found::Entry(entry);
            }
            // The words were loaded with acquire: if one of them was moved by a writer, so is its version seen.
            if before & 1 == 0 && self.version.load(Ordering::Relaxed) == before {
                return Found::Nothing;
            }
        }
        Found::Unsure
    }

    /// Exact under the lock.
    pub(super) fn find(&self, tag: Tag) -> Option<Entry> {
        let mut at = self.home(tag.0);
        loop {
            let word = self.slots[at].word.load(Ordering::Acquire);
            if word == 0 {
                return None;
            }
            if word & !3 == tag.0 {
                return Some(Entry { at, stock: Stock::from_bits(word) });
            }
            at = self.after(at);
        }
    }

    pub(super) fn due(&self, at: usize) -> Timestamp {
        Timestamp::from_nanos(self.slots[at].due.load(Ordering::Relaxed))
    }

    pub(super) fn record(&self, at: usize) -> usize {
        self.slots[at].record.load(Ordering::Relaxed) as usize
    }

    /// Under the lock; `tag` is not in the table, and fewer than `entries` are.
    pub(super) fn insert(&self, tag: Tag, record: usize) {
        let mut at = self.home(tag.0);
        while self.slots[at].word.load(Ordering::Relaxed) != 0 {
            at = self.after(at);
        }
        self.slots[at].record.store(record as u32, Ordering::Relaxed);
        self.slots[at].word.store(tag.0 | Stock::Open.bits(), Ordering::Release);
    }

    /// Under the lock.
    pub(super) fn set(&self, at: usize, stock: Stock, due: Timestamp) {
        let slot = &self.slots[at];
        self.set_due(at, due);
        let tag = slot.word.load(Ordering::Relaxed) & !3;
        // Whoever sees the new state sees when its canary is due, not when that of the last one was.
        slot.word.store(tag | stock.bits(), Ordering::Release);
    }

    /// Under the lock.
    pub(super) fn set_due(&self, at: usize, due: Timestamp) {
        self.slots[at].due.store(due.as_nanos(), Ordering::Relaxed);
    }

    /// Under the lock. Entries behind it that it was in the way of move up, so that a probe still ends at the first
    /// empty slot.
    pub(super) fn remove(&self, at: usize) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        let (mut hole, mut at) = (at, at);
        loop {
            at = self.after(at);
            let slot = &self.slots[at];
            let word = slot.word.load(Ordering::Relaxed);
            if word == 0 {
                break;
            }
            if self.distance(self.home(word), at) >= self.distance(hole, at) {
                let to = &self.slots[hole];
                to.due.store(slot.due.load(Ordering::Relaxed), Ordering::Relaxed);
                to.record.store(slot.record.load(Ordering::Relaxed), Ordering::Relaxed);
                to.word.store(word, Ordering::Release);
                hole = at;
            }
        }
        self.slots[hole].word.store(0, Ordering::Release);
        self.version.store(version + 2, Ordering::Release);
    }

    fn home(&self, word: u64) -> usize {
        (word >> 2) as usize & (self.slots.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.slots.len() - 1)
    }
}
