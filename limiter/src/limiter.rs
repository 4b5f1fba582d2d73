//! The limiter of one upstream: permits, the gate before them, the buffer behind it.
//!
//! # Who may change what
//!
//! - The state word without the lock: a permit is given back while nobody waits; a newcomer takes one while nobody waits,
//!   or, if it is preferred, while nobody preferred does.
//! - The state word under the lock: everything else. The numbers of those who wait change under it alone; while somebody
//!   waits, so does the number in flight, but for preferred newcomers who make it more.
//! - The gate words and the estimates: under the lock, at the end of every change of the buffer.
//!
//! After every hold of the lock, preferred waiters wait only if all permits are out, and ordinary ones only if no more are
//! free than are reserved (a raise of the limit that has more than a batch to hand out is the exception, between its batches).
//! Both hold until the next: what changes without the lock takes permits while somebody waits, and gives none back.

use std::fmt;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::buffer::{Buffer, Place};
use crate::class::{Class, Rank};
use crate::counters::Counters;
use crate::gate::{Floors, Gate, Refused};
use crate::limits::Limits;
use crate::permit::{Given, Permit};
use crate::rejection::Rejection;
use crate::shares::{Places, Shares};
use crate::slab::State;
use crate::status::Totals;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, Padded, lock};
use crate::ticket::Ticket;
use crate::tier::MAX_TIERS;
use crate::timestamp::{Timestamp, saturating_nanos};
use crate::wakers::Wakers;
use crate::word::{IN_FLIGHT, Word};

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
    /// Written by every admission where something is guaranteed to a tier, otherwise by none.
    pub(crate) shares: Padded<Shares>,
    pub(crate) buffer: Padded<Mutex<Buffer>>,
}

struct GateLine {
    gate: AtomicU64,
    /// The [`Floors`] of the tiers that the gate refuses.
    floors: AtomicU64,
    /// Expected wait of an ordinary newcomer in nanoseconds, tier by tier; as old as the last change of the buffer.
    estimates: [AtomicU64; MAX_TIERS],
    /// The [`Places`] where permits are counted. Written by a change of the limits alone.
    places: AtomicU64,
}

impl Limiter {
    /// A limiter with nobody in it.
    #[must_use]
    pub fn new(limits: &Limits) -> Arc<Self> {
        let limiter = Self {
            gate: Padded(GateLine {
                gate: AtomicU64::new(0),
                floors: AtomicU64::new(0),
                estimates: std::array::from_fn(|_| AtomicU64::new(0)),
                places: AtomicU64::new(Places::NOWHERE.0),
            }),
            counters: Padded(Counters::new(limits)),
            shares: Padded(Shares::new()),
            buffer: Padded(Mutex::new(Buffer::new(limits))),
        };
        let mut buffer = lock(&limiter.buffer);
        limiter.count_shares(&mut buffer);
        limiter.publish(&mut buffer, Timestamp::default());
        drop(buffer);
        Arc::new(limiter)
    }

    // --- arrival ---

    /// Whether `class` is refused right now: one load, for a preferred one at most two; nothing written. A yes promises
    /// nothing.
    ///
    /// # Errors
    /// Why it is refused.
    #[inline]
    pub fn check(&self, class: impl Into<Class>) -> Result<(), Rejection> {
        self.refusal(self.read_gate(), class.into()).map_or(Ok(()), Err)
    }

    /// Whether breakers in the shadow would refuse `class` right now: one load, of the word that [`check`](Self::check) loads. Always
    /// no where none is in the shadow; of those above the ordinary rank too, since breakers let them pass.
    #[must_use]
    #[inline]
    pub fn would_refuse(&self, class: impl Into<Class>) -> bool {
        let class = class.into();
        !class.rank.is_preferred() && self.read_gate().is_refused_in_shadow(class.tier)
    }

    /// Which tiers are refused right now, their ordinary rank. One load: all of it is of the same moment.
    #[must_use]
    pub fn refused(&self) -> Refused {
        self.read_gate().refused()
    }

    /// Whether nobody waits and an ordinary request would find a permit. Two loads; a yes promises nothing.
    #[must_use]
    pub fn has_spare(&self) -> bool {
        self.counters.word().is_free(Rank::ORDINARY, self.counters.limit())
    }

    /// What it has done since it began. Only reads.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.counters.totals()
    }

    /// Mean time that permits were held of late; zero: not known yet. One load.
    #[must_use]
    pub fn mean_service(&self) -> Duration {
        self.counters.service().mean
    }

    /// Asks for a permit at `now`, to be used before `deadline`.
    #[inline]
    pub fn acquire(
        self: &Arc<Self>,
        class: impl Into<Class>,
        now: Timestamp,
        deadline: Timestamp,
    ) -> Decision {
        let class = class.into();
        // Inlined this far: refusals, and permits that are free, are most of what there is.
        if let Some(rejection) = self.refusal(self.read_gate(), class) {
            return Decision::Reject(rejection);
        }
        if deadline <= now {
            return Decision::Reject(Rejection::Deadline);
        }
        if self.take_free(class.rank).is_ok() {
            return self.admit(class, now);
        }
        self.ask_for_place(class, now, deadline)
    }

    /// For whom no permit is free.
    fn ask_for_place(
        self: &Arc<Self>,
        class: Class,
        now: Timestamp,
        deadline: Timestamp,
    ) -> Decision {
        // What the lock would say too, most likely; said without it.
        if self.read_gate().is_unbuffered(class.tier) {
            return Decision::Reject(Rejection::BufferFull);
        }
        if !class.rank.is_preferred() && now + self.estimated_wait(class) > deadline {
            return Decision::Reject(Rejection::Deadline);
        }
        self.enter(class, now, deadline)
    }

    /// How long a newcomer of `class` is expected to wait for a permit if none is free; zero while nothing is known. Takes
    /// the lock for a preferred one.
    #[must_use]
    pub fn estimated_wait(&self, class: impl Into<Class>) -> Duration {
        let Class { tier, rank } = class.into();
        if !self.counters.word().has_waiting() {
            // Permits then come back without the lock, and nobody publishes what they tell.
            let service = self.counters.service();
            return service.time_for(1, service.limit.of(rank));
        }
        if rank.is_preferred() {
            let buffer = lock(&self.buffer);
            return buffer.estimate(buffer.index_of(tier), rank, self.counters.service());
        }
        Duration::from_nanos(self.gate.estimates[tier.index()].load(Ordering::Relaxed))
    }

    /// Why `class` is refused at `gate`, if it is.
    #[inline]
    fn refusal(&self, gate: Gate, class: Class) -> Option<Rejection> {
        let rejection = gate.rejection(class.tier)?;
        if !class.rank.is_preferred() || gate.is_shut() {
            return Some(rejection);
        }
        Floors(self.gate.floors.load(Ordering::Relaxed)).rejection(class)
    }

    /// Takes a permit if one is free for `rank`; a refusal only reads.
    fn take_free(&self, rank: Rank) -> Result<(), Word> {
        let mut word = Word(self.counters.state.load(Ordering::Acquire));
        while word.is_free(rank, self.counters.limit()) {
            match self.counters.exchange(word, word.0 + IN_FLIGHT) {
                Ok(()) => return Ok(()),
                Err(changed) => word = changed,
            }
        }
        Err(word)
    }

    /// With a permit that was free.
    fn admit(self: &Arc<Self>, class: Class, now: Timestamp) -> Decision {
        let places = Places(self.gate.places.load(Ordering::Relaxed));
        let share = places.of(class.tier.index(), class.rank);
        self.shares.enter(share);
        self.counters.see(now);
        self.counters.count(class.rank, Duration::ZERO);
        Decision::Admit(Permit::new(Arc::clone(self), Given::new(now, share)))
    }

    /// Takes a place in the buffer, or what else is right by the time the lock is held.
    fn enter(self: &Arc<Self>, class: Class, now: Timestamp, deadline: Timestamp) -> Decision {
        let mut guard = lock(&self.buffer);
        let buffer = &mut *guard;
        let service = self.counters.service();
        if buffer.is_draining() {
            return Decision::Reject(Rejection::Draining);
        }
        if service.limit.all() == 0 {
            return Decision::Reject(Rejection::Closed);
        }
        // Time alone can let a breaker reset.
        buffer.refresh(now, service, &self.shares);
        let (tier, rank) = (buffer.index_of(class.tier), class.rank);
        let displaced = loop {
            let Err(word) = self.take_free(rank) else {
                self.publish(buffer, now);
                return self.admit(class, now);
            };
            // A permit that comes back or is taken meanwhile makes the exchange fail, and is then seen.
            let entered = word.0 + Word::waiter(rank);
            match buffer.place(tier, rank, service, now, deadline) {
                Place::Displace(newest) => {
                    let left = Word::waiter(buffer.entry(newest).rank);
                    if self.counters.exchange(word, entered - left).is_ok() {
                        buffer.unlink(newest);
                        break buffer.refuse(newest, Rejection::BufferFull);
                    }
                }
                Place::Free => {
                    if self.counters.exchange(word, entered).is_ok() {
                        break None;
                    }
                }
                Place::Refuse(rejection) => {
                    self.publish(buffer, now);
                    return Decision::Reject(rejection);
                }
            }
        };
        let entry = buffer.push(tier, rank, now, deadline);
        let expires = buffer.entry(entry).expires;
        self.publish(buffer, now);
        drop(guard);
        if let Some(displaced) = displaced {
            displaced.wake();
        }
        Decision::Wait(Ticket::new(Arc::clone(self), entry, expires))
    }

    // --- the life of a ticket ---

    /// The answer to the waiter at `entry`, if there is one: its permit, or why it has none.
    pub(crate) fn poll(&self, entry: u32, waker: &Waker) -> Poll<Result<Given, Rejection>> {
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
    pub(crate) fn expire(&self, entry: u32, now: Timestamp) -> Result<Given, Rejection> {
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

    /// The waiter at `entry` leaves; its permit, if it had been given one.
    pub(crate) fn leave(&self, entry: u32) -> Option<Given> {
        let mut guard = lock(&self.buffer);
        let buffer = &mut *guard;
        let state = if matches!(buffer.entry(entry).state, State::Waiting(_)) {
            self.remove(buffer, entry, self.counters.latest())
        } else {
            buffer.free(entry)
        };
        drop(guard);
        match state {
            State::Granted(given) => Some(given),
            State::Free | State::Refused(_) | State::Waiting(_) => None,
        }
    }

    fn remove(&self, buffer: &mut Buffer, entry: u32, now: Timestamp) -> State {
        let rank = buffer.unlink(entry);
        self.counters.state.fetch_sub(Word::waiter(rank), Ordering::AcqRel);
        self.publish(buffer, now);
        buffer.free(entry)
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

    /// Gives each tier that has none a counter, and says where permits are counted from now on.
    pub(crate) fn count_shares(&self, buffer: &mut Buffer) {
        let places = buffer.count_at(&self.shares);
        self.gate.places.store(places.0, Ordering::Relaxed);
    }

    /// Brings the buffer up to `now`, and what is read without the lock up to the buffer.
    pub(crate) fn publish(&self, buffer: &mut Buffer, now: Timestamp) {
        let service = self.counters.service();
        buffer.refresh(now, service, &self.shares);
        // Relaxed: the words stand for themselves, nothing else is read on the strength of them. Written only on change:
        // a write takes the line from every core that reads it.
        let write = |word: &AtomicU64, new| {
            if word.load(Ordering::Relaxed) != new {
                word.store(new, Ordering::Relaxed);
            }
        };
        let (gate, floors) = buffer.gate(service);
        write(&self.gate.floors, floors.0);
        write(&self.gate.gate, gate.0);
        let mut last = 0;
        let mut estimates = buffer.estimates().map(saturating_nanos);
        for published in &self.gate.estimates {
            // Tiers that do not exist read as the last one.
            last = estimates.next().unwrap_or(last);
            write(published, last);
        }
    }

    fn read_gate(&self) -> Gate {
        Gate(self.gate.gate.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("gate", &self.read_gate())
            .field("state", &self.counters.word())
            .field("limit", &self.counters.limit())
            .field("service", &self.counters.service())
            .field("latest", &self.counters.latest())
            .field("buffer", &*lock(&self.buffer))
            .finish()
    }
}

/// What a waiter that is off its queue is told.
fn settled(state: State) -> Result<Given, Rejection> {
    match state {
        State::Granted(given) => Ok(given),
        State::Refused(rejection) => Err(rejection),
        // Neither of the two is ever off its queue with a ticket.
        State::Free | State::Waiting(_) => Err(Rejection::BufferFull),
    }
}
