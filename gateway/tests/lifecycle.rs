//! From the first connection to the exit code: limits on connections, drain, signals.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use floodgate_loadtest::origin::{Origin, OriginHandle};
use support::{Binary, Client, Running, Settings, ask, one_tier, reach};
use tokio::task::JoinSet;

fn patient(upstream: &str, server: &str) -> Settings {
    Settings::upstream(upstream)
        .rest(one_tier("max_wait = \"20s\"\ndeadline = \"20s\""))
        .server(server)
}

fn start(upstream: &str, server: &str) -> (OriginHandle, Binary) {
    let origin = Origin::builder().start().unwrap();
    let binary = Binary::start(&patient(upstream, server).text(&[origin.addr()]));
    (origin, binary)
}

// --- drain ---

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_refuses_what_waits_and_what_comes() {
    let (origin, mut gateway) = start("max_in_flight = 1", "");
    assert_eq!(gateway.admin.get("/readyz").await.status, 200);
    assert_eq!(gateway.admin.get("/healthz").await.status, 200);
    let mut idle = gateway.asking("/").await;
    assert_eq!(idle.answer().await.status, 200);
    origin.hold();
    let mut inside = gateway.asking("/").await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    let mut waiter = gateway.asking("/").await;
    gateway.admin.queued(1).await;

    gateway.signal("TERM");
    gateway.draining().await;
    assert_eq!(gateway.admin.get("/readyz").await.status, 503);
    assert_eq!(gateway.admin.get("/healthz").await.status, 200);
    idle.get("/").await;
    let newcomer = ask(gateway.listen, "/").await;
    for answer in [waiter.answer().await, idle.answer().await, newcomer] {
        assert_eq!(answer.verdict(), (503, "draining"));
        assert_eq!(answer.header("connection"), Some("close"));
    }
    assert!(idle.ends().await);

    origin.release();
    let answer = inside.answer().await;
    assert_eq!((answer.status, answer.body.len()), (200, 16));
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert_eq!(origin.stats().requests, 2);
}

/// A client that reads nothing, when the gateway has all of its answer of so many bytes; `None` if
/// the gateway cannot take that much.
async fn stuck(gateway: &Binary, bytes: usize) -> Option<Client> {
    let mut client = Client::connect_narrow(gateway.listen).await;
    client.get(&format!("/?x-origin-body-bytes={bytes}")).await;
    assert_eq!(client.head().await.status, 200);
    let begin = Instant::now();
    while gateway.admin.checkout().await["in_flight"] != 0 {
        if begin.elapsed() > Duration::from_millis(150) {
            return None;
        }
    }
    Some(client)
}

#[tokio::test]
async fn a_drain_gives_a_slow_reader_every_byte() {
    const STEP: usize = 40 << 10;
    let (_origin, mut gateway) = start("", "");
    // The most that fits into the kernel and the gateway's own buffers.
    let mut most = STEP;
    while let Some(client) = stuck(&gateway, most + STEP).await {
        assert!(most < 32 << 20, "the gateway takes in whole answers");
        drop(client);
        most += STEP;
    }
    gateway.admin.quiet().await;
    // What the kernel takes in differs a little from one connection to the next.
    let mut client = loop {
        match stuck(&gateway, most).await {
            Some(client) => break client,
            None => most = most.checked_sub(STEP).expect("nothing is taken in"),
        }
    };
    gateway.signal("INT");
    // Not to wait for anything: this is what makes the reader slow.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(client.exactly(most).await.len(), most);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let (origin, mut gateway) = start("", "drain = \"1m\"");
    let client = gateway.asking("/?x-origin-behaviour=never-answer").await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    gateway.signal("TERM");
    gateway.draining().await;
    assert_eq!(origin.stats().in_flight, 1);
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert!(client.rest().await.map_or(true, |answer| answer.is_empty()));
}

#[tokio::test]
async fn a_drain_ends_when_its_time_is_over() {
    let (origin, mut gateway) = start("", "drain = \"400ms\"");
    let _client = gateway.asking("/?x-origin-behaviour=never-answer").await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    let begin = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn an_idle_gateway_stops_at_the_first_signal() {
    let (_origin, mut gateway) = start("", "");
    let mut idle = gateway.asking("/").await;
    assert_eq!(idle.answer().await.status, 200);
    gateway.signal("INT");
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert!(idle.ends().await);
}

// --- connections ---

#[tokio::test]
async fn there_are_never_more_connections_than_configured() {
    let origin = Origin::builder().start().unwrap();
    let gateway = Running::start(&patient("", "max_connections = 2").text(&[origin.addr()]));
    let mut first = gateway.asking("/").await;
    let mut second = gateway.asking("/").await;
    assert_eq!((first.answer().await.status, second.answer().await.status), (200, 200));
    assert!(gateway.client().await.ends().await);
    let connections = gateway.status().await["connections"].take();
    assert_eq!((&connections["open"], &connections["limit"]), (&2.into(), &2.into()));
    drop(first);
    until_open(&gateway, 1).await;
    assert_eq!(gateway.asking("/").await.answer().await.status, 200);
}

#[tokio::test]
async fn a_client_address_has_a_limit_of_its_own() {
    let origin = Origin::builder().start().unwrap();
    let gateway =
        Running::start(&patient("", "max_connections_per_client = 2").text(&[origin.addr()]));
    let mut first = gateway.asking("/").await;
    let mut second = gateway.asking("/").await;
    assert_eq!((first.answer().await.status, second.answer().await.status), (200, 200));
    assert!(gateway.client().await.ends().await);
    let elsewhere = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0));
    let mut other = Client::connect_from(elsewhere, gateway.listen).await;
    other.get("/").await;
    assert_eq!(other.answer().await.status, 200);
    drop(first);
    until_open(&gateway, 2).await;
    assert_eq!(gateway.asking("/").await.answer().await.status, 200);
}

async fn until_open(gateway: &Running, open: u64) {
    let begin = Instant::now();
    while gateway.status().await["connections"]["open"] != open {
        assert!(begin.elapsed() < support::SOON, "never {open} connections");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_time_and_not_before() {
    let origin = Origin::builder().start().unwrap();
    let gateway = Running::start(&patient("", "idle_timeout = \"300ms\"").text(&[origin.addr()]));
    let mut client = gateway.asking("/").await;
    assert_eq!(client.answer().await.status, 200);
    let begin = Instant::now();
    assert!(client.ends().await);
    let took = begin.elapsed();
    assert!(took > Duration::from_millis(250) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn the_idle_time_begins_with_the_end_of_the_answer() {
    let origin = Origin::builder().start().unwrap();
    let gateway = Running::start(&patient("", "idle_timeout = \"400ms\"").text(&[origin.addr()]));
    let mut client = gateway.asking("/?x-origin-delay-ms=600").await;
    assert_eq!(client.answer().await.status, 200);
    let begin = Instant::now();
    assert!(client.ends().await);
    let took = begin.elapsed();
    assert!(took > Duration::from_millis(350), "closed {took:?} after the answer");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_after_the_time_for_a_head() {
    let origin = Origin::builder().start().unwrap();
    let gateway = Running::start(&patient("", "header_timeout = \"200ms\"").text(&[origin.addr()]));
    assert!(gateway.client().await.ends().await);
    let mut begun = gateway.client().await;
    begun.send("GET / HTTP/1.1\r\nhost:").await;
    assert_eq!(begun.answer().await.verdict(), (408, "request_timeout"));
}

// --- admin ---

#[tokio::test]
async fn the_admin_listener_answers_while_a_storm_lasts() {
    let origin = Origin::builder().start().unwrap();
    origin.hold();
    let settings = patient("max_in_flight = 2\nbuffer = 2", "");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let mut storm = JoinSet::new();
    for _ in 0..48 {
        let addr = gateway.listen;
        storm.spawn(async move {
            let mut client = Client::connect(addr).await;
            loop {
                client.get("/").await;
                client.answer().await;
            }
        });
    }
    gateway.reach("full", |status| status["in_flight"] == 2 && status["queued"] == 2).await;
    let refusals = async || {
        let labels = ["reason=\"buffer_full\""];
        gateway.metrics().await.count("floodgate_rejections_total", &labels)
    };
    let before = refusals().await;
    for _ in 0..20 {
        for path in ["/metrics", "/healthz", "/readyz", "/api/status"] {
            assert_eq!(gateway.get(path).await.status, 200);
        }
    }
    assert!(refusals().await > before, "there was no storm");
    storm.shutdown().await;
    origin.release();
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn the_admin_listener_changes_nothing_for_who_only_asks_and_knows_its_pages() {
    let origin = Origin::builder().start().unwrap();
    let gateway = Running::start(&patient("", "").text(&[origin.addr()]));
    assert_eq!(gateway.get("/nowhere").await.status, 404);
    let mut client = Client::connect(gateway.0).await;
    client.send("DELETE /metrics HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 405);
    let metrics = gateway.get("/metrics").await;
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert_eq!(origin.stats().connections, 0);
    assert_eq!(gateway.metrics().await.closed_ledger(), 0);
}
