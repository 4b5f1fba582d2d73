//! The waiters' entries: one slab, threaded by one list per tier and rank.
//!
//! Adding, taking from either end and removing from the middle are O(1) and, once the slab has grown to what is used,
//! allocate nothing. An entry belongs to its ticket, which alone frees it; so an index needs no generation. An entry that
//! has been granted or refused is off its list and holds no place; it only waits for its ticket to look.

use std::task::Waker;

use crate::class::Rank;
use crate::permit::Given;
use crate::rejection::Rejection;
use crate::timestamp::Timestamp;

/// The end of a list.
const NIL: u32 = u32::MAX;

/// Where an entry stands.
#[derive(Debug)]
pub(crate) enum State {
    Free,
    /// Has a permit, not yet collected.
    Granted(Given),
    Refused(Rejection),
    Waiting(Option<Waker>),
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) tier: u8,
    pub(crate) rank: Rank,
    pub(crate) since: Timestamp,
    pub(crate) expires: Timestamp,
    /// What it is refused for when it expires.
    pub(crate) cause: Rejection,
    pub(crate) state: State,
    prev: u32,
    next: u32,
}

impl Entry {
    pub(crate) const fn new(
        tier: u8,
        rank: Rank,
        since: Timestamp,
        expires: Timestamp,
        cause: Rejection,
    ) -> Self {
        let state = State::Waiting(None);
        Self { tier, rank, since, expires, cause, state, prev: NIL, next: NIL }
    }

    /// Settles it, and gives what is to be woken.
    pub(crate) fn settle(&mut self, state: State) -> Option<Waker> {
        match std::mem::replace(&mut self.state, state) {
            State::Waiting(waker) => waker,
            State::Free | State::Granted(_) | State::Refused(_) => None,
        }
    }
}

/// The waiters of one tier and rank, oldest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    len: u32,
}

impl List {
    pub(crate) const EMPTY: Self = Self { head: NIL, tail: NIL, len: 0 };

    pub(crate) const fn len(self) -> u32 {
        self.len
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.len == 0
    }

    pub(crate) fn oldest(self) -> Option<u32> {
        (self.head != NIL).then_some(self.head)
    }

    pub(crate) fn newest(self) -> Option<u32> {
        (self.tail != NIL).then_some(self.tail)
    }
}

/// All entries, those on a list and those that are not.
#[derive(Debug)]
pub(crate) struct Slab {
    entries: Vec<Entry>,
    /// First of the free entries, linked by `next`.
    free: u32,
}

impl Slab {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), free: NIL }
    }

    /// Makes sure that `capacity` entries fit without moving any. The memory is not touched before it is used.
    pub(crate) fn reserve(&mut self, capacity: u32) {
        self.entries.reserve((capacity as usize).saturating_sub(self.entries.len()));
    }

    pub(crate) fn entry(&mut self, index: u32) -> &mut Entry {
        &mut self.entries[index as usize]
    }

    /// Appends `entry` to `list`.
    pub(crate) fn push(&mut self, list: &mut List, entry: Entry) -> u32 {
        let index = if self.free == NIL {
            self.entries.push(entry);
            // Below NIL: each entry has a live ticket, and 4 billion of them do not fit in memory.
            (self.entries.len() - 1) as u32
        } else {
            let index = self.free;
            self.free = self.entry(index).next;
            *self.entry(index) = entry;
            index
        };
        self.link(list, index);
        index
    }

    /// Takes the entry at `index` off `list`, to which it must belong.
    pub(crate) fn unlink(&mut self, list: &mut List, index: u32) {
        let &mut Entry { prev, next, .. } = self.entry(index);
        match prev {
            NIL => list.head = next,
            _ => self.entry(prev).next = next,
        }
        match next {
            NIL => list.tail = prev,
            _ => self.entry(next).prev = prev,
        }
        list.len -= 1;
    }

    /// Moves all of `from` to the end of `to`, as waiters of `tier`.
    pub(crate) fn append(&mut self, to: &mut List, from: &mut List, tier: u8) {
        while let Some(index) = from.oldest() {
            self.unlink(from, index);
            self.entry(index).tier = tier;
            self.link(to, index);
        }
    }

    /// Makes all of `list` waiters of `tier`.
    pub(crate) fn relabel(&mut self, list: List, tier: u8) {
        let mut at = list.head;
        while at != NIL {
            let entry = self.entry(at);
            entry.tier = tier;
            at = entry.next;
        }
    }

    /// Gives the entry at `index`, which must be off its list, back for reuse, and says how it ended.
    pub(crate) fn free(&mut self, index: u32) -> State {
        let free = std::mem::replace(&mut self.free, index);
        let entry = self.entry(index);
        entry.next = free;
        std::mem::replace(&mut entry.state, State::Free)
    }

    fn link(&mut self, list: &mut List, index: u32) {
        let tail = list.tail;
        let entry = self.entry(index);
        entry.prev = tail;
        entry.next = NIL;
        match tail {
            NIL => list.head = index,
            _ => self.entry(tail).next = index,
        }
        list.tail = index;
        list.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let (since, expires) = (Timestamp::default(), Timestamp::MAX);
        Entry::new(0, Rank::ORDINARY, since, expires, Rejection::QueueTimeout)
    }

    fn order(slab: &mut Slab, list: List) -> Vec<u32> {
        let mut order = vec![];
        let mut at = list.head;
        while at != NIL {
            order.push(at);
            at = slab.entry(at).next;
        }
        assert_eq!(order.len(), list.len() as usize);
        assert_eq!(order.last().copied(), list.newest());
        order
    }

    #[test]
    fn order_survives_removal_anywhere_and_entries_are_reused() {
        let mut slab = Slab::new();
        let mut list = List::EMPTY;
        let all: Vec<u32> = (0..5).map(|_| slab.push(&mut list, entry())).collect();
        for gone in [all[2], all[0], all[4]] {
            slab.unlink(&mut list, gone);
            slab.free(gone);
        }
        assert_eq!(order(&mut slab, list), [all[1], all[3]]);
        let reused: Vec<u32> = (0..3).map(|_| slab.push(&mut list, entry())).collect();
        assert_eq!(slab.entries.len(), 5);
        let mut lower = List::EMPTY;
        let last = slab.push(&mut lower, entry());
        slab.append(&mut list, &mut lower, 0);
        assert!(lower.is_empty());
        assert_eq!(
            order(&mut slab, list),
            [&[all[1], all[3]], reused.as_slice(), &[last]].concat()
        );
    }
}
