//! How many of something each key holds at once.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::keys::{AsItIs, Digest};

/// How many of something each key holds at once. Only keys that hold something are in it: whoever bounds what there is
/// to hold bounds this.
#[derive(Debug)]
pub struct Holdings {
    held: DashMap<Digest, u32, AsItIs>,
}

/// One of them, given back when dropped.
#[derive(Debug)]
pub struct Holding {
    holdings: Arc<Holdings>,
    key: Digest,
}

// === impl Holdings ===

impl Holdings {
    /// Nobody holds anything.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { held: DashMap::with_hasher(AsItIs) })
    }

    /// How many `key` holds. Nothing is written; the lock of a piece of the map is taken for reading.
    #[must_use]
    pub fn held(&self, key: Digest) -> u32 {
        self.held.get(&key).map_or(0, |held| *held)
    }

    /// One for `key`, unless it holds `most` already.
    #[must_use]
    pub fn take(self: &Arc<Self>, key: Digest, most: u32) -> Option<Holding> {
        match self.held.entry(key) {
            Entry::Occupied(held) if *held.get() >= most => return None,
            Entry::Occupied(mut held) => *held.get_mut() += 1,
            Entry::Vacant(_) if most == 0 => return None,
            Entry::Vacant(vacant) => drop(vacant.insert(1)),
        }
        Some(Holding { holdings: Arc::clone(self), key })
    }

    /// Keys that hold something.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether nobody holds anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Who holds most, and how many; looks at everybody.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.held.iter().map(|held| *held).max().unwrap_or(0)
    }
}

// === impl Holding ===

impl Drop for Holding {
    fn drop(&mut self) {
        self.holdings.held.remove_if_mut(&self.key, |_, held| {
            *held = held.saturating_sub(1);
            *held == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Seed;

    #[test]
    fn each_key_holds_up_to_the_most_and_nothing_is_left_of_who_holds_none() {
        let (seed, holdings) = (Seed::new(), Holdings::new());
        let (one, other) = (seed.digest(b"1"), seed.digest(b"2"));
        let held: Vec<_> = std::iter::from_fn(|| holdings.take(one, 3)).collect();
        assert_eq!((held.len(), holdings.held(one), holdings.held(other)), (3, 3, 0));
        let another = holdings.take(other, 3).unwrap();
        assert_eq!((holdings.len(), holdings.most()), (2, 3));
        // A lowered bound takes nothing away, and lets nobody have more.
        assert!(holdings.take(one, 2).is_none() && holdings.take(one, 0).is_none());
        drop(held);
        assert_eq!((holdings.held(one), holdings.len()), (0, 1));
        drop(another);
        assert!(holdings.is_empty());
        assert!(holdings.take(other, 0).is_none() && holdings.is_empty());
    }
}
