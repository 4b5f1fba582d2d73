//! What waiting costs, and what it does not.

use std::time::{Duration, Instant};

use floodgate_loadtest::origin::Origin;

use crate::patient;
use crate::support::{Running, Settings, ask, post};

#[tokio::test]
async fn a_waiter_with_a_whole_body_that_leaves_frees_its_place_at_once() {
    let origin = Origin::builder().start().unwrap();
    let settings = patient("max_in_flight = 1\nbuffer = 1", "");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let held = gateway.holding(&origin).await;
    for _ in 0..3 {
        let mut waiter = gateway.client().await;
        waiter.send(post("/", b"one of the last")).await;
        gateway.queued(1).await;
        let begin = Instant::now();
        drop(waiter);
        gateway.queued(0).await;
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }
    drop(held);
    gateway.quiet().await;
    assert_eq!(origin.stats().requests, 1, "who left was never forwarded");
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_requests_total", &["outcome=\"abandoned\""]), 3);
    metrics.closed_ledger();
}

#[tokio::test]
async fn a_waiter_whose_body_is_still_to_come_frees_its_place_at_once_when_it_leaves() {
    let origin = Origin::builder().start().unwrap();
    let settings = patient("max_in_flight = 1\nbuffer = 1", "");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let held = gateway.holding(&origin).await;
    let large = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n\r\n".to_owned();
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let expects = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";
    let body = "x".repeat(50_000);
    for wire in [large + &body, format!("{chunked}c350\r\n{body}"), expects.to_owned()] {
        let mut waiter = gateway.client().await;
        waiter.send(&wire).await;
        gateway.queued(1).await;
        let begin = Instant::now();
        drop(waiter);
        gateway.queued(0).await;
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }
    drop(held);
    gateway.quiet().await;
    assert_eq!(origin.stats().requests, 1, "who left was never forwarded");
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn who_waits_has_taken_his_part_of_the_rate() {
    const BURST: u64 = 5;
    let origin = Origin::builder().start().unwrap();
    let rest = format!(
        "[[tiers]]\nname = \"l1\"\nmax_wait = \"400ms\"\ndeadline = \"20s\"\n\
         watermarks = {{ high = 1.0, low = 0.9 }}\n\
         [[routes]]\nname = \"holder\"\npath = \"/l1/{{*rest}}\"\ntier = \"l1\"\n\
         [[routes]]\nname = \"rated\"\npath = \"/rated\"\ntier = \"l1\"\nrate = \"1/m\"\nburst = {BURST}\n"
    );
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 32").rest(rest);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let held = gateway.holding(&origin).await;
    let mut waiters = Vec::new();
    for _ in 0..BURST {
        waiters.push(gateway.asking("/rated").await);
    }
    gateway.queued(BURST).await;
    // The rate is not promised twice while they wait, and does not come back when they gave up.
    assert_eq!(ask(gateway.listen, "/rated").await.verdict(), (503, "rate"));
    for mut waiter in waiters {
        assert_eq!(waiter.answer().await.verdict(), (503, "queue_timeout"));
    }
    drop(held);
    gateway.quiet().await;
    assert_eq!(ask(gateway.listen, "/rated").await.verdict(), (503, "rate"));
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_admitted_total", &["route=\"rated\""]), 0);
}

#[tokio::test]
async fn who_is_told_not_to_come_back_makes_nobody_wait_longer() {
    const FLOOD: Duration = Duration::from_millis(3200);
    /// The longest that is told while nobody who may come back is refused.
    const FIRST_WAIT_MS: u64 = 2000;
    let origin = Origin::builder().start().unwrap();
    let rest = "[[tiers]]\nname = \"l1\"\n\
         [[routes]]\npath = \"/closed\"\ntier = \"l1\"\nrate = \"0/s\"\n\
         [[routes]]\npath = \"/order\"\ntier = \"l1\"\nmax_body = 4\n";
    let gateway = Running::start(&Settings::upstream("").rest(rest).text(&[origin.addr()]));
    let broken =
        "POST /order HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nnot a size\r\n";
    let flood = [
        (404, b"GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
        (400, b"GET /order HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_vec()),
        (400, broken.as_bytes().to_vec()),
        (413, post("/order", b"too long")),
    ];
    let (begin, mut refused) = (Instant::now(), 0);
    while begin.elapsed() < FLOOD {
        for (status, wire) in &flood {
            let mut client = gateway.client().await;
            client.send(wire).await;
            assert_eq!(client.answer().await.status, *status);
            refused += 1;
        }
    }
    assert!(refused > 40, "no flood: {refused}");
    let answer = ask(gateway.listen, "/closed").await;
    assert_eq!(answer.verdict(), (503, "rate"));
    let wait = answer.json()["retry_after_ms"].as_u64().unwrap();
    assert!(wait <= FIRST_WAIT_MS, "to come back after {wait} ms");
}
