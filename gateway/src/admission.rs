//! The gate and the buffer, as a request meets them: the one order of checks, cheapest first.

use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::{Call, Class, Decision, Gcra, Permit, Rank, Ticket, TierId, Timestamp};

use crate::clock;
use crate::journey::Part;
use crate::keyed::{Asked, Held, Rule};
use crate::probes::Waiting;
use crate::reason::Reason;
use crate::snapshot::{Route, Snapshot};
use crate::tenant::{Tenancy, TenantHeld};
use crate::upstream::Upstream;

/// A permit that knows the time at which it is given back.
#[derive(Debug)]
pub(crate) struct Admitted {
    permit: Option<Permit>,
    tier: TierId,
    /// What its tier's circuit is told by, once.
    call: Option<Call>,
    /// That of its tenant's share, given back after it.
    tenants: Option<Box<TenantHeld>>,
    /// That of its keys' shares, given back with it.
    _held: Held,
}

/// When a request that is not refused gets its permit.
#[derive(Debug)]
pub(crate) enum Turn {
    /// When its ticket is called.
    Later(Ticket, Pending),
    /// At once.
    Now(Admitted),
}

/// What a request has, or needs, while it waits.
#[derive(Debug)]
pub(crate) struct Pending {
    held: Held,
    upstream: Arc<Upstream>,
    tier: TierId,
}

/// Whether a request of `route`, which is this `part` of its journey, would be refused at `now` whatever
/// else it brings. Only reads: a storm is refused by this.
///
/// # Errors
/// The reason to refuse it with.
pub(crate) fn look(
    snapshot: &Snapshot,
    route: &Route,
    part: Part,
    tenancy: &mut Tenancy,
    mut asked: Option<&mut Asked<'_>>,
    now: Timestamp,
) -> Result<(), Reason> {
    let upstream = &snapshot.upstreams[route.upstream];
    let limiter = &upstream.limiter;
    let class = class(snapshot, route, part, *tenancy);
    limiter.check(class)?;
    if let Some(circuits) = &upstream.circuits {
        circuits.look(class.tier, now)?;
    }
    if let (true, Some(asked)) = (snapshot.has_shadow_breakers, &mut asked)
        && limiter.would_refuse(class)
    {
        asked.seen.note_shadow(Rule::Watermark);
    }
    snapshot.tenants.look(tenancy, route.upstream, class, now)?;
    if let (Some(keyed), Some(asked)) = (&route.keyed, &mut asked) {
        keyed.look(asked, now)?;
    }
    for ceiling in ceilings(snapshot, route, class.tier).into_iter().flatten() {
        match ceiling.rate.peek(now) {
            Ok(()) => {}
            Err(_) if ceiling.is_shadow => {
                if let Some(asked) = &mut asked {
                    asked.seen.note_shadow(ceiling.rule);
                }
            }
            Err(_) => return Err(Reason::Rate),
        }
    }
    if let (Part::Entry { standing, .. }, Some((journey, _))) = (part, route.journey) {
        let entry = &snapshot.journeys[journey].entry;
        if !entry.peek(standing, limiter.has_spare(), now) {
            return Err(Reason::NoGrant);
        }
    }
    Ok(())
}

/// Whether every request of `route` would be refused, whoever sends it: what is looked at first of all.
///
/// # Errors
/// The reason to refuse it with.
pub(crate) fn look_ahead(snapshot: &Snapshot, route: &Route, now: Timestamp) -> Result<(), Reason> {
    let rank = if route.journey.is_some() { Rank::new(u8::MAX) } else { Rank::ORDINARY };
    let upstream = &snapshot.upstreams[route.upstream];
    upstream.limiter.check(Class { tier: route.tier, rank })?;
    // Of its own tier: to be served in a lower one, it has to say whose it is.
    let circuits = upstream.circuits.as_ref().filter(|_| snapshot.tenants.iter().len() == 0);
    circuits.map_or(Ok(()), |circuits| circuits.look(route.tier, now))
}

/// What a request of `route` that is this `part` of its journey, and of this tenancy, is to the limiter.
fn class(snapshot: &Snapshot, route: &Route, part: Part, tenancy: Tenancy) -> Class {
    Class { tier: snapshot.tenants.tier(tenancy, route.tier), rank: part.rank() }
}

/// One of its own permits for whom a share is set, at `now` or after waiting for it; and when that was.
///
/// # Errors
/// The reason to refuse with. Dropping the future gives the place up.
pub(crate) async fn hold(
    snapshot: &Snapshot,
    route: &Route,
    (part, tenancy): (Part, Tenancy),
    now: Timestamp,
    deadline: Timestamp,
) -> Result<(Option<Box<TenantHeld>>, Timestamp), Reason> {
    let Some(share) = snapshot.tenants.share(tenancy, route.upstream) else {
        return Ok((None, now));
    };
    let class = class(snapshot, route, part, tenancy);
    let (held, now) = share.take(class, now, deadline).await?;
    Ok((Some(Box::new(held)), now))
}

/// How long a request of `route` that is this `part` of its journey is to wait for a permit, as far as can be told by
/// reading: of those above the ordinary rank that takes the lock, so they are not judged by it before they ask.
pub(crate) fn expected_wait(
    snapshot: &Snapshot,
    route: &Route,
    part: Part,
    tenancy: Tenancy,
) -> Duration {
    let limiter = &snapshot.upstreams[route.upstream].limiter;
    let class = class(snapshot, route, part, tenancy);
    if class.rank.is_preferred() || limiter.has_spare() {
        return Duration::ZERO;
    }
    limiter.estimated_wait(class)
}

/// The gate, for whom a [`look`] has not refused.
///
/// # Errors
/// The reason to refuse it with.
pub(crate) fn ask(
    snapshot: &Snapshot,
    route: &Route,
    part: Part,
    tenancy: Tenancy,
    asked: Option<&mut Asked<'_>>,
    now: Timestamp,
    deadline: Timestamp,
) -> Result<Turn, Reason> {
    let upstream = &snapshot.upstreams[route.upstream];
    let limiter = &upstream.limiter;
    let class = class(snapshot, route, part, tenancy);
    let held = match (&route.keyed, &asked) {
        (Some(keyed), Some(asked)) => keyed.hold(asked)?,
        _ => Held::default(),
    };
    let turn = match limiter.acquire(class, now, deadline) {
        Decision::Admit(permit) => {
            Turn::Now(Admitted::new(upstream, class.tier, permit, held, now)?)
        }
        Decision::Reject(rejection) => return Err(rejection.into()),
        Decision::Wait(ticket) => {
            Turn::Later(ticket, Pending { held, upstream: Arc::clone(upstream), tier: class.tier })
        }
    };
    // Last, since what is consumed is not given back: with a place in the buffer as with a permit, for
    // a rate that is only used by those who come through would be lost while the upstream stalls. If one
    // says no after all, another request was faster, and the permit or the place goes back.
    take(snapshot, route, tenancy, asked, now)?;
    Ok(turn)
}

/// Takes what is not given back of a request of `route` that everything else has said yes to: the rates of its tenant and
/// of its keys, and those of the route.
///
/// # Errors
/// Another request was faster.
pub(crate) fn take(
    snapshot: &Snapshot,
    route: &Route,
    tenancy: Tenancy,
    asked: Option<&mut Asked<'_>>,
    now: Timestamp,
) -> Result<(), Reason> {
    snapshot.tenants.take(tenancy, now)?;
    if let (Some(keyed), Some(asked)) = (&route.keyed, asked) {
        keyed.take(asked, now)?;
    }
    let tier = snapshot.tenants.tier(tenancy, route.tier);
    for ceiling in ceilings(snapshot, route, tier).into_iter().flatten() {
        // What one in the shadow would refuse was counted when it was looked at.
        if ceiling.rate.take(now).is_err() && !ceiling.is_shadow {
            return Err(Reason::Rate);
        }
    }
    Ok(())
}

/// Waits until the ticket is called or expires. What waits for an upstream, given by its number, tracers may see.
///
/// # Errors
/// The reason to refuse with. Dropping the future gives the place up.
pub(crate) async fn wait(
    mut ticket: Ticket,
    pending: Pending,
    seen: bool,
) -> Result<Admitted, Reason> {
    // Where the ticket lies no other does, as long as it waits.
    let place = (&raw const ticket).addr();
    let Pending { held, upstream, tier } = pending;
    let waiting = seen.then(|| Waiting::begin(place, upstream.number, tier));
    let expires = clock::instant(ticket.expires());
    let result = match tokio::time::timeout_at(expires, &mut ticket).await {
        Ok(result) => result,
        Err(_) => ticket.expire(clock::now()),
    };
    let result = result.map_err(Reason::from);
    if let Some(waiting) = waiting {
        waiting.end(result.as_ref().err().copied());
    }
    // Rather than to be one more that is sent to what has failed meanwhile.
    Admitted::new(&upstream, tier, result?, held, clock::now())
}

/// A rate that requests have to keep to.
#[derive(Clone, Copy, Debug)]
struct Ceiling<'a> {
    rate: &'a Gcra,
    rule: Rule,
    /// Nobody is refused by it.
    is_shadow: bool,
}

/// Those of a request of this route, served in this tier.
#[inline]
fn ceilings<'a>(
    snapshot: &'a Snapshot,
    route: &'a Route,
    tier: TierId,
) -> [Option<Ceiling<'a>>; 3] {
    let tier = &snapshot.tiers[tier.index()];
    let upstream = &snapshot.upstreams[route.upstream];
    [
        (&route.rate, Rule::RouteRate, route.rate_shadow),
        (&tier.rate, Rule::TierRate, tier.rate_shadow),
        (&upstream.rate, Rule::UpstreamRate, upstream.rate_shadow),
    ]
    .map(|(rate, rule, is_shadow)| Some(Ceiling { rate: rate.as_ref()?, rule, is_shadow }))
}

// === impl Admitted ===

impl Admitted {
    /// It has its permit at `now`, and goes on unless a circuit does not admit it.
    fn new(
        upstream: &Upstream,
        tier: TierId,
        permit: Permit,
        held: Held,
        now: Timestamp,
    ) -> Result<Self, Reason> {
        let permit = Some(permit);
        let mut admitted = Self { permit, tier, call: None, tenants: None, _held: held };
        if let Some(circuits) = &upstream.circuits {
            admitted.call = circuits.enter(tier, now)?;
        }
        Ok(admitted)
    }

    /// Of which tier it is, and what that one's circuit is to be told by.
    pub(crate) fn take_call(&mut self) -> (TierId, Option<Call>) {
        (self.tier, self.call.take())
    }

    /// In which tier it is served.
    pub(crate) const fn tier(&self) -> TierId {
        self.tier
    }

    /// With one of its tenant's own, which is given back after it.
    pub(crate) fn with(mut self, tenants: Option<Box<TenantHeld>>) -> Self {
        self.tenants = tenants;
        self
    }

    /// The upstream has done what it was asked for, or taken too long over it. Dropped without this,
    /// the permit says nothing of how long the upstream takes.
    pub(crate) fn served(self, now: Timestamp) {
        self.served_idle(Duration::ZERO, now);
    }

    /// The same, where the upstream waited so long for the client to read.
    pub(crate) fn served_idle(mut self, idle: Duration, now: Timestamp) {
        if let Some(permit) = self.permit.take() {
            permit.release_idle(idle, now);
        }
        if let Some(held) = self.tenants.take() {
            held.served(now);
        }
    }

    /// Given up at `now`, before the upstream had done what it was asked for. That it takes no less tells something only where it
    /// is more than usual: so impatient clients make no upstream look fast, and one that hangs does not look as it was.
    pub(crate) fn given_up(self, now: Timestamp, upstream: &Upstream) {
        let is_slow = self.permit.as_ref().is_some_and(|permit| {
            now.saturating_since(permit.since()) >= upstream.limiter.mean_service()
        });
        if is_slow {
            self.served(now);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.cancel(clock::now());
        }
    }
}
