//! The allocator of the binary, and its free memory, which goes back to the system.

#[cfg(feature = "mimalloc")]
use std::alloc::{GlobalAlloc, Layout};

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

/// mimalloc, asked in the way that costs least.
///
/// The `mimalloc` crate asks for an alignment each time, for which mimalloc takes blocks of more than 1,024 bytes that are
/// no power of two out of a larger one: ten times the instructions of a plain request, which is aligned to 8 bytes anyway, and dearer to free.
#[cfg(feature = "mimalloc")]
#[derive(Debug)]
pub struct Mimalloc;

/// What every block of this size or more is aligned to: blocks are made of words.
#[cfg(feature = "mimalloc")]
const WORD: usize = 8;

/// Whether an alignment need not be asked for.
#[cfg(feature = "mimalloc")]
const fn is_plain(size: usize, align: usize) -> bool {
    align <= WORD && size >= WORD
}

#[cfg(feature = "mimalloc")]
#[expect(unsafe_code, reason = "an allocator is unsafe by its contract")]
// SAFETY: mimalloc keeps to the contract of `malloc` and `aligned_alloc`, and its blocks may be freed and resized
// however they were asked for.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: the caller keeps to the contract: no size is 0, all alignments are powers of two.
        unsafe {
            if is_plain(size, align) {
                libmimalloc_sys::mi_malloc(size).cast()
            } else {
                libmimalloc_sys::mi_malloc_aligned(size, align).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: as above.
        unsafe {
            if is_plain(size, align) {
                libmimalloc_sys::mi_zalloc(size).cast()
            } else {
                libmimalloc_sys::mi_zalloc_aligned(size, align).cast()
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, _layout: Layout) {
        // SAFETY: it came from here.
        unsafe { libmimalloc_sys::mi_free(at.cast()) };
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let align = layout.align();
        // SAFETY: it came from here, and as above.
        unsafe {
            if is_plain(size, align) {
                libmimalloc_sys::mi_realloc(at.cast(), size).cast()
            } else {
                libmimalloc_sys::mi_realloc_aligned(at.cast(), size, align).cast()
            }
        }
    }
}

#[cfg(all(test, feature = "mimalloc"))]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "it is asked directly")]
    fn blocks_are_aligned_as_they_were_asked_for() {
        for align in [1, 2, 4, 8, 16, 64, 128, 4096] {
            for size in [1, 7, 8, 9, 24, 100, 1_000, 1_025, 1_440, 5_000, 100_000] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: sizes are not 0; each block is freed once, by the layout it has.
                unsafe {
                    let at = Mimalloc.alloc(layout);
                    assert!(!at.is_null() && at.addr().is_multiple_of(align), "{size} {align}");
                    at.write_bytes(1, size);
                    let at = Mimalloc.realloc(at, layout, size * 3);
                    assert!(!at.is_null() && at.addr().is_multiple_of(align), "{size} {align}");
                    assert!((0..size).all(|byte| *at.add(byte) == 1));
                    let layout = Layout::from_size_align(size * 3, align).unwrap();
                    Mimalloc.dealloc(at, layout);
                    let zeroed = Mimalloc.alloc_zeroed(layout);
                    assert!(
                        !zeroed.is_null() && zeroed.addr().is_multiple_of(align),
                        "{size} {align}"
                    );
                    assert!((0..size * 3).all(|byte| *zeroed.add(byte) == 0));
                    Mimalloc.dealloc(zeroed, layout);
                }
            }
        }
    }
}
