//! Random lives of a limiter with guarantees against a shadow model that says who has the next permit.
//!
//! The model keeps who is in flight, by tier, and who waits in plain vectors, and predicts who gets a permit that comes
//! back. A failure prints its seed; `MODEL_SEED=<seed>` repeats it alone, `MODEL_SEEDS=<n>` runs more.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::collections::VecDeque;
use std::env;
use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::{
    Decision, Limiter, Limits, MAX_RANKS, Permit, Rejection, Ticket, Timestamp,
};
use support::{Asks, Random, answer, tier};

const STEPS: u64 = 600;

#[test]
fn any_life_with_guarantees_agrees_with_the_model() {
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

/// A permit that is out.
struct Held {
    permit: Permit,
    /// The tier that it was given to, if such are counted.
    counted: Option<u64>,
    is_preferred: bool,
}

/// A tier by a number that stays with it, and its waiters, rank by rank.
struct Queue {
    id: u64,
    ranks: [VecDeque<Ticket>; MAX_RANKS],
}

/// Who gets a permit that comes back.
#[derive(Debug, PartialEq)]
enum Next {
    Nobody,
    /// The oldest of this rank in this tier.
    One(usize, usize),
    /// The oldest of the highest rank in one of these tiers, from this rank on.
    OneOf(Vec<usize>, usize),
}

struct Model {
    random: Random,
    limiter: Arc<Limiter>,
    now: Timestamp,
    limits: Limits,
    permits: Vec<Held>,
    queues: Vec<Queue>,
    tiers: u64,
    /// No limit has changed since somebody waited: all who wait came under these.
    is_tidy: bool,
}

impl Queue {
    fn new(id: u64) -> Self {
        Self { id, ranks: Default::default() }
    }

    fn len(&self) -> usize {
        self.ranks.iter().map(VecDeque::len).sum()
    }

    /// The highest rank that waits, from `lowest` on.
    fn highest(&self, lowest: usize) -> Option<usize> {
        (lowest..MAX_RANKS).rev().find(|&rank| !self.ranks[rank].is_empty())
    }
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = 1 + random.below(4);
        let limits = limits(&mut random, count);
        Self {
            limiter: Limiter::new(&limits),
            now: Timestamp::from_nanos(0),
            queues: (0..count).map(Queue::new).collect(),
            tiers: count,
            limits,
            permits: vec![],
            is_tidy: true,
            random,
        }
    }

    fn live(mut self) {
        for _ in 0..STEPS {
            match self.random.below(100) {
                0..50 => self.arrive(),
                50..80 => self.release(),
                80..90 => self.cancel(),
                90..98 => self.now = self.now + Duration::from_micros(self.random.below(20_000)),
                _ => self.apply(),
            }
            self.is_tidy |= self.waiting(0) == 0;
            self.check();
        }
        self.permits.clear();
        self.queues.clear();
        let status = self.limiter.status(self.now);
        assert_eq!((status.in_flight, status.waiting), (0, 0));
        let is_none_left = |tier: &floodgate_limiter::TierStatus| tier.in_flight.unwrap_or(0) == 0;
        assert!(status.tiers.iter().all(is_none_left), "{status:?}");
    }

    fn waiting(&self, lowest: usize) -> usize {
        self.queues.iter().flat_map(|queue| &queue.ranks[lowest..]).map(VecDeque::len).sum()
    }

    fn limit(&self, rank: usize) -> usize {
        let reserved = if rank == 0 { self.limits.reserved_permits() } else { 0 };
        (self.limits.max_in_flight() - reserved) as usize
    }

    fn in_flight(&self, tier: usize) -> usize {
        let id = Some(self.queues[tier].id);
        self.permits.iter().filter(|held| held.counted == id).count()
    }

    fn arrive(&mut self) {
        let tier = self.random.below(self.queues.len() as u64) as usize;
        let rank = [0, 0, 0, 1, 2, 2, 3, 7][self.random.below(8) as usize];
        match self.limiter.acquire((tier, rank as u8).class(), self.now, Timestamp::MAX) {
            Decision::Admit(permit) => {
                // What is guaranteed is lent: a free permit is anybody's whom nobody waits before.
                assert!(self.waiting(rank.min(1)) == 0 && self.permits.len() < self.limit(rank));
                self.hold(permit, tier, rank);
            }
            Decision::Wait(ticket) => {
                assert!(self.waiting(rank.min(1)) > 0 || self.permits.len() >= self.limit(rank));
                self.queues[tier].ranks[rank].push_back(ticket);
                self.judge_room(tier, rank);
            }
            Decision::Reject(rejection) => {
                assert!(
                    matches!(rejection, Rejection::Watermark | Rejection::BufferFull),
                    "{rejection}"
                );
                let is_free =
                    self.waiting(rank.min(1)) == 0 && self.permits.len() < self.limit(rank);
                assert!(!is_free, "{rejection} with a permit free");
                let own = self.queues[tier].len();
                let guaranteed = self.limits.guarantee(tier).places as usize;
                assert!(!self.is_tidy || own >= guaranteed, "no place for {own} of {guaranteed}");
            }
        }
    }

    fn hold(&mut self, permit: Permit, tier: usize, rank: usize) {
        let counted = self.limits.has_guarantees().then_some(self.queues[tier].id);
        self.permits.push(Held { permit, counted, is_preferred: rank > 0 && counted.is_some() });
    }

    /// Whoever made room for a newcomer was below it, and beyond what its own tier is guaranteed.
    fn judge_room(&mut self, by: usize, above: usize) {
        let mut displaced = vec![];
        for (tier, queue) in self.queues.iter_mut().enumerate() {
            let before = queue.len();
            for (rank, list) in queue.ranks.iter_mut().enumerate() {
                let Some(newest) = list.back_mut() else { continue };
                match answer(newest) {
                    None => {}
                    Some(Err(Rejection::BufferFull)) => {
                        list.pop_back();
                        displaced.push((tier, rank, before));
                    }
                    Some(other) => panic!("{other:?}"),
                }
            }
        }
        assert!(displaced.len() <= 1, "{displaced:?}");
        for (tier, rank, before) in displaced {
            let guaranteed = self.limits.guarantee(tier).places as usize;
            assert!(tier > by && before > guaranteed || tier == by && rank < above);
            assert!(self.queues[tier].ranks[..rank].iter().all(VecDeque::is_empty));
        }
    }

    /// Who has the permit that comes back now, the others being those in `self.permits`.
    fn next(&self) -> Next {
        let others = self.permits.len();
        let preferred = self.permits.iter().filter(|held| held.is_preferred).count();
        if others >= self.limit(1) {
            return Next::Nobody;
        }
        let lowest = |ordinary: usize| usize::from(ordinary >= self.limit(0));
        for (tier, queue) in self.queues.iter().enumerate() {
            let guaranteed = self.limits.guarantee(tier).permits as usize;
            if let Some(rank) = queue.highest(lowest(others - preferred))
                && self.in_flight(tier) < guaranteed
            {
                return Next::One(tier, rank);
            }
        }
        let lowest = lowest(others);
        if let Some(rank) = self.queues[0].highest(lowest) {
            return Next::One(0, rank);
        }
        let who: Vec<usize> = (1..self.queues.len())
            .filter(|&tier| self.queues[tier].highest(lowest).is_some())
            .collect();
        if who.is_empty() { Next::Nobody } else { Next::OneOf(who, lowest) }
    }

    fn release(&mut self) {
        if self.permits.is_empty() {
            return;
        }
        let at = self.random.below(self.permits.len() as u64) as usize;
        let held = self.permits.swap_remove(at);
        let next = self.next();
        if self.random.one_in(8) {
            drop(held.permit);
        } else {
            held.permit.release(self.now);
        }
        if let Next::One(tier, rank) = next
            && self.random.one_in(4)
        {
            // Who leaves with a permit that it has not looked at passes it on.
            drop(self.queues[tier].ranks[rank].pop_front());
            let next = self.next();
            return self.settle(&next);
        }
        self.settle(&next);
    }

    fn settle(&mut self, next: &Next) {
        let served = self.collect();
        match (next, served.as_slice()) {
            (Next::Nobody, []) => {}
            (Next::One(tier, rank), [(to, at)]) => assert_eq!((tier, rank), (to, at)),
            (Next::OneOf(tiers, lowest), [(to, at)]) => {
                assert!(tiers.contains(to) && at >= lowest, "{to}/{at} of {tiers:?}");
            }
            other => panic!("{other:?}"),
        }
    }

    /// Takes the permits that waiters have got, and says whose they were. Nobody is ever passed over in its own rank.
    fn collect(&mut self) -> Vec<(usize, usize)> {
        let mut served = vec![];
        for tier in 0..self.queues.len() {
            for rank in (0..MAX_RANKS).rev() {
                while let Some(ticket) = self.queues[tier].ranks[rank].front_mut()
                    && let Some(permit) = answer(ticket)
                {
                    self.queues[tier].ranks[rank].pop_front();
                    self.hold(permit.unwrap(), tier, rank);
                    served.push((tier, rank));
                }
            }
        }
        served
    }

    fn cancel(&mut self) {
        let tier = self.random.below(self.queues.len() as u64) as usize;
        let rank = self.random.below(4) as usize;
        let list = &mut self.queues[tier].ranks[rank];
        if !list.is_empty() {
            drop(list.remove(self.random.below(list.len() as u64) as usize));
        }
    }

    /// New limits, tiers that have changed places, tiers that are new.
    fn apply(&mut self) {
        let mut from: Vec<Option<usize>> = (0..self.queues.len()).map(Some).collect();
        for at in (1..from.len()).rev() {
            from.swap(at, self.random.below(at as u64 + 1) as usize);
        }
        if self.random.one_in(2) {
            let at = self.random.below(from.len() as u64) as usize;
            from[at] = None;
        }
        if from.len() < 4 && self.random.one_in(3) {
            from.push(None);
        } else if from.len() > 1 && self.random.one_in(3) {
            from.pop();
        }
        self.limits = limits(&mut self.random, from.len() as u64);
        self.limiter.apply_from(&self.limits, &from, self.now);
        self.is_tidy = false;
        let mut old: Vec<Option<Queue>> = self.queues.drain(..).map(Some).collect();
        for at in &from {
            let new = at.and_then(|at| old[at].take()).unwrap_or_else(|| {
                self.tiers += 1;
                Queue::new(self.tiers)
            });
            self.queues.push(new);
        }
        let last = self.queues.last_mut().unwrap();
        for gone in old.into_iter().flatten() {
            for (to, from) in last.ranks.iter_mut().zip(gone.ranks) {
                to.extend(from);
            }
        }
        self.collect();
    }

    fn check(&self) {
        let status = self.limiter.status(self.now);
        assert_eq!(status.in_flight as usize, self.permits.len());
        assert_eq!(status.waiting as usize, self.waiting(0));
        for (index, tier) in status.tiers.iter().enumerate() {
            let counted = self.limits.has_guarantees().then(|| self.in_flight(index) as u32);
            assert_eq!(tier.in_flight, counted, "tier {index}");
            assert_eq!(tier.waiting as usize, self.queues[index].len());
        }
        let preferred = self.waiting(1);
        assert!(self.waiting(0) == preferred || self.permits.len() >= self.limit(0), "idle");
        assert!(preferred == 0 || self.permits.len() >= self.limit(1), "idle");
        assert!(!self.is_tidy || status.waiting <= status.capacity);
    }
}

fn limits(random: &mut Random, count: u64) -> Limits {
    let tiers: Vec<_> = (0..count)
        .map(|_| {
            let high = (0.1 + random.below(10) as f64 / 10.0).min(1.0);
            tier(3_600_000, 1 + random.below(5) as u32, high, high * 0.7)
        })
        .collect();
    let mut parts: Vec<f64> = (0..count).map(|_| random.below(5) as f64 / 10.0).collect();
    if random.one_in(5) {
        parts.fill(0.0);
    }
    let (permits, places) = (1 + random.below(8), 1 + random.below(16));
    Limits::new(permits as u32, places as u32, tiers)
        .unwrap()
        .reserved(random.below(3) as u32)
        .guaranteed(&parts)
        .queue_delay_target(Duration::from_millis(1 + random.below(40)))
        .trip_spacing(Duration::from_millis(random.below(200)))
}
