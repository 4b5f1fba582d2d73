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

use floodgate_limiter::{
    Decision, Limiter, Limits, MAX_RANKS, Permit, Rejection, Ticket, Timestamp,
};
use support::{Asks, Random, answer, tier};

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
    services: u64,
    service_nanos: u64,
    /// Permits that were collected by those of rank 2 or above.
    ranked: u64,
}

/// The waiters of a tier, rank by rank.
type Queue = [Vec<Waiter>; MAX_RANKS];

/// What a step may do to those who wait.
#[derive(Default)]
struct Allowed {
    grants: usize,
    /// A permit was dropped, which goes by the time the limiter saw last.
    stale: bool,
    /// A newcomer of this tier and rank may have pushed one waiter out.
    displaced_by: Option<(usize, usize)>,
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
    queues: Vec<Queue>,
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
            queues: limits.tiers().iter().map(|_| Queue::default()).collect(),
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

    /// Waiters of rank `lowest` or above.
    fn waiting(&self, lowest: usize) -> usize {
        self.queues.iter().flat_map(|queue| &queue[lowest..]).map(Vec::len).sum()
    }

    /// Up to how many may be in flight when one of `rank` gets a permit.
    fn limit(&self, rank: usize) -> usize {
        let reserved = if rank == 0 { self.limits.reserved_permits() } else { 0 };
        (self.limits.max_in_flight() - reserved) as usize
    }

    fn is_free(&self, rank: usize) -> bool {
        self.waiting(rank.min(1)) == 0 && self.permits.len() < self.limit(rank)
    }

    fn arrive(&mut self) -> Allowed {
        self.ledger.arrivals += 1;
        let tier = self.random.below(self.queues.len() as u64) as usize;
        let rank = [0, 0, 0, 1, 2, 2, 3, 7][self.random.below(8) as usize];
        let class = (tier, rank as u8).class();
        let deadline = match self.random.below(4) {
            0 => self.now + Duration::from_micros(self.random.below(50_000)),
            _ => Timestamp::MAX,
        };
        let estimate = self.limiter.estimated_wait(class);
        assert_eq!(self.limiter.has_spare(), self.is_free(0));
        let max_wait = self.limits.tiers()[tier].max_wait;
        match self.limiter.acquire(class, self.now, deadline) {
            Decision::Admit(permit) => {
                assert!(self.is_free(rank) && !self.draining && deadline > self.now);
                self.ledger.admitted += 1;
                self.ledger.ranked += u64::from(rank >= 2);
                self.permits.push(permit);
            }
            Decision::Wait(ticket) => {
                assert!(!self.is_free(rank) && !self.draining && self.limits.max_in_flight() > 0);
                assert!(self.limits.buffer() > 0 && !max_wait.is_zero());
                assert_eq!(ticket.expires(), (self.now + max_wait).min(deadline));
                let by_deadline = ticket.expires() == deadline;
                let cause = if by_deadline { Rejection::Deadline } else { Rejection::QueueTimeout };
                self.queues[tier][rank].push(Waiter { ticket, cause });
                return Allowed { displaced_by: Some((tier, rank)), ..Allowed::default() };
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
                        assert!(!self.is_free(rank) && self.waiting(0) >= self.limit(rank));
                    }
                    Rejection::BufferFull | Rejection::Watermark => {
                        assert!(!self.is_free(rank));
                        let never_waits = max_wait.is_zero() || self.limits.buffer() == 0;
                        assert!(never_waits || self.waiting(0) > 0);
                        // The preferred are refused for a buffer that is full of those they cannot push out, and for
                        // nothing else.
                        let movable = || {
                            let lower = self.queues[tier + 1..].iter().flatten().map(Vec::len);
                            lower
                                .chain(self.queues[tier][..rank].iter().map(Vec::len))
                                .sum::<usize>()
                        };
                        let full = || self.waiting(0) >= self.limits.buffer() as usize;
                        assert!(never_waits || rank == 0 || (full() && movable() == 0));
                        let lower_tiers = (tier + 1..self.queues.len()).map(|lower| (lower, rank));
                        for (tier, rank) in lower_tiers.chain((0..rank).map(|lower| (tier, lower)))
                        {
                            // At the gate the preferred are told so only while their like waits.
                            let told = rank == 0 || self.waiting(1) > 0;
                            assert!(
                                never_waits
                                    || !told
                                    || self.limiter.check((tier, rank as u8).class()).is_err(),
                                "{class:?} refused for {rejection}, {tier}/{rank} let in"
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
            self.ledger.services += 1;
            self.ledger.service_nanos +=
                self.now.saturating_since(permit.since()).as_nanos() as u64;
            permit.release(self.now);
        }
        // One who leaves before it has looked passes the permit on.
        if self.random.one_in(4) {
            self.cancel();
        }
        Allowed { grants: 1, stale, ..Allowed::default() }
    }

    fn cancel(&mut self) -> Allowed {
        if let Some((tier, rank, place)) = self.any_waiter() {
            self.ledger.abandoned += 1;
            drop(self.queues[tier][rank].remove(place));
        }
        Allowed::default()
    }

    fn expire(&mut self) -> Allowed {
        if let Some((tier, rank, place)) = self.any_waiter() {
            let waiter = self.queues[tier][rank].remove(place);
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
        let gone: Vec<Queue> = self.queues.drain(tiers.min(self.queues.len())..).collect();
        self.queues.resize_with(tiers, Queue::default);
        for queue in gone {
            for (last, gone) in self.queues[tiers - 1].iter_mut().zip(queue) {
                last.extend(gone);
            }
        }
        let grants = (self.limits.max_in_flight() as usize).saturating_sub(self.permits.len());
        let all = (self.limits.max_in_flight() == 0).then_some(Rejection::Closed);
        Allowed { grants, all, ..Allowed::default() }
    }

    fn drain(&mut self) -> Allowed {
        self.draining = true;
        self.limiter.drain(self.now);
        Allowed { all: Some(Rejection::Draining), ..Allowed::default() }
    }

    fn any_waiter(&mut self) -> Option<(usize, usize, usize)> {
        let mut place = self.random.below(self.waiting(0).max(1) as u64) as usize;
        self.queues.iter().enumerate().find_map(|(tier, queue)| {
            queue.iter().enumerate().find_map(|(rank, list)| {
                let found = (place < list.len()).then_some((tier, rank, place));
                place = place.saturating_sub(list.len());
                found
            })
        })
    }

    /// Looks at every ticket and judges its answer.
    fn settle(&mut self, allowed: &Allowed) {
        let mut displaced = None;
        let (mut ordinary, mut preferred) = (0, 0);
        let mut lowest_granted = [0, 0];
        for (tier, queue) in self.queues.iter_mut().enumerate() {
            let mut passed_over = false;
            for (rank, list) in queue.iter_mut().enumerate().rev() {
                let mut left = vec![];
                for mut waiter in list.drain(..) {
                    match answer(&mut waiter.ticket) {
                        None => {
                            assert_ne!(displaced, Some((tier, rank)), "not the newest made room");
                            passed_over = true;
                            left.push(waiter);
                            continue;
                        }
                        Some(Ok(permit)) => {
                            assert!(!passed_over, "not by rank, or not first in, first out");
                            let in_time = waiter.ticket.expires() > self.now;
                            assert!(in_time || allowed.stale, "served too late");
                            let (granted, lowest) = if rank == 0 {
                                (&mut ordinary, &mut lowest_granted[0])
                            } else {
                                (&mut preferred, &mut lowest_granted[1])
                            };
                            *granted += 1;
                            *lowest = tier;
                            self.ledger.admitted += 1;
                            self.ledger.ranked += u64::from(rank >= 2);
                            self.permits.push(permit);
                        }
                        Some(Err(rejection)) => {
                            self.ledger.rejected += 1;
                            if Some(rejection) == allowed.all {
                                continue;
                            }
                            if rejection == Rejection::BufferFull {
                                let (by, above) = allowed.displaced_by.unwrap();
                                assert!(by < tier || by == tier && rank < above);
                                assert_eq!(displaced.replace((tier, rank)), None);
                            } else {
                                assert_eq!(rejection, waiter.cause);
                                assert!(waiter.ticket.expires() <= self.now);
                                assert!(!passed_over, "expired out of turn");
                            }
                        }
                    }
                }
                *list = left;
            }
        }
        self.judge_room(displaced);
        let grants = ordinary + preferred;
        assert!(grants <= allowed.grants, "{grants} permits out of {}", allowed.grants);
        if ordinary > 0 {
            assert!(self.permits.len() - preferred <= self.limit(0), "the reserve was given away");
        }
        // What only the preferred may have is past those of the first tier who are not.
        let firsts = |lowest: usize| self.queues[0][lowest..].iter().all(Vec::is_empty);
        let only_reserved = self.permits.len() > self.limit(0);
        assert!(lowest_granted[0] == 0 || firsts(0), "a lower tier was served before the first");
        assert!(
            lowest_granted[1] == 0 || firsts(usize::from(only_reserved)),
            "a lower tier was served before the first"
        );
    }

    /// Whoever made room was of the lowest rank in the lowest tier.
    fn judge_room(&self, displaced: Option<(usize, usize)>) {
        if let Some((tier, rank)) = displaced {
            assert!(self.queues[tier + 1..].iter().flatten().all(Vec::is_empty));
            assert!(self.queues[tier][..rank].iter().all(Vec::is_empty));
        }
    }

    fn check(&self) {
        let status = self.limiter.status(self.now);
        assert_eq!(status.in_flight as usize, self.permits.len());
        assert_eq!(status.limit, self.limits.max_in_flight());
        assert_eq!(status.waiting as usize, self.waiting(0));
        for (tier, queue) in status.tiers.iter().zip(&self.queues) {
            assert_eq!(tier.waiting as usize, queue.iter().map(Vec::len).sum());
            assert_eq!(tier.preferred as usize, queue[1..].iter().map(Vec::len).sum());
        }
        let preferred = self.waiting(1);
        let idle = "permits lie idle";
        assert!(self.waiting(0) == preferred || self.permits.len() >= self.limit(0), "{idle}");
        assert!(preferred == 0 || self.permits.len() >= self.limit(1), "{idle}");
        let totals = self.limiter.totals();
        assert_eq!(totals.services, self.ledger.services);
        assert_eq!(totals.service_nanos, self.ledger.service_nanos);
        // Who leaves with a permit in hand has got one too.
        assert!(totals.ranked >= self.ledger.ranked);
        assert!(totals.ranked <= self.ledger.ranked + self.ledger.abandoned);
        let Ledger { arrivals, admitted, rejected, abandoned, .. } = self.ledger;
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
        .reserved(random.below(4) as u32)
        .trip_spacing(Duration::from_millis(random.below(200)))
}
