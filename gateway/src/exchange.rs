//! One request's entry in the ledger: every arrival ends in exactly one outcome.

use std::rc::Rc;
use std::time::Duration;

use floodgate_limiter::{TierId, Timestamp};

use crate::admission::Admitted;
use crate::deadline::Deadline;
use crate::metrics::{RouteShard, TierShard};
use crate::proxy::Client;
use crate::reason::Reason;
use crate::tenant::Tenancy;
use crate::worker::SnapshotRef;

/// One request from its head to the last byte of its answer. Dropped before its outcome is known, it
/// writes one: the client has left, or something failed.
#[derive(Debug)]
pub(crate) struct Exchange {
    client: Client,
    snapshot: SnapshotRef,
    /// `None` for a request that belongs to no route.
    route: Option<usize>,
    /// In which it is served; that of its route unless its tenant's is lower.
    tier: Option<TierId>,
    arrived: Timestamp,
    state: State,
    /// The client made its upstream wait: how long that took says nothing of the route.
    is_delayed: bool,
    /// So long its upstream waited for the client to read, which says nothing of the route either.
    idle: Duration,
    /// The permit that a shadow configuration gave.
    shadow: Option<Admitted>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Not decided upon; to be dropped now means that the client left.
    Arrived,
    /// With the upstream since then; to be dropped now means that it failed.
    Admitted(Timestamp),
    /// The outcome is written.
    Ended,
}

// === impl Exchange ===

impl Exchange {
    /// A request has arrived at `now`.
    pub(crate) fn begin(
        client: Client,
        snapshot: &SnapshotRef,
        route: Option<usize>,
        tenancy: Tenancy,
        now: Timestamp,
    ) -> Self {
        let tier = route.map(|route| snapshot.routes[route].tier);
        let exchange = Self {
            client,
            snapshot: Rc::clone(snapshot),
            route,
            tier: tier.map(|tier| snapshot.tenants.tier(tenancy, tier)),
            arrived: now,
            state: State::Arrived,
            is_delayed: false,
            idle: Duration::ZERO,
            shadow: None,
        };
        exchange.shard().arrivals.increment();
        exchange
    }

    /// Whose request it is.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// It got a permit at `now`, and perhaps one of the shadow's as well.
    pub(crate) fn admit(&mut self, shadow: Option<Admitted>, now: Timestamp) {
        self.shadow = shadow;
        self.shard().admitted.increment();
        if let Some(tier) = self.tier_shard() {
            tier.queue_wait.record(now.saturating_since(self.arrived));
        }
        self.state = State::Admitted(now);
    }

    /// It is refused.
    pub(crate) fn reject(&mut self, reason: Reason) {
        self.shard().rejected[reason.index()].increment();
        self.state = State::Ended;
    }

    /// It was admitted and something went wrong, be it on the client's side; the outcome is written when
    /// it is dropped.
    pub(crate) fn fail(&self, reason: Reason) {
        self.shard().failures[reason.index()].increment();
    }

    /// It goes on, and its answer is worth waiting for as long as `deadline` says.
    pub(crate) fn count_deadline(&self, deadline: Deadline) {
        let shard = self.shard();
        if deadline.is_shorter {
            shard.deadlines_shorter.increment();
            if shard.pace.mean(self.arrived).is_zero() {
                shard.pace.see(self.arrived);
            }
        }
        if deadline.is_ignored {
            shard.deadlines_ignored.increment();
        }
    }

    /// The client made its upstream wait.
    pub(crate) const fn set_delayed(&mut self) {
        self.is_delayed = true;
    }

    /// Its upstream waited so long for the client to read.
    pub(crate) const fn set_idle(&mut self, idle: Duration) {
        self.idle = idle;
    }

    /// The client's own deadline was over at `now`, before the upstream had answered.
    pub(crate) fn give_up(&self, now: Timestamp) {
        if let (State::Admitted(since), false) = (self.state, self.is_delayed) {
            self.shard().pace.exceeds(now.saturating_since(since), now);
        }
    }

    /// Nothing more has to come from the upstream; at `now` the last byte came.
    pub(crate) fn complete(&mut self, now: Timestamp) {
        if let State::Admitted(since) = self.state {
            self.shard().completed.increment();
            // Who was answered from here took none of the upstream's time.
            if now > since && !self.is_delayed {
                let took = now.saturating_since(since).saturating_sub(self.idle);
                self.shard().pace.record(took, now);
            }
            if let Some(tier) = self.tier_shard() {
                tier.upstream.record(now.saturating_since(since));
                tier.total.record(now.saturating_since(self.arrived));
            }
            self.state = State::Ended;
            if let Some(shadow) = self.shadow.take() {
                shadow.served(now);
            }
        }
    }

    /// At `now` it is answered as the same was answered before: no permit was needed.
    pub(crate) fn replay(&mut self, now: Timestamp) {
        self.admit(None, now);
        self.complete(now);
        self.shard().replayed.increment();
    }

    /// The answer breaks off: its connection must not end as if it were whole.
    pub(crate) fn cut(&self) {
        self.client.link.set_cut();
    }

    fn shard(&self) -> &RouteShard {
        let stats = match self.route {
            Some(route) => &self.snapshot.routes[route].stats,
            None => &self.snapshot.unmatched,
        };
        stats.shard(self.client.worker.index)
    }

    fn tier_shard(&self) -> Option<&TierShard> {
        Some(self.snapshot.tiers[self.tier?.index()].stats.shard(self.client.worker.index))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        match self.state {
            State::Arrived => self.shard().abandoned.increment(),
            State::Admitted(_) => self.shard().failed.increment(),
            State::Ended => {}
        }
        self.client.link.answered();
    }
}
