//! One request's entry in the ledger: every arrival ends in exactly one outcome.

use std::rc::Rc;

use floodgate_limiter::Timestamp;

use crate::clock;
use crate::core::{Core, Live};
use crate::metrics::{RouteShard, TierShard};
use crate::reason::Reason;
use crate::turnstile::Link;

/// One request from its head to the last byte of its answer. Dropping it writes the outcome: whoever
/// drops it early has made the request fail, or seen its client leave.
#[derive(Debug)]
pub struct Exchange {
    core: Rc<Core>,
    link: Rc<Link>,
    live: Live,
    /// `None` for a request that belongs to no route.
    route: Option<usize>,
    arrived: Timestamp,
    state: State,
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
    pub fn begin(
        core: &Rc<Core>,
        link: &Rc<Link>,
        live: &Live,
        route: Option<usize>,
        now: Timestamp,
    ) -> Self {
        core.enter();
        let exchange = Self {
            core: Rc::clone(core),
            link: Rc::clone(link),
            live: Rc::clone(live),
            route,
            arrived: now,
            state: State::Arrived,
        };
        exchange.shard().arrivals.increment();
        exchange
    }

    /// It got a permit.
    pub fn admit(&mut self) {
        self.shard().admitted.increment();
        let now = clock::now();
        if let Some(tier) = self.tier_shard() {
            tier.queue_wait.record(now.saturating_since(self.arrived));
        }
        self.state = State::Admitted(now);
    }

    /// It is refused.
    pub fn reject(&mut self, reason: Reason) {
        self.shard().rejected[reason.index()].increment();
        self.state = State::Ended;
    }

    /// It was admitted and something went wrong; the outcome is written when it is dropped.
    pub fn fail(&self, reason: Reason) {
        self.shard().failures[reason.index()].increment();
    }

    /// The last byte of the upstream's answer has been passed on.
    pub fn complete(&mut self) {
        if let State::Admitted(since) = self.state {
            self.shard().completed.increment();
            let now = clock::now();
            if let Some(tier) = self.tier_shard() {
                tier.upstream.record(now.saturating_since(since));
                tier.total.record(now.saturating_since(self.arrived));
            }
            self.state = State::Ended;
        }
    }

    /// The answer breaks off: its connection must not end as if it were whole.
    pub fn cut(&self) {
        self.link.set_cut();
    }

    fn shard(&self) -> &RouteShard {
        let stats = match self.route {
            Some(route) => &self.live.routes[route].stats,
            None => &self.live.unmatched,
        };
        stats.shard(self.core.index)
    }

    fn tier_shard(&self) -> Option<&TierShard> {
        let tier = self.live.routes[self.route?].tier;
        Some(self.live.tiers[tier.index()].stats.shard(self.core.index))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        match self.state {
            State::Arrived => self.shard().abandoned.increment(),
            State::Admitted(_) => self.shard().failed.increment(),
            State::Ended => {}
        }
        self.core.leave();
        self.link.answered();
    }
}
