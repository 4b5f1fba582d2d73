//! Limits that are found, and memory as a pressure, seen from outside.

use std::time::Duration;

use floodgate_loadtest::origin::{Origin, OriginHandle, ServiceTime};

use crate::live::{Live, origin, text};
use crate::support::{Client, Settings, ask};

const SHADOW: &str = "max_in_flight = { min = 2, max = 64, start = 3, algorithm = \"vegas\" }";
const LIVE: &str = "max_in_flight = { min = 2, max = 64, start = 3, algorithm = \"vegas\", shadow = false }\nbuffer = 64";

/// Clients that ask without a pause, until they are dropped.
fn ask_without_pause(gateway: &Live, clients: usize) -> tokio::task::JoinSet<()> {
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let listen = gateway.listen;
        set.spawn(async move {
            let mut client = Client::connect(listen).await;
            loop {
                client.get("/l1").await;
                client.answer().await;
            }
        });
    }
    set
}

/// An origin whose answers take 5 ms, however many there are.
fn unhurried() -> OriginHandle {
    Origin::builder().service_time(ServiceTime::Fixed(Duration::from_millis(5))).start().unwrap()
}

#[tokio::test]
async fn in_the_shadow_a_limit_is_shown_and_the_start_rules() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, SHADOW));
    let status = gateway.checkout().await;
    assert_eq!(status["limit"], 3);
    let adaptive = &status["adaptive"];
    assert_eq!((&adaptive["algorithm"], &adaptive["shadow"]), (&"vegas".into(), &true.into()));
    assert_eq!((&adaptive["limit"], &adaptive["moved"]), (&3.0.into(), &"start".into()));
    let metrics = gateway.metrics().await;
    let checkout = &["upstream=\"checkout\""];
    assert_eq!(metrics.sum("floodgate_adaptive_limit", checkout), 3.0);
    assert_eq!(metrics.sum("floodgate_in_flight_limit", checkout), 3.0);
    gateway.change(&text(&origin, "max_in_flight = 5")).await;
    let status = gateway.checkout().await;
    assert_eq!((&status["limit"], &status["adaptive"]), (&5.into(), &serde_json::Value::Null));
}

#[tokio::test]
async fn live_it_rises_while_the_upstream_is_no_slower_and_a_reload_keeps_what_was_found() {
    let origin = unhurried();
    let gateway = Live::start(&text(&origin, LIVE));
    let crowd = ask_without_pause(&gateway, 24);
    let found = gateway.reach("more permits", |status| status["limit"].as_u64() > Some(8)).await;
    assert_eq!(found["upstreams"]["checkout"]["adaptive"]["shadow"], false);
    gateway.change(&text(&origin, &LIVE.replace("buffer = 64", "buffer = 65"))).await;
    assert!(gateway.limit().await > 5, "what was found is kept, a sounding aside");
    let shadow = LIVE.replace("shadow = false", "shadow = true");
    gateway.change(&text(&origin, &shadow)).await;
    let status = gateway.checkout().await;
    assert_eq!(status["limit"], 3);
    assert!(status["adaptive"]["limit"].as_f64() > Some(5.0), "{status}");
    drop(crowd);
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn memory_that_is_full_refuses_until_it_is_not() {
    let origin = origin();
    let with_limit = |limit: &str| {
        let limit = format!("max_memory = \"{limit}\"");
        Settings::upstream("max_in_flight = 2").server(&limit).text(&[origin.addr()])
    };
    let gateway = Live::start(&with_limit("1MiB"));
    gateway.reach("full memory", |status| status["pressure"] == 1.0).await;
    assert_eq!(gateway.verdict("/l1").await, (503, "watermark".to_owned()));
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.sum("floodgate_memory_pressure", &[]), 1.0);
    assert_eq!(metrics.sum("floodgate_memory_limit_bytes", &[]), f64::from(1 << 20));
    assert!(metrics.sum("floodgate_memory_bytes", &[]) > f64::from(1 << 20));
    gateway.change(&with_limit("1024GiB")).await;
    gateway.reach("room", |status| status["pressure"].as_f64() < Some(0.5)).await;
    assert_eq!(ask(gateway.listen, "/l1").await.status, 200);
    let status = gateway.ask("GET", "/api/status", "").await.json();
    assert!(status["memory"]["used"].as_u64() > Some(1 << 20), "{status}");
}
