//! What the head alone says about a request: the one order of looks, cheapest first. Nothing is
//! written, taken or waited for; a storm is refused by this.

use floodgate_limiter::Timestamp;

use crate::admission;
use crate::classify::{HeadView, classify};
use crate::journey::Part;
use crate::purchase;
use crate::reason::Reason;
use crate::snapshot::Snapshot;
use crate::stock::Sku;
use crate::worker::Worker;

/// A request that nothing speaks against so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided {
    /// Index of its route.
    pub route: usize,
    /// Number of the snapshot that says so.
    pub generation: u64,
    /// What it is in the journey of its route.
    pub part: Part,
}

/// A request that goes no further.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    /// Whose it would have been.
    pub route: Option<usize>,
    /// Why.
    pub reason: Reason,
    /// What it would have been in the journey of its route.
    pub part: Part,
}

/// What is known of a request that arrives at `now` by its head alone.
///
/// # Errors
/// Something speaks against it.
pub(crate) fn decide(
    worker: &Worker,
    snapshot: &Snapshot,
    head: HeadView<'_>,
    now: Timestamp,
) -> Result<Decided, Refused> {
    let Some(index) = classify(snapshot, head.line) else {
        return Err(Refused { route: None, reason: Reason::NoRoute, part: Part::None });
    };
    let mut part = Part::None;
    match look(worker, snapshot, index, head, &mut part, now) {
        Ok(()) => Ok(Decided { route: index, generation: snapshot.generation, part }),
        Err(reason) => Err(Refused { route: Some(index), reason, part }),
    }
}

fn look(
    worker: &Worker,
    snapshot: &Snapshot,
    index: usize,
    head: HeadView<'_>,
    part: &mut Part,
    now: Timestamp,
) -> Result<(), Reason> {
    let route = &snapshot.routes[index];
    if worker.shared.is_draining() {
        return Err(Reason::Draining);
    }
    if head.line.method == "TRACE" {
        return Err(Reason::MethodNotAllowed);
    }
    if head.body > route.max_body {
        return Err(Reason::BodyTooLarge);
    }
    let meant = &snapshot.config.routes[index];
    if let Some((journey, step)) = meant.journey {
        *part = snapshot.journeys[journey].part(worker, step, head.fields, now);
    }
    let is_stranger = matches!(part, Part::Stranger { .. });
    // What was bought is told whatever has become of the grant, the stock and the upstream since. Without a
    // grant it takes the key to it, which nobody else has: a name is not enough.
    if meant.once
        && (!is_stranger || purchase::has_key(head))
        && purchase::is_known(snapshot, index, head, now)
    {
        return Ok(());
    }
    if is_stranger {
        return Err(Reason::GrantRequired);
    }
    if let Some(source) = &meant.sku
        && let Some(sku) = Sku::of(source, &meant.path, head)
    {
        snapshot.stocks.look(&sku, now)?;
    }
    admission::look(snapshot, route, *part, now)
}
