//! How many clients may be connected, in all and from one address.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use dashmap::DashMap;
use metrics::Counter;

use crate::metrics::names;

/// Bounds the connections, in all and per client address.
pub(crate) struct Connections {
    open: AtomicUsize,
    limit: AtomicUsize,
    per_client: DashMap<IpAddr, u32>,
    client_limit: AtomicU32,
    refused_by_total: Counter,
    refused_by_client: Counter,
}

/// One connection's place.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    connections: Arc<Connections>,
    client: Option<IpAddr>,
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
    /// At most `limit` in all and `per_client` from one address, where 0 is no limit.
    pub(crate) fn new(limit: usize, per_client: u32) -> Arc<Self> {
        let refused = |reason| metrics::counter!(names::CONNECTIONS_REFUSED, "reason" => reason);
        Arc::new(Self {
            open: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            per_client: DashMap::new(),
            client_limit: AtomicU32::new(per_client),
            refused_by_total: refused("total_limit"),
            refused_by_client: refused("client_limit"),
        })
    }

    /// A place for a connection from `client`, or `None` when there are enough.
    pub(crate) fn take(self: &Arc<Self>, client: IpAddr) -> Option<ConnectionSlot> {
        // Counted first and looked at then, so that two cores cannot both take the last place.
        let open = self.open.fetch_add(1, Relaxed);
        let mut slot = ConnectionSlot { connections: Arc::clone(self), client: None };
        if open >= self.limit() {
            self.refused_by_total.increment(1);
            return None;
        }
        let client_limit = self.client_limit.load(Relaxed);
        if client_limit > 0 {
            let mut count = self.per_client.entry(client).or_insert(0);
            if *count >= client_limit {
                drop(count);
                self.refused_by_client.increment(1);
                return None;
            }
            *count += 1;
            drop(count);
            slot.client = Some(client);
        }
        Some(slot)
    }

    /// How many there are now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// How many there may be.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Changes both limits; nobody who is connected is sent away.
    pub(crate) fn set_limits(&self, limit: usize, per_client: u32) {
        self.limit.store(limit, Relaxed);
        self.client_limit.store(per_client, Relaxed);
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let connections = &self.connections;
        if let Some(client) = self.client {
            connections.per_client.remove_if_mut(&client, |_, count| {
                *count -= 1;
                *count == 0
            });
        }
        connections.open.fetch_sub(1, Relaxed);
    }
}
