//! What all cores of the process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::access_log::AccessLog;
use crate::connections::Connections;
use crate::explain::Decisions;
use crate::machine::Machine;
use crate::memory::Memory;
use crate::objective::{History, Violations};
use crate::shadow::Shadow;
use crate::snapshot::Snapshot;
use crate::stripped::Stripped;

/// What all cores of the process share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The live configuration and state.
    pub snapshot: ArcSwap<Snapshot>,
    /// A candidate that is evaluated beside it.
    pub shadow: ArcSwapOption<Shadow>,
    /// The last decisions, for the operator.
    pub decisions: Decisions,
    /// The last requests that were not served as promised, for the operator too.
    pub violations: Violations,
    /// What was counted in the past.
    pub history: History,
    /// How full the memory of the process is.
    pub memory: Memory,
    /// What the kernel tells of the process.
    pub machine: Machine,
    /// What became of the lines of the access log.
    pub access_log: AccessLog,
    /// Refuse what comes, finish what is there.
    pub draining: AtomicBool,
    /// Who is connected.
    pub connections: Arc<Connections>,
    /// Connections that owe their clients something, by worker.
    pub active: Box<[Active]>,
    /// What clients said of themselves that nobody believes, by worker.
    pub stripped: Box<[Stripped]>,
    /// The turnstile refuses nobody: what hyper and the service do alone is compared with it.
    #[cfg(test)]
    pub hyper_only: AtomicBool,
}

/// Connections of one worker that owe their clients an answer, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Active(AtomicUsize);

// === impl Shared ===

impl Shared {
    /// In front of the first connection, for `cores` cores and at most `max_connections` connections.
    pub(crate) fn new(snapshot: Snapshot, cores: usize, max_connections: usize) -> Arc<Self> {
        let client_limit = snapshot.config.server.max_connections_per_client;
        Arc::new(Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            shadow: ArcSwapOption::empty(),
            decisions: Decisions::new(cores),
            violations: Violations::new(cores),
            history: History::default(),
            memory: Memory::default(),
            machine: Machine::new(cores),
            access_log: AccessLog::default(),
            draining: AtomicBool::new(false),
            connections: Connections::new(max_connections, client_limit),
            active: (0..cores).map(|_| Active::default()).collect(),
            stripped: (0..cores).map(|_| Stripped::default()).collect(),
            #[cfg(test)]
            hyper_only: AtomicBool::new(false),
        })
    }

    /// Whether the process is on its way out.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Whether the turnstile leaves well-formed requests to hyper, as only a test may want.
    pub(crate) fn sends_all_to_hyper(&self) -> bool {
        #[cfg(test)]
        return self.hyper_only.load(Relaxed);
        #[cfg(not(test))]
        false
    }

    /// Connections that owe their clients an answer, or what is left of one.
    pub(crate) fn active(&self) -> usize {
        self.active.iter().map(|core| core.0.load(Relaxed)).sum()
    }
}

// === impl Active ===

impl Active {
    /// One more; only the owning core may call this.
    pub(crate) fn enter(&self) {
        self.0.store(self.0.load(Relaxed) + 1, Relaxed);
    }

    /// One less; only the owning core may call this.
    pub(crate) fn leave(&self) {
        self.0.store(self.0.load(Relaxed).saturating_sub(1), Relaxed);
    }
}
