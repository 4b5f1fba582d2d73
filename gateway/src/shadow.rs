//! A candidate configuration that is evaluated beside the live one, with limiters and counters of
//! its own, and decides nothing.
//!
//! What a shadow cannot know: how long requests would have taken that only it would have admitted
//! (it assumes the mean service time of the live upstream of the same name), whose limits per key would
//! have been reached, what those would have
//! done next that only it would have refused, and how the upstream would have fared under its load.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use floodgate_limiter::Timestamp;

use crate::admission::{self, Admitted, Turn};
use crate::classify::{Line, classify};
use crate::clock;
use crate::journey::Part;
use crate::metrics::Sums;
use crate::reason::Reason;
use crate::snapshot::Snapshot;
use crate::tenant::Tenancy;

/// Service time that is assumed where the live configuration has no upstream of that name, or has not
/// used it yet.
const ASSUMED_SERVICE: Duration = Duration::from_millis(10);

/// A candidate beside the live configuration.
#[derive(Debug)]
pub(crate) struct Shadow {
    /// Its routes, limiters and counters.
    pub snapshot: Snapshot,
    /// Its text, to promote it by.
    pub text: Arc<str>,
    /// Since when it is evaluated.
    pub since: SystemTime,
    /// What the live routes had counted at that time, by name.
    pub baseline: HashMap<String, Sums>,
    /// Mean service time in nanoseconds, by upstream; looked up once a second.
    services: Box<[AtomicU64]>,
}

/// What the shadow said of a request.
#[derive(Debug)]
pub(crate) enum Opinion {
    /// It would be with the upstream now.
    Admitted(Admitted, Duration),
    /// It would not, or not yet.
    Other,
}

// === impl Shadow ===

impl Shadow {
    /// Evaluates `snapshot`, which must share nothing with `live`.
    pub(crate) fn new(snapshot: Snapshot, text: Arc<str>, live: &Snapshot) -> Self {
        let baseline =
            live.routes.iter().map(|route| (route.name.clone(), route.stats.sums())).collect();
        let services = snapshot.upstreams.iter().map(|_| AtomicU64::new(0)).collect();
        let shadow = Self { snapshot, text, since: SystemTime::now(), baseline, services };
        shadow.learn(live, Timestamp::default());
        shadow
    }

    /// Looks up how long the live upstreams take. Once a second.
    pub(crate) fn learn(&self, live: &Snapshot, now: Timestamp) {
        for (upstream, service) in self.snapshot.upstreams.iter().zip(&self.services) {
            let same = live.upstreams.iter().find(|same| same.name == upstream.name);
            let mean = same.map_or(Duration::ZERO, |same| same.limiter.status(now).mean_service);
            let mean = if mean.is_zero() { ASSUMED_SERVICE } else { mean };
            service.store(u64::try_from(mean.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        }
    }

    /// What it says of a request that arrives at `now` on core `core`.
    pub(crate) fn arrive(this: &Arc<Self>, core: usize, line: Line<'_>, now: Timestamp) -> Opinion {
        let snapshot = &this.snapshot;
        let Some(index) = classify(snapshot, line) else {
            snapshot.unmatched.shard(core).turn_away(Reason::NoRoute);
            return Opinion::Other;
        };
        let route = &snapshot.routes[index];
        let shard = route.stats.shard(core);
        shard.arrivals.increment();
        let deadline = now + snapshot.tiers[route.tier.index()].deadline;
        let service = Duration::from_nanos(this.services[route.upstream].load(Relaxed));
        // Nobody is told from anybody else.
        let (part, mut tenancy) = (Part::None, Tenancy::NONE);
        let turn = admission::look(snapshot, route, part, &mut tenancy, None, now)
            .and_then(|()| admission::ask(snapshot, route, part, tenancy, None, now, deadline));
        match turn {
            Ok(Turn::Now(admitted)) => {
                shard.admitted.increment();
                return Opinion::Admitted(admitted, service);
            }
            Ok(Turn::Later(ticket, pending)) => {
                let shadow = Arc::clone(this);
                tokio::task::spawn_local(async move {
                    let route = &shadow.snapshot.routes[index];
                    let shard = route.stats.shard(core);
                    match admission::wait(ticket, pending, false).await {
                        Ok(admitted) => {
                            shard.admitted.increment();
                            hold(admitted, service).await;
                        }
                        Err(reason) => shard.rejected[reason.index()].increment(),
                    }
                });
            }
            Err(reason) => shard.rejected[reason.index()].increment(),
        }
        Opinion::Other
    }
}

// === impl Opinion ===

impl Opinion {
    /// The live gate has admitted the request: the shadow's permit lasts as long as the real one.
    pub(crate) fn agree(self) -> Option<Admitted> {
        match self {
            Self::Admitted(admitted, _) => Some(admitted),
            Self::Other => None,
        }
    }

    /// The live gate has refused the request: the shadow's permit lasts as long as such requests do.
    pub(crate) fn differ(self) {
        if let Self::Admitted(admitted, service) = self {
            tokio::task::spawn_local(hold(admitted, service));
        }
    }
}

async fn hold(admitted: Admitted, service: Duration) {
    // The runtime's timers tick in milliseconds and round up: on average by about one.
    tokio::time::sleep(service.saturating_sub(Duration::from_millis(1))).await;
    admitted.served(clock::now());
}
