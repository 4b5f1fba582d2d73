//! What happens in a sale, event by event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex};
use std::task::Wake;
use std::time::Duration;

use floodgate_limiter::{
    Calendar, Class, Decision, Entry, EntrySettings, Limiter, Load, Rank, Returns, Standing,
    TierId, Timestamp,
};

use super::{Outcome, STEPS, Sale, limits};

mod customer;
mod refused;
mod rng;
mod served;

use customer::Customer;
use rng::Rng;

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Event {
    Intent,
    Bot,
    Ask(usize),
    Served(usize),
    WaitedLong(usize, u32),
    Tick,
}

/// Whose ticket has an answer.
struct Bell {
    who: usize,
    rung: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.lock().unwrap().push(self.who);
    }
}

pub struct Run {
    sale: Sale,
    rng: Rng,
    now: u64,
    seq: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    customers: Vec<Customer>,
    limiter: Arc<Limiter>,
    rung: Arc<Mutex<Vec<usize>>>,
    returns: Returns,
    pub entry: Arc<Entry>,
    calendar: Calendar,
    out: Outcome,
    busy: f64,
    holder_waits: (u64, f64),
    entry_waits: (u64, f64),
    nonce: u64,
    ages: f64,
    /// When each of them is free.
    workers: BinaryHeap<Reverse<u64>>,
}

pub fn run(sale: &Sale) -> Outcome {
    Run::new(sale.clone()).go()
}

impl Run {
    pub fn new(sale: Sale) -> Self {
        let settings = EntrySettings {
            steps: STEPS as u32,
            headroom: sale.headroom,
            ttl: Duration::from_secs(120),
            calls: 40,
            max_grants: 100_000,
        };
        Self {
            rng: Rng(sale.seed),
            now: 0,
            seq: 0,
            events: BinaryHeap::new(),
            customers: Vec::new(),
            limiter: Limiter::new(&limits(&sale, sale.permits.unwrap_or(sale.workers))),
            rung: Arc::default(),
            entry: Arc::new(Entry::new(settings, Timestamp::from_nanos(0))),
            calendar: Calendar::new(sale.seed),
            returns: Returns::new(100_000),
            out: Outcome {
                tenths: vec![0; ((sale.warm_up + sale.seconds) * 10.0) as usize + 1],
                ..Outcome::default()
            },
            busy: 0.0,
            holder_waits: (0, 0.0),
            entry_waits: (0, 0.0),
            nonce: 0,
            ages: 0.0,
            workers: (0..sale.relimit.map_or(0, |(_, limit)| limit).max(sale.workers))
                .map(|_| Reverse(0))
                .collect(),
            sale,
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.seq += 1;
        self.events.push(Reverse((time, self.seq, event)));
    }

    fn after(&mut self, seconds: f64, event: Event) {
        self.at(self.now + (seconds * 1e9) as u64, event);
    }

    pub fn go(mut self) -> Outcome {
        self.at(0, Event::Tick);
        self.at(0, Event::Intent);
        if self.sale.bots > 0.0 {
            self.at(0, Event::Bot);
        }
        let end = ((self.sale.warm_up + self.sale.seconds) * 1e9) as u64;
        while let Some(Reverse((time, _, event))) = self.events.pop() {
            if time >= end {
                break;
            }
            self.now = time;
            match event {
                Event::Intent => self.intent(),
                Event::Bot => self.bot(),
                Event::Ask(who) => self.ask(who),
                Event::Served(who) => self.served(who),
                Event::WaitedLong(who, wait) => self.waited_long(who, wait),
                Event::Tick => {
                    if let Some((when, limit)) = self.sale.relimit
                        && self.secs() >= when
                    {
                        self.limiter.apply(&limits(&self.sale, limit), self.ts());
                        self.answer();
                    }
                    self.tick();
                    self.after(0.01, Event::Tick);
                }
            }
        }
        let out = &mut self.out;
        let best = self.sale.capacity / STEPS as f64;
        let (from, to) = (self.sale.warm_up, self.sale.warm_up + self.sale.seconds);
        out.efficiency = out.rate(from, to) / best;
        out.holder_wait_ms = self.holder_waits.1 * 1e3 / self.holder_waits.0.max(1) as f64;
        out.entry_wait_ms = self.entry_waits.1 * 1e3 / self.entry_waits.0.max(1) as f64;
        out.utilisation = self.busy / (f64::from(self.sale.workers) * self.sale.seconds);
        out.entry_age_ms = self.ages * 1e3 / out.grants.max(1) as f64;
        self.out
    }

    /// Whether a customer came after the warm-up.
    fn counts(&self, who: usize) -> bool {
        self.customers[who].came as f64 / 1e9 >= self.sale.warm_up
    }

    fn fail(&mut self, who: usize) {
        if self.counts(who) {
            self.out.failed += 1;
            self.out.failed_by[self.customers[who].standing] += 1;
        }
    }

    fn secs(&self) -> f64 {
        self.now as f64 / 1e9
    }
    fn ts(&self) -> Timestamp {
        Timestamp::from_nanos(self.now)
    }

    fn tick(&self) {
        let load = Load { upstream: 1, totals: self.limiter.totals(), steps: STEPS as u32 };
        self.entry.tick(&[load], self.ts());
    }

    fn intent(&mut self) {
        let overload = if self.secs() < self.sale.quiet { 0.05 } else { self.sale.overload };
        let rate = self.sale.capacity / STEPS as f64 * overload;
        let next = self.rng.exponential(1.0 / rate);
        self.after(next, Event::Intent);
        let think = self.rng.between(self.sale.think[0]) / 1e3;
        let honours = self.rng.fraction() < self.sale.honour;
        self.out.intents += 1;
        let until = self.now + (self.sale.patience * 1e9) as u64;
        self.customers.push(Customer::new(false, honours, self.now, until));
        self.after(think, Event::Ask(self.customers.len() - 1));
    }

    fn bot(&mut self) {
        let next = self.rng.exponential(1.0 / self.sale.bots);
        self.after(next, Event::Bot);
        self.customers.push(Customer::new(true, false, self.now, u64::MAX));
        self.ask(self.customers.len() - 1);
    }

    fn ask(&mut self, who: usize) {
        self.tick();
        let now = self.now;
        if now >= self.customers[who].until {
            if self.customers[who].nonce.is_some() {
                self.fail(who);
            }
            return;
        }
        let ts = self.ts();
        let rank = if let Some(nonce) = self.customers[who].nonce {
            let customer = &self.customers[who];
            if self.entry.call(nonce, Timestamp::from_nanos(customer.expires), ts).is_err() {
                self.out.holders_refused += 1;
                return self.retry(who);
            }
            (2 + customer.step).min(7)
        } else {
            let standing = self.returns.standing(who as u64 + 1, ts);
            let spare = self.limiter.has_spare();
            let begun = if self.entry.peek(standing, spare, ts) {
                self.entry.take(standing, spare, ts)
            } else {
                None
            };
            let Some(begun) = begun else { return self.refuse(who) };
            let standing = match standing {
                Standing::New => 0,
                Standing::OnTime => 1,
                Standing::Early { .. } => 2,
            };
            self.customers[who].standing = standing;
            self.customers[who].begun = Some(begun);
            1
        };
        self.customers[who].asked = now;
        let class = Class { tier: TierId::new(0).unwrap(), rank: Rank::new(rank as u8) };
        match self.limiter.acquire(class, ts, ts + Duration::from_secs(5)) {
            Decision::Admit(permit) => self.serve(who, permit),
            Decision::Reject(_) => self.rejected(who),
            Decision::Wait(ticket) => {
                let expires = ticket.expires().as_nanos();
                let customer = &mut self.customers[who];
                customer.waits += 1;
                customer.ticket = Some(ticket);
                let waits = customer.waits;
                self.at(expires, Event::WaitedLong(who, waits));
                self.look_at(who);
            }
        }
        self.answer();
    }
}
