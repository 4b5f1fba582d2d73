//! The rate of a table of keys as governor takes it, and what earlier rates left behind.

use std::num::NonZeroU32;
use std::time::Duration;

use super::word::{LAST, TAGS, Word};
use crate::rate::{Rate, UNITS_PER_NANO};
use crate::timestamp::Timestamp;

/// How many rates back a word is understood; one that is older keeps its time as it is.
const REMEMBERED: usize = TAGS as usize / 2;

/// A rate in force since some change, and the changes that led to it.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    rate: Rate,
    /// Emission interval and burst of the last rate that was open.
    pace: Pace,
    /// Number of the pace, modulo [`TAGS`].
    tag: u8,
    /// The latest first.
    changes: [Option<Change>; REMEMBERED],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Pace {
    /// Nanoseconds from one request to the next, at least 1.
    interval: u64,
    burst: NonZeroU32,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    at: u64,
    from: Pace,
    to: Pace,
}

// === impl Quota ===

impl Quota {
    pub(super) fn new(rate: Rate) -> Self {
        let pace = Pace::of(rate).unwrap_or(Pace { interval: 1, burst: NonZeroU32::MIN });
        Self { rate, pace, tag: 0, changes: [None; REMEMBERED] }
    }

    /// `rate` from `now` on.
    pub(super) fn changed(&self, rate: Rate, now: Timestamp) -> Self {
        let mut next = Self { rate, ..self.clone() };
        // Nobody is let in while it is closed, so that nothing is accounted for by it.
        let Some(to) = Pace::of(rate) else { return next };
        if to != self.pace {
            next.changes.rotate_right(1);
            next.changes[0] = Some(Change { at: nanos(now), from: self.pace, to });
            next.tag = (self.tag + 1) % TAGS;
            next.pace = to;
        }
        next
    }

    pub(super) const fn rate(&self) -> Rate {
        self.rate
    }

    /// As governor takes it; `None` if it is closed.
    pub(super) fn governed(&self) -> Option<governor::Quota> {
        let period = Duration::from_nanos(self.pace.interval);
        let quota = governor::Quota::with_period(period)?.allow_burst(self.pace.burst);
        (!self.rate.is_closed()).then_some(quota)
    }

    /// The time in `word`, as it is to be read with this rate: who owed so many requests before a change owes as
    /// many after it, but never more than a burst.
    pub(super) fn time(&self, word: Word) -> u64 {
        let behind = self.behind(word).unwrap_or(0);
        let changes = self.changes[..behind].iter().rev().flatten();
        changes.fold(word.time(), |time, change| change.carry(time))
    }

    /// What is remembered of a key that is accounted for up to `time`, of which `before` was known.
    pub(super) fn word(&self, time: u64, before: Word) -> Word {
        // Who came under an older rate than the one that the word was written with leaves that as it is.
        let tag = if self.behind(before).is_some() { self.tag } else { before.tag() };
        Word::new(time, tag, !before.is_nothing())
    }

    /// The time from which on `word` says no more than that a key has been here: its bucket is full. One that has come
    /// more than once is kept as long again as a burst takes to be earned.
    pub(super) fn free_at(&self, word: Word) -> u64 {
        let kept = if word.has_returned() { self.pace.fill() } else { 0 };
        self.time(word).saturating_add(kept)
    }

    /// How many changes ago the word was written; `None`: under a later rate, or too long ago.
    fn behind(&self, word: Word) -> Option<usize> {
        let behind = usize::from(self.tag.wrapping_sub(word.tag()) % TAGS);
        (word.is_nothing() || behind <= REMEMBERED).then_some(behind)
    }
}

// === impl Pace ===

impl Pace {
    /// Rounded up to whole nanoseconds: never more than was meant.
    fn of(rate: Rate) -> Option<Self> {
        let interval = rate.interval_units().div_ceil(UNITS_PER_NANO);
        let burst = NonZeroU32::new(rate.burst())?;
        (interval > 0).then_some(Self { interval, burst })
    }

    /// The time in which a whole burst is earned: at most 100 days and a burst of nanoseconds.
    fn fill(self) -> u64 {
        self.interval.saturating_mul(u64::from(self.burst.get()))
    }
}

// === impl Change ===

impl Change {
    fn carry(&self, time: u64) -> u64 {
        let Some(owed) = time.checked_sub(self.at) else { return time };
        let owed = u128::from(owed) * u128::from(self.to.interval);
        let owed = owed.div_ceil(u128::from(self.from.interval));
        let owed = u64::try_from(owed).unwrap_or(u64::MAX).min(self.to.fill());
        self.at + owed
    }
}

/// Nanoseconds since the epoch, at most [`LAST`].
pub(super) fn nanos(now: Timestamp) -> u64 {
    now.as_nanos().min(LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate(count: u64, burst: u32) -> Rate {
        Rate::new(count, Duration::from_secs(1), burst).unwrap()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * SECOND)
    }

    #[test]
    fn requests_owed_before_a_change_are_owed_after_it() {
        let slow = Quota::new(rate(1, 10));
        let owes_four = slow.word(104 * SECOND, Word::NOTHING);
        let fast = slow.changed(rate(4, 10), at(100));
        assert_eq!(fast.time(owes_four), 101 * SECOND);
        let slow_again = fast.changed(rate(2, 10), at(100));
        assert_eq!(slow_again.time(owes_four), 102 * SECOND);
        assert_eq!(slow_again.time(fast.word(101 * SECOND, owes_four)), 102 * SECOND);
        // A smaller burst: nobody owes more than that.
        assert_eq!(slow.changed(rate(1, 2), at(100)).time(owes_four), 102 * SECOND);
        // Who owed nothing any more owes nothing.
        assert_eq!(slow.changed(rate(4, 10), at(110)).time(owes_four), 104 * SECOND);
    }

    #[test]
    fn closing_and_opening_again_changes_nothing() {
        let open = Quota::new(rate(1, 10));
        let word = open.word(104 * SECOND, Word::NOTHING);
        let closed = open.changed(Rate::CLOSED, at(100));
        assert!(closed.governed().is_none());
        let again = closed.changed(rate(1, 10), at(101));
        assert!(again.governed().is_some());
        assert_eq!(again.time(word), 104 * SECOND);
    }

    #[test]
    fn who_came_under_an_older_rate_leaves_the_newer_one_in_force() {
        let old = Quota::new(rate(1, 10));
        let new = old.changed(rate(4, 10), at(100));
        let word = new.word(102 * SECOND, Word::NOTHING);
        assert_eq!(old.time(word), 102 * SECOND);
        assert_eq!(new.time(old.word(103 * SECOND, word)), 103 * SECOND);
    }

    #[test]
    fn many_changes_keep_times_in_bounds() {
        let mut quota = Quota::new(rate(1, 10));
        let word = quota.word(105 * SECOND, Word::NOTHING);
        for n in 1..100 {
            quota = quota.changed(rate(1 + n % 5, 10), at(100));
            let time = quota.time(word);
            assert!((100 * SECOND..=110 * SECOND).contains(&time), "{n}: {time}");
        }
    }
}
