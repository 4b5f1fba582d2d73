//! A counter with one writer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts up; written by one thread, read by any. Not an atomic addition on purpose: the line
/// belongs to its core, and a locked instruction would cost ten times as much.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

// === impl Counter ===

impl Counter {
    /// At zero.
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more. Only the owning core may call this.
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    /// `n` more. Only the owning core may call this.
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The count so far.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
