//! Every interleaving of the short races about guarantees, under loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p floodgate-limiter --test loom_shares`.
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use floodgate_limiter::{
    Decision, Limiter, Limits, Permit, Ticket, TierId, TierLimits, Timestamp, Watermarks,
};
use loom::future::block_on;
use loom::thread;

const NOW: Timestamp = Timestamp::from_nanos(0);

/// Preemptions beyond this find nothing new in practice (Musuvathi and Qadeer, 2007) and take hours.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// Two tiers, the second of which is guaranteed `part`.
fn limits(max_in_flight: u32, part: f64) -> Limits {
    let tier = TierLimits {
        max_wait: Duration::from_secs(1),
        weight: NonZeroU32::MIN,
        watermarks: Watermarks::new(1.0, 0.5).unwrap(),
    };
    Limits::new(max_in_flight, 4, vec![tier; 2]).unwrap().guaranteed(&[0.0, part])
}

fn acquire(limiter: &Arc<Limiter>, tier: u8) -> Decision {
    limiter.acquire(TierId::new(tier).unwrap(), NOW, Timestamp::MAX)
}

fn admitted(limiter: &Arc<Limiter>, tier: u8) -> Permit {
    match acquire(limiter, tier) {
        Decision::Admit(permit) => permit,
        other => panic!("{other:?}"),
    }
}

fn waiting(limiter: &Arc<Limiter>, tier: u8) -> Ticket {
    match acquire(limiter, tier) {
        Decision::Wait(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn is_served(ticket: &mut Ticket) -> Option<Permit> {
    match std::pin::Pin::new(ticket).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer.unwrap()),
        Poll::Pending => None,
    }
}

fn assert_empty(limiter: &Limiter) {
    let status = limiter.status(NOW);
    assert_eq!((status.in_flight, status.waiting), (0, 0));
    assert!(status.tiers.iter().all(|tier| tier.in_flight.unwrap_or(0) == 0));
}

#[test]
fn of_two_permits_that_come_back_at_once_the_guaranteed_one_gets_its_own() {
    model(|| {
        let limiter = Limiter::new(&limits(2, 0.5));
        let [one, other] = [admitted(&limiter, 0), admitted(&limiter, 0)];
        let [_first, _again] = [waiting(&limiter, 0), waiting(&limiter, 0)];
        let guaranteed = waiting(&limiter, 1);
        let thread = thread::spawn(move || one.release(NOW));
        other.release(NOW);
        // Loom reports the deadlock if both went to the first tier.
        block_on(guaranteed).unwrap().release(NOW);
        thread.join().unwrap();
        drop((_first, _again));
        assert_empty(&limiter);
    });
}

#[test]
fn a_return_of_the_guaranteed_tier_itself_is_taken_off_before_it_is_handed_on() {
    model(|| {
        let limiter = Limiter::new(&limits(2, 0.5));
        let [own, other] = [admitted(&limiter, 1), admitted(&limiter, 0)];
        let mut first = waiting(&limiter, 0);
        let mut guaranteed = waiting(&limiter, 1);
        let thread = thread::spawn(move || own.release(NOW));
        thread.join().unwrap();
        // Its tier is below its guarantee again, so it goes before the first.
        let own = is_served(&mut guaranteed).unwrap();
        assert!(is_served(&mut first).is_none());
        other.release(NOW);
        drop((block_on(first).unwrap(), own));
        assert_empty(&limiter);
    });
}

#[test]
fn a_newcomer_that_is_counted_late_is_never_counted_too_often() {
    model(|| {
        let limiter = Limiter::new(&limits(2, 0.5));
        let held = admitted(&limiter, 0);
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || match acquire(&other, 1) {
            Decision::Admit(permit) => permit.release(NOW),
            Decision::Wait(ticket) => block_on(ticket).unwrap().release(NOW),
            Decision::Reject(rejection) => panic!("{rejection}"),
        });
        let in_flight = limiter.status(NOW).tiers[1].in_flight.unwrap();
        assert!(in_flight <= 1);
        held.release(NOW);
        thread.join().unwrap();
        assert_empty(&limiter);
    });
}

#[test]
fn a_guarantee_that_comes_or_goes_meanwhile_leaves_no_count_behind() {
    model(|| {
        let limiter = Limiter::new(&limits(2, 0.0));
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || match acquire(&other, 1) {
            Decision::Admit(permit) => permit.release(NOW),
            other => panic!("{other:?}"),
        });
        limiter.apply(&limits(2, 0.5), NOW);
        limiter.apply(&limits(2, 0.0), NOW);
        thread.join().unwrap();
        limiter.apply(&limits(2, 0.5), NOW);
        assert_empty(&limiter);
    });
}

#[test]
fn a_guarantee_that_leaves_with_its_permit_passes_it_to_the_next() {
    model(|| {
        let limiter = Limiter::new(&limits(1, 1.0));
        let held = admitted(&limiter, 0);
        let first = waiting(&limiter, 0);
        let leaves = waiting(&limiter, 1);
        let thread = thread::spawn(move || drop(leaves));
        held.release(NOW);
        block_on(first).unwrap().release(NOW);
        thread.join().unwrap();
        assert_empty(&limiter);
    });
}
