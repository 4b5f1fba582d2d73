//! Virtual customers: whole checkouts, not single requests.
//!
//! Intents come open loop, on a schedule that is fixed before the run; the steps inside a journey
//! are a closed loop, as with people. What counts is a checkout that was completed before its
//! customer's patience ran out.
//!
//! ```text
//! JourneyPlan ─> Schedule of intents ─> customer (a task): think, ask, wait, retry ─> Venue (books)
//!                                       bots, slow readers, unfinished heads ──────────^
//! ```
//!
//! A customer has a connection of its own and a random stream of its own, so that what one does
//! changes nothing about who the others are. Memory is bounded by live journeys.

mod ask;
mod bot;
mod client;
mod customer;
mod heard;
mod nuisance;
mod plan;
pub(crate) mod run;
mod venue;

pub use client::ClientClass;
pub use plan::{Bots, Clicks, JourneyPlan, Step};
pub use run::{JourneyReport, JourneyRun, start};
pub(crate) use venue::BUCKET;
pub use venue::{JourneyTally, Traffic};
