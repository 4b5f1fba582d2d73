//! A connection between the turnstile and hyper: refused here, served there, and back again, with
//! every byte in its place.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod bodies;
mod ends;
mod pipelines;
#[path = "../support/mod.rs"]
mod support;
mod times;

use floodgate_loadtest::origin::{Origin, OriginHandle};

use support::{Answer, Client, Running, Settings};

/// `/open` is served, and its origin says what it was asked for; `/closed` is refused by its rate,
/// `/shut` by an upstream without permits, everything else for want of a route; behind `/nobody` there is no server.
const ROUTES: &str = r#"
[upstreams.shut]
servers = ["127.0.0.1:1"]
max_in_flight = 0
[upstreams.nobody]
servers = ["127.0.0.1:1"]
[[tiers]]
name = "l1"
max_wait = "20s"
deadline = "20s"
[[routes]]
name = "open"
path = "/open/{*rest}"
upstream = "checkout"
[[routes]]
name = "closed"
path = "/closed/{*rest}"
upstream = "checkout"
rate = "0/s"
[[routes]]
name = "shut"
path = "/shut/{*rest}"
upstream = "shut"
[[routes]]
name = "small"
path = "/small/{*rest}"
upstream = "checkout"
max_body = 10
[[routes]]
name = "nobody"
path = "/nobody/{*rest}"
upstream = "nobody"
"#;

/// The gateway of these tests with these keys of `[server]`, and its origin.
fn start(server: &str) -> (OriginHandle, Running) {
    let origin = Origin::builder().start().unwrap();
    let gateway = Running::start(&settings(server).text(&[origin.addr()]));
    (origin, gateway)
}

fn settings(server: &str) -> Settings {
    Settings::upstream("max_in_flight = 8").rest(ROUTES).server(server)
}

/// A request whose answer, if it is served, tells what was asked.
fn request(method: &str, target: &str, body: &str) -> String {
    let length = match body.len() {
        0 => String::new(),
        length => format!("content-length: {length}\r\n"),
    };
    format!(
        "{method} {target} HTTP/1.1\r\nhost: a\r\nx-origin-behaviour: echo\r\n{length}\r\n{body}"
    )
}

fn get(target: &str) -> String {
    request("GET", target, "")
}

/// Sends a request that is refused and reads the answer.
async fn is_refused(client: &mut Client, target: &str, verdict: (u16, &str)) {
    client.send(get(target)).await;
    assert_eq!(client.answer().await.verdict(), verdict);
}

/// Sends a request that is served and reads the answer, which has to be to this request.
async fn is_served(client: &mut Client, target: &str) {
    client.send(get(target)).await;
    answers(&client.answer().await, target);
}

/// Fails unless this is what the origin says to a request of `target`.
fn answers(answer: &Answer, target: &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["target"], target);
}

/// Waits until nothing is on its way; every arrival has then exactly one outcome.
async fn closes(gateway: &Running, arrivals: u64) {
    gateway.quiet().await;
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.closed_ledger(), arrivals, "{metrics}");
}
