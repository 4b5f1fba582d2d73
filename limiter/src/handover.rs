//! Permits that come back, and who has them next.

use std::task::Waker;
use std::time::Duration;

use crate::buffer::Buffer;
use crate::class::Rank;
use crate::limiter::Limiter;
use crate::rejection::Rejection;
use crate::sync::Ordering;
use crate::timestamp::Timestamp;
use crate::wakers::Wakers;
use crate::word::{IN_FLIGHT, Word};

impl Limiter {
    /// Hands a permit to the next waiter, or gives it back; `service` is how long it was used, if that counts.
    pub(crate) fn give_back(&self, service: Option<Duration>, now: Timestamp) {
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
            let others = self.counters.word().in_flight().saturating_sub(1);
            let Some(next) = self.next(buffer, others) else {
                self.counters.state.fetch_sub(IN_FLIGHT, Ordering::AcqRel);
                return true;
            };
            let rank = buffer.unlink(next);
            self.counters.state.fetch_sub(Word::waiter(rank), Ordering::AcqRel);
            if let Some(cause) = buffer.expiry(next, now) {
                wakers.push(buffer.refuse(next, cause));
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
            let Some(next) = self.next(buffer, word.in_flight()) else { return true };
            let waiter = Word::waiter(buffer.entry(next).rank);
            if let Some(cause) = buffer.expiry(next, now) {
                buffer.unlink(next);
                self.counters.state.fetch_sub(waiter, Ordering::AcqRel);
                wakers.push(buffer.refuse(next, cause));
            } else if self.counters.exchange(word, word.0 + IN_FLIGHT - waiter).is_ok() {
                // A preferred newcomer may have been faster: then it is judged anew.
                buffer.unlink(next);
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

    /// Who is to have a permit that is free while `in_flight` others are out, if anybody.
    pub(crate) fn next(&self, buffer: &Buffer, in_flight: u32) -> Option<u32> {
        let limit = self.counters.limit();
        if in_flight < limit.ordinary() {
            buffer.next(Rank::ORDINARY)
        } else if in_flight < limit.all() {
            buffer.next(Rank::new(1))
        } else {
            None
        }
    }

    /// Gives the waiter at `entry`, off its queue, a permit; and what is to be woken.
    pub(crate) fn grant(&self, buffer: &mut Buffer, entry: u32, now: Timestamp) -> Option<Waker> {
        let (waker, wait) = buffer.grant(entry, now);
        self.counters.count(buffer.entry(entry).rank, wait);
        waker
    }
}
