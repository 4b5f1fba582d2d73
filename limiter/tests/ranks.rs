//! What a rank is worth within its tier, and what is kept for it.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::time::Duration;

use floodgate_limiter::{Decision, Limiter, Limits, Rejection, Ticket};
use support::{Asks, admitted, answer, at, id, patient, patient_limits, rejected, tier, waiting};

/// The places of those that have been given a permit meanwhile, which they give back to the next, and so on.
fn order_of_service(tickets: &mut [Ticket]) -> Vec<usize> {
    let mut order = vec![];
    while let Some((place, given)) =
        tickets.iter_mut().enumerate().find_map(|(place, ticket)| Some((place, answer(ticket)?)))
    {
        order.push(place);
        given.unwrap().release(at(1));
    }
    order
}

#[test]
fn the_higher_rank_is_served_first_and_each_in_order() {
    let limiter = patient(1, 20, &[1]);
    let permit = admitted(&limiter, 0, at(0));
    let mut tickets: Vec<_> =
        [0, 3, 1, 7, 3, 0].map(|rank| waiting(&limiter, (0, rank), at(0))).into();
    permit.release(at(1));
    assert_eq!(order_of_service(&mut tickets), [3, 1, 4, 2, 0, 5]);
}

#[test]
fn no_rank_takes_a_tier_before_another() {
    let limiter = patient(1, 20, &[1, 1, 1]);
    let permit = admitted(&limiter, 0, at(0));
    // The lower two take turns, as many of each, whatever their ranks.
    let classes = [(1, 0), (2, 7), (2, 7), (1, 1), (0, 0)];
    let mut tickets: Vec<_> = classes.map(|class| waiting(&limiter, class, at(0))).into();
    permit.release(at(1));
    assert_eq!(order_of_service(&mut tickets), [4, 3, 1, 0, 2]);
}

#[test]
fn in_a_full_buffer_the_lower_tiers_make_room_first_and_then_the_lowest_rank() {
    let limiter = patient(1, 4, &[1, 1]);
    let _permit = admitted(&limiter, 0, at(0));
    let mut older = waiting(&limiter, (0, 0), at(0));
    let mut newer = waiting(&limiter, (0, 0), at(0));
    let mut third = waiting(&limiter, (0, 3), at(0));
    let mut lower = waiting(&limiter, (1, 7), at(0));
    let mut stay = vec![];
    for (rank, makes_room) in [(3, &mut lower), (2, &mut newer), (1, &mut older)] {
        stay.push(waiting(&limiter, (0, rank), at(0)));
        assert_eq!(answer(makes_room).unwrap().unwrap_err(), Rejection::BufferFull);
    }
    // Left: 3, 3, 2, 1. An equal or a lower rank is not pushed out for another.
    assert_eq!(rejected(&limiter, (0, 1), at(0)), Rejection::BufferFull);
    assert_eq!(limiter.check((0, 1).class()), Err(Rejection::BufferFull));
    assert_eq!(limiter.check((0, 2).class()), Ok(()));
    assert_eq!(limiter.check((1, 7).class()), Err(Rejection::BufferFull));
    assert!(answer(&mut third).is_none());
    assert!(stay.iter_mut().all(|ticket| answer(ticket).is_none()));
}

#[test]
fn a_breaker_that_sheds_lets_the_preferred_into_what_is_left_of_the_buffer() {
    let limits = Limits::new(1, 10, vec![tier(9_000, 1, 0.5, 0.2)]).unwrap();
    let limiter = Limiter::new(&limits);
    let _permit = admitted(&limiter, 0, at(0));
    let mut ordinary: Vec<_> = (0..5).map(|_| waiting(&limiter, 0, at(0))).collect();
    assert_eq!(limiter.check(id(0)), Err(Rejection::Watermark));
    // At the mark each takes the place of one who is not preferred, ...
    let mut preferred: Vec<_> = (0..5).map(|_| waiting(&limiter, (0, 2), at(0))).collect();
    assert!(ordinary.iter_mut().all(|ticket| answer(ticket).is_some()));
    // ... and above it what is free, to the end.
    preferred.extend((0..5).map(|_| waiting(&limiter, (0, 1), at(0))));
    assert_eq!(limiter.check((0, 1).class()), Err(Rejection::BufferFull));
    assert_eq!(rejected(&limiter, (0, 1), at(0)), Rejection::BufferFull);
    assert_eq!(limiter.check(id(0)), Err(Rejection::Watermark));
    drop(preferred);
    assert_eq!(limiter.check(id(0)), Ok(()));
}

#[test]
fn a_held_breaker_lets_the_preferred_pass_too() {
    let limits = Limits::new(1, 10, vec![tier(9_000, 1, 0.5, 0.4)]).unwrap();
    let limiter = Limiter::new(&limits);
    let _permit = admitted(&limiter, 0, at(0));
    // Trips, resets, and trips again within a second.
    let mut tickets: Vec<_> = (0..5).map(|_| waiting(&limiter, 0, at(0))).collect();
    tickets.pop();
    tickets.push(waiting(&limiter, 0, at(1)));
    limiter.set_external_pressure(0.5, at(1));
    tickets.pop();
    assert_eq!(limiter.check(id(0)), Err(Rejection::Watermark));
    let _preferred = waiting(&limiter, (0, 1), at(1));
    assert!(tickets.iter_mut().all(|ticket| answer(ticket).is_none()));
}

#[test]
fn closing_and_draining_refuse_every_rank() {
    let limiter = patient(1, 10, &[1]);
    let _permit = admitted(&limiter, 0, at(0));
    let mut holder = waiting(&limiter, (0, 7), at(0));
    limiter.apply(&patient_limits(0, 10, &[1]), at(0));
    assert_eq!(answer(&mut holder).unwrap().unwrap_err(), Rejection::Closed);
    assert_eq!(limiter.check((0, 7).class()), Err(Rejection::Closed));
    assert_eq!(rejected(&limiter, (0, 7), at(0)), Rejection::Closed);
    limiter.apply(&patient_limits(1, 10, &[1]), at(0));
    let mut holder = waiting(&limiter, (0, 7), at(0));
    limiter.drain(at(0));
    assert_eq!(answer(&mut holder).unwrap().unwrap_err(), Rejection::Draining);
    assert_eq!(limiter.check((0, 7).class()), Err(Rejection::Draining));
    assert_eq!(rejected(&limiter, (0, 7), at(0)), Rejection::Draining);
}

#[test]
fn a_queue_of_newcomers_makes_no_holder_late() {
    let limits = Limits::new(2, 100, vec![tier(100, 1, 0.9, 0.5)]).unwrap();
    let limiter = Limiter::new(&limits);
    admitted(&limiter, 0, at(0)).release(at(60));
    let _permits = [admitted(&limiter, 0, at(60)), admitted(&limiter, 0, at(60))];
    // 30 ms for each that is ahead.
    let _newcomers = [waiting(&limiter, 0, at(60)), waiting(&limiter, 0, at(60))];
    let expected = |rank| limiter.estimated_wait((0, rank).class()).as_millis();
    assert_eq!([expected(0), expected(1)], [90, 30]);
    assert_eq!(limiter.check(id(0)), Err(Rejection::QueueTimeout));
    let ask = |rank, deadline| limiter.acquire((0, rank).class(), at(60), at(deadline));
    let late = |decision| matches!(decision, Decision::Reject(Rejection::Deadline));
    assert!(late(ask(2, 89)));
    let Decision::Wait(_holder) = ask(2, 90) else { panic!() };
    // To a lower rank it counts, to a higher one it does not.
    assert_eq!([expected(1), expected(2), expected(3)], [60, 60, 30]);
    let _second = waiting(&limiter, (0, 2), at(60));
    // A round of their own rank or above, and more than they may wait: late, as newcomers are.
    assert_eq!(limiter.check((0, 2).class()), Err(Rejection::QueueTimeout));
    assert_eq!(rejected(&limiter, (0, 1), at(60)), Rejection::QueueTimeout);
    assert_eq!(limiter.check((0, 3).class()), Ok(()));
}

#[test]
fn with_a_reserve_the_first_tiers_newcomers_are_not_before_a_holder_of_a_lower_tier() {
    for (reserved, expected) in [(0, 180), (1, 60)] {
        let limits = patient_limits(1 + reserved, 100, &[1, 1]).reserved(reserved);
        let limiter = Limiter::new(&limits);
        admitted(&limiter, 0, at(0)).release(at(60 * u64::from(1 + reserved)));
        let _permit = admitted(&limiter, 0, at(200));
        let _reserved: Vec<_> =
            (0..reserved).map(|_| admitted(&limiter, (1, 2), at(200))).collect();
        let _firsts = [waiting(&limiter, 0, at(200)), waiting(&limiter, 0, at(200))];
        assert_eq!(limiter.estimated_wait((1, 2).class()), Duration::from_millis(expected));
    }
}

#[test]
fn what_is_reserved_goes_to_the_preferred_alone_and_past_who_waits() {
    let limiter = Limiter::new(&patient_limits(3, 10, &[1, 1]).reserved(2));
    assert_eq!((limiter.status(at(0)).limit, limiter.status(at(0)).reserved), (3, 2));
    assert!(limiter.has_spare());
    let first = admitted(&limiter, 0, at(0));
    assert!(!limiter.has_spare());
    let mut newcomer = waiting(&limiter, 0, at(0));
    // Of whatever tier, and however low above the ordinary.
    let second = admitted(&limiter, (1, 1), at(0));
    let third = admitted(&limiter, (0, 7), at(0));
    let mut holder = waiting(&limiter, (1, 2), at(0));
    // What comes back above the others' part is for those it is kept for, ...
    first.release(at(1));
    let fourth = answer(&mut holder).unwrap().unwrap();
    assert!(answer(&mut newcomer).is_none());
    // ... and lies free while none of them wants it, ...
    second.release(at(1));
    third.release(at(1));
    assert!(answer(&mut newcomer).is_none());
    assert_eq!(limiter.status(at(1)).in_flight, 1);
    assert!(!limiter.has_spare());
    // ... until the others' own part comes back.
    fourth.release(at(1));
    drop(answer(&mut newcomer).unwrap().unwrap());
    assert!(limiter.has_spare());
}

#[test]
fn a_full_buffer_of_newcomers_refuses_no_holder_a_permit_that_is_kept() {
    let limiter = Limiter::new(&patient_limits(2, 2, &[1, 1]).reserved(1));
    let _first = admitted(&limiter, 0, at(0));
    let _newcomers = [waiting(&limiter, 0, at(0)), waiting(&limiter, 0, at(0))];
    assert_eq!(limiter.check(id(1)), Err(Rejection::BufferFull));
    assert_eq!(limiter.check((1, 1).class()), Ok(()));
    let _second = admitted(&limiter, (1, 1), at(0));
    // Without it, a full buffer of a higher tier is full.
    assert_eq!(rejected(&limiter, (1, 1), at(0)), Rejection::BufferFull);
}

#[test]
fn a_reserve_that_is_lowered_is_handed_out_at_once_and_a_raised_one_evicts_nobody() {
    let limits = |reserved| patient_limits(4, 100, &[1]).reserved(reserved);
    let limiter = Limiter::new(&limits(3));
    let first = admitted(&limiter, 0, at(0));
    let mut tickets: Vec<_> = (0..3).map(|_| waiting(&limiter, 0, at(0))).collect();
    limiter.apply(&limits(1), at(1));
    let mut permits: Vec<_> =
        tickets.iter_mut().filter_map(answer).map(|answer| answer.unwrap()).collect();
    assert_eq!(permits.len(), 2);
    limiter.apply(&limits(3), at(1));
    assert_eq!(limiter.status(at(1)).in_flight, 3);
    permits.push(first);
    for expected in [2, 1] {
        permits.pop().unwrap().release(at(2));
        assert!(answer(&mut tickets[2]).is_none());
        assert_eq!(limiter.status(at(2)).in_flight, expected);
    }
    permits.pop().unwrap().release(at(2));
    drop(answer(&mut tickets[2]).unwrap().unwrap());
}

#[test]
fn a_raised_limit_serves_the_preferred_of_all_tiers_beyond_what_the_others_may_have() {
    let limiter = patient(1, 100, &[1, 1]);
    let _permit = admitted(&limiter, 0, at(0));
    let classes = [(0, 0), (0, 0), (1, 0), (1, 2), (0, 1)];
    let mut tickets: Vec<_> = classes.map(|class| waiting(&limiter, class, at(0))).into();
    // Three more, of which the ordinary may have one: the first tier first, then what is left for the preferred.
    limiter.apply(&patient_limits(4, 100, &[1, 1]).reserved(1), at(0));
    let served: Vec<bool> = tickets.iter_mut().map(|ticket| answer(ticket).is_some()).collect();
    assert_eq!(served, [true, false, false, true, true]);
}

#[test]
fn waiters_keep_their_ranks_when_tiers_change_places_or_go() {
    let limiter = patient(1, 100, &[1, 1]);
    let permit = admitted(&limiter, 0, at(0));
    let classes = [(0, 0), (0, 2), (1, 0), (1, 1), (1, 3)];
    let mut tickets: Vec<_> = classes.map(|class| waiting(&limiter, class, at(0))).into();
    limiter.apply_from(&patient_limits(1, 100, &[1, 1]), &[Some(1), Some(0)], at(0));
    let preferred: Vec<u32> =
        limiter.status(at(0)).tiers.iter().map(|tier| tier.preferred).collect();
    assert_eq!(preferred, [2, 1]);
    // Now the first is the only one left, and the other's waiters stand behind its own of their rank.
    limiter.apply_from(&patient_limits(1, 100, &[1]), &[Some(0)], at(0));
    permit.release(at(1));
    assert_eq!(order_of_service(&mut tickets), [4, 1, 3, 2, 0]);
}

#[test]
fn whatever_leaves_the_queue_lets_the_next_rank_have_its_turn() {
    let limits = Limits::new(1, 10, vec![tier(100, 1, 1.0, 0.5)]).unwrap();
    let limiter = Limiter::new(&limits);
    let permit = admitted(&limiter, 0, at(0));
    let mut expired = waiting(&limiter, (0, 3), at(0));
    let mut served = waiting(&limiter, 0, at(50));
    let left = waiting(&limiter, (0, 2), at(50));
    let timed_out = waiting(&limiter, (0, 1), at(50));
    assert_eq!(limiter.status(at(50)).tiers[0].preferred, 3);
    drop(left);
    assert_eq!(timed_out.expire(at(50)).unwrap_err(), Rejection::QueueTimeout);
    permit.release(at(120));
    assert_eq!(answer(&mut expired).unwrap().unwrap_err(), Rejection::QueueTimeout);
    drop(answer(&mut served).unwrap().unwrap());
    assert_eq!(limiter.status(at(120)).waiting, 0);
}

#[test]
fn totals_count_services_that_were_measured_and_waits_of_rank_two_and_above() {
    let limiter = patient(2, 10, &[1]);
    let totals = || {
        let totals = limiter.totals();
        let millis = |nanos: u64| nanos / 1_000_000;
        let (services, service) = (totals.services, millis(totals.service_nanos));
        (services, service, totals.ranked, millis(totals.ranked_wait_nanos), totals.limit)
    };
    let (first, second) = (admitted(&limiter, 0, at(0)), admitted(&limiter, (0, 2), at(0)));
    assert_eq!(totals(), (0, 0, 1, 0, 2));
    let mut holder = waiting(&limiter, (0, 3), at(4));
    let mut entering = waiting(&limiter, (0, 1), at(4));
    let gone = waiting(&limiter, (0, 7), at(4));
    drop(gone);
    first.release(at(10));
    drop(answer(&mut holder).unwrap().unwrap());
    assert_eq!(totals(), (1, 10, 2, 6, 2));
    drop(answer(&mut entering).unwrap().unwrap());
    second.cancel(at(20));
    assert_eq!(totals(), (1, 10, 2, 6, 2));
}
