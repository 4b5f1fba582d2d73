//! The configuration changed while it is live: by every trigger, on a real file system, under requests.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod access;
mod adaptive;
mod carried;
mod circuits;
mod history;
mod journeys;
mod limits;
mod live;
mod rates;
mod refused;
mod shadow;
#[path = "../support/mod.rs"]
mod support;
mod triggers;
