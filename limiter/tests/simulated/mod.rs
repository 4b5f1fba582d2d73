//! An upstream in virtual time: `servers` that serve one request each, and a queue before them.
//!
//! Half of a service time is the same for all, half is exponential. Beyond as many requests as servers nothing more is served and all of them wait longer: the
//! knee, and the best limit, is the number of servers. The limiter is the real one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::{
    Adaptive, AdaptiveSeen, AdaptiveSettings, AdaptiveStatus, Decision, Limiter, Limits, Permit,
    TierId, TierLimits, Timestamp, Watermarks,
};

const TICK: u64 = 20_000_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Upstream {
    pub(crate) servers: u32,
    pub(crate) millis: f64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Demand {
    /// Whatever is free is taken at once.
    Endless,
    /// As many arrive, at random.
    PerSecond(f64),
}

/// The limiter, the limit and the upstream, and what they did.
pub(crate) struct Run {
    limiter: Arc<Limiter>,
    limits: Limits,
    adaptive: Adaptive,
    upstream: Upstream,
    demand: Demand,
    frozen: bool,
    now: u64,
    next_tick: u64,
    next_arrival: u64,
    random: u64,
    /// When which of the services ends.
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    served: Vec<Option<Permit>>,
    free: Vec<usize>,
    busy: u32,
    queue: VecDeque<Permit>,
    /// Per tick: seconds, the limit that was found, services so far, the limit that ruled.
    trace: Vec<(f64, f64, u64, u32)>,
}

impl Run {
    pub(crate) fn new(upstream: Upstream, settings: AdaptiveSettings, seed: u64) -> Self {
        let tier = TierLimits {
            max_wait: Duration::ZERO,
            weight: NonZeroU32::MIN,
            watermarks: Watermarks::new(0.95, 0.8).unwrap(),
        };
        let limits = Limits::new(settings.start(), 0, vec![tier]).unwrap();
        Self {
            limiter: Limiter::new(&limits),
            limits,
            adaptive: Adaptive::new(settings, Timestamp::default()),
            upstream,
            demand: Demand::Endless,
            frozen: false,
            now: 0,
            next_tick: 0,
            next_arrival: 0,
            random: seed,
            ends: BinaryHeap::new(),
            served: Vec::new(),
            free: Vec::new(),
            busy: 0,
            queue: VecDeque::new(),
            trace: Vec::new(),
        }
    }

    pub(crate) fn demand(&mut self, demand: Demand) {
        self.demand = demand;
        self.next_arrival = self.now;
    }

    pub(crate) fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    pub(crate) fn set_millis(&mut self, millis: f64) {
        self.upstream.millis = millis;
    }

    pub(crate) fn set_servers(&mut self, servers: u32) {
        self.upstream.servers = servers;
    }

    /// Goes on until so many seconds from the beginning.
    pub(crate) fn go(&mut self, seconds: f64) {
        let end = (seconds * 1e9) as u64;
        self.arrive();
        loop {
            let service = self.ends.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
            let arrival = match self.demand {
                Demand::Endless => u64::MAX,
                Demand::PerSecond(_) => self.next_arrival,
            };
            let next = service.min(self.next_tick).min(arrival);
            if next > end {
                break;
            }
            self.now = next;
            if next == service {
                self.end_service();
            } else if next == self.next_tick {
                self.tick();
            }
            self.arrive();
        }
    }

    pub(crate) fn status(&self) -> AdaptiveStatus {
        self.adaptive.status()
    }

    pub(crate) fn adaptive(&self) -> &Adaptive {
        &self.adaptive
    }

    pub(crate) fn ruling(&self) -> u32 {
        self.limiter.totals().limit
    }

    /// Seconds from `from` until the mean of every second of the next five is within 15 % of `best`, and of
    /// the five together too.
    pub(crate) fn settled_after(&self, from: f64, best: f64) -> f64 {
        let is_near =
            |from: f64, to: f64| (self.mean_and_deviation(from, to).0 / best - 1.0).abs() <= 0.15;
        let near = |at: f64| {
            (0..5).filter(|&n| is_near(at + f64::from(n), at + f64::from(n) + 1.0)).count() >= 4
        };
        let last = self.trace.last().unwrap().0 - 5.0;
        let mut at = from;
        while at < last {
            if near(at) && is_near(at, at + 5.0) {
                return at - from;
            }
            at += 0.1;
        }
        f64::INFINITY
    }

    pub(crate) fn mean_and_deviation(&self, from: f64, to: f64) -> (f64, f64) {
        let limits: Vec<f64> = self.found(from, to).collect();
        let count = limits.len() as f64;
        let mean = limits.iter().sum::<f64>() / count;
        let squares = limits.iter().map(|limit| (limit - mean).powi(2)).sum::<f64>();
        (mean, (squares / count).sqrt())
    }

    pub(crate) fn extremes(&self, from: f64, to: f64) -> (f64, f64) {
        let both = |(least, most): (f64, f64), limit: f64| (least.min(limit), most.max(limit));
        self.found(from, to).fold((f64::INFINITY, 0.0), both)
    }

    /// The least that ruled.
    pub(crate) fn least_ruling(&self, from: f64, to: f64) -> u32 {
        let within = self.trace.iter().filter(|(at, ..)| (from..to).contains(at));
        within.map(|(.., limit)| *limit).min().unwrap()
    }

    /// Requests per second.
    pub(crate) fn served(&self, from: f64, to: f64) -> f64 {
        let at = |second: f64| self.trace.iter().find(|(at, ..)| *at >= second).unwrap().2;
        let last = to.min(self.trace.last().unwrap().0);
        (at(last) - at(from)) as f64 / (last - from)
    }

    pub(crate) fn upstream_capacity(&self) -> f64 {
        f64::from(self.upstream.servers) / self.upstream.millis * 1e3
    }

    fn found(&self, from: f64, to: f64) -> impl Iterator<Item = f64> {
        let within = move |at: &f64| (from..to).contains(at);
        self.trace.iter().filter(move |(at, ..)| within(at)).map(|(_, limit, ..)| *limit)
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_nanos(self.now)
    }

    fn tick(&mut self) {
        self.next_tick = self.now + TICK;
        let status = self.limiter.status(self.at());
        let seen = AdaptiveSeen {
            totals: self.limiter.totals(),
            in_flight: status.in_flight,
            pressure: 0.0,
            frozen: self.frozen,
        };
        let limit = self.adaptive.tick(&seen, self.at());
        self.limiter.resize(&self.limits.clone().resized(limit), self.at());
        let found = self.adaptive.status().limit;
        self.trace.push((self.now as f64 / 1e9, found, seen.totals.services, limit));
    }

    fn arrive(&mut self) {
        let tier = TierId::new(0).unwrap();
        loop {
            if let Demand::PerSecond(rate) = self.demand {
                if self.next_arrival > self.now {
                    return;
                }
                self.next_arrival = self.now + (self.exponential() * 1e9 / rate) as u64;
            }
            match self.limiter.acquire(tier, self.at(), Timestamp::MAX) {
                Decision::Admit(permit) => self.queue.push_back(permit),
                _ if matches!(self.demand, Demand::Endless) => return,
                _ => {}
            }
            self.begin_services();
        }
    }

    fn begin_services(&mut self) {
        while self.busy < self.upstream.servers {
            let Some(permit) = self.queue.pop_front() else { return };
            let place = self.free.pop().unwrap_or(self.served.len());
            if place == self.served.len() {
                self.served.push(None);
            }
            self.served[place] = Some(permit);
            self.busy += 1;
            let length = ((0.5 + 0.5 * self.exponential()) * self.upstream.millis * 1e6) as u64;
            self.ends.push(Reverse((self.now + length, place)));
        }
    }

    fn end_service(&mut self) {
        let Some(Reverse((_, place))) = self.ends.pop() else { return };
        let permit = self.served[place].take().unwrap();
        self.free.push(place);
        self.busy -= 1;
        permit.release(self.at());
        self.begin_services();
    }

    /// With a mean of 1.
    fn exponential(&mut self) -> f64 {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let uniform = ((mixed ^ mixed >> 31) >> 11) as f64 / (1_u64 << 53) as f64;
        -(1.0 - uniform).ln()
    }
}
