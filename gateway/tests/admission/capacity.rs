//! The origin never sees more than the limit.

use std::time::Duration;

use floodgate_loadtest::origin::{Origin, ServiceTime};
use tokio::task::JoinSet;

use crate::support::{Client, Running, Settings};

const PERMITS: u64 = 4;
const CLIENTS: u64 = 64;
const EACH: u64 = 15;

async fn storm(workers: usize) {
    let origin = Origin::builder()
        .concurrency_limit(PERMITS as usize)
        .service_time(ServiceTime::Fixed(Duration::from_millis(1)))
        .start()
        .unwrap();
    let settings = Settings::upstream(&format!("max_in_flight = {PERMITS}"))
        .server(&format!("workers = {workers}"));
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let addr = gateway.listen;
        clients.spawn(async move {
            let mut client = Client::connect(addr).await;
            for _ in 0..EACH {
                client.get("/l1").await;
                assert_eq!(client.answer().await.verdict(), (200, ""));
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let stats = origin.stats();
    assert_eq!((stats.requests, stats.over_limit), (CLIENTS * EACH, 0));
    assert_eq!(stats.peak_concurrency, PERMITS, "the permits are used, too");
    gateway.quiet().await;
}

#[tokio::test]
async fn the_origin_never_sees_more_than_the_limit_from_one_core() {
    storm(1).await;
}

#[tokio::test]
async fn the_origin_never_sees_more_than_the_limit_from_two_cores() {
    storm(2).await;
}

#[tokio::test]
async fn the_status_tells_the_limits_and_who_is_where() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 10");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let _held = gateway.holding(&origin).await;
    let _waits = gateway.waiting("/l2", 1).await;
    let status = gateway.status().await;
    assert_eq!((&status["generation"], &status["draining"]), (&1.into(), &false.into()));
    assert_eq!(status["active_requests"], 2);
    let checkout = &status["upstreams"]["checkout"];
    for (key, value) in [("in_flight", 1), ("limit", 1), ("queued", 1), ("buffer", 10)] {
        assert_eq!(checkout[key], value, "{key}: {checkout:#}");
    }
    assert_eq!((&checkout["circuit"], &checkout["upgraded"]), (&"closed".into(), &0.into()));
    assert_eq!(checkout["tiers"]["l2"]["queued"], 1);
    assert_eq!(checkout["tiers"]["l2"]["pressure"], 0.1);
    assert_eq!(checkout["tiers"]["l2"]["breaker"], "closed");
    assert_eq!(checkout["servers"][0]["address"], origin.addr().to_string());
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_in_flight", &["upstream=\"checkout\""]), 1);
    assert_eq!(metrics.count("floodgate_in_flight_limit", &["upstream=\"checkout\""]), 1);
    assert_eq!(metrics.count("floodgate_queue_depth", &["tier=\"l2\""]), 1);
}

#[tokio::test]
async fn a_limit_of_nothing_is_closed_and_asks_nobody() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 0");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    for path in ["/l1", "/l2", "/l3"] {
        let mut client = gateway.asking(path).await;
        assert_eq!(client.answer().await.verdict(), (503, "closed"));
    }
    assert_eq!(origin.stats().connections, 0);
}
