//! Tiers that are guaranteed a part of the permits and of the places.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::{Decision, Guarantee, Limiter, Limits, Permit, Rejection, Ticket};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{
    acquire, admitted, answer, at, patient_limits, rejected, three_tiers, tier, waiting,
};

fn in_flight(limiter: &Limiter) -> Vec<u32> {
    limiter.status(at(0)).tiers.iter().map(|tier| tier.in_flight.unwrap()).collect()
}

/// Which of `tickets` has its permit now.
fn served(tickets: &mut Vec<(usize, Ticket)>) -> Option<(usize, Permit)> {
    let (place, tier, permit) = tickets
        .iter_mut()
        .enumerate()
        .find_map(|(place, (tier, it))| answer(it).map(|answer| (place, *tier, answer.unwrap())))?;
    drop(tickets.remove(place));
    Some((tier, permit))
}

#[test]
fn what_a_tier_does_not_use_is_lent_and_comes_back_to_it_first() {
    let limits = patient_limits(4, 100, &[1, 1, 1]).guaranteed(&[0.5, 0.0, 0.0]);
    let limiter = Limiter::new(&limits);
    let mut permits: Vec<Permit> = (0..4).map(|_| admitted(&limiter, 2, at(0))).collect();
    assert_eq!(in_flight(&limiter), [0, 0, 4]);
    let mut tickets: Vec<(usize, Ticket)> =
        [2, 1, 0, 0, 0].map(|tier| (tier, waiting(&limiter, tier, at(0)))).into();
    let mut given = vec![];
    for expected in [0, 0, 0, 1] {
        permits.pop().unwrap().release(at(1));
        let (tier, permit) = served(&mut tickets).unwrap();
        assert_eq!(tier, expected);
        given.push(permit);
    }
    assert_eq!(in_flight(&limiter), [3, 1, 0]);
}

#[test]
fn a_lower_tier_has_its_guarantee_while_the_first_floods() {
    let limits = patient_limits(10, 100, &[1, 1, 1]).guaranteed(&[0.5, 0.2, 0.1]);
    let limiter = Limiter::new(&limits);
    let mut permits: Vec<(usize, Permit)> =
        (0..10).map(|_| (0, admitted(&limiter, 0, at(0)))).collect();
    let mut tickets: Vec<(usize, Ticket)> = vec![];
    for tier in [0, 0, 0, 0, 0, 2, 2, 1, 1, 1] {
        tickets.push((tier, waiting(&limiter, tier, at(0))));
    }
    let mut order = vec![];
    for _ in 0..5 {
        permits.remove(0).1.release(at(1));
        let (tier, permit) = served(&mut tickets).unwrap();
        order.push(tier);
        permits.push((tier, permit));
    }
    // Two for the second, one for the third, then the first goes before them again.
    assert_eq!(order, [1, 1, 2, 0, 0]);
    assert_eq!(in_flight(&limiter), [7, 2, 1]);
}

#[test]
fn a_guarantee_holds_against_those_above_the_ordinary_rank_and_leaves_their_reserve_alone() {
    let limits = patient_limits(10, 100, &[1, 1]).reserved(2).guaranteed(&[0.0, 0.2]);
    let limiter = Limiter::new(&limits);
    let mut holders: Vec<Permit> = (0..10).map(|_| admitted(&limiter, (0, 3), at(0))).collect();
    let mut tickets: Vec<(usize, Ticket)> = vec![];
    for class in [(0, 3), (0, 3), (1, 0), (1, 0), (1, 0)] {
        tickets.push((class.0, waiting(&limiter, class, at(0))));
    }
    let mut given = vec![];
    for tier in [1, 1, 0, 0] {
        holders.pop().unwrap().release(at(1));
        let (to, permit) = served(&mut tickets).unwrap();
        assert_eq!(to, tier);
        given.push(permit);
    }

    // Eight ordinary ones have all that is not kept: no guarantee makes them more.
    let limiter = Limiter::new(&limits);
    let ordinary: Vec<Permit> = (0..8).map(|_| admitted(&limiter, 0, at(0))).collect();
    let holder = admitted(&limiter, (0, 3), at(0));
    let mut waits = waiting(&limiter, 1, at(0));
    holder.release(at(1));
    assert!(answer(&mut waits).is_none(), "the reserve was given away");
    drop(ordinary);
    assert!(answer(&mut waits).unwrap().is_ok());
}

#[test]
fn the_first_tier_leaves_the_lower_ones_the_places_they_are_guaranteed() {
    let limits = patient_limits(1, 10, &[1, 1, 1]).guaranteed(&[0.0, 0.2, 0.1]);
    assert_eq!(limits.guarantee(1), Guarantee { permits: 1, places: 2 });
    let limiter = Limiter::new(&limits);
    let _out = admitted(&limiter, 0, at(0));
    let _flood: Vec<Ticket> = (0..7).map(|_| waiting(&limiter, (0, 7), at(0))).collect();
    assert_eq!(rejected(&limiter, 0, at(0)), Rejection::BufferFull);
    assert_eq!(rejected(&limiter, (0, 7), at(0)), Rejection::BufferFull);
    let mut lower = vec![waiting(&limiter, 2, at(0))];
    lower.extend([1, 1].map(|tier| waiting(&limiter, tier, at(0))));
    assert_eq!(limiter.status(at(0)).waiting, 10);
    for tier in 0..3 {
        assert_eq!(rejected(&limiter, tier, at(0)), Rejection::BufferFull);
    }
    assert!(lower.iter_mut().all(|ticket| answer(ticket).is_none()), "pushed out of its place");
}

#[test]
fn who_waits_beyond_a_guarantee_makes_room_and_who_waits_within_it_does_not() {
    let limits = patient_limits(1, 10, &[1, 1, 1]).guaranteed(&[0.0, 0.2, 0.1]);
    let limiter = Limiter::new(&limits);
    let _out = admitted(&limiter, 0, at(0));
    let mut third: Vec<Ticket> = (0..10).map(|_| waiting(&limiter, 2, at(0))).collect();
    let _second: Vec<Ticket> = (0..9).map(|_| waiting(&limiter, 1, at(0))).collect();
    let left = third.iter_mut().filter_map(answer).count();
    assert_eq!(left, 9, "one has the place that its tier is guaranteed");
    assert_eq!(rejected(&limiter, 1, at(0)), Rejection::BufferFull);
    let _first: Vec<Ticket> = (0..7).map(|_| waiting(&limiter, 0, at(0))).collect();
    assert_eq!(rejected(&limiter, 0, at(0)), Rejection::BufferFull);
    let waits: Vec<u32> = limiter.status(at(0)).tiers.iter().map(|tier| tier.waiting).collect();
    assert_eq!(waits, [7, 2, 1]);
}

#[test]
fn a_breaker_sheds_what_is_beyond_the_guaranteed_places_and_memory_sheds_all() {
    let tiers = vec![tier(3_600_000, 1, 1.0, 0.5), tier(3_600_000, 1, 0.5, 0.2)];
    let limiter = Limiter::new(&Limits::new(1, 10, tiers).unwrap().guaranteed(&[0.0, 0.2]));
    let _out = admitted(&limiter, 0, at(0));
    let _flood: Vec<Ticket> = (0..6).map(|_| waiting(&limiter, 0, at(0))).collect();
    assert!(limiter.status(at(0)).tiers[1].open);
    let _guaranteed = [1, 1].map(|tier| waiting(&limiter, tier, at(0)));
    assert_eq!(rejected(&limiter, 1, at(0)), Rejection::Watermark);
    drop(_guaranteed);
    limiter.set_external_pressure(1.0, at(0));
    assert_eq!(rejected(&limiter, 1, at(0)), Rejection::Watermark);
}

#[test]
fn an_empty_buffer_has_no_pressure_and_a_first_tier_that_has_all_it_may_have_is_under_full_pressure()
 {
    let limiter = Limiter::new(&patient_limits(1, 10, &[1, 1]).guaranteed(&[0.5, 0.2]));
    let _out = admitted(&limiter, 0, at(0));
    assert_eq!(limiter.pressure(at(0)), 0.0);
    let _flood: Vec<Ticket> = (0..8).map(|_| waiting(&limiter, 0, at(0))).collect();
    let status = limiter.status(at(0));
    assert_eq!(status.tiers[0].pressure, 1.0);
    assert_eq!((status.waiting, status.capacity), (8, 10));
}

#[test]
fn a_guarantee_that_is_raised_lowered_or_moved_takes_what_is_in_flight_along() {
    let limits = |parts: &[f64]| patient_limits(4, 100, &[1, 1, 1]).guaranteed(parts);
    let limiter = Limiter::new(&limits(&[0.0, 0.5, 0.25]));
    let permits = [0, 1, 1, 2].map(|tier| admitted(&limiter, tier, at(0)));
    assert_eq!(in_flight(&limiter), [1, 2, 1]);
    limiter.apply(&limits(&[0.25, 0.25, 0.25]), at(0));
    assert_eq!(in_flight(&limiter), [1, 2, 1]);
    // The second and the third change places, the first is gone and a new one comes.
    limiter.apply_from(&limits(&[0.0, 0.25, 0.25]), &[Some(2), Some(1), None], at(0));
    assert_eq!(in_flight(&limiter), [1, 2, 0]);
    drop(permits);
    assert_eq!(in_flight(&limiter), [0, 0, 0]);
    assert_eq!(limiter.status(at(0)).in_flight, 0);
}

#[test]
fn without_guarantees_nobody_counts_and_those_who_were_there_before_them_count_nowhere() {
    let limiter = Limiter::new(&patient_limits(2, 10, &[1, 1]));
    let early = admitted(&limiter, 1, at(0));
    assert!(limiter.status(at(0)).tiers.iter().all(|tier| tier.in_flight.is_none()));
    limiter.apply(&patient_limits(2, 10, &[1, 1]).guaranteed(&[0.5, 0.5]), at(0));
    let late = admitted(&limiter, 1, at(0));
    assert_eq!(in_flight(&limiter), [0, 1]);
    early.release(at(1));
    assert_eq!(in_flight(&limiter), [0, 1]);
    limiter.apply(&patient_limits(2, 10, &[1, 1]), at(1));
    late.release(at(1));
    limiter.apply(&patient_limits(2, 10, &[1, 1]).guaranteed(&[0.5, 0.5]), at(1));
    assert_eq!(in_flight(&limiter), [0, 0]);
}

#[test]
fn an_estimate_goes_by_what_a_tier_is_guaranteed() {
    let limiter = Limiter::new(&patient_limits(10, 1_000, &[1, 1, 1]).guaranteed(&[0.5, 0.2, 0.0]));
    admitted(&limiter, 0, at(0)).release(at(100));
    let _out: Vec<Permit> = (0..10).map(|_| admitted(&limiter, 0, at(100))).collect();
    let _first: Vec<Ticket> = (0..79).map(|_| waiting(&limiter, 0, at(100))).collect();
    let _second: Vec<Ticket> = (0..3).map(|_| waiting(&limiter, 1, at(100))).collect();
    let estimates: Vec<u128> =
        [0, 1, 2].map(|tier| limiter.estimated_wait(support::id(tier)).as_millis()).into();
    // 80 turns of 8 permits; the next two that come back, then two turns of two; the third begins when the first is through,
    // and shares 8 with the second.
    assert_eq!(estimates, [1_000, 20 + 100, 987 + 25]);
}

#[test]
fn who_is_below_its_guarantee_is_not_refused_as_late_however_short_it_waits() {
    let tiers = vec![tier(3_600_000, 1, 1.0, 0.5), tier(50, 1, 1.0, 0.5), tier(50, 1, 1.0, 0.5)];
    let limits = Limits::new(10, 1_000, tiers).unwrap().guaranteed(&[0.0, 0.2, 0.2]);
    let limiter = Limiter::new(&limits);
    admitted(&limiter, 0, at(0)).release(at(100));
    let mut permits: Vec<Permit> = (0..10).map(|_| admitted(&limiter, 0, at(20))).collect();
    let _first: Vec<Ticket> = (0..79).map(|_| waiting(&limiter, 0, at(100))).collect();
    // Of two permits a turn takes 50 ms, but the next of ten comes back in 10 ms, and that is its own.
    let mut tickets: Vec<(usize, Ticket)> =
        [1, 2, 1].map(|tier| (tier, waiting(&limiter, tier, at(100)))).into();
    let estimate = |tier: usize| limiter.estimated_wait(support::id(tier)).as_millis();
    // Two to those before it, one of its own that waits, and it.
    assert_eq!(estimate(2), 40);
    for tier in [1, 1, 2] {
        permits.pop().unwrap().release(at(120));
        let (served, permit) = served(&mut tickets).unwrap();
        assert_eq!(served, tier);
        // It stays.
        permits.insert(0, permit);
    }
    // The second has all it is guaranteed: half a service for each turn, which is too long.
    assert_eq!(estimate(1), 50);
    assert_eq!(rejected(&limiter, 1, at(120)), Rejection::QueueTimeout);
    drop(waiting(&limiter, 2, at(120)));
}

/// Some seconds of arrivals, in steps of a millisecond: each tier either floods or is silent.
struct Sale {
    limiter: Arc<Limiter>,
    now: u64,
    busy: Vec<(u64, Permit)>,
    tickets: Vec<(usize, Ticket)>,
    services: Vec<u64>,
    count: usize,
}

impl Sale {
    fn new(limits: &Limits, services: Vec<u64>) -> Self {
        let limiter = Limiter::new(limits);
        Self { limiter, now: 0, busy: vec![], tickets: vec![], services, count: 0 }
    }

    fn serve(&mut self, permit: Permit) {
        let service = self.services[self.count % self.services.len()];
        self.count += 1;
        self.busy.push((self.now + service, permit));
    }

    fn arrive(&mut self, tier: usize, rank: u8) {
        match acquire(&self.limiter, (tier, rank), at(self.now)) {
            Decision::Admit(permit) => self.serve(permit),
            Decision::Wait(ticket) => self.tickets.push((tier, ticket)),
            Decision::Reject(_) => {}
        }
    }

    /// A millisecond passes.
    fn pass(&mut self) {
        self.now += 1;
        let now = at(self.now);
        for (_, permit) in self.busy.extract_if(.., |(end, _)| *end <= self.now) {
            permit.release(now);
        }
        let mut permits = vec![];
        self.tickets.retain_mut(|(_, ticket)| match answer(ticket) {
            None => true,
            Some(answer) => {
                permits.extend(answer);
                false
            }
        });
        for permit in permits {
            self.serve(permit);
        }
    }

    fn in_flight(&self) -> Vec<u32> {
        let status = self.limiter.status(at(self.now));
        status.tiers.iter().map(|tier| tier.in_flight.unwrap()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn a_tier_that_comes_has_its_guarantee_within_one_service_time_whoever_has_lent_it(
        services in vec(1..40_u64, 5..50),
        permits in 3..20_u32,
        parts in vec(0.0..0.33_f64, 3),
        reserved in 0..3_u32,
        rank in 0..3_u8,
        borrower in 0..3_usize,
        comes in 0..3_usize,
    ) {
        let longest = *services.iter().max().unwrap();
        // The tiers as they are by default, but for the time that they wait.
        let tiers = three_tiers().into_iter().map(|mut tier| {
            tier.max_wait = Duration::from_secs(3_600);
            tier
        });
        let limits = Limits::new(permits, 4 * permits, tiers.collect())
            .unwrap()
            .reserved(reserved)
            .guaranteed(&parts);
        let mut sale = Sale::new(&limits, services);
        let flood = |sale: &mut Sale, tier, rank| (0..10).for_each(|_| sale.arrive(tier, rank));
        for _ in 0..200 {
            flood(&mut sale, borrower, rank);
            sale.pass();
        }
        // All that may be lent is lent.
        let least = if rank == 0 { permits - limits.reserved_permits() } else { permits };
        prop_assert!(sale.in_flight()[borrower] >= least);
        let guaranteed = limits.guarantee(comes).permits;
        // What is kept for those above the ordinary rank is guaranteed to nobody.
        let others = if borrower == comes { 0 } else { limits.guarantee(borrower).permits };
        let is_had = guaranteed + others <= permits - limits.reserved_permits();
        let since = sale.now;
        for _ in 0..200 {
            flood(&mut sale, borrower, rank);
            flood(&mut sale, comes, 0);
            sale.pass();
            prop_assert!(sale.limiter.status(at(sale.now)).in_flight <= permits);
            if is_had && sale.now > since + longest {
                let in_flight = sale.in_flight();
                prop_assert!(
                    in_flight[comes] >= guaranteed,
                    "{in_flight:?}, guaranteed {guaranteed} of {permits}"
                );
            }
        }
    }

    #[test]
    fn the_next_permit_goes_to_who_waits_below_a_guarantee(
        parts in vec(0.0..0.33_f64, 3),
        permits in 3..12_u32,
        holders in vec(0..3_usize, 12),
        waiters in vec(0..3_usize, 1..20),
    ) {
        let limits = patient_limits(permits, 100, &[1, 1, 1]).guaranteed(&parts);
        let limiter = Limiter::new(&limits);
        let mut busy: Vec<(usize, Permit)> = holders[..permits as usize]
            .iter()
            .map(|&tier| (tier, admitted(&limiter, tier, at(0))))
            .collect();
        let mut tickets: Vec<(usize, Ticket)> =
            waiters.iter().map(|&tier| (tier, waiting(&limiter, tier, at(0)))).collect();
        while !tickets.is_empty() {
            busy.remove(0).1.release(at(1));
            let below = (0..3).find(|&tier| {
                let own = busy.iter().filter(|(of, _)| *of == tier).count();
                tickets.iter().any(|(of, _)| *of == tier)
                    && own < limits.guarantee(tier).permits as usize
            });
            let (tier, permit) = served(&mut tickets).unwrap();
            prop_assert!(below.is_none_or(|below| below == tier), "{tier}, not {below:?}");
            busy.push((tier, permit));
        }
    }
}

#[test]
fn a_tier_that_others_are_guaranteed_everything_of_has_what_is_free_and_a_place() {
    let limiter = Limiter::new(&patient_limits(1, 2, &[1, 1]).guaranteed(&[0.0, 1.0]));
    let permit = admitted(&limiter, 0, at(0));
    let mut first = waiting(&limiter, 0, at(0));
    assert_eq!(rejected(&limiter, 0, at(0)), Rejection::BufferFull);
    let mut second = waiting(&limiter, 1, at(0));
    permit.release(at(1));
    assert!(answer(&mut first).is_none());
    drop(answer(&mut second));
    assert!(answer(&mut first).unwrap().is_ok());
}

#[test]
fn a_guarantee_of_nothing_changes_nothing() {
    let plain = patient_limits(3, 10, &[1, 1]);
    assert_eq!(plain.clone().guaranteed(&[0.0, 0.0]), plain);
    assert!(!plain.has_guarantees());
    assert_eq!(plain.guarantee(usize::MAX), Guarantee::NONE);
}
