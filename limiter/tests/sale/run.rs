//! What happens in a sale, event by event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use floodgate_limiter::{
    Begun, Calendar, Class, Decision, Entry, EntrySettings, Limiter, Load, Permit, Rank, Returns,
    Standing, Ticket, TierId, Timestamp,
};

use super::{Law, Outcome, STEPS, Sale, limits};

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.fraction()).ln()
    }
    fn between(&mut self, (from, to): (f64, f64)) -> f64 {
        from + (to - from) * self.fraction()
    }
}

struct Customer {
    bot: bool,
    honours: bool,
    came: u64,
    until: u64,
    step: usize,
    nonce: Option<u64>,
    expires: u64,
    begun: Option<Begun>,
    /// Which wait of this customer is the running one.
    ticket: Option<Ticket>,
    permit: Option<Permit>,
    asked: u64,
    /// How often it has waited for a permit.
    waits: u32,
    standing: usize,
}

impl Customer {
    fn new(bot: bool, honours: bool, came: u64, until: u64) -> Self {
        Self {
            bot,
            honours,
            came,
            until,
            step: 0,
            nonce: None,
            expires: 0,
            begun: None,
            ticket: None,
            permit: None,
            asked: 0,
            waits: 0,
            standing: 0,
        }
    }
}

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

    /// Looks whether a ticket has an answer.
    fn look_at(&mut self, who: usize) {
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
    fn answer(&mut self) {
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

    fn waited_long(&mut self, who: usize, waits: u32) {
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

    fn serve(&mut self, who: usize, permit: Permit) {
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

    fn served(&mut self, who: usize) {
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

    /// Refused behind entry control.
    fn rejected(&mut self, who: usize) {
        if self.customers[who].nonce.is_some() {
            self.out.holders_refused += 1;
        } else {
            self.out.entries_refused_late += 1;
            self.customers[who].begun = None;
        }
        self.retry(who);
    }

    /// Refused by entry control.
    fn refuse(&mut self, who: usize) {
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

    fn retry(&mut self, who: usize) {
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
