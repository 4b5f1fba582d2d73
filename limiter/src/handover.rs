//! Permits that come back, and who has them next.

use std::task::Waker;
use std::time::Duration;

use crate::buffer::{Buffer, Next};
use crate::class::Rank;
use crate::limiter::Limiter;
use crate::permit::Given;
use crate::rejection::Rejection;
use crate::shares::Share;
use crate::sync::Ordering;
use crate::timestamp::Timestamp;
use crate::wakers::Wakers;
use crate::word::{IN_FLIGHT, Word};

impl Limiter {
    /// Hands a permit, counted as `share`, to the next waiter, or gives it back; `service` is how long it was used, if that
    /// counts.
    pub(crate) fn give_back(&self, share: Share, service: Option<Duration>, now: Timestamp) {
        self.shares.leave(share);
        self.counters.see(now);
        if let Some(service) = service {
            self.counters.measure(service);
        }
        let mut word = Word(self.counters.state.load(Ordering::Relaxed));
        while !word.has_waiting() {
            match self.counters.exchange(word, word.0 - IN_FLIGHT) {
                Ok(()) => return,
                Err(changed) => word = changed,
            }
        }
        self.in_batches(now, |buffer, wakers| self.hand_over(buffer, wakers, now));
    }

    /// Whether the permit is gone: to a waiter that can still use it, or back.
    fn hand_over(&self, buffer: &mut Buffer, wakers: &mut Wakers, now: Timestamp) -> bool {
        while !wakers.is_full() {
            // As if this one were free. Above a limit that was lowered it is not replaced; and it may be one of those that
            // are kept for others than who waits.
            let preferred = if buffer.has_guarantees() { self.shares.preferred() } else { 0 };
            let others = self.counters.word().in_flight().saturating_sub(1);
            // Those above the ordinary rank are guaranteed nothing by what is kept for them: whoever is guaranteed a permit
            // may have it as long as the ordinary ones leave alone what is.
            let Some(next) = self.next(buffer, others, others.saturating_sub(preferred)) else {
                self.counters.state.fetch_sub(IN_FLIGHT, Ordering::AcqRel);
                return true;
            };
            let rank = buffer.unlink(next.entry);
            self.counters.state.fetch_sub(Word::waiter(rank), Ordering::AcqRel);
            if let Some(cause) = buffer.expiry(next.entry, now) {
                wakers.push(buffer.refuse(next.entry, cause));
            } else {
                wakers.push(self.grant(buffer, next, now));
                return true;
            }
        }
        false
    }

    /// Whether all permits that are free have been given to the waiters they are for.
    pub(crate) fn hand_out(
        &self,
        buffer: &mut Buffer,
        wakers: &mut Wakers,
        now: Timestamp,
    ) -> bool {
        while !wakers.is_full() {
            let word = self.counters.word();
            let in_flight = word.in_flight();
            let Some(next) = self.next(buffer, in_flight, in_flight) else { return true };
            let waiter = Word::waiter(buffer.entry(next.entry).rank);
            if let Some(cause) = buffer.expiry(next.entry, now) {
                buffer.unlink(next.entry);
                self.counters.state.fetch_sub(waiter, Ordering::AcqRel);
                wakers.push(buffer.refuse(next.entry, cause));
            } else if self.counters.exchange(word, word.0 + IN_FLIGHT - waiter).is_ok() {
                // A preferred newcomer may have been faster: then it is judged anew.
                buffer.unlink(next.entry);
                wakers.push(self.grant(buffer, next, now));
            }
        }
        false
    }

    /// Whether no waiter is left.
    pub(crate) fn refuse_all(
        &self,
        buffer: &mut Buffer,
        wakers: &mut Wakers,
        rejection: Rejection,
    ) -> bool {
        while !wakers.is_full() {
            let Some(next) = buffer.next(Rank::ORDINARY) else { return true };
            let rank = buffer.unlink(next);
            self.counters.state.fetch_sub(Word::waiter(rank), Ordering::AcqRel);
            wakers.push(buffer.refuse(next, rejection));
        }
        false
    }

    /// Who is to have a permit that is free while `in_flight` others are out, at most `ordinary` of them of the ordinary
    /// rank, if anybody: first who is guaranteed one.
    fn next(&self, buffer: &Buffer, in_flight: u32, ordinary: u32) -> Option<Next> {
        let limit = self.counters.limit();
        if in_flight >= limit.all() {
            return None;
        }
        let lowest = |count| {
            if count < limit.ordinary() { Rank::ORDINARY } else { Rank::new(1) }
        };
        if buffer.has_guarantees() {
            let next = buffer.next_guaranteed(lowest(ordinary), &self.shares);
            if let Some(entry) = next {
                return Some(Next { entry, is_guaranteed: true });
            }
        }
        let entry = buffer.next(lowest(in_flight))?;
        Some(Next { entry, is_guaranteed: false })
    }

    /// Gives the waiter that is `next`, off its queue, a permit; and what is to be woken.
    fn grant(&self, buffer: &mut Buffer, next: Next, now: Timestamp) -> Option<Waker> {
        let share = buffer.share(next.entry);
        self.shares.enter(share);
        let (waker, wait) = buffer.grant(next, Given::new(now, share));
        self.counters.count(buffer.entry(next.entry).rank, wait);
        waker
    }
}
