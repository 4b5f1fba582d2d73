//! The waiters of one tier: a list per rank.

use crate::class::{MAX_RANKS, Rank};
use crate::slab::{Entry, List, Slab};

/// Oldest first within a rank, the higher ranks first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue {
    lists: [List; MAX_RANKS],
    /// A bit for each list that is not empty.
    occupied: u8,
    len: u32,
}

impl Queue {
    pub(crate) const EMPTY: Self = Self { lists: [List::EMPTY; MAX_RANKS], occupied: 0, len: 0 };

    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Waiters above the ordinary rank.
    pub(crate) const fn preferred(&self) -> u32 {
        self.len - self.lists[0].len()
    }

    /// Waiters of `rank` or above: those that a newcomer of it finds before it.
    pub(crate) fn at_or_above(&self, rank: Rank) -> u32 {
        if rank == Rank::ORDINARY {
            return self.len;
        }
        self.lists[rank.index()..].iter().map(|list| list.len()).sum()
    }

    /// Whom a permit goes to next, if it may go to `lowest` or above.
    pub(crate) fn next(&self, lowest: Rank) -> Option<u32> {
        let highest = self.occupied.checked_ilog2()? as usize;
        if highest < lowest.index() { None } else { self.lists[highest].oldest() }
    }

    /// Who makes room for one of `rank`: the newest of the lowest rank, if that is below it.
    pub(crate) fn newest_below(&self, rank: Rank) -> Option<u32> {
        let lowest = self.occupied.trailing_zeros() as usize;
        if lowest < rank.index() { self.lists[lowest].newest() } else { None }
    }

    /// Who makes room for one of a higher tier.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.lists.get(self.occupied.trailing_zeros() as usize)?.newest()
    }

    /// Appends `entry` to those of its rank.
    pub(crate) fn push(&mut self, slab: &mut Slab, entry: Entry) -> u32 {
        let rank = entry.rank.index();
        self.len += 1;
        self.occupied |= 1 << rank;
        slab.push(&mut self.lists[rank], entry)
    }

    /// Takes off the entry at `index`, which must be on it.
    pub(crate) fn unlink(&mut self, slab: &mut Slab, index: u32) {
        let rank = slab.entry(index).rank.index();
        slab.unlink(&mut self.lists[rank], index);
        self.len -= 1;
        if self.lists[rank].is_empty() {
            self.occupied &= !(1 << rank);
        }
    }

    /// Takes over all of `from`, each behind those of its own rank, as waiters of `tier`.
    pub(crate) fn append(&mut self, slab: &mut Slab, mut from: Self, tier: u8) {
        for (to, from) in self.lists.iter_mut().zip(&mut from.lists) {
            slab.append(to, from, tier);
        }
        self.len += from.len;
        self.occupied |= from.occupied;
    }

    /// Makes all of it waiters of `tier`.
    pub(crate) fn relabel(&self, slab: &mut Slab, tier: u8) {
        for &list in &self.lists {
            slab.relabel(list, tier);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rejection::Rejection;
    use crate::timestamp::Timestamp;

    fn queue(slab: &mut Slab, ranks: &[u8]) -> (Queue, Vec<u32>) {
        let mut queue = Queue::EMPTY;
        let entries = ranks.iter().map(|&rank| {
            let (since, expires) = (Timestamp::default(), Timestamp::MAX);
            let cause = Rejection::QueueTimeout;
            queue.push(slab, Entry::new(0, Rank::new(rank), since, expires, cause))
        });
        let entries = entries.collect();
        (queue, entries)
    }

    #[test]
    fn the_highest_rank_is_next_and_the_newest_of_the_lowest_makes_room() {
        let mut slab = Slab::new();
        let (mut queue, entries) = queue(&mut slab, &[1, 7, 1, 3, 7]);
        assert_eq!((queue.len(), queue.preferred()), (5, 5));
        assert_eq!(queue.at_or_above(Rank::new(2)), 3);
        assert_eq!(queue.newest_below(Rank::new(1)), None);
        assert_eq!(queue.newest_below(Rank::new(2)), Some(entries[2]));
        assert_eq!(queue.newest(), Some(entries[2]));
        let mut served = vec![];
        while let Some(next) = queue.next(Rank::new(2)) {
            queue.unlink(&mut slab, next);
            served.push(next);
        }
        assert_eq!(served, [entries[1], entries[4], entries[3]]);
        assert_eq!(queue.next(Rank::ORDINARY), Some(entries[0]));
    }

    #[test]
    fn a_queue_behind_another_keeps_its_ranks() {
        let mut slab = Slab::new();
        let (mut first, a) = queue(&mut slab, &[0, 2]);
        let (second, b) = queue(&mut slab, &[2, 5, 0]);
        first.append(&mut slab, second, 4);
        assert_eq!((first.len(), first.preferred()), (5, 3));
        let mut served = vec![];
        while let Some(next) = first.next(Rank::ORDINARY) {
            assert_eq!(slab.entry(next).tier, if b.contains(&next) { 4 } else { 0 });
            first.unlink(&mut slab, next);
            served.push(next);
        }
        assert_eq!(served, [b[1], a[1], b[0], a[0], b[2]]);
        assert_eq!(first.newest(), None);
    }
}
