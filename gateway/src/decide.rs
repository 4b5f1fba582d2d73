//! What the head alone says about a request: the one order of looks, cheapest first. Nothing is written
//! or taken; a storm is refused by this. Two kinds of route wait for a lock, held for one look: those made
//! once, for a shard of purchases, and the entry of a journey, for a shard of grants, if the request brings a good one.

use floodgate_limiter::Timestamp;

use crate::admission;
use crate::classify::{HeadView, classify};
use crate::deadline::Deadline;
use crate::journey::Part;
use crate::keyed::{Asked, Limited, Seen};
use crate::percent;
use crate::probes;
use crate::purchase;
use crate::reason::Reason;
use crate::snapshot::Snapshot;
use crate::stock::Sku;
use crate::tenant::Tenancy;
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
    /// Which tenant's it is.
    pub tenancy: Tenancy,
    /// What was found about its keys.
    pub seen: Seen,
    /// How long its answer is worth waiting for.
    pub deadline: Deadline,
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
    /// Which tenant's it is, as far as that is known.
    pub tenancy: Tenancy,
    /// What was found about its keys.
    pub seen: Seen,
    /// Which limit of its key's own it was, if that is why.
    pub limited: Option<Limited>,
}

// === impl Refused ===

impl Refused {
    /// One that belongs to no route.
    pub(crate) const fn unrouted(reason: Reason) -> Self {
        Self {
            route: None,
            reason,
            part: Part::None,
            tenancy: Tenancy::NONE,
            seen: Seen::NOTHING,
            limited: None,
        }
    }
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
        probes::decide(worker.index, None, Some(Reason::NoRoute));
        return Err(Refused::unrouted(Reason::NoRoute));
    };
    let (mut part, mut tenancy) = (Part::None, Tenancy::NONE);
    let mut asked = Asked::new(worker, snapshot, head);
    let looked = look(&mut asked, index, (&mut part, &mut tenancy), now);
    let tier = snapshot.tenants.tier(tenancy, snapshot.routes[index].tier);
    let deadline = Deadline::of(head.fields, snapshot.tiers[tier.index()].deadline);
    let looked = looked.and_then(|is_answered| match is_answered {
        true => Ok(()),
        false => {
            let route = &snapshot.routes[index];
            let shard = route.stats.shard(worker.index);
            deadline.look(snapshot, (route, shard), (part, tenancy), now)
        }
    });
    let Asked { seen, limited, .. } = asked;
    let generation = snapshot.generation;
    probes::decide(worker.index, Some(index), looked.err());
    match looked {
        Ok(()) => Ok(Decided { route: index, generation, part, tenancy, seen, deadline }),
        Err(reason) => Err(Refused { route: Some(index), reason, part, tenancy, seen, limited }),
    }
}

/// Whether there is an answer already, which needs no upstream.
///
/// # Errors
/// Something speaks against it.
fn look(
    asked: &mut Asked<'_>,
    index: usize,
    (part, tenancy): (&mut Part, &mut Tenancy),
    now: Timestamp,
) -> Result<bool, Reason> {
    let Asked { worker, snapshot, head, .. } = *asked;
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
    // Asks what may be asked, as browsers do before they ask, without anything that says who it is.
    if head.line.method == "OPTIONS" {
        let looked = admission::look(snapshot, route, Part::None, tenancy, Some(asked), now);
        return looked.map(|()| false);
    }
    // Two spellings of one path must not be two things, one of them behind the grant or the limit and one beside it.
    if snapshot.one_spelling && !has_one_spelling(head.line.path.as_bytes()) {
        return Err(Reason::BadRequest);
    }
    let meant = &snapshot.config.routes[index];
    let token = match route.reads_token {
        true => {
            // Whom nothing could help costs no signature.
            admission::look_ahead(snapshot, route, now)?;
            worker.token(snapshot, head.fields, now)?
        }
        false => None,
    };
    let head = HeadView { token: token.as_deref(), ..head };
    if meant.require_token && head.token.is_none() {
        return Err(Reason::TokenRequired);
    }
    let is_trusted = || snapshot.trusts(head.peer);
    *tenancy = snapshot.tenants.of(head.token, head.fields, is_trusted)?;
    if let Some((journey, step)) = meant.journey {
        *part = snapshot.journeys[journey].part(worker, step, head.fields, head.token, now);
    }
    let is_stranger = matches!(part, Part::Stranger { .. });
    // What was bought is told whatever has become of the grant, the stock and the upstream since. Without a
    // grant it takes the key to it, which nobody else has: a name is not enough.
    if meant.once
        && (!is_stranger || purchase::has_key(head))
        && purchase::is_known(snapshot, index, head, now)
    {
        return Ok(true);
    }
    if is_stranger {
        return Err(Reason::GrantRequired);
    }
    if let Some(source) = &meant.sku
        && let Some(sku) = Sku::of(source, &meant.path, head)
    {
        snapshot.stocks.look(&sku, now)?;
    }
    // What the keys are looked for in has the token.
    let mut by_token = Asked { head, ..*asked };
    let looked = admission::look(snapshot, route, *part, tenancy, Some(&mut by_token), now);
    (asked.seen, asked.limited) = (by_token.seen, by_token.limited);
    looked.map(|()| false)
}

/// Whether a path has one spelling only: nothing encoded that need not be (RFC 3986 §6.2.2.2), no encoded
/// slash, no empty segment but at the end, no dot segment.
fn has_one_spelling(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some((&byte, behind)) = rest.split_first() {
        match byte {
            b'/' => match behind {
                [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..] => {
                    return false;
                }
                _ => {}
            },
            b'\\' => return false,
            b'%' => {
                let Some(decoded) = percent::octet(behind) else { return false };
                if decoded.is_ascii_alphanumeric() || b"-._~/\\%".contains(&decoded) {
                    return false;
                }
            }
            _ => {}
        }
        rest = behind;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_second_spelling_is_told_from_one_with_one() {
        for path in ["/", "/orders", "/orders/", "/a/.b/..c", "/a%20b", "/%C3%BC", "*", "/a.b"] {
            assert!(has_one_spelling(path.as_bytes()), "{path}");
        }
        for path in [
            "//orders",
            "/a//b",
            "/./a",
            "/a/.",
            "/a/../b",
            "/a/..",
            "/%6Frders",
            "/a%2Fb",
            "/a%2fb",
            "/a%5Cb",
            "/a%",
            "/a%4",
            "/a%zz",
            "/%2e%2e/a",
            "/a%25",
            "/a\\b",
        ] {
            assert!(!has_one_spelling(path.as_bytes()), "{path}");
        }
    }
}
