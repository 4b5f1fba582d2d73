//! One thread: the cost of each answer, beside tokio's semaphore and governor's limiter in the same run.
//!
//! `cargo bench -p floodgate-limiter --bench admission`
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark, not an API")]

mod support;

use std::future::Future;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use floodgate_limiter::{Decision, Gcra, Rate, Timestamp};
use governor::{Quota, RateLimiter};
use support::{NOW, acquire, fill, first, limiter};
use tokio::sync::Semaphore;

fn refuse(c: &mut Criterion) {
    let mut group = c.benchmark_group("refuse");
    let full = limiter(1, 64);
    let _held = fill(&full);
    group.bench_function("limiter, at the gate", |b| b.iter(|| black_box(full.check(first()))));
    group.bench_function("limiter, the whole decision", |b| b.iter(|| acquire(black_box(&full))));

    let semaphore = Semaphore::new(0);
    group.bench_function("tokio semaphore", |b| {
        b.iter(|| black_box(&semaphore).try_acquire().is_err());
    });

    let gcra = Gcra::new(Rate::new(1, Duration::from_secs(3_600), 1).unwrap());
    gcra.take(NOW).unwrap();
    group.bench_function("rate, a look", |b| b.iter(|| black_box(gcra.peek(NOW))));

    let hourly = Quota::with_period(Duration::from_secs(3_600)).unwrap();
    let governor = RateLimiter::direct(hourly);
    governor.check().unwrap();
    group.bench_function("governor (reads a clock)", |b| {
        b.iter(|| black_box(&governor).check().is_err());
    });
    group.finish();
}

fn admit(c: &mut Criterion) {
    let mut group = c.benchmark_group("admit");
    let free = limiter(64, 64);
    group.bench_function("limiter, take and give back", |b| {
        b.iter(|| match acquire(&free) {
            Decision::Admit(permit) => permit.release(NOW),
            other => drop(black_box(other)),
        });
    });

    let semaphore = Arc::new(Semaphore::new(64));
    group.bench_function("tokio semaphore, take and give back", |b| {
        b.iter(|| drop(black_box(Arc::clone(&semaphore).try_acquire_owned())));
    });

    let gcra = Gcra::new(Rate::new(1_000_000_000, Duration::from_secs(1), 1).unwrap());
    let mut now = NOW;
    group.bench_function("rate, take", |b| {
        b.iter(|| {
            now = now + Duration::from_nanos(1);
            black_box(gcra.take(now))
        });
    });

    let governor = RateLimiter::direct(Quota::per_second(NonZeroU32::MAX));
    group.bench_function("governor (reads a clock)", |b| {
        b.iter(|| black_box(&governor).check().is_ok());
    });
    group.finish();
}

fn wait(c: &mut Criterion) {
    let mut group = c.benchmark_group("wait");
    for others in [0, 1_000] {
        let limiter = limiter(1, 2_000);
        let Decision::Admit(permit) = acquire(&limiter) else { return };
        let mut permit = Some(permit);
        let mut tickets: std::collections::VecDeque<_> = (0..others)
            .filter_map(|_| match acquire(&limiter) {
                Decision::Wait(ticket) => Some(ticket),
                _ => None,
            })
            .collect();
        let mut context = Context::from_waker(Waker::noop());
        group.bench_function(format!("in and out of the buffer, {others} others"), |b| {
            b.iter(|| {
                if let Decision::Wait(ticket) = acquire(&limiter) {
                    tickets.push_back(ticket);
                }
                if let Some(permit) = permit.take() {
                    permit.release(NOW);
                }
                if let Some(mut ticket) = tickets.pop_front()
                    && let Poll::Ready(Ok(given)) = Pin::new(&mut ticket).poll(&mut context)
                {
                    permit = Some(given);
                }
            });
        });
        group.bench_function(format!("in the buffer and gone, {others} others"), |b| {
            b.iter(|| drop(black_box(limiter.acquire(first(), NOW, Timestamp::MAX))));
        });
    }
    group.finish();
}

criterion_group!(benches, refuse, admit, wait);
criterion_main!(benches);
