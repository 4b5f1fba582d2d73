//! Handing requests from 1, 2 and 8 producers to where they are served, through this crate's buffer and through queues.
//!
//! `cargo bench -p floodgate-limiter --bench handoff`
//!
//! The queues have one consumer, which takes as fast as it can. The buffer has none: each producer keeps a few tickets
//! waiting, and a permit that is collected is given back at once, which hands it to the next waiter. So its figure is
//! that of a place taken, a permit handed over and collected; the queues' is that of an element moved. All have 1,024
//! places; who finds them full, or empty, yields and tries again.
//!
//! `full` is the case of a flash sale: the cost of the push that fails.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark, not an API")]

mod support;

use std::collections::VecDeque;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_queue::ArrayQueue;
use floodgate_limiter::{Decision, Limiter, Ticket};
use support::{NOW, acquire, fill, limiter};

const PLACES: usize = 1_024;
/// Tickets each producer keeps waiting.
const IN_HAND: usize = 64;

fn hand_off(c: &mut Criterion) {
    for producers in [1_u64, 2, 8] {
        let mut group = c.benchmark_group(format!("hand off, {producers} producers"));
        group.throughput(Throughput::Elements(1));
        group.bench_function("limiter", |b| {
            b.iter_custom(|items| {
                let limiter = limiter(1, PLACES as u32);
                timed(items, producers, |items| through_the_buffer(&limiter, items), |_| ())
            });
        });
        group.bench_function("tokio mpsc", |b| {
            b.iter_custom(|items| {
                let (sender, mut receiver) = tokio::sync::mpsc::channel(PLACES);
                let push = |items| (0..items).for_each(|n| until(|| sender.try_send(n).is_ok()));
                timed(items, producers, push, |items| {
                    (0..items).for_each(|_| until(|| receiver.try_recv().is_ok()));
                })
            });
        });
        group.bench_function("crossbeam ArrayQueue", |b| {
            b.iter_custom(|items| {
                let queue = ArrayQueue::new(PLACES);
                let push = |items| (0..items).for_each(|n| until(|| queue.push(n).is_ok()));
                timed(items, producers, push, |items| {
                    (0..items).for_each(|_| until(|| queue.pop().is_some()));
                })
            });
        });
        group.bench_function("flume", |b| {
            b.iter_custom(|items| {
                let (sender, receiver) = flume::bounded(PLACES);
                let push = |items| (0..items).for_each(|n| until(|| sender.try_send(n).is_ok()));
                timed(items, producers, push, |items| {
                    (0..items).for_each(|_| until(|| receiver.try_recv().is_ok()));
                })
            });
        });
        if producers == 1 {
            group.bench_function("rtrb, single producer", |b| b.iter_custom(through_the_ring));
        }
        group.finish();
    }
}

fn full(c: &mut Criterion) {
    let mut group = c.benchmark_group("push that fails");
    let buffer = limiter(1, PLACES as u32);
    let _held = fill(&buffer);
    group.bench_function("limiter", |b| b.iter(|| acquire(black_box(&buffer))));

    let (sender, _receiver) = tokio::sync::mpsc::channel(1);
    sender.try_send(0).unwrap();
    group.bench_function("tokio mpsc", |b| b.iter(|| black_box(&sender).try_send(1).is_err()));

    let queue = ArrayQueue::new(1);
    queue.push(0).unwrap();
    group.bench_function("crossbeam ArrayQueue", |b| b.iter(|| black_box(&queue).push(1).is_err()));

    let (sender, _receiver) = flume::bounded(1);
    sender.try_send(0).unwrap();
    group.bench_function("flume", |b| b.iter(|| black_box(&sender).try_send(1).is_err()));

    let (mut producer, _consumer) = rtrb::RingBuffer::new(1);
    producer.push(0).unwrap();
    group.bench_function("rtrb, single producer", |b| {
        b.iter(|| black_box(&mut producer).push(1).is_err());
    });
    group.finish();
}

/// The time in which `producers` threads bring `items` in all, while this thread takes them.
fn timed(
    items: u64,
    producers: u64,
    push: impl Fn(u64) + Sync,
    take: impl FnOnce(u64),
) -> Duration {
    let began = now();
    thread::scope(|scope| {
        for producer in 0..producers {
            let push = &push;
            scope.spawn(move || push(items / producers + u64::from(producer < items % producers)));
        }
        take(items);
    });
    began.elapsed()
}

fn through_the_ring(items: u64) -> Duration {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(PLACES);
    let began = now();
    thread::scope(|scope| {
        scope.spawn(move || (0..items).for_each(|n| until(|| producer.push(n).is_ok())));
        (0..items).for_each(|_| until(|| consumer.pop().is_ok()));
    });
    began.elapsed()
}

fn through_the_buffer(limiter: &Arc<Limiter>, items: u64) {
    let mut tickets: VecDeque<Ticket> = VecDeque::with_capacity(IN_HAND);
    let (mut begun, mut done) = (0, 0);
    while done < items {
        while begun < items && tickets.len() < IN_HAND {
            begun += 1;
            match acquire(limiter) {
                Decision::Admit(permit) => {
                    permit.release(NOW);
                    done += 1;
                }
                Decision::Wait(ticket) => tickets.push_back(ticket),
                Decision::Reject(_) => begun -= 1,
            }
        }
        let mut moved = false;
        while let Some(ticket) = tickets.front_mut() {
            match Pin::new(ticket).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => break,
                Poll::Ready(answer) => {
                    answer.unwrap().release(NOW);
                    tickets.pop_front();
                    done += 1;
                    moved = true;
                }
            }
        }
        if !moved {
            thread::yield_now();
        }
    }
}

fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        thread::yield_now();
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

criterion_group!(benches, hand_off, full);
criterion_main!(benches);
