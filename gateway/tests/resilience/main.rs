//! Clients and servers that behave badly, slowly or not at all: nobody else pays for it.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod buffer;
mod heads;
mod readers;
mod recorder;
mod servers;
#[path = "../support/mod.rs"]
mod support;
mod tunnels;
mod uploads;

use std::time::Instant;

use support::{Running, SOON, Settings, one_tier};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// One tier in which nothing ends by time.
fn patient(upstream: &str, server: &str) -> Settings {
    Settings::upstream(upstream)
        .rest(one_tier("max_wait = \"20s\"\ndeadline = \"20s\""))
        .server(server)
}

/// Waits until so many connections are open.
async fn until_open(gateway: &Running, open: u64) {
    let begin = Instant::now();
    while gateway.status().await["connections"]["open"] != open {
        assert!(begin.elapsed() < SOON, "never {open} connections");
    }
}
