//! From a permit to the next step.

use std::cmp::Reverse;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use floodgate_limiter::Permit;

use super::super::{Law, STEPS};
use super::{Bell, Event, MILLI, Run, SECOND};

impl Run {
    /// Looks whether a ticket has an answer.
    pub(super) fn look_at(&mut self, who: usize) {
        let Some(ticket) = &mut self.customers[who].ticket else { return };
        let waker = Waker::from(Arc::new(Bell { who, rung: Arc::clone(&self.rung) }));
        if let Poll::Ready(answer) = Pin::new(ticket).poll(&mut Context::from_waker(&waker)) {
            self.customers[who].ticket = None;
            match answer {
                Ok(permit) => self.serve(who, permit),
                Err(_) => self.rejected(who),
            }
        }
    }

    /// Looks at all tickets that may have an answer.
    pub(super) fn answer(&mut self) {
        loop {
            let rung = std::mem::take(&mut *self.rung.lock().unwrap());
            if rung.is_empty() {
                break;
            }
            for who in rung {
                self.look_at(who);
            }
        }
    }

    pub(super) fn waited_long(&mut self, who: usize, waits: u32) {
        if self.customers[who].waits != waits {
            return;
        }
        let Some(ticket) = self.customers[who].ticket.take() else { return };
        match ticket.expire(self.ts()) {
            Ok(permit) => self.serve(who, permit),
            Err(_) => self.rejected(who),
        }
        self.answer();
    }

    pub(super) fn serve(&mut self, who: usize, permit: Permit) {
        let waited = (self.now - self.customers[who].asked) as f64 / 1e9;
        self.customers[who].permit = Some(permit);
        if self.customers[who].nonce.is_some() {
            self.holder_waits.0 += 1;
            self.holder_waits.1 += waited;
            self.out.holder_wait_max_ms = self.out.holder_wait_max_ms.max(waited * 1e3);
        } else {
            self.entry_waits.0 += 1;
            self.entry_waits.1 += waited;
        }
        let mut capacity = self.sale.capacity;
        if let Some((when, times)) = self.sale.change
            && self.secs() >= when
        {
            capacity *= times;
        }
        let mean = f64::from(self.sale.workers) / capacity;
        let service = match self.sale.law {
            Law::Exponential => self.rng.exponential(mean),
            Law::Uniform => self.rng.between((0.0, 2.0 * mean)),
            Law::Fixed => mean,
        };
        let Reverse(free) = self.workers.pop().unwrap();
        let done = self.now.max(free) + (service * 1e9) as u64;
        self.workers.push(Reverse(done));
        if self.secs() >= self.sale.warm_up {
            self.busy += service;
        }
        self.at(done, Event::Served(who));
    }

    pub(super) fn served(&mut self, who: usize) {
        if let Some((from, to)) = self.sale.freeze
            && (from..to).contains(&self.secs())
        {
            let until = (to * 1e9) as u64;
            self.workers =
                self.workers.drain().map(|Reverse(free)| Reverse(free.max(until))).collect();
            return self.after(to - from, Event::Served(who));
        }
        if let Some(permit) = self.customers[who].permit.take() {
            permit.release(self.ts());
        }
        self.answer();
        let now = self.ts();
        if let Some(begun) = self.customers[who].begun.take() {
            self.nonce += 1;
            let nonce = self.nonce.wrapping_mul(0xd6e8_feb8_6659_fd93);
            begun.grant(nonce, now);
            self.customers[who].nonce = Some(nonce);
            self.customers[who].expires = self.now + 120 * SECOND;
            if self.customers[who].bot {
                self.out.bot_grants += 1;
                return;
            }
            self.out.grants += 1;
            if self.secs() >= self.sale.warm_up {
                self.out.standing[self.customers[who].standing] += 1;
            }
            self.ages += (self.now - self.customers[who].came) as f64 / 1e9;
            self.out.in_progress_max =
                self.out.in_progress_max.max(self.entry.status().in_progress);
        }
        let customer = &mut self.customers[who];
        customer.step += 1;
        if customer.step == STEPS {
            let nonce = customer.nonce.unwrap();
            if self.now <= customer.until {
                if self.counts(who) {
                    self.out.holders_finished += 1;
                }
                self.out.tenths[(self.now / (100 * MILLI)) as usize] += 1;
            } else {
                self.fail(who);
            }
            self.entry.finish(nonce, now);
            return;
        }
        if self.rng.fraction() < self.sale.abandon {
            self.out.abandoned += 1;
            return;
        }
        let think = self.rng.between(self.sale.think[self.customers[who].step]) / 1e3;
        self.after(think, Event::Ask(who));
    }
}
