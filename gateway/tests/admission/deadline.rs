//! How long clients wait, as they say themselves.

use std::time::Duration;

use floodgate_loadtest::origin::{Origin, OriginHandle};

use crate::support::{Answer, Running, Settings, one_tier, reach};

/// A gateway whose tier allows for `deadline`.
fn gateway(origin: &OriginHandle, upstream: &str, deadline: &str) -> Running {
    let rest = one_tier(&format!("max_wait = \"20s\"\ndeadline = \"{deadline}\""));
    Running::start(&Settings::upstream(upstream).rest(rest).text(&[origin.addr()]))
}

/// The answer to a GET of `path` with these header lines.
async fn with(gateway: &Running, path: &str, lines: &str) -> Answer {
    let mut client = gateway.client().await;
    client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n")).await;
    client.answer().await
}

fn refused(answer: &Answer) -> bool {
    answer.verdict() == (503, "deadline")
}

/// What is left, as the origin was told.
fn told(answer: &Answer) -> u64 {
    answer.echoed("x-request-deadline-ms").unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_is_over_is_refused_at_once_and_nothing_reaches_the_upstream() {
    let origin = Origin::builder().start().unwrap();
    let gateway = gateway(&origin, "max_in_flight = 4", "30s");
    for line in [
        "x-request-deadline-ms: 0",
        "x-request-deadline-ms: -5",
        "grpc-timeout: 0S",
        "grpc-timeout: -1H",
        "x-request-deadline-ms: 5000\r\ngrpc-timeout: 0n",
        // By way of hyper.
        "x-request-deadline-ms: 0\r\nexpect: 100-continue\r\ncontent-length: 3",
    ] {
        let answer = with(&gateway, "/", line).await;
        assert!(refused(&answer), "{line}: {answer:?}");
        assert!(answer.header("retry-after").is_some(), "{line}");
    }
    assert_eq!(origin.stats().requests, 0);
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_rejections_total", &["reason=\"deadline\""]), 6);
    assert_eq!(metrics.closed_ledger(), 6);
}

#[tokio::test]
async fn a_client_shortens_the_deadline_and_the_upstream_is_told_what_is_left() {
    let origin = Origin::builder().start().unwrap();
    let gateway = gateway(&origin, "max_in_flight = 4", "30s");
    let echo = "/?x-origin-behaviour=echo";
    let answer = with(&gateway, echo, "x-request-deadline-ms: 20000").await;
    assert!((15_000..=20_000).contains(&told(&answer)), "{answer:?}");
    assert_eq!(answer.echoed("grpc-timeout"), None);
    let answer = with(&gateway, echo, "grpc-timeout: 20S").await;
    assert!((15_000..=20_000).contains(&told(&answer)), "{answer:?}");
    let grpc = answer.echoed("grpc-timeout").unwrap();
    let micros: u64 = grpc.strip_suffix('u').unwrap().parse().unwrap();
    assert!((15_000_000..=20_000_000).contains(&micros), "{grpc}");
    // Never longer than its tier allows for.
    let answer = with(&gateway, echo, "x-request-deadline-ms: 60000\r\ngrpc-timeout: 9H").await;
    assert!((25_000..=30_000).contains(&told(&answer)), "{answer:?}");
    assert!(answer.echoed("grpc-timeout").unwrap().ends_with('u'));
    let metrics = gateway.metrics().await;
    let of = |kind: &str| metrics.count("floodgate_client_deadlines_total", &[kind]);
    assert_eq!((of("kind=\"shorter\""), of("kind=\"ignored\"")), (2, 0));
}

#[tokio::test]
async fn what_is_no_number_is_ignored_and_counted() {
    let origin = Origin::builder().start().unwrap();
    let gateway = gateway(&origin, "max_in_flight = 4", "30s");
    let lines = ["x-request-deadline-ms: soon", "grpc-timeout: 123456789m", "grpc-timeout: 5"];
    for line in lines {
        let answer = with(&gateway, "/?x-origin-behaviour=echo", line).await;
        assert_eq!(answer.status, 200);
        assert!((25_000..=30_000).contains(&told(&answer)), "{line}");
    }
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_client_deadlines_total", &["kind=\"ignored\""]), 3);
}

#[tokio::test]
async fn an_upstream_that_takes_longer_than_the_client_waits_is_given_up_and_counts_as_that_slow() {
    let origin = Origin::builder().start().unwrap();
    let gateway = gateway(&origin, "max_in_flight = 4", "30s");
    let mean = async || gateway.checkout().await["mean_service_ms"].as_f64().unwrap();
    assert_eq!(with(&gateway, "/", "").await.status, 200);
    let before = mean().await;
    let late = with(&gateway, "/?x-origin-behaviour=never-answer", "x-request-deadline-ms: 400");
    assert_eq!(late.await.verdict(), (504, "upstream_timeout"));
    // It hangs: that is seen though nobody waits for it to the end.
    let slow = mean().await;
    assert!(slow > before + 20.0, "{before} {slow}");
    // Less than the mean says nothing.
    let late = with(&gateway, "/?x-origin-behaviour=never-answer", "x-request-deadline-ms: 49");
    let _either = late.await;
    assert!(mean().await >= slow);
    // What took longer than that will not be quicker: known for a second.
    let answer = with(&gateway, "/", "x-request-deadline-ms: 10").await;
    assert!(refused(&answer), "{answer:?}");
    // Who has more time is let in, and brings better news.
    assert_eq!(with(&gateway, "/", "x-request-deadline-ms: 9000").await.status, 200);
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn who_cannot_be_served_in_time_is_refused_while_others_wait() {
    let origin = Origin::builder().start().unwrap();
    let gateway = gateway(&origin, "max_in_flight = 1\nbuffer = 8", "30s");
    let slow = with(&gateway, "/?x-origin-delay-ms=400", "").await;
    assert_eq!(slow.status, 200);
    let held = gateway.asking("/?x-origin-behaviour=never-answer").await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    let waiter = gateway.waiting("/", 1).await;
    // Two turns of some 400 ms, and then its own.
    let answer = with(&gateway, "/", "x-request-deadline-ms: 600").await;
    assert!(refused(&answer), "{answer:?}");
    drop((held, waiter));
    gateway.quiet().await;
}

#[tokio::test]
async fn who_waits_leaves_the_buffer_at_its_own_deadline() {
    let origin = Origin::builder().start().unwrap();
    let gateway = gateway(&origin, "max_in_flight = 1\nbuffer = 8", "30s");
    let held = gateway.asking("/?x-origin-behaviour=never-answer").await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    let since = std::time::Instant::now();
    let answer = with(&gateway, "/", "grpc-timeout: 100m").await;
    assert!(refused(&answer), "{answer:?}");
    assert!(since.elapsed() >= Duration::from_millis(99));
    assert_eq!(origin.stats().requests, 1);
    drop(held);
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}
