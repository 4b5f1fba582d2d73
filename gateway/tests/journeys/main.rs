//! Whole checkouts as customers and their upstream see them: who may begin, who goes on, what is sold
//! out, what is bought once, and when the refused come back. On real sockets.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod budget;
mod calm;
mod forgery;
mod grants;
mod identity;
mod latch;
mod purchase;
mod reload;
mod shop;
#[path = "../support/mod.rs"]
mod support;
mod upstream;
