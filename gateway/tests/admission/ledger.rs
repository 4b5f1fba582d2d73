//! Every arrival ends in exactly one outcome, and everything says the same of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use floodgate_loadtest::origin::{Origin, ServiceTime};
use tokio::task::JoinSet;

use crate::support::{Answer, Client, Running, Settings, post};

const MIXED: &str = r#"
[[tiers]]
max_wait = "40ms"
deadline = "400ms"
[[tiers]]
max_wait = "20ms"
deadline = "400ms"
[[tiers]]
max_wait = "0ms"
deadline = "400ms"
[[routes]]
path = "/l1/{*rest}"
tier = "l1"
[[routes]]
path = "/l2/{*rest}"
tier = "l2"
[[routes]]
path = "/l3/{*rest}"
tier = "l3"
[[routes]]
path = "/rated"
tier = "l1"
rate = "1/m"
burst = 3
[[routes]]
path = "/closed"
tier = "l1"
rate = "0/s"
[[routes]]
path = "/small"
tier = "l1"
max_body = 10
"#;

/// What the mixed storm consists of; a request that leaves is sent and not awaited.
const REQUESTS: [(&str, bool); 13] = [
    ("/l1", false),
    ("/l2", false),
    ("/l3", false),
    ("/l1", true),
    ("/l2?x-origin-delay-ms=20", true),
    ("/l1?x-origin-behaviour=close-before-answer", false),
    ("/l2?x-origin-behaviour=garbage", false),
    ("/l1?x-origin-behaviour=chunked&x-origin-body-bytes=20000", false),
    ("/l3?x-origin-behaviour=never-answer", false),
    ("/rated", false),
    ("/closed", false),
    ("/nowhere", false),
    ("/l2?x-origin-body-bytes=50000", false),
];

/// The reason, if header and body name the same.
fn reason(answer: &Answer) -> String {
    let reason = answer.reason().to_owned();
    let problem = answer.json();
    assert_eq!(problem["reason"], reason);
    assert_eq!(problem["status"], answer.status);
    assert_eq!(problem["type"], format!("urn:floodgate:{reason}"));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("retry-after").is_some(), answer.status == 503, "{answer:?}");
    reason
}

#[tokio::test]
async fn the_ledger_closes_after_a_mixed_storm_and_agrees_with_the_clients() {
    let origin = Origin::builder()
        .concurrency_limit(4)
        .service_time(ServiceTime::Fixed(Duration::from_millis(3)))
        .start()
        .unwrap();
    let settings =
        Settings::upstream("max_in_flight = 4\nbuffer = 6").rest(MIXED).server("workers = 2");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let mut clients = JoinSet::new();
    for first in 0..32 {
        let addr = gateway.listen;
        clients.spawn(async move {
            let mut seen = BTreeMap::<String, u64>::new();
            for step in 0..26 {
                let (path, leaves) = REQUESTS[(first + step) % REQUESTS.len()];
                let mut client = Client::connect(addr).await;
                client.get(path).await;
                let what = if leaves {
                    "left".to_owned()
                } else {
                    let answer = client.answer().await;
                    if answer.reason().is_empty() { "passed".to_owned() } else { reason(&answer) }
                };
                *seen.entry(what).or_default() += 1;
            }
            seen
        });
    }
    let mut seen = BTreeMap::<String, u64>::new();
    while let Some(one) = clients.join_next().await {
        for (what, count) in one.unwrap() {
            *seen.entry(what).or_default() += count;
        }
    }
    gateway.quiet().await;

    let metrics = gateway.metrics().await;
    let left = seen.remove("left").unwrap();
    // Who leaves together with the last byte of the head may never have been looked at.
    let arrivals = metrics.closed_ledger();
    assert!((32 * 26 - left..=32 * 26).contains(&arrivals), "{arrivals}\n{metrics}");
    assert_eq!(origin.stats().over_limit, 0);
    let passed = seen.remove("passed").unwrap();
    let completed = metrics.count("floodgate_requests_total", &["outcome=\"completed\""]);
    assert!((passed..=passed + left).contains(&completed), "{passed} {completed}\n{metrics}");
    for (what, &count) in &seen {
        let label = format!("reason=\"{what}\"");
        let told = metrics.count("floodgate_rejections_total", &[&label])
            + metrics.count("floodgate_failures_total", &[&label]);
        // Some of those that left were refused before it was noticed.
        assert!((count..=count + left).contains(&told), "{what}: {count}, {told}\n{metrics}");
    }
    for expected in ["rate", "no_route", "upstream_error"] {
        assert!(seen.contains_key(expected), "the storm was not mixed: {seen:?}");
    }
}

#[tokio::test]
async fn every_kind_of_refusal_is_counted_under_its_reason() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("").rest(MIXED);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let wires = [
        (b"GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), "no_route"),
        (b"GET /l1 HTTP/1.1\r\n\r\n".to_vec(), "bad_request"),
        (b"GET /l1 HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_vec(), "bad_request"),
        (b"TRACE /l1 HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), "method_not_allowed"),
        (b"GET /closed HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), "rate"),
        (post("/small", b"more than ten"), "body_too_large"),
    ];
    let mut counts = BTreeMap::<&str, u64>::new();
    for (wire, expected) in &wires {
        let mut client = gateway.client().await;
        client.send(wire).await;
        assert_eq!(&reason(&client.answer().await), expected);
        *counts.entry(expected).or_default() += 1;
    }
    gateway.quiet().await;
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.closed_ledger(), wires.len() as u64, "{metrics}");
    for (expected, count) in counts {
        let label = format!("reason=\"{expected}\"");
        assert_eq!(
            metrics.count("floodgate_rejections_total", &[&label]),
            count,
            "{expected}\n{metrics}"
        );
    }
    assert_eq!(
        metrics.count("floodgate_requests_total", &["outcome=\"abandoned\""]),
        0,
        "{metrics}"
    );
    assert_eq!(origin.stats().requests, 0);
}

#[tokio::test]
async fn the_refused_are_told_to_come_back_apart() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("").rest(MIXED);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let mut client = gateway.client().await;
    let mut waits = BTreeSet::new();
    for _ in 0..60 {
        client.get("/closed").await;
        let answer = client.answer().await;
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        let millis = answer.json()["retry_after_ms"].as_u64().unwrap();
        assert!((1..=32).contains(&seconds), "{seconds}");
        assert_eq!(seconds, millis.div_ceil(1000), "{millis}");
        waits.insert(millis);
    }
    assert!(waits.len() > 20, "not spread: {waits:?}");
}
