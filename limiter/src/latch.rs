//! The sold-out latch: nobody asks the upstream for what it has said is gone.
//!
//! ```text
//! open <─> low ──> reserved_out ──> sold_out        latched: refused from memory, but for one canary per `ttl`
//!   ^───────┴───────────┴──────────────┘            back only by what the upstream answers to it, or by the operator
//! ```
//!
//! What was *asked* before a SKU was latched or opened says nothing about it: answers overtake each other.

mod index;
mod record;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::chain::Chain;
use crate::stock::{Says, Seen, Stock};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock};
use crate::timestamp::Timestamp;
use index::{Entry, Found, Index, Tag};
use record::Record;

/// A canary whose answer says nothing keeps the next one back for this part of a `ttl`.
const UNHEARD: u32 = 10;

/// What the latch goes by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LatchSettings {
    /// The most SKUs that are remembered; at least one is.
    pub max_skus: usize,
    /// How often one request goes to see whether there is stock again.
    pub ttl: Duration,
    /// Remaining stock from which on a SKU is low; 0: never.
    pub low: u64,
}

/// What a request for a SKU meets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Look {
    /// Nothing is known against it.
    Pass,
    /// It is out.
    Refuse(Stock),
    /// It is out, and it is time that somebody asked: who [claims](Latches::claim_canary) it goes, the others are refused.
    Canary(Stock),
}

/// What is known of one SKU, for people.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SkuStatus {
    /// Its name, cut off at 64 bytes.
    pub name: String,
    /// The state.
    pub stock: Stock,
    /// What the upstream last said is left.
    pub remaining: Option<u64>,
    /// When it was last latched or opened.
    pub since: Timestamp,
    /// When something was last heard of it that counted.
    pub observed: Timestamp,
}

/// The states of all SKUs that somebody said something about. A SKU is named by a digest of the caller's; it should be
/// seeded, so that nobody outside can choose digests that meet.
///
/// Looking takes no lock, writes nothing and allocates nothing. Memory is bounded by `max_skus`.
#[derive(Debug)]
pub struct Latches {
    index: Index,
    changes: AtomicU64,
    /// Held by everybody who writes.
    book: Mutex<Book>,
    /// The one of another size that has taken its place: what is done to this one is done to that.
    successor: OnceLock<Arc<Self>>,
}

/// All that readers do without.
#[derive(Debug)]
struct Book {
    settings: LatchSettings,
    records: Vec<Record>,
    /// Those that can be bought, least recently heard of first.
    open: Chain,
    /// Those that are out, likewise.
    out: Chain,
    /// How many there are of each state.
    counts: [usize; 4],
    /// The latest change among the SKUs that had to make room: nothing that was asked before counts for one that is new
    /// here, since it may be one of those.
    forgotten: Timestamp,
}

impl Latches {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(settings: LatchSettings) -> Self {
        // A record's number has 32 bits.
        let settings = LatchSettings { max_skus: settings.max_skus.clamp(1, 1 << 30), ..settings };
        let book = Book {
            settings,
            records: Vec::new(),
            open: Chain::EMPTY,
            out: Chain::EMPTY,
            counts: [0; 4],
            forgotten: Timestamp::default(),
        };
        Self {
            index: Index::new(settings.max_skus),
            changes: AtomicU64::new(0),
            book: Mutex::new(book),
            successor: OnceLock::new(),
        }
    }

    /// What is asked and told, wherever: the one that has taken the place of this one, if there is.
    fn newest(&self) -> &Self {
        let mut newest = self;
        while let Some(successor) = newest.successor.get() {
            newest = successor;
        }
        newest
    }

    /// The same to be written to. Its successor is set under the lock: nothing is written to one that has been left.
    fn write(&self) -> (&Self, MutexGuard<'_, Book>) {
        let mut newest = self.newest();
        loop {
            let book = lock(&newest.book);
            match newest.successor.get() {
                None => return (newest, book),
                Some(successor) => newest = successor,
            }
        }
    }

    /// What a request for `sku` meets now. Reads only.
    #[must_use]
    pub fn look(&self, sku: u64, now: Timestamp) -> Look {
        let tag = Tag::new(sku);
        let latches = self.newest();
        let found = match latches.index.read(tag) {
            Found::Entry(entry) => Some(entry),
            Found::Nothing => None,
            Found::Unsure => {
                let _book = lock(&latches.book);
                latches.index.find(tag)
            }
        };
        match found {
            Some(Entry { at, stock }) if stock.is_out() => {
                if now < latches.index.due(at) {
                    Look::Refuse(stock)
                } else {
                    Look::Canary(stock)
                }
            }
            Some(_) | None => Look::Pass,
        }
    }

    /// Whether the caller is the one that goes to ask; if so, the next one is due in a `ttl`, unless this one tells that it
    /// came [to nothing](Self::unclaim_canary).
    #[must_use]
    pub fn claim_canary(&self, sku: u64, now: Timestamp) -> bool {
        let (latches, book) = self.write();
        let Some(Entry { at, stock }) = latches.index.find(Tag::new(sku)) else { return false };
        if !stock.is_out() || now < latches.index.due(at) {
            return false;
        }
        latches.index.set_due(at, now + book.settings.ttl);
        true
    }

    /// The canary that was claimed at `claimed` found nothing out. If it was not even `asked`, because it was refused behind the
    /// claim, another may go at once; if the answer said nothing of the stock, a tenth of a `ttl` after it, `now`: an upstream
    /// that never says anything, however slowly, is not to be asked without end about what is gone.
    pub fn unclaim_canary(&self, sku: u64, claimed: Timestamp, is_asked: bool, now: Timestamp) {
        let (latches, book) = self.write();
        let Some(Entry { at, stock }) = latches.index.find(Tag::new(sku)) else { return };
        let ttl = book.settings.ttl;
        // Else somebody else has claimed the next, or it was opened and closed again.
        if stock.is_out() && latches.index.due(at) == claimed + ttl {
            latches.index.set_due(at, if is_asked { now + ttl / UNHEARD } else { claimed });
        }
    }

    /// Takes note of an answer of the upstream about `sku`, to a request that was sent when `asked` says.
    ///
    /// The new state, if that changed it.
    pub fn observe(
        &self,
        sku: u64,
        name: &str,
        seen: Seen,
        asked: Timestamp,
        now: Timestamp,
    ) -> Option<Stock> {
        let tag = Tag::new(sku);
        // That somebody was served is no news of a SKU that nobody said anything about.
        if seen.says(0) == Says::Served && matches!(self.newest().index.read(tag), Found::Nothing) {
            return None;
        }
        let (latches, mut book) = self.write();
        let at = match latches.index.find(tag) {
            Some(Entry { at, .. }) => at,
            None => {
                let low = book.settings.low;
                let closes = !matches!(seen.says(low), Says::Is(stock) if !stock.is_out());
                if seen.says(low) == Says::Served || asked < book.forgotten {
                    return None;
                }
                latches.enter(&mut book, tag, name, closes)?
            }
        };
        let low = book.settings.low;
        latches.change(&mut book, at, now, |record| record.hear(seen, low, asked, now))
    }

    /// The operator's word: it counts against everything that was asked before. The new state, if that changed it.
    pub fn set(&self, sku: u64, name: &str, stock: Stock, now: Timestamp) -> Option<Stock> {
        let (latches, mut book) = self.write();
        let tag = Tag::new(sku);
        let at = match latches.index.find(tag) {
            Some(Entry { at, .. }) => Some(at),
            None => latches.enter(&mut book, tag, name, stock.is_out()),
        };
        let Some(at) = at else {
            // There is no place to note that this one was opened, so it is noted for all that have none.
            book.forgotten = book.forgotten.max(now);
            return None;
        };
        latches.change(&mut book, at, now, |record| {
            record.set(stock, now);
            true
        })
    }

    /// Everything that is known: what is out before the rest, and of each the most recently heard of first.
    ///
    /// For people: writers wait meanwhile.
    #[must_use]
    pub fn list(&self) -> Vec<SkuStatus> {
        let (_, mut book) = self.write();
        let book = &mut *book;
        let Book { records, open, out, .. } = book;
        let mut order: Vec<_> = open.iter(records).collect();
        order.extend(out.iter(records));
        order.into_iter().rev().map(|record| records[record].status()).collect()
    }

    /// How many SKUs are in this state, of those that something is known of. Costs the same however many they are.
    #[must_use]
    pub fn count(&self, stock: Stock) -> usize {
        self.write().1.counts[stock.index()]
    }

    /// How many SKUs are out.
    #[must_use]
    pub fn latched(&self) -> usize {
        self.write().1.out.len()
    }

    /// Counts the changes of state. Whoever holds up requests for SKUs looks again when it has moved.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.newest().changes.load(Ordering::Acquire)
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> LatchSettings {
        self.write().1.settings
    }

    /// Changes `ttl` and `low` from the next answer on. `max_skus` stays what it is: see [`resized`](Self::resized).
    pub fn apply(&self, settings: LatchSettings) {
        let (_, mut book) = self.write();
        let max_skus = book.settings.max_skus;
        book.settings = LatchSettings { max_skus, ..settings };
    }

    /// Puts a latch of other `max_skus` in the place of this one, that knows the same, or as much of it as there is room for.
    /// Whoever has this one goes on with that.
    #[must_use]
    pub fn resized(&self, settings: LatchSettings) -> Arc<Self> {
        let other = Arc::new(Self::new(settings));
        let (latches, mut from) = self.write();
        let from = &mut *from;
        let mut to = lock(&other.book);
        to.forgotten = from.forgotten;
        let mut order: Vec<_> = from.open.iter(&mut from.records).collect();
        order.extend(from.out.iter(&mut from.records));
        for record in order {
            let record = &from.records[record];
            let Some(at) = latches.index.find(record.tag) else { continue };
            let due = latches.index.due(at.at);
            let Some(to_at) = other.enter(&mut to, record.tag, &record.name, record.stock.is_out())
            else {
                continue;
            };
            other.change(&mut to, to_at, due, |copy| {
                copy.take_over(record);
                true
            });
            other.index.set_due(to_at, due);
        }
        drop(to);
        other.changes.store(latches.changes.load(Ordering::Relaxed) + 1, Ordering::Release);
        // Never set before: this is the newest, and its lock is held.
        latches.successor.set(Arc::clone(&other)).ok();
        other
    }

    /// Finds a place for a SKU that is not in the table; where it is. One that can be bought never takes the place of one
    /// that is out: of that as much is known without it.
    fn enter(&self, book: &mut Book, tag: Tag, name: &str, closes: bool) -> Option<usize> {
        // Whoever makes room for this one is not it.
        let since = book.forgotten;
        let index = if book.records.len() < book.settings.max_skus {
            book.records.push(Record::new(tag, name, since));
            book.records.len() - 1
        } else {
            let Book { records, open, out, .. } = book;
            let (chain, index) = match (open.oldest(), out.oldest()) {
                (Some(index), _) => (open, index),
                (None, Some(index)) if closes => (out, index),
                (None, _) => return None,
            };
            chain.remove(records, index);
            let leaves = &records[index];
            book.counts[leaves.stock.index()] -= 1;
            book.forgotten = book.forgotten.max(leaves.since);
            if let Some(entry) = self.index.find(leaves.tag) {
                self.index.remove(entry.at);
            }
            records[index] = Record::new(tag, name, since);
            index
        };
        book.counts[Stock::Open.index()] += 1;
        book.open.push(&mut book.records, index);
        self.index.insert(tag, index);
        self.index.find(tag).map(|entry| entry.at)
    }

    /// Lets `change` at the record of the slot `at`, and has readers see what became of it. Whether it counts is what
    /// `change` says.
    fn change(
        &self,
        book: &mut Book,
        at: usize,
        now: Timestamp,
        change: impl FnOnce(&mut Record) -> bool,
    ) -> Option<Stock> {
        let index = self.index.record(at);
        let before = book.records[index].stock;
        if !change(&mut book.records[index]) {
            return None;
        }
        let stock = book.records[index].stock;
        let Book { records, open, out, .. } = book;
        if before.is_out() { &mut *out } else { &mut *open }.remove(records, index);
        if stock.is_out() { out } else { open }.push(records, index);
        if stock == before {
            return None;
        }
        book.counts[before.index()] -= 1;
        book.counts[stock.index()] += 1;
        self.index.set(at, stock, now + book.settings.ttl);
        self.changes.fetch_add(1, Ordering::Release);
        Some(stock)
    }
}
