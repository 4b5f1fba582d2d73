//! Where a tracer can look in while the gateway runs: USDT probes of the provider `floodgate`. Each is one `nop` and a note in the
//! program while nobody does, and its arguments are what is in registers then. Scripts are in `observability/`.
//!
//! | probe | arguments |
//! |---|---|
//! | `decide` | worker, index of the route (-1: none), reason and its length (0: it goes on): by its head alone |
//! | `enqueue` | place, upstream, tier: it waits for a permit |
//! | `dequeue` | place, upstream, tier, outcome and its length: `permit`, a reason, or `left` |
//! | `forward` | upstream, server, 1 if over a connection that was there: it is about to be sent |
//!
//! A place is told from others while somebody is in it. Upstreams and servers are numbered as they come, from 0; tiers as in
//! the configuration.

use floodgate_limiter::TierId;
use probe::probe;

use crate::reason::Reason;

/// A request that waits for a permit, seen until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    place: usize,
    upstream: u64,
    tier: TierId,
    outcome: &'static str,
}

/// Worker number `worker` has looked at a head.
#[inline]
pub(crate) fn decide(worker: usize, route: Option<usize>, refused: Option<Reason>) {
    let route = route.map_or(-1, usize::cast_signed);
    let reason = refused.map_or("", Reason::as_str);
    probe!(floodgate, decide, worker, route, reason.as_ptr(), reason.len());
}

/// A request is about to be sent.
#[inline]
pub(crate) fn forward(upstream: u64, server: usize, is_reused: bool) {
    probe!(floodgate, forward, upstream, server, is_reused);
}

// === impl Waiting ===

impl Waiting {
    /// Who waits in this `place` for `upstream`, served in `tier`.
    #[inline]
    pub(crate) fn begin(place: usize, upstream: u64, tier: TierId) -> Self {
        probe!(floodgate, enqueue, place, upstream, tier.index());
        Self { place, upstream, tier, outcome: "left" }
    }

    /// It waits no longer.
    #[inline]
    pub(crate) fn end(mut self, refused: Option<Reason>) {
        self.outcome = refused.map_or("permit", Reason::as_str);
    }
}

impl Drop for Waiting {
    #[inline]
    fn drop(&mut self) {
        let Self { place, upstream, tier, outcome } = *self;
        probe!(floodgate, dequeue, place, upstream, tier.index(), outcome.as_ptr(), outcome.len());
    }
}
