//! A limit that moves under those who are in flight and those who wait.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::time::Duration;

use floodgate_limiter::{Decision, Limits};
use support::{acquire, admitted, answer, at, id, patient, patient_limits, waiting};

#[test]
fn a_raise_is_handed_to_those_who_wait_and_a_lower_one_evicts_nobody() {
    let limiter = patient(1, 10, &[1, 1]);
    let first = admitted(&limiter, 0, at(0));
    let mut waiters: Vec<_> = (0..3).map(|_| waiting(&limiter, 1, at(1))).collect();
    limiter.resize(&patient_limits(3, 10, &[1, 1]), at(2));
    let answers: Vec<_> = waiters.iter_mut().map(answer).collect();
    let granted: Vec<bool> = answers.iter().map(|it| matches!(it, Some(Ok(_)))).collect();
    assert_eq!(granted, [true, true, false]);
    assert_eq!(limiter.in_flight(), 3);
    limiter.resize(&patient_limits(1, 10, &[1, 1]), at(3));
    assert_eq!((limiter.in_flight(), limiter.status(at(3)).limit), (3, 1));
    first.release(at(4));
    assert_eq!((limiter.in_flight(), limiter.status(at(4)).waiting), (2, 1), "it is not replaced");
}

#[test]
fn the_kept_permits_stay_the_same_part_and_are_never_all() {
    let limits = patient_limits(400, 10, &[1]).reserved(80);
    for (permits, kept) in [(400, 80), (200, 40), (7, 1), (4, 0), (1, 0), (0, 0)] {
        assert_eq!(limits.reserved_at(permits), kept, "{permits}");
    }
    let nearly_all = patient_limits(10, 10, &[1]).reserved(9);
    for permits in 1..=20 {
        assert!(nearly_all.reserved_at(permits) < permits, "{permits}");
    }
    let resized: Limits = limits.clone().resized(100);
    assert_eq!((resized.max_in_flight(), resized.reserved_permits()), (100, 20));
    assert_eq!(resized.resized(400), limits);
}

#[test]
fn as_the_limit_moves_ordinary_requests_leave_what_is_kept() {
    let limits = patient_limits(10, 0, &[1]).reserved(4);
    let limiter = floodgate_limiter::Limiter::new(&limits);
    let mut inside = Vec::new();
    for permits in [10, 5, 10] {
        limiter.resize(&limits.clone().resized(permits), at(0));
        while let Decision::Admit(permit) = acquire(&limiter, 0, at(0)) {
            inside.push(permit);
        }
        assert_eq!(inside.len() as u32, permits - limits.reserved_at(permits));
        while let Decision::Admit(permit) = acquire(&limiter, (0, 2), at(0)) {
            inside.push(permit);
        }
        assert_eq!(inside.len() as u32, permits);
        inside.clear();
    }
}

#[test]
fn it_closes_nothing_and_estimates_and_gate_follow() {
    let limiter = patient(4, 10, &[1]);
    limiter.resize(&patient_limits(0, 10, &[1]).reserved(7), at(0));
    assert_eq!(limiter.status(at(0)).limit, 1, "closing is another thing");
    let held = admitted(&limiter, 0, at(0));
    held.release(at(10));
    let _held = admitted(&limiter, 0, at(10));
    let _waiters: Vec<_> = (0..3).map(|_| waiting(&limiter, 0, at(10))).collect();
    assert_eq!(limiter.estimated_wait(id(0)), Duration::from_millis(40));
    limiter.resize(&patient_limits(2, 10, &[1]), at(10));
    assert_eq!(limiter.estimated_wait(id(0)), Duration::from_millis(15), "one was handed out");
}

#[test]
fn what_is_guaranteed_stays_the_same_part() {
    let limits = patient_limits(100, 10, &[1, 1]).guaranteed(&[0.0, 0.25]);
    let limiter = floodgate_limiter::Limiter::new(&limits);
    for (permits, guaranteed) in [(100, 25), (8, 2), (40, 10), (1, 1)] {
        limiter.resize(&limits.clone().resized(permits), at(0));
        assert_eq!(limiter.status(at(0)).tiers[1].guaranteed, guaranteed, "{permits}");
    }
}
