//! The circuits of an upstream: one of each server, one of each tier. They open on what becomes of calls, not on how full
//! we are.
//!
//! ```text
//! gate ── look: one load ──> permit ── enter: tier ──> choose, visit: server ──> judge: tier, then server
//!            circuit_open                circuit_open     another, or circuit_open    a probe without a verdict is free again
//! ```
//!
//! Whose fault a failure is decides who opens: a tier that fails on all servers, or a server that fails all tiers. The calls of
//! a tier are told apart by server and those of a server by tier, so that neither opens while part of its calls are well; and
//! what has opened one does not count for the other.

mod why;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floodgate_config::FailureKind;
use floodgate_limiter::{
    Call, CallOutcome, Circuit, CircuitSettings, CircuitState, CircuitStatus, Entered, TierId,
    Timestamp,
};
use http::StatusCode;

use crate::reason::Reason;
use crate::upstream::{Server, Visit};

pub(crate) use why::why;

/// Some tier's circuit is not closed.
const TIERS: u8 = 1;
/// No server's is.
const SERVERS: u8 = 2;

/// The circuits of one upstream.
#[derive(Debug)]
pub(crate) struct Circuits {
    /// What is not closed. Zero lets everybody in: the one load of the gate.
    alarm: AtomicU8,
    /// Held while that is found out anew.
    finding_out: Mutex<()>,
    upstream: String,
    tiers: Vec<Tier>,
    servers: Vec<Arc<Server>>,
    /// What is a failure of a server.
    failures: Vec<FailureKind>,
}

#[derive(Debug)]
struct Tier {
    name: String,
    circuit: Option<Arc<Circuit>>,
    /// From when on a call is slow.
    slow_after: Duration,
    failures: Vec<FailureKind>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// With an answer.
    Answered(StatusCode),
    /// Without one in time.
    Timeout,
    /// With something that is no answer, or with a part of one.
    Broken,
    /// Before it began: no connection.
    Connect,
}

/// Whose circuit it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of<'a> {
    /// That of a tier.
    Tier(&'a str),
    /// That of a server.
    Server(&'a Arc<Server>),
}

/// A new circuit; no two have the same jitter.
pub(crate) fn new(settings: CircuitSettings) -> Arc<Circuit> {
    Circuit::new(settings, RandomState::new().build_hasher().finish())
}

// === impl Ending ===

impl Ending {
    fn is_one_of(self, kinds: &[FailureKind]) -> bool {
        match self {
            Self::Answered(status) => kinds.iter().any(|kind| kind.is_status(status.as_u16())),
            Self::Timeout => kinds.contains(&FailureKind::Timeout),
            Self::Broken => kinds.contains(&FailureKind::Broken),
            Self::Connect => kinds.contains(&FailureKind::Connect),
        }
    }
}

// === impl Circuits ===

impl Circuits {
    /// As `meant` for `servers` and for `tiers`, with the state of `old`, whose tiers stood where `from` says; nothing if they are off.
    pub(crate) fn compile(
        meant: &floodgate_config::Upstream,
        tiers: &[floodgate_config::Tier],
        servers: &[Arc<Server>],
        old: Option<&Self>,
        from: &[Option<usize>],
        now: Timestamp,
    ) -> Option<Self> {
        let moved = from.iter().enumerate().any(|(new, old)| *old != Some(new));
        for server in servers {
            match &meant.circuit {
                Some(meant) => {
                    if moved && old.is_some() {
                        server.circuit.move_lanes(from);
                    }
                    server.circuit.apply(meant.settings, now);
                }
                // Should it be switched on again, it begins anew.
                None => server.circuit.reset(),
            }
        }
        let of_servers = meant.circuit.as_ref()?;
        let tier = |(index, tier): (usize, &floodgate_config::Tier)| {
            let meant = meant.tier_circuits.get(index).and_then(Option::as_ref);
            let old = from.get(index).copied().flatten().zip(old);
            let old = old.and_then(|(from, old)| old.tiers.get(from)?.circuit.as_ref());
            let circuit = meant.map(|meant| match old {
                Some(old) => {
                    old.apply(meant.settings, now);
                    Arc::clone(old)
                }
                None => new(meant.settings),
            });
            let slow_after = meant.and_then(|meant| meant.slow_after).or(of_servers.slow_after);
            Tier {
                name: tier.name.clone(),
                circuit,
                slow_after: slow_after.unwrap_or(tier.deadline),
                failures: meant.map(|meant| meant.failures.clone()).unwrap_or_default(),
            }
        };
        let circuits = Self {
            alarm: AtomicU8::new(0),
            finding_out: Mutex::new(()),
            upstream: meant.name.clone(),
            tiers: tiers.iter().enumerate().map(tier).collect(),
            servers: servers.to_vec(),
            failures: of_servers.failures.clone(),
        };
        circuits.find_out();
        Some(circuits)
    }

    /// Whether a request of `tier` would be refused at `now`: one load while everything is closed, and a few more while
    /// something is not.
    ///
    /// # Errors
    /// It would.
    #[inline]
    pub(crate) fn look(&self, tier: TierId, now: Timestamp) -> Result<(), Reason> {
        match self.alarm.load(Relaxed) {
            0 => Ok(()),
            alarm => self.look_closer(alarm, tier, now),
        }
    }

    #[inline(never)]
    fn look_closer(&self, alarm: u8, tier: TierId, now: Timestamp) -> Result<(), Reason> {
        let of_tier = self.of_tier(tier).is_some_and(|circuit| circuit.refuses(now));
        let of_servers =
            alarm & SERVERS != 0 && self.servers.iter().all(|server| server.circuit.refuses(now));
        if of_tier || of_servers { Err(Reason::CircuitOpen) } else { Ok(()) }
    }

    /// Lets a request of `tier` that has its permit go on at `now`.
    ///
    /// # Errors
    /// It opened while the request waited, or others are the probes.
    pub(crate) fn enter(&self, tier: TierId, now: Timestamp) -> Result<Option<Call>, Reason> {
        self.look(tier, now)?;
        match self.of_tier(tier).map(|circuit| circuit.enter(now)) {
            None | Some(Entered::Unseen) => Ok(None),
            Some(Entered::In(call)) => Ok(Some(call)),
            Some(Entered::Refused) => Err(Reason::CircuitOpen),
        }
    }

    /// When to come back, for a request of `tier` that was refused at `now`: when the first probes are let in. Zero while they are.
    pub(crate) fn opens_in(&self, tier: TierId, now: Timestamp) -> Duration {
        let left = |circuit: &Circuit| {
            circuit.probes_at().map_or(Duration::ZERO, |at| at.saturating_since(now))
        };
        let of_servers = self.servers.iter().map(|server| {
            if server.circuit.refuses(now) { left(&server.circuit) } else { Duration::ZERO }
        });
        let of_tier = self.of_tier(tier).map_or(Duration::ZERO, |circuit| left(circuit));
        of_tier.max(of_servers.min().unwrap_or_default())
    }

    /// Whether what comes back says nothing of how many requests are right for the upstream.
    pub(crate) fn is_alarmed(&self) -> bool {
        self.alarm.load(Relaxed) != 0
    }

    /// The worst of the tiers, or what the best of the servers is, if that is worse.
    pub(crate) fn state(&self) -> CircuitState {
        let of_servers = self.servers.iter().map(|server| effective(&server.circuit));
        let servers = of_servers.min_by_key(|state| rank(*state));
        let tiers = self.tiers.iter().filter_map(|tier| tier.circuit.as_deref()).map(effective);
        tiers.chain(servers).max_by_key(|state| rank(*state)).unwrap_or(CircuitState::Closed)
    }

    /// That of tier number `index`, if it has one.
    pub(crate) fn state_of_tier(&self, index: usize) -> Option<CircuitState> {
        self.tiers.get(index)?.circuit.as_deref().map(effective)
    }

    /// Looks after ramps. Often.
    pub(crate) fn tick(&self, now: Timestamp) {
        for (of, circuit) in self.all() {
            if circuit.state() != CircuitState::Closed && circuit.tick(now) {
                self.tell(of, circuit, now);
            }
        }
        // What a generation that was replaced has changed is seen here.
        self.find_out();
    }

    /// A call of `tier` ended so at `now`, after it took so long until the head of its answer, with the server that `visit`
    /// was with, if any: `call` is what its tier knows of it.
    pub(crate) fn judge(
        &self,
        tier: TierId,
        call: Option<Call>,
        mut visit: Option<&mut Visit>,
        (ending, took): (Ending, Duration),
        now: Timestamp,
    ) {
        let Some(own) = self.tiers.get(tier.index()) else { return };
        let failed = ending.is_one_of(&own.failures);
        let outcome = CallOutcome { failed, slow: took >= own.slow_after };
        let is_bad = outcome.failed || outcome.slow;
        let of_server = visit.as_ref().map(|visit| Arc::clone(visit.server()));
        // What is known to be a server's fault is not the tier's too.
        if let (Some(call), Some(circuit)) = (call, &own.circuit) {
            let is_servers = match &of_server {
                Some(server) => holds_for(&server.circuit, circuit),
                None => self.servers.iter().all(|server| holds_for(&server.circuit, circuit)),
            };
            let lane = of_server.as_ref().map_or(0, |server| server.id);
            if !(is_bad && is_servers) && call.report(lane, outcome, now) {
                self.tell(Of::Tier(&own.name), circuit, now);
                self.find_out();
            }
        }
        if let (Some(visit), Some(server)) = (&mut visit, &of_server) {
            let is_tiers = (own.circuit.as_ref()).is_some_and(|it| holds_for(it, &server.circuit));
            if !(is_bad && is_tiers) || visit.is_probe() {
                self.judge_server(visit, ending, took, now);
            }
        }
    }

    /// As [`judge`](Self::judge), where the server alone is judged, since another may still be asked.
    pub(crate) fn judge_server(
        &self,
        visit: &mut Visit,
        ending: Ending,
        took: Duration,
        now: Timestamp,
    ) {
        let (lane, Some(call)) = (visit.tier(), visit.take_call()) else { return };
        let slow_after = self.tiers.get(lane.index()).map(|tier| tier.slow_after);
        let outcome = CallOutcome {
            failed: ending.is_one_of(&self.failures),
            slow: slow_after.is_some_and(|slow_after| took >= slow_after),
        };
        if call.report(lane.index(), outcome, now) {
            let server = visit.server();
            self.tell(Of::Server(server), &server.circuit, now);
            self.find_out();
        }
    }

    /// All of them, the tiers first.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Of<'_>, &Arc<Circuit>)> {
        let tiers = self.tiers.iter();
        let tiers = tiers.filter_map(|tier| Some((Of::Tier(&tier.name), tier.circuit.as_ref()?)));
        tiers.chain(self.servers.iter().map(|server| (Of::Server(server), &server.circuit)))
    }

    fn of_tier(&self, tier: TierId) -> Option<&Arc<Circuit>> {
        self.tiers.get(tier.index())?.circuit.as_ref()
    }

    /// Whether anything refuses. Whoever has changed a state comes here after it, so that the last one sees it all.
    fn find_out(&self) {
        let _alone = self.finding_out.lock().unwrap_or_else(PoisonError::into_inner);
        let is_shut = |circuit: &Circuit| effective(circuit) != CircuitState::Closed;
        let tiers = self.tiers.iter().filter_map(|tier| tier.circuit.as_deref()).any(is_shut);
        let servers = self.servers.iter().all(|server| is_shut(&server.circuit));
        let alarm = if tiers { TIERS } else { 0 } | if servers { SERVERS } else { 0 };
        if self.alarm.load(Relaxed) != alarm {
            self.alarm.store(alarm, Relaxed);
        }
    }

    /// A line in the log: rare, since a circuit that is open stays so for a while.
    fn tell(&self, of: Of<'_>, circuit: &Circuit, now: Timestamp) {
        let status = circuit.status(now);
        let (upstream, why) = (&self.upstream, why(&status, now));
        let (tier, server) = match of {
            Of::Tier(name) => (Some(name), None),
            Of::Server(server) => (None, Some(&server.address)),
        };
        let server = server.map(ToString::to_string);
        let (state, shadow) = (status.state.as_str(), status.settings.is_shadow());
        if status.state == CircuitState::Open {
            tracing::warn!(upstream, tier, server, state, shadow, why, "circuit has changed");
        } else {
            tracing::info!(upstream, tier, server, state, shadow, why, "circuit has changed");
        }
    }
}

/// What a circuit makes of requests: a shadow nothing.
pub(crate) fn effective(circuit: &Circuit) -> CircuitState {
    if circuit.is_shadow() { CircuitState::Closed } else { circuit.state() }
}

/// Whether `one` explains a failure that the `other` would be told of: a shadow does for shadows only.
fn holds_for(one: &Circuit, other: &Circuit) -> bool {
    one.state() != CircuitState::Closed && (!one.is_shadow() || other.is_shadow())
}

const fn rank(state: CircuitState) -> u8 {
    match state {
        CircuitState::Closed => 0,
        CircuitState::HalfOpen => 1,
        CircuitState::Open => 2,
    }
}

/// `shadow` or `enforced`.
pub(crate) const fn mode(status: &CircuitStatus) -> &'static str {
    if status.settings.is_shadow() { "shadow" } else { "enforced" }
}
