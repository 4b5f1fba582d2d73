//! What one tenant may have of one upstream: so many of its permits, so many places of its buffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use floodgate_limiter::{
    Class, Decision, Limiter, Limits, MAX_IN_FLIGHT, Permit, Rejection, TierLimits, Timestamp,
};

use crate::clock;
use crate::places::{Place, Places};
use crate::reason::Reason;
use crate::upstream::Upstream;

/// One tenant's share of one upstream.
#[derive(Debug)]
pub(crate) struct Share {
    /// Name of the upstream.
    pub upstream: String,
    /// Its own permits, and the queue for them.
    limiter: Arc<Limiter>,
    /// Its places in the buffer of the upstream.
    waiting: Arc<Places>,
    places: u32,
    /// Of the permits of the upstream.
    part: f64,
    /// What follows from that as of the last look.
    permits: AtomicU32,
    tiers: Vec<TierLimits>,
    is_shadow: bool,
}

/// What can be seen of a share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Requests of the tenant's at the upstream.
    pub in_flight: u32,
    /// How many may be there.
    pub limit: u32,
    /// Those that wait for one of the tenant's own permits.
    pub queued: u32,
    /// Those that have one and wait in the buffer of the upstream.
    pub waiting: u32,
    /// How many may wait, in each of the two.
    pub places: u32,
}

/// One of its permits, until it is given back.
#[derive(Debug)]
pub(crate) struct TenantHeld(Option<Permit>);

// === impl Share ===

impl Share {
    /// That of `meant` of `upstream`, which has these `limits`, with the state that `old` has, whose tiers
    /// stood where `from` says; `None` if it may have all.
    pub(super) fn compile(
        meant: &floodgate_config::Tenant,
        upstream: &Upstream,
        limits: &Limits,
        old: Option<&Arc<Self>>,
        from: &[Option<usize>],
        now: Timestamp,
    ) -> Option<Arc<Self>> {
        if meant.share >= 1.0 && meant.buffer_share >= 1.0 {
            return None;
        }
        let mut share = Self {
            upstream: upstream.name.clone(),
            limiter: Limiter::new(limits),
            waiting: old.map_or_else(Arc::default, |old| Arc::clone(&old.waiting)),
            places: part_of(limits.buffer(), meant.buffer_share),
            part: meant.share,
            permits: AtomicU32::new(part_of(upstream.limiter.totals().limit, meant.share)),
            tiers: limits.tiers().to_vec(),
            is_shadow: meant.shadow,
        };
        let own = share.limits()?;
        share.limiter = match old {
            Some(old) => {
                old.limiter.apply_from(&own, from, now);
                Arc::clone(&old.limiter)
            }
            None => Limiter::new(&own),
        };
        Some(Arc::new(share))
    }

    /// What the own limiter goes by: in the shadow it lets everybody in and counts them.
    fn limits(&self) -> Option<Limits> {
        let permits = if self.is_shadow { MAX_IN_FLIGHT } else { self.permits.load(Relaxed) };
        // It has been checked for the upstream, and is less.
        Limits::new(permits, self.places, self.tiers.clone()).ok()
    }

    /// The upstream can take `limit` at once now.
    pub(super) fn follow(&self, limit: u32, now: Timestamp) {
        let permits = part_of(limit, self.part);
        if self.permits.swap(permits, Relaxed) != permits
            && !self.is_shadow
            && let Some(limits) = self.limits()
        {
            self.limiter.apply(&limits, now);
        }
    }

    /// Whether nobody is let in who comes now; in the shadow, whether nobody would be who finds no permit.
    pub(super) fn is_exhausted(&self, class: Class) -> bool {
        if self.is_shadow {
            return self.limiter.in_flight() >= self.permits.load(Relaxed);
        }
        self.limiter.check(class).is_err()
    }

    /// One of its permits at `now` or after waiting for it, for an answer by `deadline`; and when that was.
    ///
    /// # Errors
    /// The reason to refuse with. Dropping the future gives the place up.
    pub(crate) async fn take(
        &self,
        class: Class,
        now: Timestamp,
        deadline: Timestamp,
    ) -> Result<(TenantHeld, Timestamp), Reason> {
        match self.limiter.acquire(class, now, deadline) {
            Decision::Admit(permit) => Ok((TenantHeld(Some(permit)), now)),
            Decision::Reject(rejection) => Err(own(rejection)),
            Decision::Wait(mut ticket) => {
                let expires = clock::instant(ticket.expires());
                let result = match tokio::time::timeout_at(expires, &mut ticket).await {
                    Ok(result) => result,
                    Err(_) => ticket.expire(clock::now()),
                };
                Ok((TenantHeld(Some(result.map_err(own)?)), clock::now()))
            }
        }
    }

    /// A place in the buffer of the upstream.
    ///
    /// # Errors
    /// It has as many as it may.
    pub(crate) fn take_place(&self) -> Result<Place, Reason> {
        let places = if self.is_shadow { u32::MAX } else { self.places };
        self.waiting.take(places).ok_or(Reason::TenantLimit)
    }

    /// How long requests that go before others have waited for one of its permits.
    pub(super) fn ranked_wait_nanos(&self) -> u64 {
        self.limiter.totals().ranked_wait_nanos
    }

    pub(super) fn drain(&self, now: Timestamp) {
        self.limiter.drain(now);
    }

    /// What can be seen of it at `now`. For people and scrapers, not for requests.
    pub(crate) fn seen(&self, now: Timestamp) -> Seen {
        let status = self.limiter.status(now);
        Seen {
            in_flight: status.in_flight - self.waiting.taken().min(status.in_flight),
            limit: self.permits.load(Relaxed),
            queued: status.waiting,
            waiting: self.waiting.taken(),
            places: self.places,
        }
    }
}

/// A limit of its own is a tenant's, whatever it is called in a limiter.
fn own(rejection: Rejection) -> Reason {
    match rejection {
        Rejection::Deadline => Reason::Deadline,
        Rejection::Draining => Reason::Draining,
        _ => Reason::TenantLimit,
    }
}

/// At least one: who may have something may have that.
fn part_of(whole: u32, part: f64) -> u32 {
    // A float becomes an integer by saturation; the little bit makes up for its rounding.
    ((f64::from(whole) * part + 1e-6) as u32).max(1)
}

// === impl TenantHeld ===

impl TenantHeld {
    /// The upstream has done what it was asked for.
    pub(crate) fn served(mut self, now: Timestamp) {
        if let Some(permit) = self.0.take() {
            permit.release(now);
        }
    }
}

impl Drop for TenantHeld {
    fn drop(&mut self) {
        if let Some(permit) = self.0.take() {
            permit.cancel(clock::now());
        }
    }
}
