//! What is told: to those who are refused, and to the operator.

use crate::support::ask;
use crate::{LONG, circuit, start, verdicts};

const FAILS: &str = "/l1?x-origin-status=500";

#[tokio::test]
async fn who_is_refused_is_told_to_come_back_when_it_may_have_closed() {
    let (gateway, _origin) = start("circuit = { open = \"30s\" }");
    verdicts(&gateway, FAILS, 20).await;
    let answer = ask(gateway.listen, "/l1").await;
    assert_eq!(answer.verdict(), (503, "circuit_open"));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((30..=66).contains(&seconds), "{seconds}");
    let body = answer.json();
    assert_eq!((&body["status"], &body["reason"]), (&503.into(), &"circuit_open".into()));
    assert!(body["retry_after_ms"].as_u64().unwrap() >= 29_000);
}

#[tokio::test]
async fn the_operator_is_told_why_it_is_closed_and_why_it_is_open() {
    let (gateway, _origin) = start(LONG);
    verdicts(&gateway, "/l1", 12).await;
    let row = circuit(&gateway, "tier", "l1").await;
    let why =
        "12 calls of 20 needed: 12 more failures in a row would open it, or 12 more slow calls";
    assert_eq!((&row["why"], &row["calls"]), (&why.into(), &12.into()));
    assert_eq!((&row["failures_to_open"], &row["mode"]), (&12.into(), &"enforced".into()));
    verdicts(&gateway, FAILS, 12).await;
    let row = circuit(&gateway, "tier", "l1").await;
    assert_eq!(row["state"], "open", "{row:#}");
    let why = row["why"].as_str().unwrap();
    assert!(why.contains("since 12 of 24 calls failed, the last 12 in a row: in "), "{why}");
    assert!(row["probes_in_ms"].as_f64().unwrap() > 30_000.0);
    let metrics = gateway.metrics().await;
    let labels = ["upstream=\"checkout\"", "tier=\"l1\"", "mode=\"enforced\""];
    assert_eq!(metrics.sum("floodgate_circuit_state", &labels), 1.0);
}

#[tokio::test]
async fn a_shadow_counts_and_refuses_nothing() {
    let (gateway, origin) = start("circuit = { shadow = true, open = \"1m\" }");
    let told = verdicts(&gateway, FAILS, 50).await;
    assert!(told.iter().all(|(status, _)| *status == 500));
    assert_eq!(origin.stats().requests, 50);
    let row = circuit(&gateway, "tier", "l1").await;
    assert_eq!((&row["state"], &row["would_refuse"]), (&"open".into(), &30.into()));
    let metrics = gateway.metrics().await;
    let labels = ["tier=\"l1\"", "mode=\"shadow\""];
    assert_eq!(metrics.sum("floodgate_circuit_state", &labels), 1.0);
    assert_eq!(metrics.count("floodgate_circuit_shadow_refusals_total", &["tier=\"l1\""]), 30);
    assert_eq!(metrics.count("floodgate_rejections_total", &[]), 0);
    assert_eq!(gateway.checkout().await["circuit"], "closed");
}
