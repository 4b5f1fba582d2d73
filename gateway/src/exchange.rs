//! One request's entry in the ledger: every arrival ends in exactly one outcome.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use floodgate_config::Stage;
use floodgate_limiter::{TierId, Timestamp};
use http::StatusCode;

use crate::access_log::{Ended, Entry, Outcome};
use crate::admission::Admitted;
use crate::clock;
use crate::deadline::Deadline;
use crate::forward::Break;
use crate::metrics::{RouteShard, TierShard};
use crate::objective::{Cause, TraceId, Violation};
use crate::proxy::Client;
use crate::reason::Reason;
use crate::snapshot::Tier;
use crate::stages::{Before, Stages};
use crate::tenant::Tenancy;
use crate::upstream::Server;
use crate::worker::SnapshotRef;

/// No server has this [`Server::id`].
const NO_SERVER: u32 = u32::MAX;

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
    /// Where its time goes.
    stages: Stages,
    /// [`Server::id`] of the server that it was last sent to; [`NO_SERVER`] until it is.
    server: Cell<u32>,
    /// Why there is no answer, or not all of one.
    failure: Cell<Option<Reason>>,
    /// What it failed by is its client's own deadline.
    is_impatient: Cell<bool>,
    trace: TraceId,
    /// What the access log may tell of it.
    entry: Option<Box<Entry>>,
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
    /// A request has arrived, its head complete, at `now`; `before` that it has spent some time already.
    pub(crate) fn begin(
        client: Client,
        snapshot: &SnapshotRef,
        route: Option<usize>,
        tenancy: Tenancy,
        before: Before,
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
            stages: Stages::begin(before, now),
            server: Cell::new(NO_SERVER),
            failure: Cell::new(None),
            is_impatient: Cell::new(false),
            trace: TraceId::default(),
            entry: None,
        };
        exchange.shard().arrivals.increment();
        exchange
    }

    /// Whose request it is.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Where its time goes.
    pub(crate) const fn stages(&self) -> &Stages {
        &self.stages
    }

    /// It belongs to this trace: who looks for it finds it by that.
    pub(crate) const fn set_trace(&mut self, trace: TraceId) {
        self.trace = trace;
    }

    /// The access log may tell of it.
    pub(crate) fn set_entry(&mut self, entry: Option<Box<Entry>>) {
        self.entry = entry;
    }

    /// It is answered with this status.
    pub(crate) fn answer(&self, status: StatusCode) {
        if let Some(entry) = &self.entry {
            entry.answer(status);
        }
    }

    /// So many bytes of its answer's body were passed on.
    pub(crate) fn pass(&self, bytes: usize) {
        if let Some(entry) = &self.entry {
            entry.pass(bytes);
        }
    }

    /// It is to be sent to `server`.
    pub(crate) fn ask(&self, server: &Server) {
        self.server.set(u32::try_from(server.id).unwrap_or(NO_SERVER));
    }

    /// It got a permit at `now`, and perhaps one of the shadow's as well.
    pub(crate) fn admit(&mut self, shadow: Option<Admitted>, now: Timestamp) {
        self.shadow = shadow;
        self.shard().admitted.increment();
        if let Some(tier) = self.tier_shard() {
            tier.queue_wait.record(now.saturating_since(self.arrived));
        }
        self.stages.enter(Stage::Connect, now);
        self.state = State::Admitted(now);
    }

    /// It is refused.
    pub(crate) fn reject(&mut self, reason: Reason) {
        self.note(Outcome::Rejected(reason));
        self.shard().rejected[reason.index()].increment();
        self.state = State::Ended;
    }

    /// It was admitted and something went wrong, be it on the client's side; the outcome is written when
    /// it is dropped.
    pub(crate) fn fail(&self, reason: Reason) {
        self.shard().failures[reason.index()].increment();
        self.failure.set(Some(reason));
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
        self.is_impatient.set(true);
        if let (State::Admitted(since), false) = (self.state, self.is_delayed) {
            self.shard().pace.exceeds(now.saturating_since(since), now);
        }
    }

    /// Nothing more has to come from the upstream; at `now` the last byte came.
    pub(crate) fn complete(&mut self, now: Timestamp) {
        if let State::Admitted(since) = self.state {
            self.shard().completed.increment();
            self.note(Outcome::Completed);
            // Who was answered from here took none of the upstream's time.
            if now > since && !self.is_delayed {
                let took = now.saturating_since(since).saturating_sub(self.idle);
                self.shard().pace.record(took, now);
            }
            self.stages.end(now);
            if let (Some(shard), Some(tier)) = (self.tier_shard(), self.tier()) {
                shard.upstream.record(now.saturating_since(since));
                let took = self.stages.took();
                let total = took.iter().sum();
                shard.complete(&took, total);
                if tier.promise.is_late(total) {
                    self.violate(tier, Cause::Late, now);
                }
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

    /// The answer breaks off, by the fault of whom `why` says: its connection must not end as if it were whole.
    pub(crate) fn cut(&self, why: Break) {
        self.failure.set(Some(match why {
            Break::Client => Reason::BadRequest,
            Break::Late { .. } => Reason::UpstreamTimeout,
            Break::Server => Reason::UpstreamError,
        }));
        self.is_impatient.set(matches!(why, Break::Late { is_own: true }));
        self.client.link.set_cut();
    }

    /// It ends at `now` without an answer: was that the fault of its client?
    #[cold]
    fn miss(&self, now: Timestamp) {
        self.stages.end(now);
        let Some(tier) = self.tier() else { return };
        let is_late = tier.promise.is_late(self.stages.took().iter().sum());
        let cause = match self.failure.get() {
            Some(reason) if !reason.is_unavailability() => return,
            // It would not have waited as long as it was promised that it might take.
            Some(_) if self.is_impatient.get() && !is_late => return,
            Some(reason) => Cause::Failed(reason),
            None if is_late => Cause::Left,
            None => return,
        };
        self.violate(tier, cause, now);
    }

    /// It was not served as promised, which is known at `now`.
    #[cold]
    fn violate(&self, tier: &Tier, cause: Cause, now: Timestamp) {
        let Some(route) = self.route.map(|route| &self.snapshot.routes[route]) else { return };
        if let Some(entry) = &self.entry {
            entry.violate();
        }
        let took = self.stages.took();
        let blame = tier.promise.blame(&took, self.stages.at());
        let worker = &self.client.worker;
        tier.stats.shard(worker.index).missed[cause.index()][blame.stage.index()].increment();
        let violation = Violation {
            at: now,
            promise: Arc::clone(&tier.promise),
            route: Arc::clone(&route.names),
            server: self.server().map(Arc::clone),
            trace: self.trace,
            cause,
            blame,
            took,
        };
        worker.shared.violations.push(worker.index, violation);
    }

    fn note(&self, outcome: Outcome) {
        if let Some(entry) = &self.entry {
            entry.end(outcome);
        }
    }

    /// Who was asked last.
    fn server(&self) -> Option<&Arc<Server>> {
        let upstream = self.snapshot.routes[self.route?].upstream;
        let asked = self.server.get() as usize;
        self.snapshot.upstreams[upstream].servers.iter().find(|server| server.id == asked)
    }

    /// Has the access log tell of it, unless it does not.
    #[cold]
    fn tell(&self, entry: Entry) {
        let now = clock::now();
        let is_admitted = self.stages.at().index() >= Stage::Connect.index();
        if !matches!(self.state, State::Ended) || !is_admitted {
            self.stages.end(now);
        }
        let server = self.server().map(|server| &server.address as &dyn std::fmt::Display);
        let ended = Ended {
            route: self.route,
            tier: self.tier().map(|tier| tier.name.as_str()),
            server,
            is_admitted,
            failure: self.failure.get(),
            took: self.stages.took(),
            trace: self.trace,
            now,
        };
        entry.tell(&self.client.worker, &self.snapshot, &ended);
    }

    fn shard(&self) -> &RouteShard {
        let stats = match self.route {
            Some(route) => &self.snapshot.routes[route].stats,
            None => &self.snapshot.unmatched,
        };
        stats.shard(self.client.worker.index)
    }

    fn tier(&self) -> Option<&Tier> {
        Some(&self.snapshot.tiers[self.tier?.index()])
    }

    fn tier_shard(&self) -> Option<&TierShard> {
        Some(self.tier()?.stats.shard(self.client.worker.index))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        match self.state {
            State::Arrived => {
                self.shard().abandoned.increment();
                self.miss(clock::now());
            }
            State::Admitted(_) => {
                self.shard().failed.increment();
                self.miss(clock::now());
            }
            State::Ended => {}
        }
        if let Some(entry) = self.entry.take() {
            self.tell(*entry);
        }
        self.client.link.answered();
    }
}
