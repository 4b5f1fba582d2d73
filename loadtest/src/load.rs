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

mod board;
mod connection;
mod exchange;
mod histogram;
mod metronome;
mod plan;
mod reason;
mod recorder;
mod report;
mod run;
mod sample;
mod schedule;
mod second;
mod worker;

pub use histogram::{Latencies, Latency};
pub use plan::{Arrivals, Phase, Plan, PlanError, Template};
pub use report::{Bucket, ClassReport, PhaseReport, Report, Verdict};
pub use run::{Run, start};
pub use sample::{Counts, Kind};
pub use schedule::{Arrival, Schedule};
pub use second::{ClassSecond, Second};
