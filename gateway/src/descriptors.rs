//! File descriptors: how many there are, and how many connections fit into them.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use floodgate_config::Config;

/// Descriptors for everything that is not a connection.
const RESERVE: u64 = 64;

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
