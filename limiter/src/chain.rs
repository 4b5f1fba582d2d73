//! A list through the entries of a slab, in the order in which they were pushed: what makes "the oldest goes first" O(1).

/// The end of a chain.
const NIL: u32 = u32::MAX;

/// An entry's neighbours. An entry is on one chain at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    older: u32,
    newer: u32,
}

impl Links {
    pub(crate) const NONE: Self = Self { older: NIL, newer: NIL };
}

/// What can be on a chain.
pub(crate) trait Linked {
    fn links(&mut self) -> &mut Links;
}

/// Entries of one slab, oldest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    oldest: u32,
    newest: u32,
    len: usize,
}

impl Chain {
    pub(crate) const EMPTY: Self = Self { oldest: NIL, newest: NIL, len: 0 };

    pub(crate) const fn len(self) -> usize {
        self.len
    }

    pub(crate) fn oldest(self) -> Option<usize> {
        (self.oldest != NIL).then_some(self.oldest as usize)
    }

    /// Makes the entry at `index`, which is on no chain, the newest.
    pub(crate) fn push(&mut self, slab: &mut [impl Linked], index: usize) {
        *slab[index].links() = Links { older: self.newest, newer: NIL };
        match self.newest {
            NIL => self.oldest = index as u32,
            newest => slab[newest as usize].links().newer = index as u32,
        }
        self.newest = index as u32;
        self.len += 1;
    }

    /// Takes off the entry at `index`, which is on this chain.
    pub(crate) fn remove(&mut self, slab: &mut [impl Linked], index: usize) {
        let Links { older, newer } = std::mem::replace(slab[index].links(), Links::NONE);
        match older {
            NIL => self.oldest = newer,
            _ => slab[older as usize].links().newer = newer,
        }
        match newer {
            NIL => self.newest = older,
            _ => slab[newer as usize].links().older = older,
        }
        self.len -= 1;
    }

    /// The entries' indices, oldest first.
    pub(crate) fn iter(self, slab: &mut [impl Linked]) -> impl Iterator<Item = usize> {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let index = (next != NIL).then_some(next as usize)?;
            next = slab[index].links().newer;
            Some(index)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Linked for Links {
        fn links(&mut self) -> &mut Links {
            self
        }
    }

    #[test]
    fn what_is_taken_out_anywhere_leaves_the_others_in_order() {
        let mut slab = [Links::NONE; 5];
        for removed in 0..5 {
            let mut chain = Chain::EMPTY;
            (0..5).for_each(|index| chain.push(&mut slab, index));
            chain.remove(&mut slab, removed);
            let rest: Vec<_> = (0..5).filter(|&index| index != removed).collect();
            assert_eq!(chain.iter(&mut slab).collect::<Vec<_>>(), rest);
            chain.push(&mut slab, removed);
            assert_eq!(chain.iter(&mut slab).last(), Some(removed));
            while let Some(oldest) = chain.oldest() {
                chain.remove(&mut slab, oldest);
            }
            assert_eq!(chain.len(), 0);
        }
    }
}
