//! Every interleaving of the short races of latch and store, under loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p floodgate-limiter --test loom_checkout`.
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::{
    Begin, Claim, Followed, LatchSettings, Latches, Look, Once, OnceSettings, Seen, Stock,
    Timestamp,
};
use loom::future::block_on;
use loom::thread;

const NOW: Timestamp = Timestamp::from_nanos(1_000);
const TTL: Duration = Duration::from_secs(2);
const GONE: Seen = Seen { remaining: None, state: Some(Stock::SoldOut), sold_out: false };
const THERE: Seen = Seen { remaining: Some(5), state: None, sold_out: false };

/// Preemptions beyond this find nothing new in practice (Musuvathi and Qadeer, 2007) and take hours.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(f);
}

fn latches() -> Arc<Latches> {
    Arc::new(Latches::new(LatchSettings { max_skus: 2, ttl: TTL, low: 0 }))
}

#[test]
fn what_is_out_is_found_while_it_is_moved() {
    model(|| {
        let latches = latches();
        // All three belong in the same slot, so the second moves up when the first has to make room.
        let [first, out, third] = [16, 32, 48];
        latches.observe(first, "a", THERE, NOW, NOW);
        latches.observe(out, "b", GONE, NOW, NOW);
        let other = Arc::clone(&latches);
        // The reader is the thread that is spawned: loom does not go back to what the first one only loads.
        let thread = thread::spawn(move || {
            assert_eq!(other.look(out, NOW), Look::Refuse(Stock::SoldOut));
        });
        latches.observe(third, "c", THERE, NOW, NOW);
        thread.join().unwrap();
        assert_eq!(latches.look(first, NOW), Look::Pass);
    });
}

#[test]
fn one_canary_goes_whoever_asks() {
    model(|| {
        let latches = latches();
        latches.observe(16, "a", GONE, NOW, NOW);
        let later = NOW + TTL;
        let other = Arc::clone(&latches);
        let goes = move |latches: &Latches| {
            matches!(latches.look(16, later), Look::Canary(_)) && latches.claim_canary(16, later)
        };
        let thread = thread::spawn(move || goes(&other));
        let here = goes(&latches);
        assert!(here ^ thread.join().unwrap());
    });
}

#[test]
fn a_latch_is_never_seen_with_the_canary_of_the_last_one() {
    model(|| {
        let latches = latches();
        latches.observe(16, "a", GONE, NOW, NOW);
        let later = NOW + TTL;
        latches.observe(16, "a", THERE, later, later);
        // By now the canary of the first one would be due again.
        let later = later + TTL;
        let other = Arc::clone(&latches);
        let thread = thread::spawn(move || {
            let look = other.look(16, later);
            assert!(matches!(look, Look::Pass | Look::Refuse(Stock::SoldOut)), "{look:?}");
        });
        latches.observe(16, "a", GONE, later, later);
        thread.join().unwrap();
    });
}

fn store() -> Arc<Once<u64>> {
    Once::new(OnceSettings { memory: 1 << 16, ttl: TTL })
}

fn first(once: &Arc<Once<u64>>) -> Claim<u64> {
    match once.begin(1, 0, NOW) {
        Begin::First(claim) => claim,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_reaches_who_begins_to_follow() {
    model(|| {
        let once = store();
        let claim = first(&once);
        let other = Arc::clone(&once);
        let thread = thread::spawn(move || match other.begin(1, 0, NOW) {
            // Never woken if the answer was missed: loom reports the deadlock.
            Begin::InFlight(follow) => assert_eq!(block_on(follow), Followed::Replay(7)),
            Begin::Replay(answer) => assert_eq!(answer, 7),
            other => panic!("{other:?}"),
        });
        assert!(claim.finish(Some(7), 0, NOW));
        thread.join().unwrap();
    });
}

#[test]
fn a_lost_claim_lets_one_of_the_others_begin() {
    model(|| {
        let once = store();
        let claim = first(&once);
        let other = Arc::clone(&once);
        let thread = thread::spawn(move || match other.begin(1, 0, NOW) {
            Begin::InFlight(follow) => {
                assert_eq!(block_on(follow), Followed::Retry);
                assert!(first(&other).finish(Some(8), 0, NOW));
            }
            Begin::First(claim) => assert!(claim.finish(Some(8), 0, NOW)),
            other => panic!("{other:?}"),
        });
        drop(claim);
        thread.join().unwrap();
        assert!(matches!(once.begin(1, 0, NOW), Begin::Replay(8)));
    });
}

#[test]
fn two_who_begin_are_one_first_and_one_follower() {
    model(|| {
        let once = store();
        let ask = |once: &Arc<Once<u64>>| match once.begin(1, 0, NOW) {
            Begin::First(claim) => claim.finish(Some(9), 0, NOW),
            Begin::InFlight(follow) => {
                assert_eq!(block_on(follow), Followed::Replay(9));
                false
            }
            Begin::Replay(answer) => {
                assert_eq!(answer, 9);
                false
            }
            other => panic!("{other:?}"),
        };
        let other = Arc::clone(&once);
        let thread = thread::spawn(move || ask(&other));
        let here = ask(&once);
        assert!(here ^ thread.join().unwrap());
    });
}
