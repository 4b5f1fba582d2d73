//! Purchase once, from outside.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use floodgate_limiter::{
    Begin, Claim, Follow, Followed, MAX_FOLLOWERS, Once, OnceSettings, Timestamp,
};
use support::{Random, at};

const KEY: u128 = 0x00C0_FFEE;
const BODY: u64 = 7;
const TTL: Duration = Duration::from_secs(900);

fn store(memory: usize) -> Arc<Once<u64>> {
    Once::new(OnceSettings { memory, ttl: TTL })
}

/// The memory of that many entries without bytes.
fn room_for(entries: usize) -> usize {
    entries * Once::<u64>::OVERHEAD
}

#[track_caller]
fn first(once: &Arc<Once<u64>>, key: u128, now: Timestamp) -> Claim<u64> {
    match once.begin(key, BODY, now) {
        Begin::First(claim) => claim,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn follow(once: &Arc<Once<u64>>, key: u128, now: Timestamp) -> Follow<u64> {
    match once.begin(key, BODY, now) {
        Begin::InFlight(follow) => follow,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn replay(once: &Arc<Once<u64>>, key: u128, now: Timestamp) -> u64 {
    match once.begin(key, BODY, now) {
        Begin::Replay(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn poll(follow: &mut Follow<u64>) -> Option<Followed<u64>> {
    match Pin::new(follow).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(followed) => Some(followed),
        Poll::Pending => None,
    }
}

#[test]
fn five_clicks_are_one_request_and_five_equal_answers() {
    let once = store(1 << 20);
    assert!(!once.knows(KEY, at(0)));
    let claim = first(&once, KEY, at(0));
    assert!(once.knows(KEY, at(0)));
    let mut followers: Vec<_> = (0..3).map(|_| follow(&once, KEY, at(1))).collect();
    assert!(followers.iter_mut().all(|follow| poll(follow).is_none()));
    assert!(claim.finish(Some(42), 100, at(2)));
    assert!(followers.iter_mut().all(|follow| poll(follow) == Some(Followed::Replay(42))));
    assert_eq!(replay(&once, KEY, at(3)), 42);
}

#[test]
fn a_key_that_comes_with_something_else_is_a_mismatch() {
    let once = store(1 << 20);
    let claim = first(&once, KEY, at(0));
    assert!(matches!(once.begin(KEY, BODY + 1, at(0)), Begin::Mismatch));
    claim.finish(Some(1), 0, at(1));
    assert!(matches!(once.begin(KEY, BODY + 1, at(1)), Begin::Mismatch));
    assert_eq!(replay(&once, KEY, at(1)), 1);
}

#[test]
fn what_comes_to_nothing_is_begun_anew() {
    let once = store(1 << 20);
    for drops in [true, false] {
        let claim = first(&once, KEY, at(0));
        let mut followers = [follow(&once, KEY, at(0)), follow(&once, KEY, at(0))];
        if drops {
            drop(claim);
        } else {
            assert!(!claim.finish(None, 0, at(1)));
        }
        assert!(followers.iter_mut().all(|follow| poll(follow) == Some(Followed::Retry)));
        assert!(!once.knows(KEY, at(1)));
    }
    assert_eq!(once.status(), Default::default());
}

#[test]
fn a_claim_lost_in_a_panic_is_forgotten() {
    let once = store(1 << 20);
    let claim = first(&once, KEY, at(0));
    let lost = thread::spawn(move || {
        let _claim = claim;
        std::panic::resume_unwind(Box::new("lost"));
    });
    assert!(lost.join().is_err());
    drop(first(&once, KEY, at(0)));
}

#[test]
fn sixteen_follow_the_next_is_told_and_who_leaves_makes_room() {
    let once = store(1 << 20);
    let claim = first(&once, KEY, at(0));
    let mut followers: Vec<_> = (0..MAX_FOLLOWERS).map(|_| follow(&once, KEY, at(0))).collect();
    assert!(matches!(once.begin(KEY, BODY, at(0)), Begin::Busy));
    drop(followers.remove(5));
    followers.push(follow(&once, KEY, at(0)));
    assert!(matches!(once.begin(KEY, BODY, at(0)), Begin::Busy));
    claim.finish(Some(3), 0, at(0));
    assert!(followers.iter_mut().all(|follow| poll(follow) == Some(Followed::Replay(3))));
}

#[test]
fn everybody_who_follows_is_woken_once_and_who_left_is_not() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let once = store(1 << 20);
    let claim = first(&once, KEY, at(0));
    let counts: Vec<_> = (0..4).map(|_| Arc::new(Count(AtomicUsize::new(0)))).collect();
    let mut followers: Vec<_> = (0..4).map(|_| follow(&once, KEY, at(0))).collect();
    for (follow, count) in followers.iter_mut().zip(&counts) {
        let waker = Waker::from(Arc::clone(count));
        assert!(Pin::new(follow).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop(followers.remove(0));
    drop(claim);
    let woken: Vec<_> = counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect();
    assert_eq!(woken, [0, 1, 1, 1]);
}

#[test]
fn an_answer_is_replayed_for_its_time_and_not_longer() {
    let once = store(1 << 20);
    first(&once, KEY, at(1_000)).finish(Some(5), 0, at(5_000));
    assert_eq!(replay(&once, KEY, at(904_999)), 5);
    assert!(once.knows(KEY, at(904_999)) && !once.knows(KEY, at(905_000)));
    first(&once, KEY, at(905_000)).finish(Some(6), 0, at(905_000));
    assert_eq!(replay(&once, KEY, at(905_001)), 6);
    // What has expired also goes when nobody asks for it.
    for key in 0..20 {
        first(&once, key, at(906_000)).finish(Some(0), 0, at(906_000));
    }
    for key in 100..120 {
        drop(first(&once, key, at(9_000_000)));
    }
    assert_eq!(once.status(), Default::default());
}

#[test]
fn the_oldest_finished_goes_first_and_never_one_in_flight() {
    let once = store(room_for(4));
    let held = first(&once, 0, at(0));
    for key in 1..=3 {
        first(&once, key, at(0)).finish(Some(key as u64), 0, at(0));
    }
    // A replay makes nothing younger.
    assert_eq!(replay(&once, 1, at(1)), 1);
    let claims = [first(&once, 10, at(1)), first(&once, 11, at(1))];
    assert!(!once.knows(1, at(1)) && !once.knows(2, at(1)) && once.knows(3, at(1)));
    let last = first(&once, 12, at(1));
    assert!(matches!(once.begin(13, BODY, at(1)), Begin::Full));
    assert!(matches!(once.begin(0, BODY, at(1)), Begin::Busy), "no room for followers");
    drop((claims, last));
    let mut follows = follow(&once, 0, at(2));
    assert!(held.finish(Some(9), 0, at(2)));
    assert_eq!(poll(&mut follows), Some(Followed::Replay(9)));
    assert_eq!(once.status().evicted, 3);
}

#[test]
fn an_answer_that_has_no_room_still_reaches_those_who_wait() {
    let once = store(room_for(10));
    first(&once, 1, at(0)).finish(Some(1), 0, at(0));
    let claim = first(&once, 2, at(0));
    let mut follows = follow(&once, 2, at(0));
    assert!(!claim.finish(Some(2), room_for(10), at(0)));
    assert_eq!(poll(&mut follows), Some(Followed::Replay(2)));
    // Nothing went to make room for what has none in any case.
    assert!(once.knows(1, at(0)) && !once.knows(2, at(0)));
    assert!(!first(&once, 3, at(0)).finish(Some(3), usize::MAX, at(0)));
}

#[test]
fn less_memory_forgets_the_oldest_and_keeps_what_is_in_flight() {
    let once = store(room_for(6));
    let held = first(&once, 0, at(0));
    for key in 1..=5 {
        first(&once, key, at(0)).finish(Some(0), 0, at(0));
    }
    once.apply(OnceSettings { memory: room_for(3), ttl: Duration::from_secs(1) });
    assert_eq!((1..=5).filter(|&key| once.knows(key, at(1))).collect::<Vec<_>>(), [4, 5]);
    assert!(!once.knows(5, at(1_000)), "the new time is in force");
    once.apply(OnceSettings { memory: 0, ttl: TTL });
    assert!(once.knows(0, at(1)));
    assert!(!held.finish(Some(1), 0, at(1)));
    assert!(matches!(once.begin(0, BODY, at(1)), Begin::Full));
}

async fn in_time(follow: Follow<u64>) -> Followed<u64> {
    tokio::time::timeout(Duration::from_secs(20), follow).await.expect("nobody was told")
}

#[test]
fn from_any_number_of_threads_there_is_one_first_and_replays_are_what_was_finished() {
    const KEYS: usize = 4_000;
    const THREADS: u64 = 6;
    let once = store(16 << 20);
    // Noted before it is given.
    let answers: Vec<_> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let busy: Vec<_> = (0..KEYS).map(|_| AtomicBool::new(false)).collect();
    let (replays, follows) = (AtomicU64::new(0), AtomicU64::new(0));
    let ask = |key: usize, random: &mut Random, runtime: &tokio::runtime::Runtime| {
        let noted = || answers[key].load(Ordering::SeqCst);
        let digest = (key as u128) << 64 | key as u128;
        match once.begin(digest, BODY, at(1)) {
            Begin::First(claim) => {
                assert_eq!(noted(), 0, "done again");
                assert!(!busy[key].swap(true, Ordering::SeqCst), "two firsts");
                if random.one_in(2) {
                    thread::yield_now();
                }
                let answer = random.next() | 1;
                let succeeds = random.one_in(3);
                if succeeds {
                    answers[key].store(answer, Ordering::SeqCst);
                }
                busy[key].store(false, Ordering::SeqCst);
                match random.below(2) {
                    _ if succeeds => assert!(claim.finish(Some(answer), 9, at(1))),
                    0 => drop(claim),
                    _ => assert!(!claim.finish(None, 0, at(1))),
                }
            }
            Begin::InFlight(follow) if random.one_in(4) => drop(follow),
            Begin::InFlight(follow) => match runtime.block_on(in_time(follow)) {
                Followed::Replay(answer) => {
                    assert_eq!(answer, noted());
                    follows.fetch_add(1, Ordering::Relaxed);
                }
                Followed::Retry => {}
            },
            Begin::Replay(answer) => {
                assert_eq!(answer, noted());
                replays.fetch_add(1, Ordering::Relaxed);
            }
            other => panic!("{other:?}"),
        }
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (once, ask) = (&once, &ask);
            scope.spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                let mut random = Random::new(thread);
                for round in 0..KEYS * 10 {
                    ask(round / 10, &mut random, &runtime);
                    let _known = once.knows(round as u128, at(1));
                }
            });
        }
    });
    assert_eq!(once.status().in_flight, 0);
    let (replays, follows) = (replays.into_inner(), follows.into_inner());
    assert!(replays > 10_000 && follows > 0, "{replays} replays, {follows} follows");
}
