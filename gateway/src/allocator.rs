//! The allocator's free memory, which goes back to the system.

/// Gives back what nobody has used for a second. The allocator does so by itself only while memory is
/// asked for: after a wave, when nothing is, it would keep what the wave took. For a thread that serves
/// no customers, since it asks the system.
pub(crate) fn give_back() {
    #[cfg(feature = "mimalloc")]
    #[expect(unsafe_code, reason = "a call into C")]
    // SAFETY: it may be called at any time, from any thread, also where another allocator is in use.
    unsafe {
        libmimalloc_sys::mi_collect(false);
    }
}
