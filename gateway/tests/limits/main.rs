//! What is bounded per key: whose limit it is, who is refused by it and what is told of it.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod claims;
mod keys;
mod refusal;
mod shares;
#[path = "../support/mod.rs"]
mod support;
mod told;

use std::net::SocketAddr;

use floodgate_loadtest::origin::{Origin, OriginHandle};
use support::{Client, Running, Settings};

/// Two routes, of which the first has these keys.
pub(crate) fn route(keys: &str) -> String {
    format!(
        "[[tiers]]\nname = \"l1\"\nmax_wait = \"20s\"\ndeadline = \"30s\"\n\
         watermarks = {{ high = 1.0, low = 0.9 }}\n\
         [[routes]]\nname = \"buy\"\npath = \"/buy/{{sku}}\"\n{keys}\n\
         [[routes]]\nname = \"other\"\n"
    )
}

/// A gateway whose route `buy` has these keys, before an origin that answers at once.
pub(crate) fn start(keys: &str) -> (Running, OriginHandle) {
    started(Settings::upstream("").rest(route(keys)))
}

/// The same with other settings.
pub(crate) fn started(settings: Settings) -> (Running, OriginHandle) {
    let origin = Origin::builder().start().unwrap();
    (Running::start(&settings.text(&[origin.addr()])), origin)
}

/// A client that comes from this address.
pub(crate) async fn from(address: &str, gateway: &Running) -> Client {
    let from = SocketAddr::new(address.parse().unwrap(), 0);
    Client::connect_from(from, gateway.listen).await
}

/// Of so many requests one after the other, each with these lines, the number that was let in. All others are refused
/// by a limit of their key's own.
pub(crate) async fn admitted(client: &mut Client, path: &str, lines: &str, requests: u32) -> u32 {
    let mut admitted = 0;
    for _ in 0..requests {
        client.send(format!("GET {path} HTTP/1.1\r\nhost: shop\r\n{lines}\r\n")).await;
        match client.answer().await.verdict() {
            (200, "") => admitted += 1,
            verdict => assert_eq!(verdict, (429, "key_limit"), "{path} {lines}"),
        }
    }
    admitted
}
