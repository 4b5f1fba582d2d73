//! What others see of the gateway: its access log, what the kernel tells of it, rules and dashboard, a real Prometheus.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod access_log;
mod machine;
mod names;
mod page;
mod prometheus;
#[path = "../support/mod.rs"]
mod support;
