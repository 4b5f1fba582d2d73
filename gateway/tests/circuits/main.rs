//! Circuits from outside: what opens them, who is refused, how they close again.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod dead;
mod neutral;
mod ramp;
#[path = "../support/mod.rs"]
mod support;
mod told;
mod whose;

use std::time::{Duration, Instant};

use floodgate_loadtest::origin::{Origin, OriginHandle};
use serde_json::Value;
use support::{Answer, Client, Running, SOON, Settings};

/// Opens once and for the rest of the test.
pub(crate) const LONG: &str = "circuit = { open = \"1m\" }";

/// A gateway whose upstream has these keys, before an origin that answers at once.
pub(crate) fn start(keys: &str) -> (Running, OriginHandle) {
    let origin = Origin::builder().start().unwrap();
    (Running::start(&Settings::upstream(keys).text(&[origin.addr()])), origin)
}

/// Verdicts of so many requests for `path`, one after the other on one connection.
pub(crate) async fn verdicts(gateway: &Running, path: &str, count: usize) -> Vec<(u16, String)> {
    let mut client = gateway.client().await;
    let mut verdicts = Vec::new();
    for _ in 0..count {
        client.get(path).await;
        let answer = client.answer().await;
        verdicts.push((answer.status, answer.reason().to_owned()));
    }
    verdicts
}

/// The next answer to a request that cannot go the direct way: its body has no length.
pub(crate) async fn by_hyper(client: &mut Client, path: &str) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send(format!("{head}1\r\nx\r\n0\r\n\r\n")).await;
    client.answer().await
}

/// What `/api/circuits` says of the circuit whose `label` is `name`.
pub(crate) async fn circuit(gateway: &Running, label: &str, name: &str) -> Value {
    let all = gateway.get("/api/circuits").await.json();
    let mut rows = all["circuits"].as_array().unwrap().iter();
    rows.find(|row| row[label] == name)
        .unwrap_or_else(|| panic!("no {label} {name}: {all:#}"))
        .clone()
}

/// Waits until that circuit is as wanted.
pub(crate) async fn reach(
    gateway: &Running,
    (label, name): (&str, &str),
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let begin = Instant::now();
    loop {
        let row = circuit(gateway, label, name).await;
        if wanted(&row) {
            return row;
        }
        assert!(begin.elapsed() < SOON, "never: {row:#}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the circuit of the tier asks again.
pub(crate) async fn due(gateway: &Running, tier: &str) {
    reach(gateway, ("tier", tier), |row| row["probes_in_ms"] == 0.0).await;
}
