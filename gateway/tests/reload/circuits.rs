//! Circuits are the same after a reload.

use crate::live::{Live, origin, text};
use crate::support::ask;

async fn row(gateway: &Live) -> serde_json::Value {
    let all = gateway.get("/api/circuits").await.json();
    let rows = all["circuits"].as_array().unwrap();
    rows.iter().find(|row| row["tier"] == "l1").unwrap().clone()
}

#[tokio::test]
async fn what_a_circuit_has_seen_and_whether_it_is_open_outlive_a_reload() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "circuit = { open = \"1m\" }"));
    for _ in 0..12 {
        assert_eq!(ask(gateway.listen, "/l1?x-origin-status=500").await.status, 500);
    }
    gateway.change(&text(&origin, "circuit = { open = \"50s\", min_calls = 15 }")).await;
    assert_eq!(row(&gateway).await["failures"], 12);
    for _ in 0..3 {
        assert_eq!(ask(gateway.listen, "/l1?x-origin-status=500").await.status, 500);
    }
    assert_eq!(ask(gateway.listen, "/l1").await.verdict(), (503, "circuit_open"));
    gateway.change(&text(&origin, "circuit = { open = \"50s\", min_calls = 30 }")).await;
    assert_eq!(ask(gateway.listen, "/l1").await.verdict(), (503, "circuit_open"));
    assert_eq!(row(&gateway).await["state"], "open");
    gateway.change(&text(&origin, "circuit = false")).await;
    assert_eq!(ask(gateway.listen, "/l1").await.status, 200);
    gateway.change(&text(&origin, "")).await;
    assert_eq!(ask(gateway.listen, "/l1").await.status, 200);
    assert_eq!(row(&gateway).await["failures"], 0);
}
