//! The limiter of one upstream: permits, the gate before them, the buffer behind it.
//!
//! # Who may change what
//!
//! - The state word without the lock: a newcomer takes a permit, a permit is given back, both only while nobody waits.
//! - The state word under the lock: everything else. While somebody waits nobody else can change it.
//! - The gate word and the estimates: under the lock, at the end of every change of the buffer.
//!
//! After every hold of the lock, somebody waits only if all permits are out (a raise of the limit that has
//! more than a batch to hand out is the exception, between its batches).

use std::fmt;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::buffer::{Buffer, Place, Service};
use crate::gate::{Gate, Refused};
use crate::limits::Limits;
use crate::permit::Permit;
use crate::queue::State;
use crate::rejection::Rejection;
use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, Padded, lock};
use crate::ticket::Ticket;
use crate::tier::{MAX_TIERS, TierId};
use crate::timestamp::{Timestamp, saturating_nanos};
use crate::wakers::Wakers;
use crate::word::{IN_FLIGHT, WAITING, Word};

/// The answer to an arrival.
#[derive(Debug)]
#[must_use]
pub enum Decision {
    /// Go.
    Admit(Permit),
    /// Do not.
    Reject(Rejection),
    /// Await this.
    Wait(Ticket),
}

/// Admission to one upstream, shared by all cores.
pub struct Limiter {
    /// Read by every arrival, written only when what is refused changes.
    gate: Padded<GateLine>,
    /// Written by every admission.
    pub(crate) counters: Padded<Counters>,
    pub(crate) buffer: Padded<Mutex<Buffer>>,
}

struct GateLine {
    gate: AtomicU64,
    /// Expected wait of a newcomer in nanoseconds, tier by tier; as old as the last change of the buffer.
    estimates: [AtomicU64; MAX_TIERS],
}

pub(crate) struct Counters {
    /// A [`Word`].
    pub(crate) state: AtomicU64,
    pub(crate) limit: AtomicU32,
    /// Exponentially weighted mean of the service time in nanoseconds; 0: not known yet. Read, then
    /// written: of two permits returned at once one may go uncounted, which moves a mean of many by an eighth of one.
    mean_service: AtomicU64,
    /// The latest `now` of any admission or return, in nanoseconds; approximate in the same way.
    latest: AtomicU64,
}

impl Limiter {
    /// A limiter with nobody in it.
    #[must_use]
    pub fn new(limits: &Limits) -> Arc<Self> {
        let limiter = Self {
            gate: Padded(GateLine {
                gate: AtomicU64::new(0),
                estimates: std::array::from_fn(|_| AtomicU64::new(0)),
            }),
            counters: Padded(Counters {
                state: AtomicU64::new(0),
                limit: AtomicU32::new(limits.max_in_flight()),
                mean_service: AtomicU64::new(0),
                latest: AtomicU64::new(0),
            }),
            buffer: Padded(Mutex::new(Buffer::new(limits))),
        };
        limiter.publish(&mut lock(&limiter.buffer), Timestamp::default());
        Arc::new(limiter)
    }

    // --- arrival ---

    /// Whether `tier` is refused right now: one load, nothing written. A yes promises nothing.
    ///
    /// # Errors
    /// Why it is refused.
    #[inline]
    pub fn check(&self, tier: TierId) -> Result<(), Rejection> {
        self.read_gate().rejection(tier).map_or(Ok(()), Err)
    }

    /// Which tiers are refused right now. One load: all of it is of the same moment.
    #[must_use]
    pub fn refused(&self) -> Refused {
        self.read_gate().refused()
    }

    /// Asks for a permit at `now`, to be used before `deadline`.
    pub fn acquire(
        self: &Arc<Self>,
        tier: TierId,
        now: Timestamp,
        deadline: Timestamp,
    ) -> Decision {
        let gate = self.read_gate();
        if let Some(rejection) = gate.rejection(tier) {
            return Decision::Reject(rejection);
        }
        if deadline <= now {
            return Decision::Reject(Rejection::Deadline);
        }
        if self.take_free().is_ok() {
            self.see(now);
            return Decision::Admit(Permit::new(Arc::clone(self), now));
        }
        // What the lock would say too, most likely; said without it.
        if gate.is_unbuffered(tier) {
            return Decision::Reject(Rejection::BufferFull);
        }
        if now + self.estimated_wait(tier) > deadline {
            return Decision::Reject(Rejection::Deadline);
        }
        self.enter(tier, now, deadline)
    }

    /// How long a newcomer of `tier` is expected to wait for a permit if none is free; zero while nothing is known.
    #[must_use]
    pub fn estimated_wait(&self, tier: TierId) -> Duration {
        if self.word().waiting() == 0 {
            // Permits then come back without the lock, and nobody publishes what they tell.
            return self.service().time_for(1);
        }
        Duration::from_nanos(self.gate.estimates[tier.index()].load(Ordering::Relaxed))
    }

    /// Takes a permit if nobody waits and one is free; a refusal only reads.
    fn take_free(&self) -> Result<(), Word> {
        let mut word = Word(self.counters.state.load(Ordering::Acquire));
        while word.is_free(self.limit()) {
            match self.exchange(word, word.0 + IN_FLIGHT) {
                Ok(()) => return Ok(()),
                Err(changed) => word = changed,
            }
        }
        Err(word)
    }

    /// Takes a place in the buffer, or what else is right by the time the lock is held.
    fn enter(self: &Arc<Self>, tier: TierId, now: Timestamp, deadline: Timestamp) -> Decision {
        let mut guard = lock(&self.buffer);
        let buffer = &mut *guard;
        let limit = self.limit();
        if buffer.is_draining() {
            return Decision::Reject(Rejection::Draining);
        }
        if limit == 0 {
            return Decision::Reject(Rejection::Closed);
        }
        // Time alone can let a breaker reset.
        buffer.refresh(now, self.service());
        let tier = buffer.index_of(tier);
        let mut displaced = None;
        loop {
            let Err(word) = self.take_free() else {
                self.see(now);
                self.publish(buffer, now);
                return Decision::Admit(Permit::new(Arc::clone(self), now));
            };
            match buffer.place(tier, limit, now, deadline) {
                Place::Displace(newest) => {
                    // One out, one in: the word stays as it is.
                    buffer.unlink(newest);
                    displaced = buffer.refuse(newest, Rejection::BufferFull);
                    break;
                }
                // A permit that comes back meanwhile makes the exchange fail, and is then seen to be free.
                Place::Free => {
                    if self.exchange(word, word.0 + WAITING).is_ok() {
                        break;
                    }
                }
                Place::Refuse(rejection) => {
                    self.publish(buffer, now);
                    return Decision::Reject(rejection);
                }
            }
        }
        let entry = buffer.push(tier, now, deadline);
        let expires = buffer.entry(entry).expires;
        self.publish(buffer, now);
        drop(guard);
        if let Some(displaced) = displaced {
            displaced.wake();
        }
        Decision::Wait(Ticket::new(Arc::clone(self), entry, expires))
    }

    // --- the life of a ticket ---

    /// The answer to the waiter at `entry`, if there is one: since when it has a permit, or why not.
    pub(crate) fn poll(&self, entry: u32, waker: &Waker) -> Poll<Result<Timestamp, Rejection>> {
        let mut buffer = lock(&self.buffer);
        if let State::Waiting(held) = &mut buffer.entry(entry).state {
            // What is dropped is dropped outside the lock: it may be the last hold on a task, with tickets of its own.
            let old = match held {
                Some(held) if held.will_wake(waker) => None,
                _ => held.replace(waker.clone()),
            };
            drop(buffer);
            drop(old);
            return Poll::Pending;
        }
        Poll::Ready(settled(buffer.free(entry)))
    }

    /// The waiter at `entry` has waited long enough.
    pub(crate) fn expire(&self, entry: u32, now: Timestamp) -> Result<Timestamp, Rejection> {
        let mut guard = lock(&self.buffer);
        let buffer = &mut *guard;
        if !matches!(buffer.entry(entry).state, State::Waiting(_)) {
            return settled(buffer.free(entry));
        }
        let cause = buffer.entry(entry).cause;
        // A timer that fires early counts as well, but not as a wait of its full length.
        let _: Option<Rejection> = buffer.expiry(entry, now);
        let state = self.remove(buffer, entry, now);
        drop(guard);
        drop(state);
        Err(cause)
    }

    /// The waiter at `entry` leaves; the time of its permit, if it had been given one.
    pub(crate) fn leave(&self, entry: u32) -> Option<Timestamp> {
        let mut guard = lock(&self.buffer);
        let buffer = &mut *guard;
        let state = if matches!(buffer.entry(entry).state, State::Waiting(_)) {
            self.remove(buffer, entry, self.latest())
        } else {
            buffer.free(entry)
        };
        drop(guard);
        match state {
            State::Granted(since) => Some(since),
            State::Free | State::Refused(_) | State::Waiting(_) => None,
        }
    }

    fn remove(&self, buffer: &mut Buffer, entry: u32, now: Timestamp) -> State {
        buffer.unlink(entry);
        self.counters.state.fetch_sub(WAITING, Ordering::AcqRel);
        self.publish(buffer, now);
        buffer.free(entry)
    }

    // --- return ---

    /// Hands a permit to the next waiter, or gives it back; `service` is how long it was used, if that counts.
    pub(crate) fn give_back(&self, service: Option<Duration>, now: Timestamp) {
        self.see(now);
        if let Some(service) = service {
            self.measure(service);
        }
        let mut word = Word(self.counters.state.load(Ordering::Relaxed));
        while word.waiting() == 0 {
            match self.exchange(word, word.0 - IN_FLIGHT) {
                Ok(()) => return,
                Err(changed) => word = changed,
            }
        }
        self.in_batches(now, |buffer, wakers| self.hand_over(buffer, wakers, now));
    }

    /// Whether the permit is gone: to a waiter that can still use it, or back.
    fn hand_over(&self, buffer: &mut Buffer, wakers: &mut Wakers, now: Timestamp) -> bool {
        while !wakers.is_full() {
            // More in flight than the limit, since that was lowered: this one is not replaced.
            let surplus = self.word().in_flight() > self.limit();
            let Some(next) = (if surplus { None } else { buffer.pop() }) else {
                self.counters.state.fetch_sub(IN_FLIGHT, Ordering::AcqRel);
                return true;
            };
            self.counters.state.fetch_sub(WAITING, Ordering::AcqRel);
            if let Some(cause) = buffer.expiry(next, now) {
                wakers.push(buffer.refuse(next, cause));
            } else {
                wakers.push(buffer.grant(next, now));
                return true;
            }
        }
        false
    }

    // --- under the lock ---

    /// Repeats `step` under the lock until it is done, and wakes outside of it what each has settled.
    pub(crate) fn in_batches(
        &self,
        now: Timestamp,
        mut step: impl FnMut(&mut Buffer, &mut Wakers) -> bool,
    ) {
        let mut wakers = Wakers::default();
        let mut done = false;
        while !done {
            let mut buffer: MutexGuard<'_, Buffer> = lock(&self.buffer);
            done = step(&mut buffer, &mut wakers);
            self.publish(&mut buffer, now);
            drop(buffer);
            wakers.wake();
        }
    }

    /// Brings the buffer up to `now`, and what is read without the lock up to the buffer.
    pub(crate) fn publish(&self, buffer: &mut Buffer, now: Timestamp) {
        let service = self.service();
        buffer.refresh(now, service);
        // Relaxed: the words stand for themselves, nothing else is read on the strength of them. Written only on change:
        // a write takes the line from every core that reads it.
        let gate = buffer.gate(service.limit).0;
        if self.gate.gate.load(Ordering::Relaxed) != gate {
            self.gate.gate.store(gate, Ordering::Relaxed);
        }
        let mut last = 0;
        let mut estimates = buffer.estimates().map(saturating_nanos);
        for published in &self.gate.estimates {
            // Tiers that do not exist read as the last one.
            last = estimates.next().unwrap_or(last);
            if published.load(Ordering::Relaxed) != last {
                published.store(last, Ordering::Relaxed);
            }
        }
    }

    // --- the words ---

    fn exchange(&self, word: Word, new: u64) -> Result<(), Word> {
        // What was done under a permit happens before what is done under the next.
        self.counters
            .state
            .compare_exchange(word.0, new, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(Word)
    }

    pub(crate) fn word(&self) -> Word {
        Word(self.counters.state.load(Ordering::Acquire))
    }

    pub(crate) fn limit(&self) -> u32 {
        self.counters.limit.load(Ordering::Acquire)
    }

    fn read_gate(&self) -> Gate {
        Gate(self.gate.gate.load(Ordering::Relaxed))
    }

    pub(crate) fn service(&self) -> Service {
        let mean = Duration::from_nanos(self.counters.mean_service.load(Ordering::Relaxed));
        Service { limit: self.limit(), mean }
    }

    /// The latest time that anybody came or went.
    pub(crate) fn latest(&self) -> Timestamp {
        Timestamp::from_nanos(self.counters.latest.load(Ordering::Relaxed))
    }

    fn see(&self, now: Timestamp) {
        if now > self.latest() {
            self.counters.latest.store(now.as_nanos(), Ordering::Relaxed);
        }
    }

    /// Counts one service into the mean, with a weight of 1/8 (as TCP does a round trip: RFC 6298).
    fn measure(&self, service: Duration) {
        let service = saturating_nanos(service);
        let mean = self.counters.mean_service.load(Ordering::Relaxed);
        let new = if mean == 0 { service } else { mean - mean / 8 + service / 8 };
        if new != mean {
            self.counters.mean_service.store(new, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("gate", &self.read_gate())
            .field("state", &self.word())
            .field("limit", &self.limit())
            .field("service", &self.service())
            .field("latest", &self.latest())
            .field("buffer", &*lock(&self.buffer))
            .finish()
    }
}

/// What a waiter that is off its queue is told.
fn settled(state: State) -> Result<Timestamp, Rejection> {
    match state {
        State::Granted(since) => Ok(since),
        State::Refused(rejection) => Err(rejection),
        // Neither of the two is ever off its queue with a ticket.
        State::Free | State::Waiting(_) => Err(Rejection::BufferFull),
    }
}
