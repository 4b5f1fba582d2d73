//! File descriptors, before the first connection needs one.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

/// Most descriptors that the kernel is asked to make room for, at 8 bytes each: more than the generator ever opens.
const MAX_ROOM: u64 = 1 << 16;

/// Raises the limit of open files as far as it goes, and has the kernel make its table of them long enough.
///
/// The kernel doubles that table whenever the next descriptor does not fit, and in a process of several
/// threads the one that needs it waits 10 to 30 ms for that (`expand_fdtable` in Linux's `fs/file.c`): a
/// stall of the generator, at the worst moment. Where it does not work, that is how it stays.
pub fn prepare() {
    let count = raise_limit().min(MAX_ROOM);
    let last = libc::c_int::try_from(count.saturating_sub(1)).unwrap_or(0);
    // The duplicate is closed at once; the table stays as long as it is.
    drop(File::open("/dev/null").and_then(|file| duplicate(&file, last)));
}

/// Raises the soft limit to the hard one and returns what there is then.
#[expect(unsafe_code, reason = "two system calls on a plain struct that lives on the stack")]
fn raise_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit for the whole call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 1024;
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: as above; raising the soft limit to the hard one is always allowed.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } {
        0 => raised.rlim_cur,
        _ => limit.rlim_cur,
    }
}

/// A second descriptor of `file`, numbered `at_least` or higher.
#[expect(unsafe_code, reason = "one system call; the standard library does not choose the number")]
fn duplicate(file: &File, at_least: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is open for the whole call; no memory is passed.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, at_least) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: it was made just now, and nobody else knows of it.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}
