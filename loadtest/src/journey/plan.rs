//! Who comes, when, and what they do.

use std::{net::SocketAddr, time::Duration};

use crate::{
    load::{Curve, Phase, Plan, PlanError, Template},
    origin::ServiceTime,
    rng::Rng,
};

use super::client::ClientClass;

/// Extra clicks on one step at most.
const MAX_CLICKS: u32 = 20;

/// Who comes, when, and what they do.
#[derive(Clone, Debug)]
pub struct JourneyPlan {
    /// Where the requests go.
    pub target: SocketAddr,
    /// Same seed, same schedule and same customers.
    pub seed: u64,
    /// How long intents come.
    pub duration: Duration,
    /// How long the last of them may go on.
    pub tail: Duration,
    /// Intents per second, where the curve is 1.
    pub rate_per_s: f64,
    /// What the rate is multiplied with.
    pub curve: Curve,
    /// Random arrivals, as customers come, instead of evenly spaced ones.
    pub poisson: bool,
    /// Share of customers by client, in the order of [`ClientClass::ALL`].
    pub classes: [f64; 4],
    /// How long a customer waits for the goods, from the intent; by class without.
    pub patience: Option<ServiceTime>,
    /// What a checkout consists of; the last makes it complete.
    pub steps: Vec<Step>,
    /// Names of the tiers, in order of priority.
    pub tiers: Vec<String>,
    /// SKUs and their weights. The first is what the sale is about: requests for the others are told
    /// apart from those for it.
    pub skus: Vec<(String, u32)>,
    /// Share of requests, 0 to 1, that come on a new connection.
    pub fresh_share: f64,
    /// Extra clicks on a step with an idempotency key.
    pub clicks: Clicks,
    /// Connections that read their answer byte by byte, at all times.
    pub slow_readers: usize,
    /// Connections that never finish their head, at all times.
    pub unfinished_heads: usize,
    /// Who goes straight to the order.
    pub bots: Option<Bots>,
    /// Journeys under way at once; an intent beyond it is dropped, and counted.
    pub max_live: usize,
    /// Answer headers that a client sends back on its next requests, beside cookies.
    pub carry: Vec<String>,
    /// Headers of every request, bots' too.
    pub headers: Vec<(String, String)>,
}

/// One call of a checkout.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Name in reports.
    pub name: String,
    /// HTTP method.
    pub method: String,
    /// Path; `{id}` is the order, `{sku}` the SKU.
    pub path: String,
    /// Index of the tier it is expected to be of.
    pub tier: usize,
    /// What a customer does before it.
    pub think: ServiceTime,
    /// Share of customers, 0 to 1, that leave before it of their own accord.
    pub abandon: f64,
    /// How often it is called.
    pub repeat: u32,
    /// Bytes of the request's body.
    pub body_bytes: usize,
    /// Whether it carries an idempotency key.
    pub keyed: bool,
}

/// Programs that go straight to the order and honour nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Bots {
    /// How many.
    pub count: usize,
    /// When they begin.
    pub start: Duration,
    /// Pause between two requests of one bot.
    pub period: ServiceTime,
    /// Share of requests on a new connection.
    pub fresh_share: f64,
    /// Indices of the steps that they ask for, one after the other.
    pub steps: Vec<usize>,
}

/// Impatient fingers: how often a button is pressed again, at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clicks {
    /// By everybody, so often.
    Exactly(u32),
    /// By clients without a script, in the mean.
    Mean(f64),
}

// === impl Clicks ===

impl Clicks {
    pub(super) fn sample(self, class: ClientClass, rng: &mut Rng) -> u32 {
        match self {
            Self::Exactly(clicks) => clicks,
            Self::Mean(mean) if mean > 0.0 && class == ClientClass::H0 => {
                // Geometric: another click follows with mean / (1 + mean).
                let another = |_: &u32| rng.fraction() < mean / (1.0 + mean);
                (0..MAX_CLICKS).take_while(another).count() as u32
            }
            Self::Mean(_) => 0,
        }
    }
}

// === impl JourneyPlan ===

impl JourneyPlan {
    /// Customers at once at most.
    pub const MAX_LIVE: usize = 100_000;
    /// Steps of a journey at most.
    pub const MAX_STEPS: usize = 32;
    /// SKUs at most.
    pub const MAX_SKUS: usize = 4_096;
    /// Bots, and nuisances of a kind, at most.
    pub const MAX_BOTS: usize = 10_000;

    /// When everything is over.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.duration + self.tail
    }

    /// Calls of one whole journey (k).
    #[must_use]
    pub fn calls(&self) -> f64 {
        self.steps.iter().map(|step| f64::from(step.repeat)).sum()
    }

    /// The mean time that a customer needs for a journey when nothing stands in the way and every
    /// call takes `call`.
    #[must_use]
    pub fn journey_time(&self, call: Duration) -> Duration {
        let step = |step: &Step| (step.think.mean() + call) * step.repeat;
        self.steps.iter().map(step).sum()
    }

    /// Refuses what cannot be run.
    ///
    /// # Errors
    /// The first thing that is wrong, with what to do.
    pub fn validate(&self) -> Result<(), PlanError> {
        let fail = |message: String| Err(PlanError::new(message));
        if self.steps.is_empty() || self.tiers.is_empty() || self.skus.is_empty() {
            return fail("journeys need at least one step, one tier and one SKU".into());
        }
        if self.steps.len() > Self::MAX_STEPS || self.skus.len() > Self::MAX_SKUS {
            let (steps, skus) = (Self::MAX_STEPS, Self::MAX_SKUS);
            return fail(format!("use at most {steps} steps and {skus} SKUs"));
        }
        if self.end() > Plan::MAX_DURATION + Plan::MAX_TIMEOUT {
            return fail("duration and tail together take too long; use at most 720 s".into());
        }
        for step in &self.steps {
            let odd = step.tier >= self.tiers.len() || step.repeat == 0 || step.repeat > 100;
            let split = |text: &str| text.contains(|c: char| c.is_whitespace() || c.is_control());
            if odd || split(&step.path) || split(&step.method) || step.body_bytes > 1 << 20 {
                return fail(format!("step {} cannot be asked for; use METHOD /path", step.name));
            }
        }
        let bots = self.bots.as_ref().map_or(0, |bots| bots.count);
        let most = bots.max(self.slow_readers).max(self.unfinished_heads);
        if most > Self::MAX_BOTS || self.max_live == 0 || self.max_live > Self::MAX_LIVE {
            return fail(format!("use at most {} bots or nuisances", Self::MAX_BOTS));
        }
        let is_step = |step: &usize| *step < self.steps.len();
        if self.bots.as_ref().is_some_and(|it| it.steps.is_empty() || !it.steps.iter().all(is_step))
        {
            return fail("bots ask for a step that does not exist, or for none".into());
        }
        Ok(())
    }

    /// Whether there is more to buy than what the sale is about.
    #[must_use]
    pub fn has_other_skus(&self) -> bool {
        self.skus.len() > 1
    }

    /// The tier of each class of requests: steps, then bots, then the steps for other SKUs.
    #[must_use]
    pub fn class_tiers(&self) -> Vec<usize> {
        let mut tiers: Vec<_> = self.steps.iter().map(|step| step.tier).collect();
        let others = if self.has_other_skus() { tiers.clone() } else { Vec::new() };
        tiers.extend(self.bots.as_ref().map(|bots| self.steps[bots.steps[0]].tier));
        tiers.extend(others);
        tiers
    }

    /// The class of a customer's request for a step.
    pub(super) fn class(&self, step: usize, is_other_sku: bool) -> u16 {
        let others = self.steps.len() + usize::from(self.bots.is_some());
        (step + if is_other_sku { others } else { 0 }) as u16
    }

    /// The schedule of intents as a plan; its classes are clients.
    pub(super) fn intents(&self) -> Plan {
        let mut phase = Phase::new(
            "sale",
            self.duration,
            self.rate_per_s,
            self.classes.map(|share| (share.max(0.0) * 1000.0).round() as u32),
        )
        .curve(self.curve.clone());
        if self.poisson {
            phase = phase.poisson();
        }
        let mut plan = Plan::new(self.target).phase(phase);
        plan.seed = self.seed;
        for class in ClientClass::ALL {
            plan = plan.template(Template::new(class.name(), "GET", "/"));
        }
        plan
    }

    /// The requests as a plan, for the books; its classes are those of
    /// [`class_tiers`](Self::class_tiers).
    pub(super) fn ledger(&self) -> Plan {
        let mut plan = Plan::new(self.target);
        for step in &self.steps {
            plan = plan.template(Template::new(&step.name, &step.method, "/"));
        }
        if self.bots.is_some() {
            plan = plan.template(Template::new("bot", "POST", "/"));
        }
        for step in self.steps.iter().filter(|_| self.has_other_skus()) {
            let name = format!("{}, other SKUs", step.name);
            plan = plan.template(Template::new(&name, &step.method, "/"));
        }
        let weights = vec![1; plan.templates.len()];
        plan.phase(Phase::new("sale", self.end(), 0.0, weights))
    }
}
