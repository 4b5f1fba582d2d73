//! Numbers of grants: none twice, and none that tells how many there are.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts, and scrambles the count: a customer with two grants could otherwise read off how many were
/// sold in between.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    next: AtomicU64,
    key: RandomState,
}

// === impl Nonces ===

impl Nonces {
    /// One that this process has not given before. Another process gives the same only by chance.
    pub(crate) fn next(&self) -> u64 {
        self.scramble(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A Feistel network: whatever the rounds compute, no two counts become one.
    fn scramble(&self, count: u64) -> u64 {
        let (mut left, mut right) = ((count >> 32) as u32, count as u32);
        for round in 0..4u32 {
            (left, right) = (right, left ^ self.key.hash_one((round, right)) as u32);
        }
        u64::from(left) << 32 | u64::from(right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_nonce_comes_twice_and_none_tells_the_next() {
        let nonces = Nonces::default();
        let given: Vec<_> = (0..100_000).map(|_| nonces.next()).collect();
        assert_eq!(given.iter().collect::<HashSet<_>>().len(), given.len());
        let steps: HashSet<_> = given.windows(2).map(|w| w[1].wrapping_sub(w[0])).collect();
        assert!(steps.len() > 99_000);
        assert_ne!(Nonces::default().next(), given[0], "every process has its own");
    }
}
