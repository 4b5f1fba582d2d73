//! What the hot paths do not do: allocate, and, where they refuse, write.
//!
//! That a refusal writes no shared memory is shown here by comparing everything the limiter holds before and after. Its
//! cost, and that there is no lock and no exchange on its way, is shown in instructions by `benches/instructions.sh`.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "support/heap.rs"]
mod heap;
mod support;

use floodgate_limiter::{Decision, Gcra, Limiter, Limits, Rate, Timestamp};
use heap::allocations;
use support::{Asks, acquire, admitted, answer, at, id, patient, patient_limits, tier, waiting};

#[test]
fn a_refusal_allocates_nothing_and_changes_nothing() {
    let limits = Limits::new(1, 8, vec![tier(9_000, 1, 1.0, 0.5), tier(9_000, 1, 0.5, 0.2)]);
    let limiter = Limiter::new(&limits.unwrap());
    let _permit = admitted(&limiter, 0, at(0));
    let _tickets: Vec<_> = (0..8).map(|_| waiting(&limiter, (0, 7), at(0))).collect();
    let gcra = Gcra::new(Rate::new(1, std::time::Duration::from_secs(1), 1).unwrap());
    gcra.take(at(0)).unwrap();

    let before = format!("{limiter:?} {gcra:?}");
    let count = allocations(|| {
        for step in 0..100_000 {
            let now = Timestamp::from_nanos(step);
            assert!(limiter.check(id(1)).is_err());
            assert!(matches!(acquire(&limiter, 0, now), Decision::Reject(_)));
            assert!(matches!(acquire(&limiter, 1, now), Decision::Reject(_)));
            assert!(limiter.check((1, 1).class()).is_err());
            assert!(matches!(acquire(&limiter, (0, 7), now), Decision::Reject(_)));
            assert!(gcra.peek(now).is_err() && gcra.take(now).is_err());
        }
    });
    assert_eq!(count, 0);
    assert_eq!(format!("{limiter:?} {gcra:?}"), before);
}

#[test]
fn a_refusal_without_a_buffer_or_for_a_deadline_changes_nothing_either() {
    let unbuffered = patient(1, 0, &[1]);
    let _permit = admitted(&unbuffered, 0, at(0));
    let slow = patient(1, 100, &[1]);
    admitted(&slow, 0, at(0)).release(at(1_000));
    let _held = admitted(&slow, 0, at(1_000));
    let _ticket = waiting(&slow, 0, at(1_000));

    let before = format!("{unbuffered:?} {slow:?}");
    let count = allocations(|| {
        for _ in 0..100_000 {
            assert!(matches!(acquire(&unbuffered, 0, at(5)), Decision::Reject(_)));
            let decision = slow.acquire(id(0), at(1_000), at(1_500));
            assert!(matches!(decision, Decision::Reject(_)));
        }
    });
    assert_eq!(count, 0);
    assert_eq!(format!("{unbuffered:?} {slow:?}"), before);
}

#[test]
fn a_permit_taken_and_given_back_allocates_nothing() {
    let limiter = Limiter::new(&patient_limits(2, 8, &[1]).reserved(1));
    let count = allocations(|| {
        for step in 0..10_000 {
            let first = admitted(&limiter, 0, at(step));
            admitted(&limiter, (0, 2), at(step)).release(at(step + 1));
            first.release(at(step + 1));
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn a_waiter_in_and_out_of_a_warm_buffer_allocates_nothing() {
    let limiter = patient(1, 8, &[1, 1]);
    let in_and_out = |step| {
        let permit = admitted(&limiter, 0, at(step));
        let mut served = waiting(&limiter, 1, at(step));
        let mut leaves = waiting(&limiter, 1, at(step));
        let mut holder = waiting(&limiter, (1, 2 + (step % 5) as u8), at(step));
        assert!(answer(&mut served).is_none() && answer(&mut leaves).is_none());
        drop(leaves);
        permit.release(at(step + 1));
        answer(&mut holder).unwrap().unwrap().release(at(step + 2));
        answer(&mut served).unwrap().unwrap().release(at(step + 2));
    };
    in_and_out(0);
    let count = allocations(|| (1..10_000).for_each(in_and_out));
    assert_eq!(count, 0);
}
