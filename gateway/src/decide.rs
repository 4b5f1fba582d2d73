//! What the head alone says about a request: the one order of looks, cheapest first. Nothing is
//! written, taken or waited for; a storm is refused by this.

use floodgate_limiter::Timestamp;

use crate::admission;
use crate::classify::{HeadView, classify};
use crate::reason::Reason;
use crate::snapshot::Snapshot;
use crate::worker::Worker;

/// A request that goes no further.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refused {
    /// Whose it would have been.
    pub route: Option<usize>,
    /// Why.
    pub reason: Reason,
}

/// The route of a request that arrives at `now` and that nothing speaks against so far.
///
/// # Errors
/// Something does.
pub(crate) fn decide(
    worker: &Worker,
    snapshot: &Snapshot,
    head: HeadView<'_>,
    now: Timestamp,
) -> Result<usize, Refused> {
    let Some(index) = classify(snapshot, head) else {
        return Err(Refused { route: None, reason: Reason::NoRoute });
    };
    let route = &snapshot.routes[index];
    let reason = if worker.shared.is_draining() {
        Reason::Draining
    } else if head.method == "TRACE" {
        Reason::MethodNotAllowed
    } else if head.body > route.max_body {
        Reason::BodyTooLarge
    } else if let Err(reason) = admission::look(snapshot, route, now) {
        reason
    } else {
        return Ok(index);
    };
    Err(Refused { route: Some(index), reason })
}
