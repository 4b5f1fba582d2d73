//! How an open circuit closes again.

use crate::support::{Running, Settings, reach as origin_reaches};
use crate::{due, reach, start, verdicts};

const SHORT: &str = "circuit = { open = \"300ms\", max_open = \"300ms\", probes = 3 }";
const FAILS: &str = "/l1?x-origin-status=500";
const HANGS: &str = "/l1?x-origin-behaviour=never-answer";

#[tokio::test]
async fn no_more_than_the_probes_reach_it_and_one_whose_client_leaves_is_free_again() {
    let (gateway, origin) = start(SHORT);
    verdicts(&gateway, FAILS, 20).await;
    due(&gateway, "l1").await;
    // Hung: three of them are all there is.
    let mut probes = Vec::new();
    for sent in 21..=23 {
        probes.push(gateway.asking(HANGS).await);
        origin_reaches(&origin, |stats| stats.requests == sent).await;
    }
    let refused = verdicts(&gateway, "/l1", 50).await;
    assert!(refused.iter().all(|(_, reason)| reason == "circuit_open"), "{refused:?}");
    assert_eq!(origin.stats().requests, 23);
    probes.pop().unwrap().reset();
    reach(&gateway, ("tier", "l1"), |row| row["ramp"]["under_way"] == 2).await;
    assert_eq!(verdicts(&gateway, "/l1", 2).await[0], (200, String::new()));
    let row = reach(&gateway, ("tier", "l1"), |row| row["ramp"]["ended"] == 1).await;
    assert_eq!((&row["ramp"]["under_way"], &row["ramp"]["free"]), (&2.into(), &0.into()));
    assert_eq!(origin.stats().requests, 24);
}

#[tokio::test]
async fn it_closes_by_a_ramp_once_the_upstream_is_well() {
    let (gateway, origin) = start(SHORT);
    verdicts(&gateway, FAILS, 20).await;
    due(&gateway, "l1").await;
    let mut served = 0;
    while gateway.checkout().await["circuit"] != "closed" {
        served += verdicts(&gateway, "/l1", 20).await.iter().filter(|(it, _)| *it == 200).count();
    }
    // 3, 6, 12, 24, 48, 96, and those of the last turn when it was closed.
    assert!((189..209).contains(&served), "{served}");
    assert_eq!(origin.stats().requests, 20 + served as u64);
    let metrics = gateway.metrics().await;
    for to in ["open", "half_open", "closed"] {
        let labels = ["tier=\"l1\"", &format!("to=\"{to}\"")];
        assert_eq!(metrics.count("floodgate_circuit_transitions_total", &labels), 1, "{to}");
    }
    assert_eq!(metrics.sum("floodgate_circuit_state", &["tier=\"l1\""]), 0.0);
}

#[tokio::test]
async fn probes_that_fail_open_it_again() {
    let (gateway, origin) = start("circuit = { open = \"300ms\", max_open = \"1m\", probes = 3 }");
    verdicts(&gateway, FAILS, 20).await;
    for round in 1..=2 {
        due(&gateway, "l1").await;
        let told = verdicts(&gateway, FAILS, 20).await;
        let failed = told.iter().filter(|(status, _)| *status == 500).count() as u64;
        // Two of three are at least half.
        assert_eq!((failed, origin.stats().requests), (2, 20 + 2 * round));
    }
    let row = crate::circuit(&gateway, "tier", "l1").await;
    let lasts = row["last_opened"]["lasts_ms"].as_f64().unwrap();
    assert!((1_200.0..=1_320.0).contains(&lasts), "{lasts}");
}

#[tokio::test]
async fn an_error_rate_of_forty_percent_does_not_flap() {
    let (gateway, origin) = start("circuit = { open = \"100ms\" }");
    let mut client = gateway.client().await;
    for n in 0..500 {
        client.get(if n % 5 < 2 { FAILS } else { "/l1" }).await;
        assert_ne!(client.answer().await.reason(), "circuit_open", "{n}");
    }
    assert_eq!(origin.stats().requests, 500);
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_circuit_transitions_total", &[]), 0);
    assert_eq!(metrics.count("floodgate_server_circuit_transitions_total", &[]), 0);
}

#[tokio::test]
async fn a_server_that_is_well_again_is_asked_again_beside_the_others() {
    let keys = "circuit = { open = \"300ms\", max_open = \"300ms\", probes = 3 }";
    let alive = floodgate_loadtest::origin::Origin::builder().start().unwrap();
    const BROKEN: &[&str] = &["HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"];
    let sick = crate::support::Scripted::start(BROKEN).await;
    let addr = sick.addr;
    let gateway = Running::start(&Settings::upstream(keys).text(&[alive.addr(), addr]));
    let server = addr.to_string();
    while crate::circuit(&gateway, "server", &server).await["transitions"]["open"] == 0 {
        assert_ne!(verdicts(&gateway, "/l1", 1).await[0].0, 503);
    }
    drop(sick);
    // Its listener is gone a moment later.
    while std::net::TcpListener::bind(addr).is_err() {
        tokio::task::yield_now().await;
    }
    let back = floodgate_loadtest::origin::Origin::builder().listen(addr).start().unwrap();
    while crate::circuit(&gateway, "server", &server).await["state"] != "closed" {
        let told = verdicts(&gateway, "/l1", 20).await;
        assert!(told.iter().all(|(_, reason)| reason != "circuit_open"), "{told:?}");
    }
    assert!(back.stats().requests >= 189);
}
