//! Who is let in, who waits, who is refused, and that everything taken comes back: on real sockets.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod breaker;
mod capacity;
mod deadline;
mod ledger;
mod order;
mod permits;
mod rate;
mod refusal;
mod shadow;
mod shares;
#[path = "../support/mod.rs"]
mod support;
