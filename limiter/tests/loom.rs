//! Every interleaving of the short races, under loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p floodgate-limiter --test loom`.
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use floodgate_limiter::{
    Class, Decision, Gcra, Limiter, Limits, Permit, Rank, Rate, Rejection, Ticket, TierId,
    TierLimits, Timestamp, Watermarks,
};
use loom::future::block_on;
use loom::thread;

const NOW: Timestamp = Timestamp::from_nanos(0);

fn limits(max_in_flight: u32, buffer: u32) -> Limits {
    let tier = TierLimits {
        max_wait: Duration::from_secs(1),
        weight: NonZeroU32::MIN,
        watermarks: Watermarks::new(1.0, 0.5).unwrap(),
    };
    Limits::new(max_in_flight, buffer, vec![tier]).unwrap()
}

fn first() -> TierId {
    TierId::new(0).unwrap()
}

/// Of the first tier, above the ordinary rank.
fn preferred() -> Class {
    Class { tier: first(), rank: Rank::new(1) }
}

fn acquire(limiter: &Arc<Limiter>) -> Decision {
    limiter.acquire(first(), NOW, Timestamp::MAX)
}

fn admitted(limiter: &Arc<Limiter>) -> Permit {
    match acquire(limiter) {
        Decision::Admit(permit) => permit,
        other => panic!("{other:?}"),
    }
}

fn waiting(limiter: &Arc<Limiter>) -> Ticket {
    match acquire(limiter) {
        Decision::Wait(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

/// Preemptions beyond this find nothing new in practice (Musuvathi and Qadeer, 2007) and take hours.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(5);
    builder.check(f);
}

fn assert_empty(limiter: &Limiter) {
    let status = limiter.status(NOW);
    assert_eq!((status.in_flight, status.waiting), (0, 0));
}

#[test]
fn permits_never_exceed_the_limit_and_all_come_back() {
    model(|| {
        let limiter = Limiter::new(&limits(1, 0));
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || {
            if let Decision::Admit(permit) = acquire(&other) {
                assert_eq!(other.status(NOW).in_flight, 1);
                permit.release(NOW);
            }
        });
        if let Decision::Admit(permit) = acquire(&limiter) {
            assert_eq!(limiter.status(NOW).in_flight, 1);
            permit.release(NOW);
        }
        thread.join().unwrap();
        assert_empty(&limiter);
    });
}

#[test]
fn a_lowered_limit_holds_from_then_on() {
    model(|| {
        let limiter = Limiter::new(&limits(2, 0));
        let held = admitted(&limiter);
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || match acquire(&other) {
            Decision::Admit(permit) => Some(permit),
            _ => None,
        });
        limiter.apply(&limits(1, 0), NOW);
        let raced = thread.join().unwrap();
        assert!(limiter.status(NOW).in_flight <= 2);
        assert!(matches!(acquire(&limiter), Decision::Reject(_)));
        drop((held, raced));
        assert_empty(&limiter);
    });
}

#[test]
fn a_raised_limit_reaches_who_waits() {
    model(|| {
        let limiter = Limiter::new(&limits(1, 1));
        let held = admitted(&limiter);
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || match acquire(&other) {
            Decision::Admit(permit) => drop(permit),
            Decision::Wait(ticket) => drop(block_on(ticket).unwrap()),
            Decision::Reject(rejection) => panic!("{rejection}"),
        });
        limiter.apply(&limits(2, 1), NOW);
        thread.join().unwrap();
        drop(held);
        assert_empty(&limiter);
    });
}

#[test]
fn a_raised_limit_is_not_taken_by_a_newcomer_past_who_waits() {
    model(|| {
        let limiter = Limiter::new(&limits(1, 2));
        let _held = admitted(&limiter);
        let waits = waiting(&limiter);
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || other.apply(&limits(2, 2), NOW));
        let newcomer = acquire(&limiter);
        assert!(matches!(newcomer, Decision::Wait(_)), "overtook: {newcomer:?}");
        drop(block_on(waits).unwrap());
        thread.join().unwrap();
    });
}

#[test]
fn a_return_and_an_arrival_do_not_miss_each_other() {
    model(|| {
        let limiter = Limiter::new(&limits(1, 1));
        let held = admitted(&limiter);
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || match acquire(&other) {
            Decision::Admit(permit) => permit.release(NOW),
            // Never woken if the return was missed: loom reports the deadlock.
            Decision::Wait(ticket) => block_on(ticket).unwrap().release(NOW),
            Decision::Reject(rejection) => panic!("{rejection}"),
        });
        held.release(NOW);
        thread.join().unwrap();
        assert_empty(&limiter);
    });
}

#[test]
fn a_hand_over_to_one_who_leaves_goes_to_the_next() {
    model(|| {
        let limiter = Limiter::new(&limits(1, 2));
        let held = admitted(&limiter);
        let leaves = waiting(&limiter);
        let stays = waiting(&limiter);
        let thread = thread::spawn(move || drop(leaves));
        held.release(NOW);
        block_on(stays).unwrap().release(NOW);
        thread.join().unwrap();
        assert_empty(&limiter);
    });
}

#[test]
fn a_hand_over_to_one_who_expires_gives_the_permit_or_the_refusal() {
    model(|| {
        let limiter = Limiter::new(&limits(1, 1));
        let held = admitted(&limiter);
        let expires = waiting(&limiter);
        let thread = thread::spawn(move || match expires.expire(NOW) {
            Ok(permit) => permit.release(NOW),
            Err(rejection) => assert_eq!(rejection, Rejection::QueueTimeout),
        });
        held.release(NOW);
        thread.join().unwrap();
        assert_empty(&limiter);
    });
}

#[test]
fn a_waker_that_is_replaced_during_the_hand_over_is_not_lost() {
    model(|| {
        let limiter = Limiter::new(&limits(1, 1));
        let held = admitted(&limiter);
        let ticket = waiting(&limiter);
        let thread = thread::spawn(move || held.release(NOW));
        block_on(async {
            let mut ticket = pin!(ticket);
            let first = ticket.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            match first {
                Poll::Ready(answer) => answer.unwrap().release(NOW),
                Poll::Pending => ticket.await.unwrap().release(NOW),
            }
        });
        thread.join().unwrap();
        assert_empty(&limiter);
    });
}

#[test]
fn the_gate_is_open_again_after_the_last_waiter_has_gone() {
    model(|| {
        let limiter = Limiter::new(&limits(1, 1));
        let held = admitted(&limiter);
        let ticket = waiting(&limiter);
        assert_eq!(limiter.check(first()), Err(Rejection::BufferFull));
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || {
            drop(ticket);
            // Whatever is decided meanwhile, it is never a permit too many.
            if let Decision::Admit(permit) = acquire(&other) {
                assert_eq!(other.status(NOW).in_flight, 1);
                permit.release(NOW);
            }
        });
        held.release(NOW);
        thread.join().unwrap();
        assert_eq!(limiter.check(first()), Ok(()));
        assert_empty(&limiter);
    });
}

#[test]
fn drain_refuses_who_waits_or_comes() {
    model(|| {
        let limiter = Limiter::new(&limits(1, 1));
        let held = admitted(&limiter);
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || match acquire(&other) {
            Decision::Wait(ticket) => {
                assert_eq!(block_on(ticket).unwrap_err(), Rejection::Draining);
            }
            Decision::Reject(rejection) => assert_eq!(rejection, Rejection::Draining),
            Decision::Admit(_) => panic!("the permit is held"),
        });
        limiter.drain(NOW);
        thread.join().unwrap();
        held.release(NOW);
        assert_empty(&limiter);
    });
}

#[test]
fn a_permit_that_is_kept_goes_to_who_it_is_kept_for_past_a_waiter_and_a_return() {
    model(|| {
        let limiter = Limiter::new(&limits(2, 1).reserved(1));
        let held = admitted(&limiter);
        let waits = waiting(&limiter);
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || match other.acquire(preferred(), NOW, Timestamp::MAX) {
            Decision::Admit(permit) => permit,
            other => panic!("{other:?}"),
        });
        held.release(NOW);
        let handed = block_on(waits).unwrap();
        let kept = thread.join().unwrap();
        assert_eq!(limiter.status(NOW).in_flight, 2);
        drop((handed, kept));
        assert_empty(&limiter);
    });
}

#[test]
fn two_returns_serve_who_may_have_only_one_of_them() {
    model(|| {
        let limiter = Limiter::new(&limits(2, 1).reserved(1));
        let held = admitted(&limiter);
        let Decision::Admit(kept) = limiter.acquire(preferred(), NOW, Timestamp::MAX) else {
            panic!()
        };
        let waits = waiting(&limiter);
        let thread = thread::spawn(move || kept.release(NOW));
        held.release(NOW);
        block_on(waits).unwrap().release(NOW);
        thread.join().unwrap();
        assert_empty(&limiter);
    });
}

#[test]
fn a_return_and_a_preferred_arrival_do_not_miss_each_other_past_a_waiter() {
    model(|| {
        let limiter = Limiter::new(&limits(2, 2).reserved(1));
        let held = admitted(&limiter);
        let Decision::Admit(kept) = limiter.acquire(preferred(), NOW, Timestamp::MAX) else {
            panic!()
        };
        let waits = waiting(&limiter);
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || match other.acquire(preferred(), NOW, Timestamp::MAX) {
            Decision::Admit(permit) => permit.release(NOW),
            Decision::Wait(ticket) => block_on(ticket).unwrap().release(NOW),
            Decision::Reject(rejection) => panic!("{rejection}"),
        });
        kept.release(NOW);
        thread.join().unwrap();
        held.release(NOW);
        block_on(waits).unwrap().release(NOW);
        assert_empty(&limiter);
    });
}

#[test]
fn a_lowered_reserve_reaches_who_waits() {
    model(|| {
        let limiter = Limiter::new(&limits(2, 1).reserved(1));
        let held = admitted(&limiter);
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || match acquire(&other) {
            Decision::Admit(permit) => drop(permit),
            Decision::Wait(ticket) => drop(block_on(ticket).unwrap()),
            Decision::Reject(rejection) => panic!("{rejection}"),
        });
        limiter.apply(&limits(2, 1), NOW);
        thread.join().unwrap();
        drop(held);
        assert_empty(&limiter);
    });
}

#[test]
fn a_raised_limit_is_not_given_twice_to_who_waits_and_to_a_preferred_newcomer() {
    model(|| {
        let limiter = Limiter::new(&limits(1, 2));
        let held = admitted(&limiter);
        let waits = waiting(&limiter);
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || match other.acquire(preferred(), NOW, Timestamp::MAX) {
            Decision::Admit(permit) => {
                assert!(other.status(NOW).in_flight <= 2);
                permit.release(NOW);
            }
            Decision::Wait(ticket) => block_on(ticket).unwrap().release(NOW),
            Decision::Reject(rejection) => panic!("{rejection}"),
        });
        limiter.apply(&limits(2, 2), NOW);
        assert!(limiter.status(NOW).in_flight <= 2);
        block_on(waits).unwrap().release(NOW);
        thread.join().unwrap();
        drop(held);
        assert_empty(&limiter);
    });
}

#[test]
fn a_rate_is_not_exceeded_by_a_race() {
    model(|| {
        let rate = Rate::new(1, Duration::from_secs(1), 2).unwrap();
        let gcra = Arc::new(Gcra::new(rate));
        let other = Arc::clone(&gcra);
        // The two readings of the clock arrive in either order.
        let thread = thread::spawn(move || {
            let late = Timestamp::from_nanos(999_999_999);
            u32::from(other.take(late).is_ok()) + u32::from(other.take(late).is_ok())
        });
        let taken = u32::from(gcra.take(NOW).is_ok()) + u32::from(gcra.take(NOW).is_ok());
        assert_eq!(taken + thread.join().unwrap(), 2);
    });
}

#[test]
fn a_rate_changed_during_a_take_gives_no_fresh_burst() {
    model(|| {
        let rate = |burst| Rate::new(1, Duration::from_secs(1), burst).unwrap();
        let gcra = Arc::new(Gcra::new(rate(1)));
        let other = Arc::clone(&gcra);
        let thread = thread::spawn(move || {
            u32::from(other.take(NOW).is_ok()) + u32::from(other.take(NOW).is_ok())
        });
        gcra.set_rate(rate(5), NOW);
        assert_eq!(thread.join().unwrap() + u32::from(gcra.take(NOW).is_ok()), 1);
    });
}
