//! Wakers collected under the lock, to be woken outside of it.

use std::task::Waker;

/// How many are woken per hold of the lock: bounds both the hold and the space on the stack.
const BATCH: usize = 32;

/// A bounded batch of wakers.
#[derive(Default)]
pub(crate) struct Wakers {
    batch: [Option<Waker>; BATCH],
    len: usize,
}

impl Wakers {
    /// Adds one; the caller looks at [`is_full`](Self::is_full) before.
    pub(crate) fn push(&mut self, waker: Option<Waker>) {
        if let Some(slot) = self.batch.get_mut(self.len)
            && waker.is_some()
        {
            *slot = waker;
            self.len += 1;
        }
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.len == BATCH
    }

    /// Wakes and forgets all. Not to be called under the lock: a waker may run the very task that needs it.
    pub(crate) fn wake(&mut self) {
        for waker in self.batch[..self.len].iter_mut().filter_map(Option::take) {
            waker.wake();
        }
        self.len = 0;
    }
}
