//! What becomes of those who are refused.

use floodgate_limiter::Standing;

use super::super::STEPS;
use super::{Event, Run};

impl Run {
    /// Refused behind entry control.
    pub(super) fn rejected(&mut self, who: usize) {
        if self.customers[who].nonce.is_some() {
            self.out.holders_refused += 1;
        } else {
            self.out.entries_refused_late += 1;
            self.customers[who].begun = None;
        }
        self.retry(who);
    }

    /// Refused by entry control.
    pub(super) fn refuse(&mut self, who: usize) {
        if self.customers[who].bot {
            return;
        }
        let (now, customer) = (self.ts(), who as u64 + 1);
        let told = match self.returns.standing(customer, now) {
            Standing::Early { told } => told,
            _ => {
                let per_second = self.sale.returns * self.sale.capacity / STEPS as f64;
                let told = self.calendar.book(now, per_second);
                self.returns.tell(customer, now, told);
                told
            }
        };
        if self.customers[who].honours {
            let wait = told.saturating_since(now).as_secs_f64() * self.rng.between((0.8, 1.2));
            return self.after(wait.max(0.05), Event::Ask(who));
        }
        self.retry(who);
    }

    pub(super) fn retry(&mut self, who: usize) {
        if self.customers[who].bot {
            return;
        }
        if self.customers[who].nonce.is_none() && self.rng.fraction() > 0.85 {
            return;
        }
        let wait = self.rng.between((0.2, 2.0));
        self.after(wait, Event::Ask(who));
    }
}
