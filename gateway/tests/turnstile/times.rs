//! The time limits of a connection, wherever it is: a new one, refused, served, refused again.

use std::time::{Duration, Instant};

use crate::support::{Client, Running};
use crate::{answers, get, is_refused, is_served, start};

/// What a connection has been through before its time is measured.
const PASTS: [&[&str]; 5] = [
    &["/closed"],
    &["/open"],
    &["/open", "/closed"],
    &["/closed", "/open"],
    &["/closed", "/open", "/nowhere", "/open", "/closed"],
];

async fn with_past(gateway: &Running, past: &[&str]) -> Client {
    let mut client = gateway.client().await;
    for &target in past {
        match target {
            "/open" => is_served(&mut client, target).await,
            "/closed" => is_refused(&mut client, target, (503, "rate")).await,
            _ => is_refused(&mut client, target, (404, "no_route")).await,
        }
    }
    client
}

/// All pasts at once, since each has to be waited for.
async fn with_each_past<F: Future<Output = ()>>(
    gateway: &Running,
    check: impl Fn(Client, &'static [&'static str]) -> F,
) {
    let each = PASTS.map(|past| async { check(with_past(gateway, past).await, past).await });
    let [a, b, c, d, e] = each;
    tokio::join!(a, b, c, d, e);
}

fn is_about(took: Duration, limit: Duration, past: &[&str]) {
    let late = limit + Duration::from_secs(2);
    assert!(took > limit * 4 / 5 && took < late, "{past:?}: {took:?} of {limit:?}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time_without_a_word() {
    const LIMIT: Duration = Duration::from_millis(400);
    let (_origin, gateway) = start("idle_timeout = \"400ms\"\nheader_timeout = \"10s\"");
    with_each_past(&gateway, async |client, past| {
        let begin = Instant::now();
        assert!(client.ends().await, "{past:?}: a word");
        is_about(begin.elapsed(), LIMIT, past);
    })
    .await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn a_new_connection_has_the_time_of_a_head() {
    const LIMIT: Duration = Duration::from_millis(300);
    let (_origin, gateway) = start("header_timeout = \"300ms\"\nidle_timeout = \"10s\"");
    let begin = Instant::now();
    assert!(gateway.client().await.ends().await, "a word");
    is_about(begin.elapsed(), LIMIT, &[]);
}

#[tokio::test]
async fn a_head_that_stops_is_refused_in_time_and_one_that_drips_as_well() {
    const LIMIT: Duration = Duration::from_millis(400);
    let (origin, gateway) = start("header_timeout = \"400ms\"\nidle_timeout = \"10s\"");
    with_each_past(&gateway, async |mut client, past| {
        let begin = Instant::now();
        client.send("GET /open HTTP/1.1\r\nhost:").await;
        if past.len() > 1 {
            for byte in [" ", "a", "\r", "\n", "x"] {
                // Not to wait for anything: this is what makes the sender slow.
                tokio::time::sleep(Duration::from_millis(50)).await;
                client.send(byte).await;
            }
        }
        let answer = client.answer().await;
        assert_eq!(answer.verdict(), (408, "request_timeout"), "{past:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{past:?}");
        is_about(begin.elapsed(), LIMIT, past);
        assert!(client.ends().await, "{past:?}: more than an answer");
    })
    .await;
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
    assert_eq!(origin.stats().requests, 5);
}

#[tokio::test]
async fn the_idle_time_begins_anew_with_each_answer() {
    let (_origin, gateway) = start("idle_timeout = \"600ms\"\nheader_timeout = \"10s\"");
    with_each_past(&gateway, async |mut client, past| {
        for target in ["/closed", "/open", "/closed", "/closed", "/open"] {
            // Not to wait for anything: this is what a client does between two requests.
            tokio::time::sleep(Duration::from_millis(250)).await;
            client.send(get(target)).await;
            let answer = client.answer().await;
            assert!([200, 503].contains(&answer.status), "{past:?}: {answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_came_of_a_head_behind_a_served_request_has_its_time_after_the_answer() {
    let (_origin, gateway) = start("header_timeout = \"300ms\"\nidle_timeout = \"10s\"");
    let mut client = gateway.client().await;
    let slow =
        "GET /open?x-origin-behaviour=echo&x-origin-delay-ms=600 HTTP/1.1\r\nhost: a\r\n\r\n";
    client.send(format!("{slow}GET /closed HTTP/1.1\r\nho")).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    client.send(format!("st: a\r\n\r\n{}GET /open", get("/open/whole"))).await;
    assert_eq!(client.answer().await.verdict(), (503, "rate"));
    answers(&client.answer().await, "/open/whole");
    assert_eq!(client.answer().await.verdict(), (408, "request_timeout"));
    assert!(client.ends().await, "more than an answer");
    gateway.metrics().await.closed_ledger();
}
