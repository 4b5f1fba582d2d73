//! The last decisions of each worker, in memory of a fixed size. Each is written by its worker and read by
//! the operator: the locks are free but for that.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::id::Id;
use super::record::Record;

/// How many decisions of a worker are kept.
pub(crate) const KEPT: usize = 10_000;

/// The decisions of a process.
#[derive(Debug)]
pub(crate) struct Decisions {
    process: u32,
    rings: Box<[Ring]>,
}

/// Why a decision is not here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Missing {
    /// Another process made it, if one did.
    OtherProcess,
    /// Nobody has made it.
    NeverGivenOut,
    /// It was none of those to be kept.
    SampledOut,
    /// It was kept, until as many later ones had been.
    Overwritten,
}

/// One worker's, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Ring {
    /// How many it has made, kept or not.
    made: AtomicU64,
    kept: Mutex<Kept>,
}

/// Rising by number from `next` on, round the end.
#[derive(Debug, Default)]
struct Kept {
    /// Empty until there is something to keep, then with room for all.
    records: Vec<Record>,
    next: usize,
}

// === impl Decisions ===

impl Decisions {
    /// None yet, of so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        let process = RandomState::new().hash_one(std::process::id()) as u32;
        Self { process, rings: (0..workers).map(|_| Ring::default()).collect() }
    }

    /// The next decision of `worker`, which alone may ask; a share of `sample` of them is kept.
    pub(crate) fn give(
        &self,
        worker: usize,
        sample: f64,
        record: impl FnOnce(u64) -> Record,
    ) -> Id {
        let ring = &self.rings[worker];
        let number = ring.made.load(Relaxed);
        if is_kept(number, sample) {
            ring.lock().push(record(number));
        }
        ring.made.store(number + 1, Relaxed);
        Id { process: self.process, worker, number }
    }

    /// What is kept of one decision; `sample` is the share that is kept now.
    ///
    /// # Errors
    /// Why it is not here.
    pub(crate) fn find(&self, id: Id, sample: f64) -> Result<Record, Missing> {
        if id.process != self.process {
            return Err(Missing::OtherProcess);
        }
        let ring = self.rings.get(id.worker).ok_or(Missing::NeverGivenOut)?;
        let kept = ring.lock();
        if let Some(record) = kept.find(id.number) {
            return Ok(record.clone());
        }
        if id.number >= ring.made.load(Relaxed) {
            return Err(Missing::NeverGivenOut);
        }
        let is_older = kept.is_full() && kept.oldest().is_some_and(|oldest| id.number < oldest);
        // Of one as old as that nobody knows what the share was then; most likely what it is.
        if is_older && is_kept(id.number, sample) {
            Err(Missing::Overwritten)
        } else {
            Err(Missing::SampledOut)
        }
    }
}

/// Whether decision number `number` is one of the share of `sample` that is kept. The numbers are scattered:
/// what comes in turns shall not be kept by turns.
fn is_kept(number: u64, sample: f64) -> bool {
    // The finalizer of SplitMix64 (Steele et al., OOPSLA 2014), of which 53 bits are a fraction.
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let fraction = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
    fraction < sample
}

// === impl Ring ===

impl Ring {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Kept ===

impl Kept {
    fn push(&mut self, record: Record) {
        if self.records.is_empty() {
            self.records.reserve_exact(KEPT);
        }
        if self.is_full() {
            self.records[self.next] = record;
            self.next = (self.next + 1) % KEPT;
        } else {
            self.records.push(record);
        }
    }

    fn is_full(&self) -> bool {
        self.records.len() == KEPT
    }

    fn oldest(&self) -> Option<u64> {
        self.records.get(self.next).map(|record| record.number)
    }

    fn find(&self, number: u64) -> Option<&Record> {
        let (newer, older) = self.records.split_at(self.next);
        let find = |records: &'_ [Record]| {
            records.binary_search_by_key(&number, |record| record.number).ok()
        };
        find(older).map(|at| &older[at]).or_else(|| find(newer).map(|at| &newer[at]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Outcome, Role};
    use super::*;

    fn record(number: u64) -> Record {
        Record {
            number,
            at_ms: 0,
            generation: 1,
            route: None,
            role: Role::None,
            limit: None,
            outcome: Outcome::Admitted,
            level: None,
            waited_us: 0,
            told_ms: None,
        }
    }

    /// What becomes of decision number `number` of worker 0.
    fn look(decisions: &Decisions, number: u64, sample: f64) -> Result<u64, Missing> {
        let id = Id { process: decisions.process, worker: 0, number };
        decisions.find(id, sample).map(|record| record.number)
    }

    #[test]
    fn the_last_ten_thousand_are_kept_and_of_the_others_it_is_known_why_not() {
        let decisions = Decisions::new(2);
        assert_eq!(look(&decisions, 0, 1.0), Err(Missing::NeverGivenOut));
        let more = KEPT as u64 + 123;
        for number in 0..more {
            let id = decisions.give(0, 1.0, record);
            assert_eq!((id.worker, id.number), (0, number));
        }
        for number in 0..123 {
            assert_eq!(look(&decisions, number, 1.0), Err(Missing::Overwritten), "{number}");
        }
        for number in 123..more {
            assert_eq!(look(&decisions, number, 1.0), Ok(number));
        }
        assert_eq!(look(&decisions, more, 1.0), Err(Missing::NeverGivenOut));
        let id = Id { process: decisions.process, worker: 1, number: 123 };
        assert_eq!(decisions.find(id, 1.0).unwrap_err(), Missing::NeverGivenOut);
        let nobody = Id { worker: 2, ..id };
        assert_eq!(decisions.find(nobody, 1.0).unwrap_err(), Missing::NeverGivenOut);
        let other = Id { process: !id.process, worker: 0, ..id };
        assert_eq!(decisions.find(other, 1.0).unwrap_err(), Missing::OtherProcess);
    }

    #[test]
    fn a_share_is_kept_that_depends_on_nothing_but_the_number() {
        let (decisions, again) = (Decisions::new(1), Decisions::new(1));
        for _ in 0..20_000 {
            decisions.give(0, 0.25, record);
            again.give(0, 0.25, record);
        }
        let kept = |decisions: &Decisions| -> Vec<u64> {
            (0..20_000).filter(|&number| look(decisions, number, 0.25).is_ok()).collect()
        };
        let numbers = kept(&decisions);
        assert!((4_700..5_300).contains(&numbers.len()), "{}", numbers.len());
        // Neither the even nor the odd ones.
        let even = numbers.iter().filter(|&number| number % 2 == 0).count();
        assert!((2_200..2_800).contains(&even), "{even}");
        assert_eq!(numbers, kept(&again));
        let left_out = (0..20_000).find(|number| !numbers.contains(number)).unwrap();
        assert_eq!(look(&decisions, left_out, 0.25), Err(Missing::SampledOut));
    }

    #[test]
    fn nothing_is_allocated_for_what_is_not_kept_and_a_record_is_small() {
        let decisions = Decisions::new(1);
        decisions.give(0, 0.0, |_| panic!("it is not kept"));
        assert_eq!(look(&decisions, 0, 0.0), Err(Missing::SampledOut));
        assert_eq!(decisions.rings[0].lock().records.capacity(), 0);
        decisions.give(0, 1.0, record);
        assert_eq!(decisions.rings[0].lock().records.capacity(), KEPT);
        assert!(size_of::<Record>() <= 96, "{}", size_of::<Record>());
    }
}
