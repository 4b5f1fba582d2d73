//! What is sent to another server when one has failed, what never is, and how much of it there is at most.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod budget;
mod failing;
mod never;
mod other_server;
#[path = "../support/mod.rs"]
mod support;

use failing::{Does, Failing};
use support::{Answer, Running, Settings, one_tier};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BAD: &str = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\n\r\npoor";
const BUSY: &str =
    "HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nbusy";

/// How a server fails without an answer.
const FAILURES: [Does; 3] =
    [Does::Close, Does::Break("HTTP/1.1 200 O"), Does::Break("220 mail\r\n")];

/// A field by which a request does not go the direct way but hyper's, and none.
const WAYS: [&str; 2] = ["", "max-forwards: 9\r\n"];

/// One tier in which nothing ends by time, before these servers, the first of which gets the first request.
fn gateway(upstream: &str, route: &str, servers: &[&Failing]) -> Running {
    let tier = one_tier("max_wait = \"20s\"\ndeadline = \"20s\"");
    // What is sent again is not to depend on whether a circuit has opened.
    let settings = Settings::upstream(&format!("{upstream}\ncircuit = false"))
        .rest(format!("{tier}{route}\n"));
    let addrs: Vec<_> = servers.iter().map(|server| server.addr).collect();
    Running::start(&settings.text(&addrs))
}

/// Retries that nothing but the rules bounds, after these failures.
fn retries(on: &str) -> String {
    format!("retries = {{ budget = 1.0, min_per_second = 1000, on = {on} }}")
}

/// The answer to a request with this method, these fields and this body.
async fn send(gateway: &Running, method: &str, fields: &str, body: &str) -> Answer {
    let mut client = gateway.client().await;
    let length = match body.len() {
        0 => String::new(),
        length => format!("content-length: {length}\r\n"),
    };
    client.send(format!("{method} /a HTTP/1.1\r\nhost: a\r\n{fields}{length}\r\n{body}")).await;
    client.answer_to(method).await
}
