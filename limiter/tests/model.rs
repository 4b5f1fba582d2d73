//! Random lives of a limiter against a shadow model that is too simple to be wrong.
//!
//! The model keeps who is in flight and who waits in plain vectors, polls every ticket after every step, and judges what has
//! become of each. A failure prints its seed; `MODEL_SEED=<seed>` repeats it alone, `MODEL_SEEDS=<n>` runs more.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::{Decision, Limiter, Limits, Permit, Rejection, Ticket, Timestamp};
use support::{Random, answer, id, tier};

const STEPS: u64 = 600;

#[test]
fn any_life_of_a_limiter_agrees_with_the_model() {
    let number = |name| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MODEL_SEEDS").unwrap_or(400),
    };
    for seed in seeds {
        let life = std::panic::AssertUnwindSafe(|| Model::new(seed).live());
        if let Err(panic) = std::panic::catch_unwind(life) {
            eprintln!("repeat with MODEL_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

struct Waiter {
    ticket: Ticket,
    cause: Rejection,
}

#[derive(Default)]
struct Ledger {
    arrivals: u64,
    admitted: u64,
    rejected: u64,
    abandoned: u64,
}

/// What a step may do to those who wait.
#[derive(Default)]
struct Allowed {
    grants: usize,
    /// A permit was dropped, which goes by the time the limiter saw last.
    stale: bool,
    /// A newcomer of this tier may have pushed one waiter out.
    displaced_by: Option<usize>,
    /// All are refused for this.
    all: Option<Rejection>,
}

struct Model {
    random: Random,
    limiter: Arc<Limiter>,
    now: Timestamp,
    limits: Limits,
    draining: bool,
    permits: Vec<Permit>,
    queues: Vec<Vec<Waiter>>,
    ledger: Ledger,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let limits = limits(&mut random);
        Self {
            random,
            limiter: Limiter::new(&limits),
            now: Timestamp::from_nanos(0),
            queues: limits.tiers().iter().map(|_| vec![]).collect(),
            limits,
            draining: false,
            permits: vec![],
            ledger: Ledger::default(),
        }
    }

    fn live(mut self) {
        for step in 0..STEPS {
            let allowed = match self.random.below(100) {
                0..50 => self.arrive(),
                50..72 => self.release(),
                72..80 => self.cancel(),
                80..85 => self.expire(),
                85..98 => {
                    self.now = self.now + Duration::from_micros(self.random.below(20_000));
                    Allowed::default()
                }
                98 => self.apply(),
                _ if step > STEPS * 9 / 10 => self.drain(),
                _ => Allowed::default(),
            };
            self.settle(&allowed);
            self.check();
        }
        // In the end everybody leaves, and nothing is left behind.
        self.permits.clear();
        self.queues.clear();
        let status = self.limiter.status(self.now);
        assert_eq!((status.in_flight, status.waiting), (0, 0));
    }

    fn waiting(&self) -> usize {
        self.queues.iter().map(Vec::len).sum()
    }

    fn is_free(&self) -> bool {
        self.waiting() == 0 && self.permits.len() < self.limits.max_in_flight() as usize
    }

    fn arrive(&mut self) -> Allowed {
        self.ledger.arrivals += 1;
        let tier = self.random.below(self.queues.len() as u64) as usize;
        let deadline = match self.random.below(4) {
            0 => self.now + Duration::from_micros(self.random.below(50_000)),
            _ => Timestamp::MAX,
        };
        let estimate = self.limiter.estimated_wait(id(tier));
        let max_wait = self.limits.tiers()[tier].max_wait;
        match self.limiter.acquire(id(tier), self.now, deadline) {
            Decision::Admit(permit) => {
                assert!(self.is_free() && !self.draining && deadline > self.now);
                self.ledger.admitted += 1;
                self.permits.push(permit);
            }
            Decision::Wait(ticket) => {
                assert!(!self.is_free() && !self.draining && self.limits.max_in_flight() > 0);
                assert!(self.limits.buffer() > 0 && !max_wait.is_zero());
                assert_eq!(ticket.expires(), (self.now + max_wait).min(deadline));
                let by_deadline = ticket.expires() == deadline;
                let cause = if by_deadline { Rejection::Deadline } else { Rejection::QueueTimeout };
                self.queues[tier].push(Waiter { ticket, cause });
                return Allowed { displaced_by: Some(tier), ..Allowed::default() };
            }
            Decision::Reject(rejection) => {
                self.ledger.rejected += 1;
                match rejection {
                    Rejection::Draining => assert!(self.draining),
                    Rejection::Closed => assert_eq!(self.limits.max_in_flight(), 0),
                    Rejection::Deadline => {
                        assert!(deadline <= self.now || self.now + estimate > deadline);
                    }
                    Rejection::QueueTimeout => {
                        assert!(self.waiting() >= self.limits.max_in_flight() as usize);
                    }
                    Rejection::BufferFull | Rejection::Watermark => {
                        assert!(!self.is_free());
                        let never_waits = max_wait.is_zero() || self.limits.buffer() == 0;
                        assert!(never_waits || self.waiting() > 0);
                        for lower in tier + 1..self.queues.len() {
                            assert!(
                                never_waits || self.limiter.check(id(lower)).is_err(),
                                "tier {tier} refused for {rejection} while {lower} is let in"
                            );
                        }
                    }
                    Rejection::Rate => unreachable!(),
                }
            }
        }
        Allowed::default()
    }

    fn release(&mut self) -> Allowed {
        if self.permits.is_empty() {
            return Allowed::default();
        }
        let permit =
            self.permits.swap_remove(self.random.below(self.permits.len() as u64) as usize);
        let stale = self.random.one_in(8);
        if stale {
            drop(permit);
        } else {
            permit.release(self.now);
        }
        // One who leaves before it has looked passes the permit on.
        if self.random.one_in(4) {
            self.cancel();
        }
        Allowed { grants: 1, stale, ..Allowed::default() }
    }

    fn cancel(&mut self) -> Allowed {
        if let Some((tier, place)) = self.any_waiter() {
            self.ledger.abandoned += 1;
            drop(self.queues[tier].remove(place));
        }
        Allowed::default()
    }

    fn expire(&mut self) -> Allowed {
        if let Some((tier, place)) = self.any_waiter() {
            let waiter = self.queues[tier].remove(place);
            self.now = self.now.max(waiter.ticket.expires());
            assert_eq!(waiter.ticket.expire(self.now).unwrap_err(), waiter.cause);
            self.ledger.rejected += 1;
        }
        Allowed::default()
    }

    fn apply(&mut self) -> Allowed {
        self.limits = limits(&mut self.random);
        self.limiter.apply(&self.limits, self.now);
        let tiers = self.limits.tiers().len();
        let gone: Vec<Waiter> =
            self.queues.drain(tiers.min(self.queues.len())..).flatten().collect();
        self.queues.resize_with(tiers, Vec::new);
        self.queues[tiers - 1].extend(gone);
        let grants = (self.limits.max_in_flight() as usize).saturating_sub(self.permits.len());
        let all = (self.limits.max_in_flight() == 0).then_some(Rejection::Closed);
        Allowed { grants, all, ..Allowed::default() }
    }

    fn drain(&mut self) -> Allowed {
        self.draining = true;
        self.limiter.drain(self.now);
        Allowed { all: Some(Rejection::Draining), ..Allowed::default() }
    }

    fn any_waiter(&mut self) -> Option<(usize, usize)> {
        let mut place = self.random.below(self.waiting().max(1) as u64) as usize;
        self.queues.iter().enumerate().find_map(|(tier, queue)| {
            let found = (place < queue.len()).then_some((tier, place));
            place = place.saturating_sub(queue.len());
            found
        })
    }

    /// Looks at every ticket and judges its answer.
    fn settle(&mut self, allowed: &Allowed) {
        let (mut grants, mut displaced) = (0, 0);
        let mut lowest_granted = 0;
        for (tier, queue) in self.queues.iter_mut().enumerate() {
            let mut passed_over = false;
            let mut left = vec![];
            for mut waiter in queue.drain(..) {
                match answer(&mut waiter.ticket) {
                    None => {
                        passed_over = true;
                        left.push(waiter);
                        continue;
                    }
                    Some(Ok(permit)) => {
                        assert!(!passed_over, "not first in, first out");
                        let in_time = waiter.ticket.expires() > self.now;
                        assert!(in_time || allowed.stale, "served too late");
                        grants += 1;
                        lowest_granted = tier;
                        self.ledger.admitted += 1;
                        self.permits.push(permit);
                    }
                    Some(Err(rejection)) => {
                        self.ledger.rejected += 1;
                        if Some(rejection) == allowed.all {
                            continue;
                        }
                        if rejection == Rejection::BufferFull {
                            assert!(allowed.displaced_by.is_some_and(|by| by < tier));
                            displaced += 1;
                        } else {
                            assert_eq!(rejection, waiter.cause);
                            assert!(waiter.ticket.expires() <= self.now);
                            assert!(!passed_over, "expired out of turn");
                        }
                    }
                }
            }
            *queue = left;
        }
        assert!(grants <= allowed.grants, "{grants} permits out of {}", allowed.grants);
        assert!(displaced <= 1);
        assert!(
            lowest_granted == 0 || self.queues[0].is_empty(),
            "a lower tier was served before the first"
        );
    }

    fn check(&self) {
        let status = self.limiter.status(self.now);
        assert_eq!(status.in_flight as usize, self.permits.len());
        assert_eq!(status.limit, self.limits.max_in_flight());
        assert_eq!(status.waiting as usize, self.waiting());
        for (tier, queue) in status.tiers.iter().zip(&self.queues) {
            assert_eq!(tier.waiting as usize, queue.len());
        }
        assert!(status.waiting == 0 || status.in_flight >= status.limit, "permits lie idle");
        let Ledger { arrivals, admitted, rejected, abandoned } = self.ledger;
        assert_eq!(arrivals, admitted + rejected + abandoned + u64::from(status.waiting));
    }
}

fn limits(random: &mut Random) -> Limits {
    let tiers = (0..1 + random.below(4))
        .map(|_| {
            let high = 0.1 + random.below(10) as f64 / 10.0;
            let max_wait = random.below(6) * 20;
            tier(max_wait, 1 + random.below(5) as u32, high.min(1.0), high * 0.7)
        })
        .collect();
    let max_in_flight = random.below(6) as u32;
    let buffer = random.below(20) as u32;
    Limits::new(max_in_flight, buffer, tiers)
        .unwrap()
        .trip_spacing(Duration::from_millis(random.below(200)))
}
