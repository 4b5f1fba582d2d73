//! Threads against one limiter: nothing is lost, nothing is given twice.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use floodgate_limiter::{Decision, Limiter, Permit, Timestamp};
use support::{Asks, Random, patient_limits};

const THREADS: u64 = 8;
const ROUNDS: u64 = 20_000;
const LIMIT: u32 = 3;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn under_contention_permits_stay_within_the_limit_and_all_come_back() {
    // Fewer places than threads: some are refused and displaced too.
    let limiter = Limiter::new(&patient_limits(LIMIT, 4, &[1, 2, 1]).reserved(1));
    let (inside, peak, arrivals, outcomes) =
        (AtomicU32::new(0), AtomicU32::new(0), AtomicU64::new(0), AtomicU64::new(0));
    // A clock that all share and that each reads a little late.
    let clock = AtomicU64::new(0);

    let visit = |permit: Permit, random: &mut Random| {
        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
        peak.fetch_max(now, Ordering::SeqCst);
        if random.one_in(4) {
            thread::yield_now();
        }
        inside.fetch_sub(1, Ordering::SeqCst);
        if random.one_in(8) {
            drop(permit);
        } else {
            permit.release(Timestamp::from_nanos(clock.load(Ordering::Relaxed)));
        }
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, clock, arrivals, outcomes, visit) =
                (&limiter, &clock, &arrivals, &outcomes, &visit);
            scope.spawn(move || {
                let mut random = Random::new(thread);
                for _ in 0..ROUNDS {
                    let now = Timestamp::from_nanos(clock.fetch_add(1_000, Ordering::Relaxed));
                    let rank = random.below(4).saturating_sub(1) as u8;
                    let class = (random.below(3) as usize, rank).class();
                    arrivals.fetch_add(1, Ordering::Relaxed);
                    match limiter.acquire(class, now, Timestamp::MAX) {
                        Decision::Admit(permit) => visit(permit, &mut random),
                        Decision::Reject(_) => thread::yield_now(),
                        Decision::Wait(ticket) => match random.below(8) {
                            0 => drop(ticket),
                            1 => {
                                if let Ok(permit) = ticket.expire(now) {
                                    visit(permit, &mut random);
                                }
                            }
                            _ => {
                                if let Ok(permit) = block_on(ticket) {
                                    visit(permit, &mut random);
                                }
                            }
                        },
                    }
                    outcomes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Meanwhile the limit moves below its ceiling, the reserve below the limit, and the buffer breathes.
        scope.spawn(|| {
            for round in 0..200_u32 {
                let weights = vec![1; 2 + round as usize % 2];
                let limits = patient_limits(1 + round % LIMIT, 2 + round % 5, &weights);
                let limits = limits.reserved(round / 7 % 3);
                limiter.apply(&limits, Timestamp::from_nanos(clock.load(Ordering::Relaxed)));
                thread::yield_now();
            }
        });
    });
    let status = limiter.status(Timestamp::from_nanos(clock.load(Ordering::Relaxed)));
    assert_eq!((status.in_flight, status.waiting), (0, 0));
    assert_eq!(outcomes.load(Ordering::Relaxed), arrivals.load(Ordering::Relaxed));
    assert!(peak.load(Ordering::SeqCst) <= LIMIT);
}
