//! What a limiter does, case by case.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::time::Duration;

use floodgate_limiter::{Decision, Limiter, Limits, Rejection, TierId, Timestamp};
use support::{
    Asks, acquire, admitted, answer, at, id, patient, rejected, three_tiers, tier, waiting,
};

#[test]
fn a_limit_of_zero_is_closed_and_a_buffer_of_zero_answers_at_once() {
    let closed = Limiter::new(&Limits::new(0, 10, three_tiers()).unwrap());
    assert_eq!(closed.check(id(0)), Err(Rejection::Closed));
    assert_eq!(rejected(&closed, 0, at(0)), Rejection::Closed);

    let unbuffered = Limiter::new(&Limits::new(1, 0, three_tiers()).unwrap());
    let permit = admitted(&unbuffered, 2, at(0));
    assert_eq!(rejected(&unbuffered, 0, at(0)), Rejection::BufferFull);
    permit.release(at(1));
    admitted(&unbuffered, 2, at(1)).release(at(2));
}

#[test]
fn a_tier_without_patience_takes_a_permit_but_no_place() {
    let limits = Limits::new(1, 10, vec![tier(500, 1, 0.9, 0.5), tier(0, 1, 0.9, 0.5)]).unwrap();
    let limiter = Limiter::new(&limits);
    let permit = admitted(&limiter, 1, at(0));
    assert_eq!(rejected(&limiter, 1, at(0)), Rejection::BufferFull);
    drop(permit);
    drop(admitted(&limiter, 1, at(0)));
}

#[test]
fn a_tier_beyond_the_last_is_the_last() {
    let limiter = patient(1, 1, &[1]);
    let beyond = TierId::new(7).unwrap();
    let Decision::Admit(_held) = limiter.acquire(beyond, at(0), Timestamp::MAX) else { panic!() };
    let Decision::Wait(_ticket) = limiter.acquire(beyond, at(0), Timestamp::MAX) else { panic!() };
    assert_eq!(limiter.check(beyond), limiter.check(id(0)));
    assert!(limiter.check(beyond).is_err());
}

#[test]
fn the_first_tier_is_served_first_and_each_in_order() {
    let limiter = patient(1, 10, &[1, 1]);
    let mut permit = admitted(&limiter, 0, at(0));
    let mut tickets: Vec<_> =
        [1, 0, 1, 0].map(|tier| Some(waiting(&limiter, tier, at(0)))).into_iter().collect();
    for expected in [1, 3, 0, 2] {
        permit.release(at(1));
        let served = (0..4).find_map(|place| Some((place, answer(tickets[place].as_mut()?)?)));
        let (place, given) = served.unwrap();
        assert_eq!(place, expected);
        tickets[place] = None;
        permit = given.unwrap();
    }
}

#[test]
fn in_a_full_buffer_the_newest_of_the_lowest_makes_room() {
    let limiter = patient(1, 3, &[1, 1, 1]);
    let _permit = admitted(&limiter, 0, at(0));
    let mut second = waiting(&limiter, 1, at(0));
    let mut older = waiting(&limiter, 2, at(0));
    let mut newer = waiting(&limiter, 2, at(0));
    // A full buffer refuses the lowest tier at the gate, and no other.
    assert_eq!(limiter.check(id(2)), Err(Rejection::BufferFull));
    assert_eq!(limiter.check(id(1)), Ok(()));
    let mut first = waiting(&limiter, 0, at(0));
    assert_eq!(answer(&mut newer).unwrap().unwrap_err(), Rejection::BufferFull);
    assert!(answer(&mut older).is_none());
    let mut another = waiting(&limiter, 0, at(0));
    assert_eq!(answer(&mut older).unwrap().unwrap_err(), Rejection::BufferFull);
    // The second tier is now the lowest that waits: it gives way too, but is not let in itself.
    assert_eq!(limiter.check(id(1)), Err(Rejection::BufferFull));
    let mut last = waiting(&limiter, 0, at(0));
    assert_eq!(answer(&mut second).unwrap().unwrap_err(), Rejection::BufferFull);
    assert_eq!(rejected(&limiter, 0, at(0)), Rejection::BufferFull);
    assert!(
        [&mut first, &mut another, &mut last].into_iter().all(|ticket| answer(ticket).is_none())
    );
}

#[test]
fn a_breaker_trips_at_high_and_resets_at_low_while_work_still_waits() {
    let limits = Limits::new(1, 10, vec![tier(9_000, 1, 0.8, 0.4)]).unwrap();
    let limiter = Limiter::new(&limits);
    let mut permit = admitted(&limiter, 0, at(0));
    let mut tickets: Vec<_> = (0..8).map(|_| waiting(&limiter, 0, at(0))).collect();
    assert_eq!(rejected(&limiter, 0, at(0)), Rejection::Watermark);
    assert!(limiter.status(at(0)).tiers[0].open);
    for left in (4..8).rev() {
        assert_eq!(limiter.check(id(0)), Err(Rejection::Watermark), "{left} wait");
        permit.release(at(1));
        permit = answer(&mut tickets.remove(0)).unwrap().unwrap();
    }
    let status = limiter.status(at(1));
    assert_eq!((status.waiting, status.tiers[0].open, status.tiers[0].trips), (4, false, 1));
    assert_eq!(limiter.check(id(0)), Ok(()));
    drop(tickets);
}

#[test]
fn when_a_tier_sheds_so_do_the_lower_ones() {
    // The second tier trips at 3 waiters, whatever the third's own watermarks say.
    let tiers = vec![tier(9_000, 1, 1.0, 0.9), tier(9_000, 1, 0.3, 0.1), tier(9_000, 1, 0.9, 0.8)];
    let limiter = Limiter::new(&Limits::new(1, 10, tiers).unwrap());
    let _permit = admitted(&limiter, 0, at(0));
    let _tickets: Vec<_> = (0..3).map(|_| waiting(&limiter, 1, at(0))).collect();
    assert_eq!(limiter.check(id(2)), Err(Rejection::Watermark));
    assert_eq!(limiter.check(id(1)), Err(Rejection::Watermark));
    assert_eq!(limiter.check(id(0)), Ok(()));
}

#[test]
fn queue_delay_sheds_the_lower_tiers_only() {
    let tiers = vec![tier(9_000, 1, 0.9, 0.5), tier(9_000, 1, 0.9, 0.5)];
    let limiter = Limiter::new(&Limits::new(1, 100, tiers).unwrap());
    let mut permit = admitted(&limiter, 0, at(0));
    let mut tickets: Vec<_> = (0..8).map(|_| waiting(&limiter, 0, at(0))).collect();
    // Served every 600 ms: after a window of a second the mean wait is far above 20 ms, the buffer at a twelfth.
    for step in 1..=4 {
        permit.release(at(step * 600));
        permit = answer(&mut tickets.remove(0)).unwrap().unwrap();
    }
    let status = limiter.status(at(2_400));
    assert!(status.queue_delay > Duration::from_millis(500), "{status:?}");
    assert_eq!(status.pressure, 1.0);
    assert_eq!(limiter.check(id(0)), Ok(()));
    assert_eq!(limiter.check(id(1)), Err(Rejection::Watermark));
    // An empty buffer has no delay.
    tickets.clear();
    assert_eq!(limiter.status(at(2_400)).pressure, 0.0);
    assert_eq!(limiter.check(id(1)), Ok(()));
}

#[test]
fn shedding_for_delay_ends_while_one_still_waits_however_slow_the_upstream() {
    let limiter = Limiter::new(&Limits::new(1, 100, vec![tier(9_000, 1, 0.9, 0.5); 2]).unwrap());
    let mut permit = admitted(&limiter, 0, at(0));
    let mut tickets: Vec<_> = (0..6).map(|_| waiting(&limiter, 1, at(0))).collect();
    for (step, refused) in [(1, false), (2, false), (3, true), (4, true), (5, false)] {
        permit.release(at(step * 600));
        permit = answer(&mut tickets.remove(0)).unwrap().unwrap();
        assert_eq!(limiter.check(id(1)).is_err(), refused, "after {step}");
    }
    assert_eq!(limiter.status(at(3_000)).waiting, 1);
}

#[test]
fn external_pressure_counts_for_all_tiers_even_with_permits_free() {
    let limiter = Limiter::new(&Limits::new(5, 10, three_tiers()).unwrap());
    limiter.set_external_pressure(0.8, at(0));
    assert_eq!(limiter.check(id(0)), Ok(()));
    assert_eq!(rejected(&limiter, 1, at(0)), Rejection::Watermark);
    limiter.set_external_pressure(f64::INFINITY, at(0));
    assert_eq!(rejected(&limiter, 0, at(0)), Rejection::Watermark);
    limiter.set_external_pressure(f64::NAN, at(0));
    drop(admitted(&limiter, 2, at(0)));
}

#[test]
fn memory_between_the_watermarks_keeps_no_breaker_open_that_the_buffer_tripped() {
    let limits = |high| Limits::new(1, 10, vec![tier(9_000, 1, high, 0.4)]).unwrap();
    let limiter = Limiter::new(&limits(0.8));
    let press = |pressure| limiter.set_external_pressure(pressure, at(0));
    let is_open = || limiter.status(at(0)).tiers[0].open;
    press(0.7);
    let permit = admitted(&limiter, 0, at(0));
    let tickets: Vec<_> = (0..8).map(|_| waiting(&limiter, 0, at(0))).collect();
    assert!(is_open());
    drop((permit, tickets));
    assert_eq!((is_open(), limiter.pressure(at(0))), (false, 0.7));
    // Its own trip lasts until it is well below the mark that it reached, through a reload too.
    for (pressure, open) in [(0.85, true), (0.76, true), (0.74, false), (0.79, false)] {
        press(pressure);
        limiter.apply(&limits(0.8), at(0));
        let _seen = limiter.status(at(2_000));
        assert_eq!(limiter.status(at(4_000)).tiers[0].open, open, "at {pressure}");
    }
}

#[test]
fn a_deadline_that_cannot_be_met_is_refused_on_arrival() {
    let limiter = patient(1, 10, &[1]);
    let acquire = |now, deadline| limiter.acquire(id(0), now, deadline);
    let deadline = |decision| matches!(decision, Decision::Reject(Rejection::Deadline));
    assert!(deadline(acquire(at(5), at(5))));
    // A service of 100 ms is learned.
    admitted(&limiter, 0, at(0)).release(at(100));
    let _held = admitted(&limiter, 0, at(100));
    assert_eq!(limiter.estimated_wait(id(0)), Duration::from_millis(100));
    assert!(deadline(acquire(at(100), at(199))));
    let Decision::Wait(_first) = acquire(at(100), at(200)) else { panic!() };
    assert_eq!(limiter.estimated_wait(id(0)), Duration::from_millis(200));
    assert!(deadline(acquire(at(100), at(299))));
    let Decision::Wait(_second) = acquire(at(100), at(300)) else { panic!() };
}

#[test]
fn a_wait_beyond_max_wait_is_refused_at_the_gate_until_it_is_none() {
    let limits = Limits::new(2, 100, vec![tier(100, 1, 0.9, 0.5)]).unwrap();
    let limiter = Limiter::new(&limits);
    admitted(&limiter, 0, at(0)).release(at(60));
    let permit = admitted(&limiter, 0, at(60));
    let _other = admitted(&limiter, 0, at(60));
    // 30 ms for each that is ahead: the third would wait for 90 ms, and 9/8 of that is too long.
    let mut first = waiting(&limiter, 0, at(60));
    let _second = waiting(&limiter, 0, at(60));
    assert_eq!(limiter.check(id(0)), Err(Rejection::QueueTimeout));
    assert_eq!(rejected(&limiter, 0, at(60)), Rejection::QueueTimeout);
    permit.release(at(120));
    drop(answer(&mut first).unwrap());
    assert_eq!(limiter.check(id(0)), Ok(()));
}

#[test]
fn an_estimate_learned_while_the_upstream_froze_wedges_nothing() {
    let limits = Limits::new(2, 100, vec![tier(100, 1, 0.9, 0.5), tier(100, 1, 0.8, 0.4)]).unwrap();
    let limiter = Limiter::new(&limits);
    let frozen = [admitted(&limiter, 0, at(0)), admitted(&limiter, 0, at(0))];
    frozen.into_iter().for_each(|permit| permit.release(at(30_000)));
    let mut now = 30_000;
    for _ in 0..60 {
        for tier in [0, 1] {
            let permit = admitted(&limiter, tier, at(now));
            let held = admitted(&limiter, tier, at(now));
            // As many as there are permits may always wait: it is they who tell how long it takes now.
            let mut waits = waiting(&limiter, tier, at(now));
            now += 1;
            permit.release(at(now));
            answer(&mut waits).unwrap().unwrap().release(at(now));
            held.release(at(now));
        }
    }
    assert!(limiter.status(at(now)).mean_service < Duration::from_millis(10));
}

#[test]
fn who_expired_is_passed_over_and_told_why() {
    let limits = Limits::new(1, 10, vec![tier(100, 1, 0.9, 0.5)]).unwrap();
    let limiter = Limiter::new(&limits);
    let permit = admitted(&limiter, 0, at(0));
    let mut timed_out = waiting(&limiter, 0, at(0));
    let Decision::Wait(mut too_late) = limiter.acquire(id(0), at(0), at(50)) else { panic!() };
    assert_eq!((timed_out.expires(), too_late.expires()), (at(100), at(50)));
    let mut served = waiting(&limiter, 0, at(10));
    permit.release(at(100));
    assert_eq!(answer(&mut timed_out).unwrap().unwrap_err(), Rejection::QueueTimeout);
    assert_eq!(answer(&mut too_late).unwrap().unwrap_err(), Rejection::Deadline);
    assert_eq!(answer(&mut served).unwrap().unwrap().since(), at(100));
    // Having answered, it stays silent.
    assert!(answer(&mut timed_out).is_none());
}

#[test]
fn a_timer_that_fires_just_after_the_hand_over_gets_the_permit() {
    let limiter = patient(1, 1, &[1]);
    let permit = admitted(&limiter, 0, at(0));
    let ticket = waiting(&limiter, 0, at(0));
    permit.release(at(1));
    drop(ticket.expire(at(1)).unwrap());
    assert_eq!(limiter.status(at(1)).in_flight, 0);
}

#[test]
fn a_lower_limit_evicts_nobody_and_admits_none_until_it_has_fallen() {
    let limiter = patient(3, 10, &[1]);
    let mut permits: Vec<_> = (0..3).map(|_| admitted(&limiter, 0, at(0))).collect();
    let mut ticket = waiting(&limiter, 0, at(0));
    let lower = Limits::new(1, 10, vec![tier(9_000, 1, 1.0, 0.5)]).unwrap();
    limiter.apply(&lower, at(0));
    for in_flight in [2, 1] {
        permits.remove(0).release(at(1));
        assert!(answer(&mut ticket).is_none());
        assert_eq!(limiter.status(at(1)).in_flight, in_flight);
    }
    permits.remove(0).release(at(1));
    drop(answer(&mut ticket).unwrap().unwrap());
}

#[test]
fn a_higher_limit_reaches_all_waiters_at_once_however_many() {
    let limiter = patient(1, 1_000, &[1, 2]);
    let _permit = admitted(&limiter, 0, at(0));
    let mut tickets: Vec<_> = (0..500).map(|n| waiting(&limiter, n % 2, at(0))).collect();
    limiter.apply(&Limits::new(400, 5, three_tiers()).unwrap(), at(0));
    let permits: Vec<_> = tickets.iter_mut().filter_map(answer).collect();
    assert_eq!(permits.len(), 399);
    assert!(permits.iter().all(Result::is_ok));
    // The smaller buffer has evicted nobody.
    assert_eq!(limiter.status(at(0)).waiting, 101);
}

#[test]
fn closing_refuses_the_waiters_and_leaves_permits_alone() {
    let limiter = patient(1, 100, &[1]);
    let permit = admitted(&limiter, 0, at(0));
    let mut tickets: Vec<_> = (0..100).map(|_| waiting(&limiter, 0, at(0))).collect();
    limiter.apply(&Limits::new(0, 100, vec![tier(9_000, 1, 1.0, 0.5)]).unwrap(), at(0));
    for ticket in &mut tickets {
        assert_eq!(answer(ticket).unwrap().unwrap_err(), Rejection::Closed);
    }
    assert_eq!(limiter.status(at(0)).in_flight, 1);
    permit.release(at(1));
    limiter.apply(&Limits::new(1, 100, vec![tier(9_000, 1, 1.0, 0.5)]).unwrap(), at(1));
    drop(admitted(&limiter, 0, at(1)));
}

#[test]
fn draining_refuses_waiters_and_newcomers() {
    let limiter = patient(2, 100, &[1]);
    let permits = [admitted(&limiter, 0, at(0)), admitted(&limiter, 0, at(0))];
    let mut tickets: Vec<_> = (0..50).map(|_| waiting(&limiter, 0, at(0))).collect();
    limiter.drain(at(0));
    for ticket in &mut tickets {
        assert_eq!(answer(ticket).unwrap().unwrap_err(), Rejection::Draining);
    }
    assert_eq!(rejected(&limiter, 0, at(0)), Rejection::Draining);
    assert_eq!(limiter.status(at(0)).in_flight, 2);
    drop(permits);
    assert!(matches!(acquire(&limiter, 0, at(0)), Decision::Reject(Rejection::Draining)));
}

#[test]
fn a_reload_that_changes_nothing_changes_nothing() {
    let limits = Limits::new(1, 10, vec![tier(9_000, 1, 0.8, 0.4)]).unwrap();
    let limiter = Limiter::new(&limits);
    let _permit = admitted(&limiter, 0, at(0));
    let _tickets: Vec<_> = (0..8).map(|_| waiting(&limiter, 0, at(0))).collect();
    let before = limiter.status(at(0));
    limiter.apply(&limits, at(0));
    assert_eq!(limiter.status(at(0)), before);
    assert!(before.tiers[0].open);
}

#[test]
fn a_permit_that_is_dropped_is_handed_over_too() {
    let limiter = patient(1, 1, &[1]);
    let permit = admitted(&limiter, 0, at(7));
    let mut ticket = waiting(&limiter, 0, at(7));
    drop(permit);
    assert_eq!(answer(&mut ticket).unwrap().unwrap().since(), at(7));
}

#[test]
fn tiers_that_change_places_keep_their_waiters() {
    let limits = |first: u64, second: u64| {
        let tier = |wait: u64| floodgate_limiter::TierLimits {
            max_wait: Duration::from_millis(wait),
            weight: std::num::NonZeroU32::MIN,
            watermarks: floodgate_limiter::Watermarks::new(1.0, 0.5).unwrap(),
        };
        Limits::new(1, 10, vec![tier(first), tier(second)]).unwrap()
    };
    let at = |millis: u64| Timestamp::from_nanos(millis * 1_000_000);
    let (first, second) = (TierId::new(0).unwrap(), TierId::new(1).unwrap());
    let limiter = Limiter::new(&limits(5_000, 5_000));
    let Decision::Admit(permit) = limiter.acquire(first, at(0), Timestamp::MAX) else { panic!() };
    let Decision::Wait(mut low) = limiter.acquire(second, at(0), Timestamp::MAX) else { panic!() };
    let Decision::Wait(mut high) = limiter.acquire(first, at(0), Timestamp::MAX) else { panic!() };
    limiter.apply_from(&limits(5_000, 5_000), &[Some(1), Some(0)], at(1));
    let waiting: Vec<u32> = limiter.status(at(1)).tiers.iter().map(|tier| tier.waiting).collect();
    assert_eq!(waiting, [1, 1]);
    permit.release(at(2));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let served = std::pin::Pin::new(&mut low).poll(&mut cx);
    assert!(served.is_ready(), "what was the second tier is now the first");
    assert!(std::pin::Pin::new(&mut high).poll(&mut cx).is_pending());
    drop(high);
    let status = limiter.status(at(3));
    assert_eq!((status.waiting, status.in_flight), (0, 1));
}

#[test]
fn a_deadline_is_met_up_to_the_nanosecond_and_over_at_its_own() {
    let limiter = patient(1, 10, &[1]);
    let nanos = Timestamp::from_nanos;
    let with = |deadline| limiter.acquire(id(0), nanos(1_000), nanos(deadline));
    assert!(matches!(with(1_000), Decision::Reject(Rejection::Deadline)), "it is over");
    assert!(matches!(with(0), Decision::Reject(Rejection::Deadline)), "it was over before");
    let Decision::Admit(permit) = with(1_001) else { panic!("a nanosecond is left") };
    permit.release(nanos(1_500));

    // One turn of 500 ns is to be waited for.
    let Decision::Admit(out) = limiter.acquire(id(0), nanos(2_000), Timestamp::MAX) else {
        panic!()
    };
    let with = |deadline| limiter.acquire(id(0), nanos(2_000), nanos(deadline));
    assert!(matches!(with(2_499), Decision::Reject(Rejection::Deadline)));
    let Decision::Wait(mut waits) = with(2_500) else { panic!("at the threshold it is met") };
    assert_eq!(waits.expires(), nanos(2_500));
    out.release(nanos(2_500));
    assert_eq!(
        answer(&mut waits).unwrap().unwrap_err(),
        Rejection::Deadline,
        "dropped at its turn"
    );
}

#[test]
fn a_breaker_in_the_shadow_is_seen_and_refuses_nobody() {
    let limits = |is_shadow| {
        let mut lower = tier(60_000, 1, 0.5, 0.2);
        lower.watermarks = lower.watermarks.with_shadow(is_shadow);
        Limits::new(1, 4, vec![tier(60_000, 1, 1.0, 0.8), lower]).unwrap()
    };
    let limiter = Limiter::new(&limits(true));
    let _permit = admitted(&limiter, 1, at(0));
    let mut waiters: Vec<_> = (0..2).map(|_| waiting(&limiter, 1, at(0))).collect();
    let seen = limiter.status(at(0));
    assert_eq!((seen.tiers[1].open, seen.tiers[1].shadow, seen.tiers[1].trips), (true, true, 1));
    assert!(limiter.would_refuse(id(1)) && !limiter.would_refuse(id(0)));
    assert!(!limiter.would_refuse((1, 1).class()), "breakers let the preferred pass");
    waiters.push(waiting(&limiter, 1, at(0)));
    // Memory that runs out is a pressure on the same breaker.
    limiter.set_external_pressure(1.0, at(0));
    assert_eq!(limiter.check(id(1)), Err(Rejection::Watermark), "that of the first tier is live");
    limiter.set_external_pressure(0.9, at(0));
    limiter.set_external_pressure(0.0, at(0));
    waiters.push(waiting(&limiter, 1, at(0)));
    assert_eq!(rejected(&limiter, 1, at(0)), Rejection::BufferFull, "a full buffer is no breaker");
    limiter.apply(&limits(false), at(0));
    drop(waiters.pop());
    assert_eq!(rejected(&limiter, 1, at(0)), Rejection::Watermark, "live at once");
    assert!(!limiter.would_refuse(id(1)));
    assert_eq!(limiter.status(at(0)).tiers[1].trips, 1, "the same trip");
}
