//! Atomics and the lock, switched between std and loom's models of them.
//!
//! `Arc` is std's in both: loom's cannot be a method receiver.

use std::ops::Deref;
use std::sync::PoisonError;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Keeps what one core writes off the cache lines that others read: 128 bytes, since current x86-64 fetches lines in
/// pairs and some aarch64 has lines of that size.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Locks, taking the value as it is if a panic once unwound through a holder.
///
/// Nothing that can panic in practice runs under a lock of this crate, and a gateway that stops admitting because of
/// one panic is the greater evil.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
