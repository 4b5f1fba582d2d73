//! Tokens and tenants as customers, operators and their upstream see them: who is believed, and what each may
//! have. On real sockets.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod forgery;
mod house;
mod identity;
mod limits;
mod rotation;
mod shares;
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "every test binary uses its own part")]
#[path = "../journeys/upstream.rs"]
mod upstream;
mod whose;
