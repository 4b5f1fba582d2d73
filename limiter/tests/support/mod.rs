//! What several tests need.
#![allow(dead_code, unreachable_pub, reason = "compiled into each test, used by some")]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use floodgate_limiter::{
    Class, Decision, Limiter, Limits, Permit, Rank, Rejection, Ticket, TierId, TierLimits,
    Timestamp, Watermarks,
};

pub fn at(millis: u64) -> Timestamp {
    Timestamp::from_nanos(millis * 1_000_000)
}

pub fn id(tier: usize) -> TierId {
    TierId::new(tier as u8).unwrap()
}

/// A tier by its index, alone or with a rank.
pub trait Asks {
    fn class(self) -> Class;
}

impl Asks for usize {
    fn class(self) -> Class {
        id(self).into()
    }
}

impl Asks for (usize, u8) {
    fn class(self) -> Class {
        Class { tier: id(self.0), rank: Rank::new(self.1) }
    }
}

pub fn tier(max_wait_ms: u64, weight: u32, high: f64, low: f64) -> TierLimits {
    TierLimits {
        max_wait: Duration::from_millis(max_wait_ms),
        weight: NonZeroU32::new(weight).unwrap(),
        watermarks: Watermarks::new(high, low).unwrap(),
    }
}

/// The tiers of a checkout: core trade, marketing, analytics.
pub fn three_tiers() -> Vec<TierLimits> {
    vec![tier(500, 1, 0.95, 0.80), tier(100, 4, 0.75, 0.55), tier(50, 1, 0.60, 0.45)]
}

/// Limits under which waiters do not time out and breakers trip at a full buffer only.
pub fn patient_limits(max_in_flight: u32, buffer: u32, weights: &[u32]) -> Limits {
    let tiers = weights.iter().map(|&weight| tier(3_600_000, weight, 1.0, 0.5)).collect();
    Limits::new(max_in_flight, buffer, tiers).unwrap()
}

/// A limiter whose waiters do not time out and whose breakers trip at a full buffer only.
pub fn patient(max_in_flight: u32, buffer: u32, weights: &[u32]) -> Arc<Limiter> {
    Limiter::new(&patient_limits(max_in_flight, buffer, weights))
}

pub fn acquire(limiter: &Arc<Limiter>, class: impl Asks, now: Timestamp) -> Decision {
    limiter.acquire(class.class(), now, Timestamp::MAX)
}

#[track_caller]
pub fn admitted(limiter: &Arc<Limiter>, class: impl Asks, now: Timestamp) -> Permit {
    match acquire(limiter, class, now) {
        Decision::Admit(permit) => permit,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub fn waiting(limiter: &Arc<Limiter>, class: impl Asks, now: Timestamp) -> Ticket {
    match acquire(limiter, class, now) {
        Decision::Wait(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub fn rejected(limiter: &Arc<Limiter>, class: impl Asks, now: Timestamp) -> Rejection {
    match acquire(limiter, class, now) {
        Decision::Reject(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

/// The answer to a ticket, if there is one.
pub fn answer(ticket: &mut Ticket) -> Option<Result<Permit, Rejection>> {
    match Pin::new(ticket).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => None,
        Poll::Ready(answer) => Some(answer),
    }
}

/// Random numbers that a seed repeats: xorshift64* (Vigna, 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds are spread, and none is 0.
        Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
