//! File descriptors: how many there are, and how many connections fit into them.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use floodgate_config::Config;

/// Descriptors for everything that is not a connection.
const RESERVE: u64 = 64;
/// Most descriptors that the kernel is asked to make room for in advance, at 8 bytes each.
const MAX_ROOM: u64 = 1 << 20;

/// The most connections from downstream that the process can hold beside those to its upstreams.
///
/// # Errors
/// Not even a handful fit: one sentence that says what to do.
pub(crate) fn fit_connections(config: &Config) -> Result<usize, String> {
    let wanted = u64::from(config.server.max_connections);
    let workers = crate::worker::count(config) as u64;
    // Each worker keeps idle connections of its own.
    let upstream: u64 = config
        .upstreams
        .iter()
        .map(|up| u64::from(up.limits.max_in_flight()) * workers + u64::from(up.max_upgraded))
        .sum();
    let available = raise_descriptors();
    let fits = available.saturating_sub(RESERVE).saturating_sub(upstream.min(available / 2));
    if fits < 16 {
        return Err(format!(
            "too few file descriptors: {available} in all; raise the limit (ulimit -n, LimitNOFILE=)"
        ));
    }
    make_room((wanted + upstream).saturating_add(RESERVE).min(available).min(MAX_ROOM));
    // Once: a reload changes little about it.
    static TOLD: AtomicBool = AtomicBool::new(false);
    if fits < wanted && !TOLD.swap(true, Relaxed) {
        tracing::warn!(
            max_connections = wanted,
            fits,
            descriptors = available,
            "fewer connections fit than configured; raise the limit of open files (ulimit -n, LimitNOFILE=)"
        );
    }
    Ok(usize::try_from(wanted.min(fits)).unwrap_or(usize::MAX))
}

/// Has the kernel make its table of descriptors long enough for `count` of them now.
///
/// It doubles the table whenever the next descriptor does not fit, and in a process of several threads
/// waits each time until no processor can be reading the old one (`expand_fdtable` in Linux's `fs/file.c`
/// calls `synchronize_rcu`): 10 to 30 ms in which whoever opens the sale would wait with the thread that
/// accepts. Where it does not work, that is how it stays.
fn make_room(count: u64) {
    let Ok(last) = libc::c_int::try_from(count.saturating_sub(1)) else { return };
    if let Err(error) = File::open("/dev/null").and_then(|file| duplicate(&file, last)) {
        tracing::debug!(%error, count, "no room for descriptors in advance");
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

/// Raises the soft limit to the hard one and returns it.
#[expect(unsafe_code, reason = "two system calls on a plain struct that lives on the stack")]
fn raise_descriptors() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit for the whole call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 1024;
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
    // SAFETY: as above; raising the soft limit to the hard one is always allowed.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } {
        0 => raised.rlim_cur,
        _ => limit.rlim_cur,
    }
}

/// The most descriptors that the process may have open.
#[expect(unsafe_code, reason = "one system call on a plain struct that lives on the stack")]
pub(crate) fn limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit for the whole call.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (result == 0).then_some(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_before_the_connections_come() {
        raise_descriptors();
        make_room(900);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
        // In steps of a power of two; a system without this file is not Linux.
        if let Some(size) = size.and_then(|size| size.trim().parse::<u64>().ok()) {
            assert!(size >= 900, "{size}");
        }
    }
}
