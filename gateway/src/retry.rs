//! Which requests are sent a second time, to whom, and how often in all.
//!
//! A request goes to another server only if nothing of it was sent or its method is idempotent (RFC 9110 §9.2.2), as long
//! as the client has got nothing of an answer, and within the budget of the upstream: the same permit, the same deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use floodgate_config::{Retry, RetryOn};
use floodgate_limiter::{RetryBudget, RetryStatus, Timestamp};
use http::{Method, StatusCode};

use crate::outbound::Outgoing;
use crate::upstream::{Server, Upstream};

/// Why a request is sent again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Why {
    /// There was no connection.
    Connect,
    /// The server had closed the connection after the request before.
    Stale,
    /// The connection ended, or brought no answer.
    Broken,
    /// The answer has a status that is listed.
    Status,
}

/// What an upstream has left of retries, and what it has made.
#[derive(Debug)]
pub(crate) struct Retries {
    /// How many are granted.
    pub budget: RetryBudget,
    made: [AtomicU64; Why::NAMES.len()],
    refused: AtomicU64,
}

/// One request on its way through the servers of its upstream.
pub(crate) struct Tries<'a> {
    upstream: &'a Arc<Upstream>,
    retry: Retry,
    /// Servers that failed it.
    tried: Vec<usize>,
    made: u32,
    /// A kept connection turned out to be closed.
    is_renewed: bool,
}

/// Whether a request with this method can be made twice as well as once.
pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

// === impl Why ===

impl Why {
    /// The labels of the metric, in the order of [`Retries::made`].
    pub(crate) const NAMES: [&'static str; 4] = ["connect", "stale", "broken", "status"];

    const fn index(self) -> usize {
        match self {
            Self::Connect => 0,
            Self::Stale => 1,
            Self::Broken => 2,
            Self::Status => 3,
        }
    }
}

// === impl Retries ===

impl Retries {
    /// As `meant`, with what `old` has counted, for `cores` cores.
    pub(crate) fn carry(
        meant: &floodgate_config::Retries,
        old: Option<&Arc<Self>>,
        cores: usize,
        now: Timestamp,
    ) -> Arc<Self> {
        match old {
            Some(old) => {
                old.budget.set_limits(meant.budget, now);
                Arc::clone(old)
            }
            None => Arc::new(Self {
                budget: RetryBudget::new(meant.budget, cores),
                made: Default::default(),
                refused: AtomicU64::new(0),
            }),
        }
    }

    /// Requests that were sent again, in the order of [`Why::NAMES`].
    pub(crate) fn made(&self) -> [u64; Why::NAMES.len()] {
        std::array::from_fn(|at| self.made[at].load(Relaxed))
    }

    /// Requests that would have been sent again if the budget had allowed it.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// What there is at `now`.
    pub(crate) fn status(&self, now: Timestamp) -> RetryStatus {
        self.budget.status(now)
    }

    /// A request goes out again on another connection, which costs nothing of the budget.
    fn renewed(&self) {
        self.made[Why::Stale.index()].fetch_add(1, Relaxed);
    }

    fn take(&self, why: Why, now: Timestamp) -> bool {
        let granted = self.budget.take(now);
        let counter = if granted { &self.made[why.index()] } else { &self.refused };
        counter.fetch_add(1, Relaxed);
        granted
    }
}

// === impl Tries ===

impl<'a> Tries<'a> {
    /// Of a request of a route that says `retry`.
    pub(crate) const fn new(upstream: &'a Arc<Upstream>, retry: Retry) -> Self {
        Self { upstream, retry, tried: Vec::new(), made: 0, is_renewed: false }
    }

    /// Whose servers they are.
    pub(crate) const fn upstream(&self) -> &'a Arc<Upstream> {
        self.upstream
    }

    /// The server to go to.
    pub(crate) fn server(&self, now: Timestamp) -> Option<&'a Arc<Server>> {
        self.upstream.choose(&self.tried, now)
    }

    /// It has nobody to spare for this request, which is no failure.
    pub(crate) fn pass_over(&mut self, server: &Server) {
        self.tried.push(server.id);
    }

    /// Whether an answer with this `status` is reason to ask another server.
    pub(crate) fn is_poor(&self, status: StatusCode) -> bool {
        status.is_server_error()
            && self.made < self.upstream.attempts
            && self.upstream.retry_on.contains(&RetryOn::Status(status.as_u16()))
    }

    /// Whether the request, as far as it is sent, goes out again after `server` has failed it for `why`; then it counts.
    pub(crate) fn again(
        &mut self,
        why: Why,
        server: &Server,
        outgoing: &Outgoing,
        now: Timestamp,
    ) -> bool {
        let Upstream { attempts, retry_on, .. } = &**self.upstream;
        let is_unsent = outgoing.is_unsent();
        let may = match self.retry {
            Retry::Off => false,
            Retry::Unsent => is_unsent,
            Retry::Idempotent => is_unsent || outgoing.repeats(),
        };
        // That a kept connection has been closed meanwhile is nobody's failure: once it costs nothing, or a server that closes
        // often would make requests fail that it never saw.
        if may && why == Why::Stale && !self.is_renewed {
            self.is_renewed = true;
            self.upstream.retries.renewed();
            return true;
        }
        let is_listed = match why {
            _ if is_unsent => retry_on.contains(&RetryOn::Connect),
            Why::Connect | Why::Stale | Why::Broken => retry_on.contains(&RetryOn::Broken),
            Why::Status => true,
        };
        if !may || !is_listed || self.made >= *attempts {
            return false;
        }
        self.tried.push(server.id);
        if self.upstream.servers.iter().all(|other| self.tried.contains(&other.id)) {
            // A server that has closed an old connection may well take a new one.
            if why != Why::Stale {
                return false;
            }
            self.tried.clear();
        }
        self.made += 1;
        self.upstream.retries.take(why, now)
    }
}
