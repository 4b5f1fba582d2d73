//! What those wait on who ask for the same thing again while the first is still being served.

use std::array;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, lock};

/// The most that wait for one answer.
pub const MAX_FOLLOWERS: usize = 16;

/// What becomes of one who follows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Followed<A> {
    /// The first was answered so.
    Replay(A),
    /// The first came to nothing that can be shared: begin anew.
    Retry,
}

/// One request in flight, as its followers see it.
pub(super) struct Flight<A> {
    seats: Mutex<Seats<A>>,
}

struct Seats<A> {
    outcome: Option<Followed<A>>,
    /// A bit for each seat that is taken.
    taken: u16,
    wakers: [Option<Waker>; MAX_FOLLOWERS],
}

impl<A> Flight<A> {
    /// What one costs in bytes: itself, and what the allocator and the counts in front of it take.
    pub(super) const COST: usize = size_of::<Self>() + 64;

    pub(super) fn new() -> Self {
        let wakers = array::from_fn(|_| None);
        Self { seats: Mutex::new(Seats { outcome: None, taken: 0, wakers }) }
    }

    /// A seat, unless all are taken.
    pub(super) fn follow(self: &Arc<Self>) -> Option<Follow<A>> {
        let mut seats = lock(&self.seats);
        let seat = seats.taken.trailing_ones() as usize;
        if seat >= MAX_FOLLOWERS {
            return None;
        }
        seats.taken |= 1 << seat;
        drop(seats);
        Some(Follow { flight: Arc::clone(self), seat })
    }

    /// Tells everybody. Not to be called under a lock: a waker may run the very task that needs it.
    pub(super) fn settle(&self, outcome: Followed<A>) {
        let mut seats = lock(&self.seats);
        seats.outcome = Some(outcome);
        let wakers = array::from_fn::<_, MAX_FOLLOWERS, _>(|seat| seats.wakers[seat].take());
        drop(seats);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// A future of what becomes of the first. Dropping it frees the place.
#[must_use = "a follower that is dropped hears nothing"]
pub struct Follow<A> {
    flight: Arc<Flight<A>>,
    seat: usize,
}

impl<A: Clone> Future for Follow<A> {
    type Output = Followed<A>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut seats = lock(&self.flight.seats);
        if let Some(outcome) = &seats.outcome {
            return Poll::Ready(outcome.clone());
        }
        match &mut seats.wakers[self.seat] {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl<A> Drop for Follow<A> {
    fn drop(&mut self) {
        let mut seats = lock(&self.flight.seats);
        seats.taken &= !(1 << self.seat);
        let waker = seats.wakers[self.seat].take();
        drop(seats);
        // Outside the lock: it may be the last that holds the task.
        drop(waker);
    }
}

impl<A> fmt::Debug for Follow<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("seat", &self.seat).finish_non_exhaustive()
    }
}
