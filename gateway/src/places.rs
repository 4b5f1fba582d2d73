//! A bounded number of places, shared by all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How many of some places are taken. What they are bounded by is said with each taking, so that the
/// bound can change.
#[derive(Debug, Default)]
pub(crate) struct Places(AtomicU32);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

// === impl Places ===

impl Places {
    /// One more, if fewer than `limit` are taken.
    pub(crate) fn take(self: &Arc<Self>, limit: u32) -> Option<Place> {
        let take = |count| (count < limit).then_some(count + 1);
        self.0.fetch_update(Relaxed, Relaxed, take).ok()?;
        Some(Place(Arc::clone(self)))
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_taken_than_the_limit_of_the_moment() {
        let places = Arc::<Places>::default();
        let first = places.take(2);
        let second = places.take(2);
        assert!(first.is_some() && second.is_some() && places.take(2).is_none());
        assert!(places.take(3).is_some());
        drop(first);
        assert_eq!(places.taken(), 1);
        assert!(places.take(1).is_none());
    }
}
