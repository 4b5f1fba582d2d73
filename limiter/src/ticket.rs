//! One place in the buffer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::limiter::Limiter;
use crate::permit::Permit;
use crate::rejection::Rejection;
use crate::timestamp::Timestamp;

/// A place in the buffer, as a future of a permit.
///
/// The limiter has no timer: whoever holds the ticket calls [`expire`](Self::expire) when [`expires`](Self::expires)
/// comes. Dropping the ticket frees the place at once; a permit that was already handed to it goes to the next waiter.
/// Once it has given its answer it stays pending.
#[must_use = "a ticket that is dropped frees its place at once"]
pub struct Ticket {
    limiter: Arc<Limiter>,
    /// The entry in the buffer; empty once answered.
    entry: Option<u32>,
    expires: Timestamp,
}

impl Ticket {
    pub(crate) const fn new(limiter: Arc<Limiter>, entry: u32, expires: Timestamp) -> Self {
        Self { limiter, entry: Some(entry), expires }
    }

    /// The end of its stay: `max_wait` from arrival, or the deadline if that is earlier.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The end of its stay has come.
    ///
    /// # Errors
    /// Why it did not get a permit: [`Rejection::QueueTimeout`] or [`Rejection::Deadline`], unless it had already
    /// been refused for something else. If it had been handed a permit just before, that is what it gets.
    pub fn expire(mut self, now: Timestamp) -> Result<Permit, Rejection> {
        let Some(entry) = self.entry.take() else { return Err(Rejection::QueueTimeout) };
        self.limiter.expire(entry, now).map(|given| Permit::new(Arc::clone(&self.limiter), given))
    }
}

impl Future for Ticket {
    type Output = Result<Permit, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(entry) = self.entry else { return Poll::Pending };
        self.limiter.poll(entry, cx.waker()).map(|answer| {
            self.entry = None;
            answer.map(|given| Permit::new(Arc::clone(&self.limiter), given))
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take()
            && let Some(given) = self.limiter.leave(entry)
        {
            drop(Permit::new(Arc::clone(&self.limiter), given));
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("expires", &self.expires).finish_non_exhaustive()
    }
}
