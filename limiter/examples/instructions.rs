//! One operation, many times over, for `benches/instructions.sh` to count instructions with.

use std::future::Future;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use floodgate_limiter::{
    Begin, Calendar, Class, Decision, Entry, EntrySettings, Gcra, Keys, LatchSettings, Latches,
    Limiter, Limits, Load, Once, OnceSettings, Rank, Rate, Returns, Seed, Seen, Standing, TierId,
    TierLimits, Timestamp, Totals, Watermarks,
};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(operation), Some(times)) = (args.next(), args.next()) else { return usage() };
    let Ok(times) = times.parse::<u64>() else { return usage() };
    match run(&operation, times) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => usage(),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: instructions loop|gate|floor|refuse|permit|wait|peek|take|look|unknown|knows|replay|early|return|newcomer|entry|call|key|keytake TIMES"
    );
    ExitCode::from(2)
}

/// Whether `operation` is known.
fn run(operation: &str, times: u64) -> Result<bool, Box<dyn std::error::Error>> {
    let tier = TierLimits {
        max_wait: Duration::from_secs(3_600),
        weight: NonZeroU32::MIN,
        watermarks: Watermarks::new(1.0, 0.5)?,
    };
    let limiter = Limiter::new(&Limits::new(1, 2, vec![tier; 3])?);
    let Some(first) = TierId::new(0) else { return Ok(false) };
    let now = Timestamp::from_nanos(1_000_000_000);
    let acquire = || limiter.acquire(first, now, Timestamp::MAX);
    let hourly = Gcra::new(Rate::new(1, Duration::from_secs(3_600), 1)?);
    let fast = Gcra::new(Rate::new(1_000_000_000, Duration::from_secs(1), 1)?);
    let mut context = Context::from_waker(Waker::noop());
    match operation {
        "loop" => repeat(times, |n| n),
        "gate" => {
            let _full = [acquire(), acquire(), acquire()];
            repeat(times, |_| limiter.check(first));
        }
        "floor" => {
            let class = |rank| Class { tier: first, rank: Rank::new(rank) };
            let _full = [3; 3].map(|rank| limiter.acquire(class(rank), now, Timestamp::MAX));
            repeat(times, |_| limiter.check(class(1)));
        }
        "refuse" => {
            let _full = [acquire(), acquire(), acquire()];
            repeat(times, |_| acquire());
        }
        "permit" => (0..times).for_each(|_| {
            if let Decision::Admit(permit) = acquire() {
                permit.release(now);
            }
        }),
        "wait" => {
            let Decision::Admit(mut permit) = acquire() else { return Ok(false) };
            for _ in 0..times {
                let Decision::Wait(mut ticket) = acquire() else { return Ok(false) };
                permit.release(now);
                let Poll::Ready(given) = Pin::new(&mut ticket).poll(&mut context) else {
                    return Ok(false);
                };
                permit = given.map_err(|rejection| rejection.as_str())?;
            }
        }
        "peek" => {
            hourly.take(now).map_err(|_| "refused")?;
            repeat(times, |_| hourly.peek(now));
        }
        "take" => repeat(times, |n| fast.take(now + Duration::from_nanos(n))),
        "look" | "unknown" => {
            let settings = LatchSettings { max_skus: 10_000, ttl: Duration::from_secs(2), low: 0 };
            let latches = Latches::new(settings);
            latches.observe(
                1 << 8,
                "sku",
                Seen { remaining: Some(0), ..Seen::default() },
                now,
                now,
            );
            let sku = if operation == "look" { 1 << 8 } else { 1 << 9 };
            repeat(times, |_| latches.look(sku, now));
        }
        "knows" | "replay" => {
            let settings = OnceSettings { memory: 64 << 20, ttl: Duration::from_secs(900) };
            let once = Once::new(settings);
            let Begin::First(claim) = once.begin(1, 0, now) else { return Ok(false) };
            claim.finish(Some(Arc::<[u8]>::from([0; 300])), 324, now);
            if operation == "knows" {
                repeat(times, |_| once.knows(1, now));
            } else {
                repeat(times, |_| once.begin(1, 0, now));
            }
        }
        "key" | "keytake" => {
            let seed = Seed::new();
            let keys = match operation {
                "key" => Keys::new(Rate::new(1, Duration::from_secs(3_600), 1)?, 10),
                _ => Keys::new(Rate::new(1_000_000, Duration::from_secs(1), 1)?, 10),
            };
            let address = seed.digest(&[192, 0, 2, 1]);
            keys.take(address, now).map_err(|_| "refused")?;
            match operation {
                "key" => repeat(times, |_| keys.peek(seed.digest(&[192, 0, 2, 1]), now)),
                _ => repeat(times, |n| keys.take(address, now + Duration::from_micros(n + 1))),
            }
        }
        "early" => {
            let returns = Returns::new(1);
            returns.tell(1, now, now + Duration::from_secs(9));
            repeat(times, |_| returns.standing(1, now));
        }
        "return" => {
            let (returns, calendar) = (Returns::new(10_000), Calendar::new(1));
            repeat(times, |n| {
                let now = now + Duration::from_millis(n);
                let customer = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let standing = returns.standing(customer, now);
                returns.tell(customer, now, calendar.book(now, 45.0));
                standing
            });
        }
        "newcomer" => {
            let (entry, mut begun) = (informed(), Vec::new());
            begun.extend(std::iter::from_fn(|| entry.take(Standing::OnTime, false, now)));
            repeat(times, |_| entry.peek(Standing::New, false, now));
        }
        "entry" => {
            let entry = informed();
            repeat(times, |n| {
                let now = now + Duration::from_millis(n);
                if let Some(begun) = entry.take(Standing::OnTime, true, now) {
                    begun.grant(n, now);
                    entry.finish(n, now);
                }
            });
        }
        "call" => {
            let entry = informed();
            repeat(times, |n| entry.call(n % 1_000, Timestamp::MAX, now));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Entry control before an upstream that it knows.
fn informed() -> Arc<Entry> {
    let settings = EntrySettings {
        steps: 5,
        headroom: 0.95,
        ttl: Duration::from_secs(1),
        calls: u32::MAX,
        max_grants: 1_000_000,
    };
    let entry = Arc::new(Entry::new(settings, Timestamp::default()));
    let mut totals = Totals::default();
    totals.limit = 5;
    entry.tick(&[Load { upstream: 1, totals, steps: 5 }], Timestamp::default());
    (totals.services, totals.service_nanos) = (450, 5_000_000_000);
    entry.tick(&[Load { upstream: 1, totals, steps: 5 }], Timestamp::from_nanos(1_000_000_000));
    entry
}

fn repeat<T>(times: u64, operation: impl Fn(u64) -> T) {
    for n in 0..times {
        black_box(operation(black_box(n)));
    }
}
