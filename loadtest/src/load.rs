//! An open-loop load generator.
//!
//! When each request should start is fixed before the run and does not depend on the answers, so
//! a service that stalls is seen to stall: latency counts from the *intended* start. A closed
//! loop would wait with it and hide it.
//!
//! ```text
//! Plan ─> Schedule (lazy, seeded) ─> worker: connection ─> Sample ─> Recorder ─> Second, Report
//!              └─> metronome: wakes the worker when an arrival is due
//! ```
//!
//! Memory is bounded by connections, classes and seconds, not by requests. The books close:
//! arrivals of the plan = success + refused + failed + timeout + dropped.

pub(crate) mod board;
pub(crate) mod connection;
mod curve;
pub(crate) mod exchange;
mod histogram;
pub(crate) mod metronome;
mod plan;
pub(crate) mod reason;
pub(crate) mod recorder;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod sample;
pub(crate) mod schedule;
mod second;
mod worker;

pub use curve::Curve;
pub use histogram::{Latencies, Latency};
pub use plan::{Arrivals, Phase, Plan, PlanError, Template};
pub use report::{Bucket, ClassReport, PhaseReport, Report, Verdict};
pub use run::{Run, start};
pub use sample::{Counts, Kind};
pub use schedule::{Arrival, Schedule};
pub use second::{ClassSecond, Second};
