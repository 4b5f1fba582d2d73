//! The people and programs of a scenario.

use std::{net::SocketAddr, time::Duration};

use crate::{
    journey::{Bots, Clicks, ClientClass, JourneyPlan, Step},
    load::Curve,
    origin::ServiceTime,
};

use super::Scenario;

/// Who buys, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Customers {
    /// Intents per second, where the curve is 1.
    pub rate_per_s: f64,
    /// What the rate is multiplied with.
    pub curve: Curve,
    /// Random arrivals instead of evenly spaced ones.
    pub poisson: bool,
    /// Shares by client, in the order of [`ClientClass::ALL`].
    pub classes: [f64; 4],
    /// How long they wait for their goods; by client without.
    pub patience: Option<ServiceTime>,
    /// Extra clicks.
    pub clicks: Clicks,
    /// Journeys under way at once.
    pub max_live: usize,
    /// SKUs and their weights.
    pub skus: Vec<(String, u32)>,
    /// Answer headers that clients send back.
    pub carry: Vec<String>,
    /// Headers of every request, bots' too.
    pub headers: Vec<(String, String)>,
    /// What a checkout consists of.
    pub steps: Vec<Step>,
    /// Share of requests on a new connection.
    pub fresh_share: f64,
}

/// Programs that go straight to the order.
#[derive(Clone, Debug, PartialEq)]
pub struct BotPlan {
    /// How many.
    pub count: usize,
    /// When they begin.
    pub start: Duration,
    /// Pause between two requests of one bot.
    pub period: ServiceTime,
    /// Share of requests on a new connection.
    pub fresh_share: f64,
    /// Names of the steps that they ask for.
    pub steps: Vec<String>,
}

/// Connections that behave badly, at all times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nuisances {
    /// Connections that read their answer byte by byte.
    pub slow_readers: usize,
    /// Connections that never finish their head.
    pub unfinished_heads: usize,
}

// === impl Customers ===

impl Customers {
    /// Calls of one whole journey (k).
    #[must_use]
    pub fn calls(&self) -> f64 {
        self.steps.iter().map(|step| f64::from(step.repeat)).sum()
    }

    /// The share that honours Retry-After (h).
    #[must_use]
    pub fn honour(&self) -> f64 {
        let share = |honours: bool| -> f64 {
            let all = ClientClass::ALL.iter().zip(self.classes);
            all.filter(|(class, _)| !honours || class.honours_retry_after()).map(|(_, s)| s).sum()
        };
        share(true) / share(false).max(f64::MIN_POSITIVE)
    }

    /// Lets `honour` of them honour Retry-After; the proportions among those who do stay, and among
    /// those who do not.
    pub fn set_honour(&mut self, honour: f64) {
        for honours in [true, false] {
            let of_kind = |index: &usize| ClientClass::ALL[*index].honours_retry_after() == honours;
            let indices: Vec<_> = (0..self.classes.len()).filter(of_kind).collect();
            let sum: f64 = indices.iter().map(|index| self.classes[*index]).sum();
            let wanted = if honours { honour } else { 1.0 - honour };
            for index in &indices {
                self.classes[*index] = match sum > 0.0 {
                    true => self.classes[*index] / sum * wanted,
                    false => wanted / indices.len() as f64,
                };
            }
        }
    }
}

// === impl Scenario ===

impl Scenario {
    /// The journeys as they are run against `target`; `None` without customers.
    #[must_use]
    pub fn journeys(&self, target: SocketAddr, seed: u64) -> Option<JourneyPlan> {
        let customers = self.customers.as_ref()?;
        let place = |name: &String| customers.steps.iter().position(|step| step.name == *name);
        let bots = self.bots.as_ref().map(|bots| Bots {
            count: bots.count,
            start: bots.start,
            period: bots.period,
            fresh_share: bots.fresh_share,
            steps: bots.steps.iter().filter_map(place).collect(),
        });
        Some(JourneyPlan {
            target,
            seed,
            duration: self.duration,
            tail: self.tail,
            rate_per_s: customers.rate_per_s,
            curve: customers.curve.clone(),
            poisson: customers.poisson,
            classes: customers.classes,
            patience: customers.patience,
            steps: customers.steps.clone(),
            tiers: self.tiers.iter().map(|tier| tier.name.clone()).collect(),
            skus: customers.skus.clone(),
            fresh_share: customers.fresh_share,
            clicks: customers.clicks,
            slow_readers: self.nuisances.slow_readers,
            unfinished_heads: self.nuisances.unfinished_heads,
            bots,
            max_live: customers.max_live,
            carry: customers.carry.clone(),
            headers: customers.headers.clone(),
        })
    }
}
