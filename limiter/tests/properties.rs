//! What holds whatever happens.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::time::Duration;

use floodgate_limiter::{
    Decision, Gcra, Limiter, Limits, MAX_RANKS, Permit, Rate, Rejection, Ticket, Timestamp,
};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{Asks, acquire, admitted, answer, at, id, patient, tier, waiting};

/// A token bucket in whole numbers: a request costs `per`, and `count` are earned each nanosecond.
struct Bucket {
    rate: Rate,
    tokens: u128,
    now: u64,
}

impl Bucket {
    fn new(rate: Rate) -> Self {
        Self { rate, tokens: Self::size(rate), now: 0 }
    }

    fn size(rate: Rate) -> u128 {
        u128::from(rate.burst()) * rate.per().as_nanos()
    }

    fn advance(&mut self, now: u64) {
        let earned = u128::from(now.saturating_sub(self.now)) * u128::from(self.rate.count());
        self.tokens = (self.tokens + earned).min(Self::size(self.rate));
        self.now = self.now.max(now);
    }

    /// What there is to spend, in requests.
    fn requests(&self) -> f64 {
        self.tokens as f64 / self.rate.per().as_nanos() as f64
    }

    fn set_rate(&mut self, rate: Rate) {
        // Rounded up, so that it stays an upper bound.
        let tokens = self.tokens * rate.per().as_nanos();
        self.tokens = tokens.div_ceil(self.rate.per().as_nanos()).min(Self::size(rate));
        self.rate = rate;
    }
}

fn rates() -> impl Strategy<Value = Rate> {
    let per = prop_oneof![Just(1_000_u64), Just(60_000), 1..5_000_u64];
    (1..20_000_u64, per, 1..50_u32).prop_map(|(count, per_millis, burst)| {
        // The fastest there is.
        let count = count.min(12_500 * per_millis);
        Rate::new(count, Duration::from_millis(per_millis), burst).unwrap()
    })
}

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    SetRate(Rate),
    Take(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..50_000_000_u64).prop_map(Step::Advance),
        1 => (0..100_000_000_000_u64).prop_map(Step::Advance),
        1 => rates().prop_map(Step::SetRate),
        5 => (1..80_u32).prop_map(Step::Take),
    ];
    vec(step, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn a_rate_never_exceeds_a_token_bucket_and_falls_short_by_no_more_than_rounding(
        rate in rates(),
        steps in steps(),
    ) {
        let gcra = Gcra::new(rate);
        let mut bucket = Bucket::new(rate);
        let mut now = 0;
        let mut slack = 1e-6;
        for step in steps {
            match step {
                Step::Advance(nanos) => now += nanos,
                Step::SetRate(rate) => {
                    bucket.advance(now);
                    bucket.set_rate(rate);
                    gcra.set_rate(rate, Timestamp::from_nanos(now));
                    slack += 1e-4;
                }
                Step::Take(times) => {
                    for _ in 0..times {
                        bucket.advance(now);
                        let cost = bucket.rate.per().as_nanos();
                        if gcra.take(Timestamp::from_nanos(now)).is_ok() {
                            prop_assert!(bucket.tokens >= cost, "one too many");
                            bucket.tokens -= cost;
                            slack += 1e-4;
                        } else {
                            let left = bucket.requests();
                            prop_assert!(left < 1.0 + slack, "refused with {left} left");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_clock_that_jumps_to_and_fro_lets_no_more_through_than_the_time_it_spans(
        rate in rates(),
        readings in vec(0..10_000_000_000_u64, 1..2_000),
    ) {
        let gcra = Gcra::new(rate);
        let taken = readings
            .iter()
            .filter(|&&now| gcra.take(Timestamp::from_nanos(now)).is_ok())
            .count();
        let span = readings.iter().max().unwrap() - readings.iter().min().unwrap();
        let earned = u128::from(span) * u128::from(rate.count());
        let cost = rate.per().as_nanos();
        prop_assert!(taken as u128 * cost <= Bucket::size(rate) + earned);
    }

    #[test]
    fn lower_tiers_share_by_weight_to_within_a_request_each(
        weights in vec(1..20_u32, 2..6),
        first in 0..5_usize,
    ) {
        // The weight of the first tier is not used: it is served first, all of it.
        let limiter = patient(1, 2_000, &[&[1], weights.as_slice()].concat());
        let mut permit = admitted(&limiter, 0, at(0));
        let mut firsts: Vec<Ticket> = (0..first).map(|_| waiting(&limiter, 0, at(0))).collect();
        let mut queues: Vec<Vec<Ticket>> = (1..=weights.len())
            .map(|tier| (0..300).map(|_| waiting(&limiter, tier, at(0))).collect())
            .collect();
        for ticket in &mut firsts {
            permit.release(at(0));
            permit = answer(ticket).unwrap().unwrap();
        }
        let total: u32 = weights.iter().sum();
        let services = 290;
        let mut served = vec![0_u32; weights.len()];
        for _ in 0..services {
            permit.release(at(0));
            let (tier, answer) = queues
                .iter_mut()
                .enumerate()
                .find_map(|(tier, queue)| Some((tier, answer(queue.first_mut()?)?)))
                .unwrap();
            drop(queues[tier].remove(0));
            served[tier] += 1;
            permit = answer.unwrap();
        }
        for (tier, &weight) in weights.iter().enumerate() {
            let share = f64::from(services * weight) / f64::from(total);
            let off = (f64::from(served[tier]) - share).abs();
            // Stride scheduling is off by at most one service per rival.
            prop_assert!(off <= weights.len() as f64, "{served:?} for {weights:?}");
        }
    }

    #[test]
    fn breakers_have_hysteresis_do_not_flap_and_shed_downwards(
        load in vec((0..3_usize, 0..4_u64, 0..3_u32), 50..600),
        spacing in 1..200_u64,
    ) {
        let tiers = vec![
            tier(60_000, 1, 0.9, 0.7), tier(60_000, 3, 0.6, 0.3), tier(60_000, 1, 0.5, 0.2),
        ];
        let limits = Limits::new(2, 12, tiers.clone())
            .unwrap()
            .trip_spacing(Duration::from_millis(spacing));
        let limiter = Limiter::new(&limits);
        let mut permits: Vec<Permit> = vec![];
        let mut tickets: Vec<Ticket> = vec![];
        let mut now = 0;
        let mut before = limiter.status(at(0));
        for (tier, millis, releases) in load {
            now += millis;
            let refused = [0, 1, 2].map(|tier| limiter.check(id(tier)).is_err());
            prop_assert!(refused.is_sorted(), "a higher tier is refused before a lower: {refused:?}");
            match acquire(&limiter, tier, at(now)) {
                Decision::Admit(permit) => permits.push(permit),
                Decision::Wait(ticket) => tickets.push(ticket),
                Decision::Reject(_) => {}
            }
            for release in 0..=releases {
                if release > 0 && let Some(permit) = permits.pop() {
                    permit.release(at(now));
                }
                let after = limiter.status(at(now));
                for (index, limits) in tiers.iter().enumerate() {
                    let (old, new) = (&before.tiers[index], &after.tiers[index]);
                    // Seen before or after: an arrival first resets the breaker, then waits itself.
                    let pressure = old.pressure.min(new.pressure);
                    prop_assert!(!old.open || new.open || pressure <= limits.watermarks.low());
                    prop_assert!(new.open || new.pressure < limits.watermarks.high());
                    // A trip that sheds is spaced from the last; one that holds lasts as long.
                    prop_assert!(new.trips <= 2 * (1 + now / spacing), "{} trips", new.trips);
                }
                before = after;
                tickets.retain_mut(|ticket| match answer(ticket) {
                    None => true,
                    Some(answer) => {
                        permits.extend(answer);
                        false
                    }
                });
            }
        }
    }

    #[test]
    fn a_shadow_refuses_nobody_and_says_who_would_be(
        load in vec((0..3_usize, 0..40_u64, 0..3_u32), 20..200),
        shadows in any::<[bool; 3]>(),
    ) {
        let limits = |shadows: [bool; 3]| {
            let mut tiers =
                vec![tier(60_000, 1, 0.9, 0.7), tier(60_000, 3, 0.6, 0.3), tier(60_000, 1, 0.5, 0.2)];
            for (tier, shadow) in tiers.iter_mut().zip(shadows) {
                tier.watermarks = tier.watermarks.with_shadow(shadow);
            }
            Limits::new(2, 12, tiers).unwrap()
        };
        let limiter = Limiter::new(&limits(shadows));
        let mut permits: Vec<Permit> = vec![];
        let mut tickets: Vec<Ticket> = vec![];
        let mut now = 0;
        for (tier, millis, releases) in load {
            now += millis;
            match acquire(&limiter, tier, at(now)) {
                Decision::Admit(permit) => permits.push(permit),
                Decision::Wait(ticket) => tickets.push(ticket),
                Decision::Reject(_) => {}
            }
            for _ in 0..releases {
                if let Some(permit) = permits.pop() {
                    permit.release(at(now));
                }
            }
            tickets.retain_mut(|ticket| match answer(ticket) {
                None => true,
                Some(answer) => {
                    permits.extend(answer);
                    false
                }
            });
            let seen = limiter.status(at(now));
            let refused = [0, 1, 2].map(|tier| limiter.check(id(tier)).err());
            let would = [0, 1, 2].map(|tier| limiter.would_refuse(id(tier)));
            prop_assert!(refused.map(|it| it.is_some()).is_sorted(), "{refused:?}");
            for (index, why) in refused.iter().enumerate() {
                prop_assert_eq!(seen.tiers[index].shadow, shadows[index]);
                let all_in_shadow = shadows[..=index].iter().all(|it| *it);
                prop_assert!(!all_in_shadow || *why != Some(Rejection::Watermark));
                prop_assert!(!would[index] || shadows[..=index].iter().any(|it| *it) || why.is_some());
            }
            // Live at once, and the same breakers.
            limiter.apply(&limits([false; 3]), at(now));
            for index in 0..3 {
                let live = limiter.check(id(index)).is_err();
                prop_assert_eq!(live, refused[index].is_some() || would[index], "tier {}", index);
                prop_assert!(!limiter.would_refuse(id(index)));
            }
            let after = limiter.status(at(now));
            prop_assert!(after.tiers.iter().zip(&seen.tiers).all(|(a, b)| a.open == b.open));
            limiter.apply(&limits(shadows), at(now));
        }
    }

    #[test]
    fn a_saturated_upstream_is_never_idle_and_the_first_tier_never_waits_for_the_others(
        services in vec(1..30_u64, 100..500),
        offered in 2..6_usize,
    ) {
        let tiers = vec![
            tier(60_000, 1, 0.95, 0.8), tier(60_000, 4, 0.75, 0.55), tier(60_000, 1, 0.6, 0.45),
        ];
        let limiter = Limiter::new(&Limits::new(1, 20, tiers).unwrap());
        let mut now = 0;
        let mut permit = admitted(&limiter, 0, at(0));
        let mut tickets: Vec<(usize, Ticket)> = vec![];
        for (round, service) in services.into_iter().enumerate() {
            for arrival in 0..offered {
                let tier = (round + arrival) % 3;
                if let Decision::Wait(ticket) = acquire(&limiter, tier, at(now)) {
                    tickets.push((tier, ticket));
                }
            }
            now += service;
            permit.release(at(now));
            let mut next = None;
            let mut firsts_left = 0;
            tickets.retain_mut(|(tier, ticket)| match answer(ticket) {
                None => {
                    firsts_left += usize::from(*tier == 0);
                    true
                }
                Some(Ok(permit)) => {
                    next = Some((*tier, permit));
                    false
                }
                Some(Err(_)) => false,
            });
            let Some((tier, given)) = next else {
                prop_assert!(false, "the upstream ran dry at {now} ms");
                break;
            };
            prop_assert!(tier == 0 || firsts_left == 0);
            permit = given;
        }
    }

    #[test]
    fn no_rank_and_no_tier_is_refused_while_a_lower_one_is_let_in(
        load in vec((0..2_usize, 0..9_u8, 0..3_u64, 0..3_u32), 50..400),
        reserved in 0..3_u32,
    ) {
        let tiers = vec![tier(40, 1, 0.9, 0.5), tier(40, 3, 0.6, 0.3)];
        let limiter = Limiter::new(&Limits::new(3, 10, tiers).unwrap().reserved(reserved));
        let mut permits: Vec<Permit> = vec![];
        let mut tickets: Vec<Ticket> = vec![];
        let mut now = 0;
        for (tier, rank, millis, releases) in load {
            now += millis;
            match acquire(&limiter, (tier, rank), at(now)) {
                Decision::Admit(permit) => permits.push(permit),
                Decision::Wait(ticket) => tickets.push(ticket),
                Decision::Reject(_) => {}
            }
            for _ in 0..releases {
                if let Some(permit) = permits.pop() {
                    permit.release(at(now));
                }
            }
            let refused = [0, 1].map(|tier| {
                (0..MAX_RANKS as u8)
                    .map(|rank| limiter.check((tier, rank).class()).is_err())
                    .collect::<Vec<bool>>()
            });
            for ranks in &refused {
                prop_assert!(ranks.is_sorted_by(|lower, higher| lower >= higher), "{refused:?}");
            }
            prop_assert!(refused[0].iter().zip(&refused[1]).all(|(first, second)| first <= second));
            tickets.retain_mut(|ticket| match answer(ticket) {
                None => true,
                Some(answer) => {
                    permits.extend(answer);
                    false
                }
            });
        }
    }

    #[test]
    fn a_holder_waits_for_no_newcomer_and_a_saturated_upstream_is_never_idle(
        services in vec(1..30_u64, 100..500),
        reserved in 0..3_u32,
        holders in 1..4_u64,
    ) {
        let tiers = vec![tier(60_000, 1, 0.8, 0.5)];
        let limits = Limits::new(3, 12, tiers).unwrap().reserved(reserved);
        let limiter = Limiter::new(&limits);
        let mut permits: Vec<Permit> = vec![];
        let mut tickets: Vec<(u8, Ticket)> = vec![];
        let mut now = 0;
        for (round, service) in (0_u64..).zip(services) {
            // Four newcomers for each holder, and as many holders as can be served one by one.
            for rank in [0, 0, if round % holders == 0 { 3 } else { 0 }, 0] {
                match acquire(&limiter, (0, rank), at(now)) {
                    Decision::Admit(permit) => permits.push(permit),
                    Decision::Wait(ticket) => tickets.push((rank, ticket)),
                    Decision::Reject(rejection) => prop_assert!(rank == 0, "{rejection}"),
                }
            }
            now += service;
            permits.remove(0).release(at(now));
            let mut served = vec![];
            tickets.retain_mut(|(rank, ticket)| match answer(ticket) {
                None => true,
                Some(answer) => {
                    served.extend(answer.map(|permit| (*rank, permit)));
                    false
                }
            });
            let left = tickets.iter().filter(|(rank, _)| *rank > 0).count();
            prop_assert!(left == 0 || served.iter().all(|(rank, _)| *rank > 0));
            permits.extend(served.into_iter().map(|(_, permit)| permit));
            let idle = limits.max_in_flight() as usize - permits.len();
            prop_assert!(left == 0 || idle == 0, "holders wait with {idle} permits free");
            prop_assert!(tickets.is_empty() || idle <= reserved as usize, "{idle} permits are free");
        }
    }
}
