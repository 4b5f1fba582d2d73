//! A sale in virtual time: customers, a gateway with entry control, an upstream of a few workers.
#![allow(dead_code, unreachable_pub, reason = "compiled into each test, used by some")]

use std::num::NonZeroU32;
use std::time::Duration;

use floodgate_limiter::{Limits, TierLimits, Watermarks};

mod run;

pub use run::run;

pub const STEPS: usize = 5;
/// Think times before the steps in milliseconds: those of the load test's customers.
pub const THINK: [(f64, f64); STEPS] =
    [(50.0, 250.0), (100.0, 300.0), (100.0, 500.0), (100.0, 200.0), (200.0, 600.0)];

#[derive(Clone, Copy, Debug)]
pub enum Law {
    Exponential,
    Uniform,
    Fixed,
}

impl Law {
    pub const ALL: [Self; 3] = [Self::Exponential, Self::Uniform, Self::Fixed];
}

#[derive(Clone, Debug)]
pub struct Sale {
    pub seed: u64,
    pub capacity: f64,
    pub workers: u32,
    pub overload: f64,
    pub seconds: f64,
    pub warm_up: f64,
    pub law: Law,
    /// Think times before each step in milliseconds, from and to.
    pub think: [(f64, f64); STEPS],
    pub patience: f64,
    pub abandon: f64,
    /// Share that comes back when told to.
    pub honour: f64,
    pub bots: f64,
    /// From when to when nothing is served.
    pub freeze: Option<(f64, f64)>,
    /// When the capacity becomes so many times what it was.
    pub change: Option<(f64, f64)>,
    /// When the limit becomes this.
    pub relimit: Option<(f64, u32)>,
    pub headroom: f64,
    pub buffer: u32,
    pub returns: f64,
    /// Permits, if not one per worker: the upstream has a queue of its own then.
    pub permits: Option<u32>,
    /// Until when hardly anybody comes.
    pub quiet: f64,
}

impl Default for Sale {
    fn default() -> Self {
        Self {
            seed: 1,
            capacity: 450.0,
            workers: 5,
            overload: 10.0,
            seconds: 20.0,
            warm_up: 2.0,
            law: Law::Fixed,
            think: THINK,
            patience: 5.0,
            abandon: 0.0,
            honour: 0.55,
            bots: 0.0,
            freeze: None,
            change: None,
            relimit: None,
            headroom: 0.95,
            buffer: 50,
            returns: 0.3,
            permits: None,
            quiet: 0.0,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub intents: u64,
    /// Completed checkouts in the sale, per second, over the most that could be.
    pub efficiency: f64,
    /// Completed checkouts by tenths of a second since the start.
    pub tenths: Vec<u32>,
    pub grants: u64,
    pub bot_grants: u64,
    pub holders_finished: u64,
    /// Holders that left of their own accord.
    pub abandoned: u64,
    /// Holders who ran out of patience.
    pub failed: u64,
    /// The same by what they were at the entry.
    pub failed_by: [u64; 3],
    pub holders_refused: u64,
    pub holder_wait_ms: f64,
    pub holder_wait_max_ms: f64,
    pub entry_wait_ms: f64,
    pub entries_refused_late: u64,
    pub utilisation: f64,
    pub in_progress_max: u64,
    pub entry_age_ms: f64,
    pub standing: [u64; 3],
}

impl Outcome {
    pub fn finish_ratio(&self) -> f64 {
        self.holders_finished as f64 / (self.holders_finished + self.failed).max(1) as f64
    }

    pub fn summary(&self) -> String {
        format!(
            "  sold {:.3}, finish {:.3} (not: {} on time, {} new, {} early), holders wait {:.1} ms (at most {:.0}), entries {:.1} ms, \
             refused {} holders and {} entries, {:.3} busy, {} in progress at most, grants {:?}, bots {}",
            self.efficiency,
            self.finish_ratio(),
            self.failed_by[1],
            self.failed_by[0],
            self.failed_by[2],
            self.holder_wait_ms,
            self.holder_wait_max_ms,
            self.entry_wait_ms,
            self.holders_refused,
            self.entries_refused_late,
            self.utilisation,
            self.in_progress_max,
            self.standing,
            self.bot_grants,
        )
    }

    /// Completed per second from one second to another.
    pub fn rate(&self, from: f64, to: f64) -> f64 {
        let tenths = &self.tenths[(from * 10.0) as usize..(to * 10.0) as usize];
        f64::from(tenths.iter().sum::<u32>()) / (to - from)
    }
}

/// So many permits, one tier, the times of a checkout.
pub fn limits(sale: &Sale, permits: u32) -> Limits {
    let tier = TierLimits {
        max_wait: Duration::from_millis(500),
        weight: NonZeroU32::MIN,
        watermarks: Watermarks::new(0.95, 0.80).unwrap(),
    };
    Limits::new(permits, sale.buffer, vec![tier]).unwrap()
}
