//! What the client does says nothing of the upstream.

use crate::support::{post, reach as origin_reaches};
use crate::{circuit, start};

const KEEN: &str = "circuit = { min_calls = 3, open = \"1m\" }";
const HANGS: &str = "/l1?x-origin-behaviour=never-answer";

#[tokio::test]
async fn a_client_that_leaves_is_no_failure() {
    let (gateway, origin) = start(KEEN);
    for sent in 1..=5 {
        let client = gateway.asking(HANGS).await;
        origin_reaches(&origin, |stats| stats.requests == sent).await;
        client.reset();
        gateway.quiet().await;
    }
    assert_eq!(circuit(&gateway, "tier", "l1").await["calls"], 0);
}

#[tokio::test]
async fn a_deadline_of_the_clients_own_is_no_failure() {
    let (gateway, _origin) = start(KEEN);
    for _ in 0..5 {
        let mut client = gateway.client().await;
        let head = "host: shop\r\nx-request-deadline-ms: 40";
        client.send(format!("GET {HANGS} HTTP/1.1\r\n{head}\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_ne!(answer.reason(), "circuit_open");
    }
    assert_eq!(circuit(&gateway, "tier", "l1").await["calls"], 0);
}

#[tokio::test]
async fn a_request_that_its_client_spoils_is_no_failure() {
    let (gateway, _origin) = start(KEEN);
    for _ in 0..5 {
        let mut client = gateway.client().await;
        let head = "POST /l1 HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n";
        client.send(format!("{head}5\r\nhello\r\nno length\r\n")).await;
        assert_eq!(client.answer().await.status, 400);
    }
    assert_eq!(circuit(&gateway, "tier", "l1").await["failures"], 0);
}

#[tokio::test]
async fn what_the_upstream_refuses_for_a_reason_is_no_failure() {
    let (gateway, origin) = start(KEEN);
    let mut client = gateway.client().await;
    for status in [400, 404, 409, 410, 429] {
        client.send(post(&format!("/l1?x-origin-status={status}"), b"x")).await;
        assert_eq!(client.answer().await.status, status);
    }
    assert_eq!(origin.stats().requests, 5);
    let row = circuit(&gateway, "tier", "l1").await;
    assert_eq!((&row["calls"], &row["failures"]), (&5.into(), &0.into()));
}
