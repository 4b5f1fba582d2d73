//! The gate and the buffer, as a request meets them: the one order of checks, cheapest first.

use std::sync::Arc;

use floodgate_limiter::{Decision, Gcra, Permit, Ticket, Timestamp};

use crate::clock;
use crate::reason::Reason;
use crate::snapshot::{Route, Snapshot, Tier};
use crate::upstream::Upstream;

/// A permit that is given back when it is dropped, at the time of the drop.
#[derive(Debug)]
pub struct Admitted(Option<Permit>);

/// When a request that is not refused gets its permit.
#[derive(Debug)]
pub(crate) enum Turn {
    /// When its ticket is called.
    Later(Ticket),
    /// At once.
    Now(Admitted),
}

/// Lets a request of `route` in, now or after waiting its turn.
///
/// # Errors
/// The reason to refuse it with. Dropping the future gives the place in the buffer back at once.
pub(crate) async fn admit(
    snapshot: &Snapshot,
    route: &Route,
    now: Timestamp,
    deadline: Timestamp,
) -> Result<Admitted, Reason> {
    match ask(snapshot, route, now, deadline)? {
        Turn::Now(admitted) => Ok(admitted),
        Turn::Later(ticket) => wait(ticket).await,
    }
}

/// The gate: what becomes of a request of `route` that arrives at `now` and has to be answered by
/// `deadline`.
///
/// # Errors
/// The reason to refuse it with.
pub(crate) fn ask(
    snapshot: &Snapshot,
    route: &Route,
    now: Timestamp,
    deadline: Timestamp,
) -> Result<Turn, Reason> {
    let upstream = &snapshot.upstreams[route.upstream];
    let tier = &snapshot.tiers[route.tier.index()];
    let rates = rates(route, tier, upstream);

    // Reads only: a storm is refused by these.
    upstream.limiter.check(route.tier)?;
    for rate in rates.into_iter().flatten() {
        rate.peek(now).map_err(|_| Reason::Rate)?;
    }
    // Takes something: a permit or a place is given back if a rate says no after all; a rate that was
    // taken stays taken.
    let turn = match upstream.limiter.acquire(route.tier, now, deadline) {
        Decision::Admit(permit) => Turn::Now(Admitted(Some(permit))),
        Decision::Reject(rejection) => return Err(rejection.into()),
        Decision::Wait(ticket) => Turn::Later(ticket),
    };
    take(rates, now)?;
    Ok(turn)
}

/// Waits until the ticket is called or expires.
///
/// # Errors
/// The reason to refuse with. Dropping the future gives the place up.
pub(crate) async fn wait(mut ticket: Ticket) -> Result<Admitted, Reason> {
    let expires = clock::instant(ticket.expires());
    let result = match tokio::time::timeout_at(expires, &mut ticket).await {
        Ok(result) => result,
        Err(_) => ticket.expire(clock::now()),
    };
    Ok(Admitted(Some(result?)))
}

/// The rates that a request of this route has to pass.
fn rates<'a>(
    route: &'a Route,
    tier: &'a Tier,
    upstream: &'a Upstream,
) -> [Option<&'a Arc<Gcra>>; 3] {
    [route.rate.as_ref(), tier.rate.as_ref(), upstream.rate.as_ref()]
}

/// Consumes one of each. All have just said yes, so a no is a race with another core; what was
/// consumed before it stays consumed, which errs towards fewer.
fn take(rates: [Option<&Arc<Gcra>>; 3], now: Timestamp) -> Result<(), Reason> {
    rates.into_iter().flatten().try_for_each(|rate| rate.take(now)).map_err(|_| Reason::Rate)
}

// === impl Admitted ===

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(permit) = self.0.take() {
            permit.release(clock::now());
        }
    }
}
