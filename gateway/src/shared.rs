//! What all cores of the process share.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use metrics::{Counter, Gauge};

use crate::metrics::names;
use crate::snapshot::Snapshot;

/// What all cores of the process share.
#[derive(Debug)]
pub struct Shared {
    /// The live configuration and state.
    pub snapshot: ArcSwap<Snapshot>,
    /// Refuse what comes, finish what is there.
    pub draining: AtomicBool,
    /// Who is connected.
    pub connections: Connections,
    /// Requests between head and last byte, by core.
    pub active: Box<[Active]>,
}

/// Requests that one core is busy with, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Active(AtomicUsize);

/// Bounds the connections, in all and per client address.
pub struct Connections {
    open: AtomicUsize,
    limit: usize,
    per_client: DashMap<IpAddr, u32>,
    client_limit: u32,
    gauge: Gauge,
    refused_by_total: Counter,
    refused_by_client: Counter,
}

/// One connection's place.
#[derive(Debug)]
pub struct ConnectionSlot {
    shared: Arc<Shared>,
    client: Option<IpAddr>,
}

// === impl Shared ===

impl Shared {
    /// In front of the first connection, for `cores` cores and at most `max_connections` connections.
    pub fn new(snapshot: Snapshot, cores: usize, max_connections: usize) -> Arc<Self> {
        let client_limit = snapshot.config.server.max_connections_per_client;
        Arc::new(Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            draining: AtomicBool::new(false),
            connections: Connections {
                open: AtomicUsize::new(0),
                limit: max_connections,
                per_client: DashMap::new(),
                client_limit,
                gauge: metrics::gauge!(names::CONNECTIONS, "state" => "open"),
                refused_by_total: metrics::counter!(names::CONNECTIONS_REFUSED, "reason" => "total_limit"),
                refused_by_client: metrics::counter!(names::CONNECTIONS_REFUSED, "reason" => "client_limit"),
            },
            active: (0..cores).map(|_| Active::default()).collect(),
        })
    }

    /// Whether the process is on its way out.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Requests between head and last byte.
    pub fn active(&self) -> usize {
        self.active.iter().map(|core| core.0.load(Relaxed)).sum()
    }

    /// A place for a connection from `client`, or `None` when there are enough.
    pub fn take_slot(self: &Arc<Self>, client: IpAddr) -> Option<ConnectionSlot> {
        let connections = &self.connections;
        // Counted first and looked at then, so that two cores cannot both take the last place.
        let open = connections.open.fetch_add(1, Relaxed);
        let mut slot = ConnectionSlot { shared: Arc::clone(self), client: None };
        if open >= connections.limit {
            connections.refused_by_total.increment(1);
            return None;
        }
        if connections.client_limit > 0 {
            let mut count = connections.per_client.entry(client).or_insert(0);
            if *count >= connections.client_limit {
                drop(count);
                connections.refused_by_client.increment(1);
                return None;
            }
            *count += 1;
            drop(count);
            slot.client = Some(client);
        }
        connections.gauge.set((open + 1) as f64);
        Some(slot)
    }
}

// === impl Active ===

impl Active {
    /// One more; only the owning core may call this.
    pub fn enter(&self) {
        self.0.store(self.0.load(Relaxed) + 1, Relaxed);
    }

    /// One less; only the owning core may call this.
    pub fn leave(&self) {
        self.0.store(self.0.load(Relaxed).saturating_sub(1), Relaxed);
    }
}

// === impl Connections ===

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections")
            .field("open", &self.open)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Connections {
    /// How many there are now.
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// How many there may be.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let connections = &self.shared.connections;
        if let Some(client) = self.client {
            connections.per_client.remove_if_mut(&client, |_, count| {
                *count -= 1;
                *count == 0
            });
        }
        let open = connections.open.fetch_sub(1, Relaxed) - 1;
        connections.gauge.set(open as f64);
    }
}
