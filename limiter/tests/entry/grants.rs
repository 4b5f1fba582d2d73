//! The table of grants: what a grant is good for, and until when.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use floodgate_limiter::{Ended, EntrySettings, Standing};

use crate::support::at;
use crate::{TTL_MILLIS, holder, informed, load, settings};

#[test]
fn whether_a_grant_is_good_can_be_seen_without_using_it() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    for nonce in [7, 8] {
        holder(&entry, nonce, at(1_000));
    }
    for _ in 1..4 {
        assert!((0..9).all(|_| entry.is_good(7, expires, at(1_001))));
        assert_eq!(entry.call(7, expires, at(1_001)), Ok(()));
    }
    assert!(!entry.is_good(7, expires, at(1_001)), "has made its calls");
    entry.give_back(7, at(1_001));
    assert!(entry.is_good(7, expires, at(1_001)));
    entry.end(8, at(1_001));
    assert!(!entry.is_good(8, expires, at(1_001)), "was ended");
    // Of one that is not in the table only the time is known.
    assert!(entry.is_good(9, expires, at(1_001)));
    assert!(!entry.is_good(9, at(1_001), at(1_001)), "is over");
}

#[test]
fn a_grant_is_good_for_its_calls_and_for_no_more() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    holder(&entry, 7, at(1_000));
    for _ in 1..4 {
        assert_eq!(entry.call(7, expires, at(1_001)), Ok(()));
    }
    assert_eq!(entry.call(7, expires, at(1_002)), Err(Ended::Calls));
    entry.apply(EntrySettings { calls: 5, ..settings() }, at(1_003));
    assert_eq!(entry.call(7, expires, at(1_003)), Ok(()));
    assert_eq!(entry.call(7, expires, at(1_003)), Err(Ended::Calls));
}

#[test]
fn a_call_that_is_given_back_may_be_made_again_and_no_more_than_that() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    holder(&entry, 7, at(1_000));
    for _ in 0..9 {
        assert_eq!(entry.call(7, expires, at(1_001)), Ok(()));
        entry.give_back(7, at(1_001));
    }
    // The entry was made: there is nothing more to give back.
    entry.give_back(7, at(1_001));
    for _ in 1..4 {
        assert_eq!(entry.call(7, expires, at(1_002)), Ok(()));
    }
    assert_eq!(entry.call(7, expires, at(1_002)), Err(Ended::Calls));
    // Of one that is not in the table there is nothing to be given back either.
    entry.give_back(8, at(1_002));
    assert_eq!(entry.status().live, 1);
}

#[test]
fn a_finished_grant_may_still_ask_and_an_ended_one_may_not() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    for nonce in [7, 8] {
        holder(&entry, nonce, at(1_000));
        assert_eq!(entry.call(nonce, expires, at(1_001)), Ok(()));
    }
    assert_eq!(entry.status().in_progress, 2);
    entry.finish(7, at(1_002));
    entry.end(8, at(1_002));
    assert_eq!(entry.status().in_progress, 0);
    assert_eq!(entry.call(7, expires, at(1_003)), Ok(()));
    assert_eq!(entry.call(8, expires, at(1_003)), Err(Ended::Over));
    // One that was never heard of here, too.
    entry.end(9, at(1_003));
    assert_eq!(entry.call(9, expires, at(1_004)), Err(Ended::Over));
    assert_eq!(entry.status().in_progress, 0);
}

#[test]
fn a_grant_from_elsewhere_is_counted_from_its_first_call_on() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    for _ in 1..4 {
        assert_eq!(entry.call(7, expires, at(1_000)), Ok(()));
    }
    assert_eq!(entry.call(7, expires, at(1_000)), Err(Ended::Calls));
    assert_eq!(entry.status().in_progress, 1);
}

#[test]
fn a_full_table_gives_no_grants_and_lets_unknown_holders_pass_uncounted() {
    let entry = informed(EntrySettings { max_grants: 3, ..settings() });
    let expires = at(1_000 + TTL_MILLIS);
    for nonce in 0..3 {
        holder(&entry, nonce, at(1_000));
    }
    assert!(!entry.peek(Standing::OnTime, true, at(1_000)));
    assert!(entry.take(Standing::OnTime, true, at(1_000)).is_none());
    for _ in 0..10 {
        assert_eq!(entry.call(99, expires, at(1_000)), Ok(()));
    }
    assert_eq!(entry.status().live, 3);
    assert_eq!((1..4).filter(|_| entry.call(1, expires, at(1_000)).is_ok()).count(), 3);
    assert_eq!(entry.call(1, expires, at(1_000)), Err(Ended::Calls));
}

#[test]
fn what_has_expired_is_forgotten() {
    let entry = informed(settings());
    for nonce in 0..500 {
        assert_eq!(entry.call(nonce, at(2_000), at(1_000)), Ok(()));
    }
    assert_eq!(entry.call(3, at(2_000), at(2_000)), Err(Ended::Over));
    entry.tick(&[load(450, 5)], at(2_000));
    let status = entry.status();
    assert_eq!((status.live, status.in_progress), (0, 0));
}

#[test]
fn a_grant_that_was_renewed_stays_known() {
    let entry = informed(settings());
    assert_eq!(entry.call(7, at(2_000), at(1_000)), Ok(()));
    assert_eq!(entry.call(7, at(3_000), at(1_500)), Ok(()));
    entry.tick(&[load(450, 5)], at(2_500));
    assert_eq!(entry.status().live, 1);
    assert_eq!(entry.call(7, at(3_000), at(2_500)), Ok(()));
    assert_eq!(entry.call(7, at(3_000), at(2_500)), Err(Ended::Calls));
    entry.tick(&[load(450, 5)], at(3_000));
    assert_eq!(entry.status().live, 0);
}

#[test]
fn a_holder_who_is_gone_holds_no_place_and_counts_again_when_he_speaks() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    let served = |millis: u64| [load(450 + millis, 5)];
    for nonce in 0..20 {
        holder(&entry, nonce, at(1_000));
        entry.tick(&served(0), at(1_000));
    }
    // The usual gap is 200 ms; half of them go on with it.
    for millis in [200, 400, 600, 800, 1_000, 1_200, 1_400_u64] {
        for nonce in 0..10 {
            // The budget ends calls, not silence.
            entry.call(nonce + 100 * millis, expires, at(1_000 + millis)).ok();
            if millis < 700 {
                assert_eq!(entry.call(nonce, expires, at(1_000 + millis)), Ok(()));
            }
        }
        entry.tick(&served(millis), at(1_000 + millis));
    }
    let status = entry.status();
    assert!(status.silence < Duration::from_secs(1), "{status:?}");
    for millis in 1_400..4_000 {
        entry.tick(&served(millis), at(1_000 + millis));
    }
    assert_eq!(entry.status().in_progress, 0);
    assert_eq!(entry.call(15, expires, at(5_000)), Ok(()));
    assert_eq!(entry.status().in_progress, 1);
}

#[test]
fn nobody_goes_silent_while_the_upstream_stands_still() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    for nonce in 0..10 {
        holder(&entry, nonce, at(1_000));
        assert_eq!(entry.call(nonce, expires, at(1_200)), Ok(()));
    }
    for millis in 1_200..60_000 {
        // Nothing is served after the first tenth of a second.
        entry.tick(&[load(450 + (millis.min(1_300) - 1_200) / 2, 5)], at(millis));
    }
    assert_eq!(entry.status().in_progress, 10);
}

#[test]
fn whatever_threads_do_at_once_the_sums_close() {
    let entry = informed(settings());
    let looks = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (entry, looks) = (&entry, &looks);
            scope.spawn(move || {
                for turn in 0..20_000_u64 {
                    let now = at(1_000 + turn / 10);
                    let nonce = thread << 32 | turn;
                    if let Some(begun) = entry.take(Standing::OnTime, turn % 2 == 0, now) {
                        if turn % 3 == 0 {
                            drop(begun);
                        } else {
                            begun.grant(nonce, now);
                            entry.call(nonce, at(1_000 + TTL_MILLIS), now).unwrap();
                            entry.finish(nonce, now);
                        }
                    }
                    entry.tick(&[load(turn, 5)], now);
                    looks.fetch_add(
                        u32::from(entry.peek(Standing::New, true, now)),
                        Ordering::Relaxed,
                    );
                }
            });
        }
    });
    let status = entry.status();
    assert_eq!((status.begun, status.in_progress), (0, 0));
    // In a full table one may lose the place that was made for it to another.
    assert!(status.given > 1_000 && (900..=1_000).contains(&status.live), "{status:?}");
}

#[test]
fn who_has_finished_makes_room_in_a_full_table() {
    let entry = informed(EntrySettings { max_grants: 3, ..settings() });
    let expires = at(1_000 + TTL_MILLIS);
    for nonce in 0..1_000 {
        holder(&entry, nonce, at(1_000));
        assert!(entry.status().live <= 3);
        // Its calls are counted: it has its place.
        assert_eq!((0..9).filter(|_| entry.call(nonce, expires, at(1_000)).is_ok()).count(), 3);
        entry.finish(nonce, at(1_000));
    }
    assert!(entry.peek(Standing::OnTime, true, at(1_000)));
    entry.tick(&[load(450, 5)], expires);
    assert_eq!(entry.status().live, 0);
}
