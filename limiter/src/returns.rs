//! What the refused were told: who comes back when asked to, and who does not wait for it.
//!
//! Fixed memory, whoever comes: a table of words, each of which is a tag of the customer and the time that was told. Eight
//! words are a bucket, which is a cache line. A word is read and written as a whole, so that cores that write
//! together can lose a note but never mix two customers.

use std::fmt;
use std::hint::select_unpredictable;
use std::sync::OnceLock;
use std::time::Duration;

use crate::sync::{AtomicU64, Ordering};
use crate::timestamp::{Timestamp, saturating_nanos};

/// Words of a bucket: what a cache line holds. There are two for each customer there is room for, so that few of the
/// buckets are full when the table is.
const WAYS: usize = 8;
/// Buckets of a page, 4 KiB: what is allocated at once, when the first customer of it is refused.
const PAGE: usize = 64;
/// Room for more is not made: 16 GiB.
const MOST_CUSTOMERS: usize = 1 << 30;
/// Being on time counts for this long; who comes later is new again.
const MATTERS: Duration = Duration::from_secs(60);
/// Told to wait longer is noted as this.
const LONGEST: Duration = Duration::from_secs(60);
/// Who comes this share of the wait too soon, or [`JITTER_NANOS`], is on time: clocks are not alike and timers fire early.
const TOLERATED_SHARE: u64 = 20;
const JITTER_NANOS: u64 = 50_000_000;
/// Who keeps to a `Retry-After` rounded up to seconds has come by then; who has not is the first to be forgotten.
const GRACE: Duration = Duration::from_secs(2);

/// What each refused customer was told, for all cores.
///
/// Customers are told apart by a digest of 64 bits, which must be keyed or random: nobody may be able to choose a
/// bucket. A stranger is taken for somebody else with a probability of at most 8 / 2^27 < 10^-7 per look, also when
/// the table is full of invented customers.
///
/// ```
/// use std::time::Duration;
/// use floodgate_limiter::{Returns, Standing, Timestamp};
///
/// let (returns, now) = (Returns::new(1_000), Timestamp::from_nanos(0));
/// assert_eq!(returns.standing(42, now), Standing::New);
/// returns.tell(42, now, now + Duration::from_secs(4));
/// assert!(matches!(returns.standing(42, now + Duration::from_secs(3)), Standing::Early { .. }));
/// assert_eq!(returns.standing(42, now + Duration::from_secs(4)), Standing::OnTime);
/// ```
pub struct Returns {
    pages: Box<[OnceLock<Box<Page>>]>,
    buckets: u64,
}

/// Whether a customer keeps to what it was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Nothing is known of it, or from too long ago to matter.
    New,
    /// Comes when it was told to, or later by up to a minute.
    OnTime,
    /// Comes before that: `told` still holds, and no other time is to be booked for it.
    Early {
        /// When it was told to come.
        told: Timestamp,
    },
}

type Page = [Bucket; PAGE];

#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket([AtomicU64; WAYS]);

/// Tag (27 bits), time told (28 bits of 4 ms: unambiguous for 13 days), wait (9 bits of 134 ms, rounded up, never 0).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Note(u64);

// === impl Returns ===

impl Returns {
    /// Room for `customers`, in 16 bytes each; most of it is allocated as they come. Without room everybody is new.
    #[must_use]
    pub fn new(customers: usize) -> Self {
        let buckets = (2 * customers.min(MOST_CUSTOMERS)).div_ceil(WAYS);
        Self {
            pages: (0..buckets.div_ceil(PAGE)).map(|_| OnceLock::new()).collect(),
            buckets: buckets as u64,
        }
    }

    /// How `customer` stands. Reads only.
    #[must_use]
    pub fn standing(&self, customer: u64, now: Timestamp) -> Standing {
        let (index, tag) = self.find(customer);
        let page = self.pages.get(index / PAGE).and_then(OnceLock::get);
        let note = page.and_then(|page| page[index % PAGE].find(tag));
        note.map_or(Standing::New, |(_, note)| note.standing(now))
    }

    /// Notes that `customer` was told at `now` to come back at `told`, instead of what it was told before.
    ///
    /// Displaces another if need be: one who should have been here long ago, else the one who was told to come last.
    /// So a crowd larger than the table costs those their place in it who came last, not everybody.
    pub fn tell(&self, customer: u64, now: Timestamp, told: Timestamp) {
        let (index, tag) = self.find(customer);
        if let Some(page) = self.pages.get(index / PAGE) {
            let page = page.get_or_init(|| Box::new(std::array::from_fn(|_| Bucket::default())));
            page[index % PAGE].put(tag, now, told);
        }
    }

    /// Whether `customer` is on time, which is so once for every time it was told: of those who ask at once for the same
    /// customer, one hears so.
    #[must_use]
    pub fn redeem(&self, customer: u64, now: Timestamp) -> bool {
        let (index, tag) = self.find(customer);
        let page = self.pages.get(index / PAGE).and_then(OnceLock::get);
        page.is_some_and(|page| page[index % PAGE].redeem(tag, now))
    }

    /// Forgets what `customer` was told: it has been let in.
    pub fn forget(&self, customer: u64) {
        let (index, tag) = self.find(customer);
        if let Some(page) = self.pages.get(index / PAGE).and_then(OnceLock::get) {
            page[index % PAGE].clear(tag);
        }
    }

    /// Bytes that are allocated: at most 16 for each customer there is room for, in whole pages, and 1 % more.
    #[must_use]
    pub fn memory(&self) -> usize {
        let pages = self.pages.iter().filter(|page| page.get().is_some()).count();
        pages * size_of::<Page>() + size_of_val(&*self.pages)
    }

    /// Number of the bucket, from the high bits, and tag, from the low ones.
    fn find(&self, customer: u64) -> (usize, u64) {
        let spread = spread(customer);
        let index = (u128::from(spread) * u128::from(self.buckets)) >> 64;
        (index as usize, spread & Note::TAG_MASK)
    }
}

impl fmt::Debug for Returns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returns").field("buckets", &self.buckets).finish_non_exhaustive()
    }
}

/// Makes all bits of the result depend on all of the digest's; no two digests become one (the end of splitmix64).
fn spread(digest: u64) -> u64 {
    let x = (digest ^ digest >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

// === impl Bucket ===

// Relaxed throughout: a word says all there is to know, nothing else is read because of it.
impl Bucket {
    /// Two cores that tell the same customer at once can leave two notes: the first one counts.
    fn find(&self, tag: u64) -> Option<(&AtomicU64, Note)> {
        self.0.iter().find_map(|word| {
            let note = Note(word.load(Ordering::Relaxed));
            note.is_of(tag).then_some((word, note))
        })
    }

    /// In one pass: the note there is, or else the most dispensable one, is replaced.
    fn put(&self, tag: u64, now: Timestamp, told: Timestamp) {
        let (mut chosen, mut most) = (None, 0);
        for (way, word) in self.0.iter().enumerate() {
            let note = Note(word.load(Ordering::Relaxed));
            if note.is_of(tag) {
                chosen = Some(way);
                break;
            }
            // The way in the lowest bits: a maximum, which needs no branch that nobody could foretell.
            most = most.max(note.dispensable(now) * WAYS as u64 + way as u64);
        }
        let way = chosen.unwrap_or((most % WAYS as u64) as usize);
        self.0[way].store(Note::new(tag, now, told).0, Ordering::Relaxed);
    }

    fn redeem(&self, tag: u64, now: Timestamp) -> bool {
        let Some((word, note)) = self.find(tag) else { return false };
        let is_first = note.standing(now) == Standing::OnTime
            && word
                .compare_exchange(note.0, Note::NONE.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_first {
            // There may be a second note.
            self.clear(tag);
        }
        is_first
    }

    fn clear(&self, tag: u64) {
        for word in &self.0 {
            if Note(word.load(Ordering::Relaxed)).is_of(tag) {
                word.store(Note::NONE.0, Ordering::Relaxed);
            }
        }
    }
}

// === impl Note ===

impl Note {
    const NONE: Self = Self(0);
    const WAIT_BITS: u32 = 9;
    const TIME_BITS: u32 = 28;
    const TAG_SHIFT: u32 = Self::WAIT_BITS + Self::TIME_BITS;
    const TAG_MASK: u64 = (1 << (64 - Self::TAG_SHIFT)) - 1;
    const TIME_MASK: u64 = (1 << Self::TIME_BITS) - 1;
    const WAIT_MASK: u64 = (1 << Self::WAIT_BITS) - 1;
    /// A time is kept to 2^22 ns, 4.2 ms; rounded down, so that nobody is early by it.
    const TICK_SHIFT: u32 = 22;
    /// A wait is kept to 2^27 ns, 134 ms.
    const WAIT_SHIFT: u32 = 27;
    const LONGEST_TICKS: u64 = LONGEST.as_nanos() as u64 >> Self::TICK_SHIFT;
    const TO_COME_TICKS: u64 = (LONGEST.as_nanos() + GRACE.as_nanos()) as u64 >> Self::TICK_SHIFT;

    fn new(tag: u64, now: Timestamp, told: Timestamp) -> Self {
        let told = told.min(now + LONGEST);
        let wait = saturating_nanos(told.saturating_since(now)) >> Self::WAIT_SHIFT;
        let wait = (wait + 1).min(Self::WAIT_MASK);
        let time = told.as_nanos() >> Self::TICK_SHIFT & Self::TIME_MASK;
        Self(tag << Self::TAG_SHIFT | time << Self::WAIT_BITS | wait)
    }

    fn is_of(self, tag: u64) -> bool {
        self.0 >> Self::TAG_SHIFT == tag && self != Self::NONE
    }

    fn standing(self, now: Timestamp) -> Standing {
        let Some(told) = self.told(now) else { return Standing::New };
        let wait = (self.0 & Self::WAIT_MASK) << Self::WAIT_SHIFT;
        let tolerated = (wait / TOLERATED_SHARE).max(JITTER_NANOS);
        if now.as_nanos().saturating_add(tolerated) < told.as_nanos() {
            Standing::Early { told }
        } else {
            Standing::OnTime
        }
    }

    /// When the customer was told to come, unless it is too long ago.
    fn told(self, now: Timestamp) -> Option<Timestamp> {
        let ticks = now.as_nanos() >> Self::TICK_SHIFT;
        let ahead = self.0 >> Self::WAIT_BITS;
        // The difference in 28 bits, with its sign.
        let ahead =
            (ahead.wrapping_sub(ticks) << (64 - Self::TIME_BITS)) as i64 >> (64 - Self::TIME_BITS);
        let told = Timestamp::from_nanos(ticks.checked_add_signed(ahead)? << Self::TICK_SHIFT);
        let matters = told <= now + LONGEST && now.saturating_since(told) <= MATTERS;
        matters.then_some(told)
    }

    /// How little is lost with this. Those who should have been here long ago go before those who are still to come; of
    /// the former the first, of the latter the last.
    fn dispensable(self, now: Timestamp) -> u64 {
        let latest = (now.as_nanos() >> Self::TICK_SHIFT).wrapping_add(Self::LONGEST_TICKS);
        let before = latest.wrapping_sub(self.0 >> Self::WAIT_BITS) & Self::TIME_MASK;
        let past = before > Self::TO_COME_TICKS;
        let known = select_unpredictable(past, before, Self::TO_COME_TICKS.wrapping_sub(before));
        select_unpredictable(self == Self::NONE, Self::TIME_MASK + 1, known)
    }
}
