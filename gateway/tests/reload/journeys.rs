//! Journeys, stock and purchases as the operator sees them, and the operator's word on what is sold out.

use std::time::Instant;

use floodgate_loadtest::origin::OriginHandle;
use serde_json::Value;

use crate::live::{Launch, Live, origin};
use crate::support::{Answer, Client, Metrics, SOON, Settings, journey, reach};

const ROUTES: &str = r#"
[[tiers]]
name = "l1"
max_wait = "20s"
deadline = "30s"
watermarks = { high = 1.0, low = 0.9 }
[[routes]]
name = "cart"
path = "/cart/{sku}"
tier = "l1"
sku = "path:sku"
[[routes]]
name = "pay"
methods = ["POST"]
path = "/pay"
tier = "l1"
once = true
[[routes]]
name = "rest"
tier = "l1"
"#;
/// Two keys that nobody uses.
const KEYS: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f,\
                    202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";

/// A sale of two steps, whose customers say who they are.
fn sale() -> String {
    journey("sale", &["cart", "pay"], "identity = \"header:x-customer\"\nkeys = \"env:SALE_KEYS\"")
}

fn text(origin: &OriginHandle, upstream: &str, journeys: &str) -> String {
    let rest = format!("{journeys}{ROUTES}[latch]\nttl = \"1h\"\n");
    Settings::upstream(upstream).rest(rest).text(&[origin.addr()])
}

fn launch(text: &str) -> Live {
    Launch::new(text).env("SALE_KEYS", KEYS).start()
}

/// Asks as Ada, with these fields.
async fn ada(gateway: &Live, method: &str, target: &str, fields: &str) -> Answer {
    let mut client = Client::connect(gateway.listen).await;
    let length = if method == "POST" { "content-length: 0\r\n" } else { "" };
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: shop\r\nx-customer: ada\r\n{length}{fields}\r\n"
    );
    client.send(head).await;
    client.answer_to(method).await
}

/// Begins, and pays `times` times with keys of their own; the grant.
async fn checkout(gateway: &Live, times: u32) -> String {
    let begun = ada(gateway, "GET", "/cart/shoe", "").await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    let grant = begun.header("x-floodgate-grant").expect("a grant").to_owned();
    for time in 0..times {
        let fields = format!("x-floodgate-grant: {grant}\r\nidempotency-key: {time}\r\n");
        assert_eq!(ada(gateway, "POST", "/pay", &fields).await.status, 200);
    }
    grant
}

/// Waits until the part of the status about the sale is as wanted.
async fn until(gateway: &Live, wanted: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let mut status = gateway.status().await;
        let sale = status["journeys"]["sale"].take();
        if wanted(&sale) {
            return sale;
        }
        assert!(begin.elapsed() < SOON, "{sale:#}");
        tokio::task::yield_now().await;
    }
}

fn grants(metrics: &Metrics, event: &str) -> u64 {
    let labels = ["journey=\"sale\"", &format!("event=\"{event}\"")];
    metrics.count("floodgate_grants_total", &labels)
}

async fn latch(gateway: &Live, sku: &str, state: &str) -> Value {
    let answer = gateway.ask("PUT", &format!("/api/latch/{sku}?state={state}"), "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

// --- journeys ---

#[tokio::test]
async fn what_became_of_grants_is_the_same_in_metrics_and_status() {
    let origin = origin();
    let gateway = launch(&text(&origin, "max_in_flight = 8", &sale()));
    // Whoever pays twice has finished once.
    checkout(&gateway, 2).await;
    let sale = until(&gateway, |sale| sale["finished"] == 1).await;
    assert_eq!((&sale["given"], &sale["calls"], &sale["ended"]), (&1.into(), &2.into(), &0.into()));
    assert_eq!((&sale["live"], &sale["in_progress"]), (&1.into(), &0.into()));
    let forged = "x-floodgate-grant: v1.AAAA\r\n";
    assert_eq!(ada(&gateway, "POST", "/pay", forged).await.reason(), "grant_required");
    let ended = "idempotency-key: last\r\nx-origin-header: x-floodgate-grant: done\r\n";
    let grant = checkout(&gateway, 0).await;
    let ended = format!("{ended}x-floodgate-grant: {grant}\r\n");
    assert_eq!(ada(&gateway, "POST", "/pay", &ended).await.status, 200);
    let sale = until(&gateway, |sale| sale["finished"] == 2 && sale["ended"] == 1).await;
    let metrics = gateway.metrics().await;
    for event in ["given", "finished", "ended"] {
        assert_eq!(sale[event], grants(&metrics, event), "{event}");
    }
    let of_sale = ["journey=\"sale\""];
    assert_eq!(sale["calls"], metrics.count("floodgate_grant_calls_total", &of_sale));
    assert_eq!(sale["live"], metrics.count("floodgate_grants_live", &of_sale));
    assert_eq!(metrics.count("floodgate_grants_in_progress", &of_sale), 0);
    assert_eq!(metrics.count("floodgate_grants_invalid_total", &of_sale), 1, "{metrics}");
    assert_eq!(sale["invalid"]["malformed"], 1, "{sale:#}");
    assert!(metrics.sum("floodgate_calls_per_grant", &of_sale) > 0.0);
    let memory = metrics.count("floodgate_return_memory_bytes", &of_sale);
    assert_eq!(sale["return_memory_bytes"], memory);
    for name in ["floodgate_grant_rate", "floodgate_holders_wait_seconds"] {
        assert!(metrics.to_string().contains(&format!("{name}{{journey=\"sale\"}} ")), "{metrics}");
    }
}

#[tokio::test]
async fn the_status_tells_where_keys_come_from_and_not_what_they_are() {
    let origin = origin();
    let gateway = launch(&text(&origin, "max_in_flight = 8", &sale()));
    let status = gateway.status().await;
    let keys = &status["journeys"]["sale"]["keys"];
    assert_eq!((&keys["source"], &keys["number"]), (&"env:SALE_KEYS".into(), &2.into()));
    assert_eq!(status["journeys"]["sale"]["sticky"], "grant");
    for page in [status.to_string(), gateway.metrics().await.to_string(), gateway.log()] {
        assert!(KEYS.split(',').all(|key| !page.contains(key)), "{page}");
    }
    let stage = sale().replace("keys = \"env:SALE_KEYS\"", "sticky = \"stage\"");
    gateway.change(&text(&origin, "max_in_flight = 8", &stage)).await;
    let status = gateway.status().await;
    assert_eq!(status["journeys"]["sale"]["sticky"], "stage");
    assert_eq!(status["journeys"]["sale"]["keys"], Value::Null);
}

#[tokio::test]
async fn a_journey_that_stays_keeps_its_counters_and_one_that_goes_takes_them_along() {
    let origin = origin();
    let gateway = launch(&text(&origin, "max_in_flight = 8", &sale()));
    checkout(&gateway, 1).await;
    gateway.change(&text(&origin, "max_in_flight = 9", &sale())).await;
    assert_eq!(grants(&gateway.metrics().await, "given"), 1);
    let renamed = sale().replace("\"sale\"", "\"outlet\"");
    gateway.change(&text(&origin, "max_in_flight = 9", &renamed)).await;
    let metrics = gateway.metrics().await;
    assert!(!metrics.to_string().contains("journey=\"sale\""), "{metrics}");
    assert_eq!(metrics.count("floodgate_grants_total", &["journey=\"outlet\""]), 0);
    metrics.closed_ledger();
}

#[tokio::test]
async fn a_variable_that_holds_keys_is_known_and_another_is_not() {
    let origin = origin();
    let named = sale().replace("SALE_KEYS", "FLOODGATE_SALE_KEYS");
    let launch = Launch::new(&text(&origin, "max_in_flight = 8", &named));
    let gateway = launch.env("FLOODGATE_SALE_KEYS", KEYS).env("FLOODGATE_KEYS", KEYS).start();
    gateway.logged(&["means nothing", "\"name\":\"FLOODGATE_KEYS\""]).await;
    assert!(!gateway.log().contains("FLOODGATE_SALE_KEYS"), "{}", gateway.log());
}

// --- purchases ---

#[tokio::test]
async fn a_purchase_that_is_answered_again_counts_as_a_replay_of_its_route_in_a_journey_or_not() {
    let origin = origin();
    let gateway = launch(&text(&origin, "max_in_flight = 8", ""));
    for _ in 0..3 {
        let bought = ada(&gateway, "POST", "/pay", "idempotency-key: one\r\n").await;
        assert_eq!(bought.status, 200, "{}", bought.text());
    }
    assert_eq!(origin.stats().requests, 1);
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_replays_total", &["route=\"pay\""]), 2);
    assert_eq!(metrics.count("floodgate_replays_total", &[]), 2);
    metrics.closed_ledger();
    let purchases =
        |state: &str| metrics.count("floodgate_purchases", &[&format!("state=\"{state}\"")]);
    assert_eq!((purchases("in_flight"), purchases("kept")), (0, 1));
    let mut status = gateway.status().await;
    let status = status["purchases"].take();
    assert_eq!((&status["in_flight"], &status["kept"]), (&0.into(), &1.into()));
    assert_eq!(status["bytes"], metrics.count("floodgate_purchases_bytes", &[]));
    assert!(status["bytes"].as_u64() > Some(100), "{status}");
}

// --- stock ---

#[tokio::test]
async fn what_the_operator_says_of_a_sku_holds_for_those_who_wait_and_those_who_come() {
    let origin = origin();
    let gateway = launch(&text(&origin, "max_in_flight = 1\nbuffer = 4", ""));
    let mut held = Client::connect(gateway.listen).await;
    held.get("/elsewhere?x-origin-behaviour=never-answer").await;
    reach(&origin, |stats| stats.requests == 1).await;
    let mut waiter = gateway.waiting("/cart/shoe", 1).await;
    let mut other = gateway.waiting("/cart/hat", 2).await;
    assert_eq!(latch(&gateway, "shoe", "sold_out").await["result"], "set");
    assert_eq!(waiter.answer().await.verdict(), (410, "sold_out"));
    assert_eq!(gateway.verdict("/cart/sh%6fe").await, (410, "sold_out".to_owned()));
    gateway.queued(1).await;
    drop(held);
    assert_eq!(other.answer().await.status, 200);
    assert_eq!(latch(&gateway, "sh%6Fe", "sold_out").await["result"], "unchanged");
    assert_eq!(latch(&gateway, "shoe", "reserved_out").await["state"], "reserved_out");
    assert_eq!(gateway.verdict("/cart/shoe").await.1, "reserved_out");
    latch(&gateway, "shoe", "open").await;
    assert_eq!(gateway.verdict("/cart/shoe").await.0, 200);
}

#[tokio::test]
async fn what_is_known_of_skus_is_listed_what_is_out_first() {
    let origin = origin();
    let gateway = launch(&text(&origin, "max_in_flight = 8", ""));
    for (sku, state) in [("shoe", "sold_out"), ("hat", "low"), ("gr%C3%BCn", "reserved_out")] {
        latch(&gateway, sku, state).await;
    }
    let told = "/cart/hat?x-origin-header=x-stock-remaining:%207";
    gateway.verdict(told).await;
    let listed = gateway.get("/api/latch").await.json();
    let rows: Vec<_> = listed["skus"].as_array().unwrap().iter().collect();
    let names: Vec<_> = rows.iter().map(|row| row["sku"].as_str().unwrap()).collect();
    assert_eq!(names, ["grün", "shoe", "hat"], "{listed:#}");
    assert_eq!((&rows[1]["state"], &rows[1]["remaining"]), (&"sold_out".into(), &Value::Null));
    assert!(rows.iter().all(|row| row["since_seconds"].as_f64().unwrap() >= 0.0), "{listed:#}");
    assert_eq!(listed["left_out"], 0);
    let first = gateway.get("/api/latch?limit=1").await.json();
    assert_eq!((&first["skus"][0]["sku"], &first["left_out"]), (&"grün".into(), &2.into()));
    assert_eq!(gateway.get("/api/latch/gr%C3%BCn").await.json()["state"], "reserved_out");
    let unknown = gateway.get("/api/latch/coat").await;
    assert_eq!((unknown.status, &unknown.json()["reason"]), (404, &"unknown_sku".into()));
    let (metrics, status) = (gateway.metrics().await, gateway.status().await);
    for state in ["open", "low", "reserved_out", "sold_out"] {
        let count = metrics.count("floodgate_skus", &[&format!("state=\"{state}\"")]);
        let same = rows.iter().filter(|row| row["state"] == state).count() as u64;
        assert_eq!((count, &status["stock"][state]), (same, &same.into()), "{state}");
        assert_eq!(listed["counts"][state], same);
    }
}

#[tokio::test]
async fn who_sets_a_sku_is_on_the_audit_log() {
    let origin = origin();
    let gateway = launch(&text(&origin, "max_in_flight = 8", ""));
    latch(&gateway, "shoe", "sold_out").await;
    let who = ["\"audit\"", "stock set", "\"sku\":\"shoe\"", "\"state\":\"sold_out\""];
    gateway.logged(&[&who[..], &["\"who\":\"operator\"", "\"from\":\"127.0.0.1:"]].concat()).await;
}

#[tokio::test]
async fn mistakes_about_skus_are_named_and_change_nothing() {
    let origin = origin();
    let gateway = launch(&text(&origin, "max_in_flight = 8", ""));
    let long = format!("/api/latch/{}?state=low", "x".repeat(65));
    for (method, path, status, says) in [
        ("PUT", "/api/latch/shoe", 400, "?state=open"),
        ("PUT", "/api/latch/shoe?state=gone", 400, "`state=gone`"),
        ("PUT", "/api/latch/shoe?stat=low", 400, "`stat`"),
        ("PUT", "/api/latch/?state=low", 400, "64 bytes"),
        ("PUT", "/api/latch/%ff?state=low", 400, "64 bytes"),
        ("PUT", &long, 400, "64 bytes"),
        ("GET", "/api/latch/shoe?state=low", 400, "`state`"),
        ("GET", "/api/latch?limit=all", 400, "`limit=all`"),
        ("PUT", "/api/latch", 405, "GET"),
        ("DELETE", "/api/latch/shoe", 405, "GET, PUT"),
    ] {
        let answer = gateway.ask(method, path, "").await;
        assert_eq!(answer.status, status, "{method} {path}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{method} {path}: {detail}");
    }
    assert_eq!(gateway.get("/api/latch").await.json()["skus"], Value::Array(Vec::new()));
    assert_eq!(latch(&gateway, "shoe", "SOLD_OUT").await["note"], Value::Null);
}

#[tokio::test]
async fn a_sku_that_no_route_asks_for_is_set_with_a_note() {
    let origin = origin();
    let text = Settings::upstream("").text(&[origin.addr()]);
    let gateway = Live::start(&text);
    let note = latch(&gateway, "shoe", "sold_out").await["note"].to_string();
    assert!(note.contains("no route has a `sku`"), "{note}");
}
