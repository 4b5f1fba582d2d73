//! Permits and places come back, whoever leaves and whatever breaks.

use std::time::{Duration, Instant};

use floodgate_loadtest::origin::{Origin, OriginHandle};

use crate::support::{Answer, Client, Running, Settings, one_tier, reach};

const LARGE: &str = "/?x-origin-body-bytes=16000000";

/// One permit, a deadline of this many milliseconds.
fn start(deadline_ms: u64) -> (OriginHandle, Running) {
    let origin = Origin::builder().concurrency_limit(1).start().unwrap();
    let rest = one_tier(&format!("max_wait = \"20s\"\ndeadline = \"{deadline_ms}ms\""));
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 4").rest(rest);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    (origin, gateway)
}

/// Nobody is inside, the next request is served, and the books are in order.
async fn all_is_back(origin: &OriginHandle, gateway: &Running) {
    gateway.quiet().await;
    assert_eq!(gateway.asking("/").await.answer().await.status, 200);
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
    assert_eq!(origin.stats().over_limit, 0);
}

/// The answer when the origin behaves like this, after which all is back.
async fn answer_when(behaviour: &str) -> Answer {
    let (origin, gateway) = start(20_000);
    let mut client = gateway.asking(&format!("/?x-origin-behaviour={behaviour}")).await;
    let answer = client.answer().await;
    all_is_back(&origin, &gateway).await;
    answer
}

#[tokio::test]
async fn a_client_that_leaves_the_buffer_frees_its_place_at_once() {
    let (origin, gateway) = start(20_000);
    let held = gateway.holding(&origin).await;
    let waiter = gateway.waiting("/", 1).await;
    drop(waiter);
    gateway.queued(0).await;
    assert_eq!(gateway.checkout().await["in_flight"], 1);
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_requests_total", &["outcome=\"abandoned\""]), 1);
    drop(held);
    all_is_back(&origin, &gateway).await;
    assert_eq!(origin.stats().requests, 2, "the one that left was never forwarded");
}

#[tokio::test]
async fn a_client_that_leaves_while_the_origin_works_gives_its_permit_back() {
    let (origin, gateway) = start(20_000);
    drop(gateway.holding(&origin).await);
    reach(&origin, |stats| stats.client_left == 1).await;
    all_is_back(&origin, &gateway).await;
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_requests_total", &["outcome=\"failed\""]), 1);
}

#[tokio::test]
async fn a_permit_is_held_until_the_answer_is_passed_on_and_a_client_that_leaves_it_gives_it_back()
{
    let (origin, gateway) = start(20_000);
    let mut client = Client::connect_narrow(gateway.listen).await;
    client.get(LARGE).await;
    assert_eq!(client.head().await.status, 200);
    client.exactly(1000).await;
    assert_eq!(gateway.checkout().await["in_flight"], 1);
    drop(client);
    all_is_back(&origin, &gateway).await;
}

#[tokio::test]
async fn a_client_that_leaves_within_its_own_body_gives_its_permit_back() {
    let (origin, gateway) = start(20_000);
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nonly so much").await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    drop(client);
    all_is_back(&origin, &gateway).await;
}

#[tokio::test]
async fn a_reset_client_is_as_gone_as_any() {
    let (origin, gateway) = start(20_000);
    let mut client = gateway.client().await;
    client.get("/?x-origin-behaviour=never-answer").await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    client.reset();
    all_is_back(&origin, &gateway).await;
}

#[tokio::test]
async fn an_origin_that_breaks_before_it_answers_is_a_502() {
    for behaviour in ["reset", "close-before-answer", "garbage"] {
        let answer = answer_when(behaviour).await;
        assert_eq!(answer.verdict(), (502, "upstream_error"), "{behaviour}");
    }
}

#[tokio::test]
async fn a_truncated_answer_is_not_made_to_look_whole() {
    let (origin, gateway) = start(20_000);
    let client = gateway.asking("/?x-origin-behaviour=truncate&x-origin-body-bytes=100000").await;
    // It ends by a reset, which may even overtake the head, or short of the length it announced.
    match client.rest().await {
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        Ok(answer) => {
            let text = String::from_utf8_lossy(&answer);
            assert!(text.contains("content-length: 100000") && answer.len() < 100_000);
        }
    }
    all_is_back(&origin, &gateway).await;
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_requests_total", &["outcome=\"failed\""]), 1);
}

#[tokio::test]
async fn an_origin_that_never_answers_holds_a_permit_until_the_deadline() {
    let (origin, gateway) = start(300);
    let mut client = gateway.asking("/?x-origin-behaviour=never-answer").await;
    assert_eq!(client.answer().await.verdict(), (504, "upstream_timeout"));
    all_is_back(&origin, &gateway).await;
    // The connection of the refused is still good.
    client.get("/").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_was_sent_is_passed_on() {
    let (origin, gateway) = start(20_000);
    let mut client = gateway.client().await;
    let head = "POST /?x-origin-behaviour=early-answer&x-origin-status=409 HTTP/1.1\r\nhost: a\r\n\
                content-length: 1000000\r\n\r\nthe beginning";
    client.send(head).await;
    assert_eq!(client.answer().await.status, 409);
    drop(client);
    all_is_back(&origin, &gateway).await;
}

#[tokio::test]
async fn a_reader_that_is_too_slow_holds_no_permit_past_the_deadline() {
    let (origin, gateway) = start(500);
    let mut client = Client::connect_narrow(gateway.listen).await;
    let begin = Instant::now();
    client.get(LARGE).await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(gateway.checkout().await["in_flight"], 1);
    gateway.quiet().await;
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(500), "{took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    // What is cut is not made to look whole.
    assert!(client.rest().await.is_err());
    all_is_back(&origin, &gateway).await;
}

#[tokio::test]
async fn the_deadline_counts_as_well_on_a_connection_that_has_served_before() {
    const EARLIER: Duration = Duration::from_millis(100);
    let (origin, gateway) = start(500);
    assert_eq!(gateway.asking("/").await.answer().await.status, 200);
    // Not to wait for anything: so much earlier is the deadline of the first request.
    tokio::time::sleep(EARLIER).await;
    let mut client = Client::connect_narrow(gateway.listen).await;
    let begin = Instant::now();
    client.get(LARGE).await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(gateway.checkout().await["in_flight"], 1);
    gateway.quiet().await;
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(500), "{took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(client.rest().await.is_err());
    all_is_back(&origin, &gateway).await;
}

#[tokio::test]
async fn a_permit_that_comes_back_by_failure_goes_to_the_next_waiter() {
    let (origin, gateway) = start(20_000);
    let held = gateway.holding(&origin).await;
    let mut first = gateway.waiting("/?x-origin-behaviour=reset", 1).await;
    let mut second = gateway.waiting("/?x-origin-behaviour=garbage", 2).await;
    let mut third = gateway.waiting("/", 3).await;
    drop(held);
    assert_eq!(first.answer().await.status, 502);
    assert_eq!(second.answer().await.status, 502);
    assert_eq!(third.answer().await.status, 200);
    all_is_back(&origin, &gateway).await;
}
