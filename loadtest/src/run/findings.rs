//! What the parts of a run found, put together as a record.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    journey::{ClientClass, JourneyReport, JourneyTally},
    load::{ClassReport, Counts, Latencies, Report},
    origin::OriginStats,
    record::{
        ClassRecord, FORMAT, GeneratorHealth, Groups, JourneyCounts, Journeys, Machine, Meta, Part,
        PartUse, Record, Saturation, SecondRow, TierRecord,
    },
    scenario::{Customers, Scenario},
};

use super::process::Cpu;

/// What the parts of a run found.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    /// As it was run.
    pub(super) scenario: &'a Scenario,
    /// In the order of the scenario's floods.
    pub(super) floods: Vec<Report>,
    pub(super) journeys: Option<JourneyReport>,
    /// The tier of each class of the journeys' requests.
    pub(super) journey_tiers: Vec<usize>,
    pub(super) stats: OriginStats,
    pub(super) wall: Duration,
    pub(super) cpu: Cpu,
}

// === impl Findings ===

impl Findings<'_> {
    pub(super) fn record(&self, seconds: Vec<SecondRow>) -> Record {
        let scenario = self.scenario;
        Record {
            format: FORMAT,
            meta: Meta {
                scenario: scenario.name.clone(),
                about: scenario.about.clone(),
                seed: scenario.seed,
                duration_s: self.wall.as_secs_f64(),
                machine: Machine::here(),
                notes: Vec::new(),
                ..Meta::default()
            },
            groups: self.groups(),
            verdicts: Vec::new(),
            generator: self.generator(),
            saturation: self.saturation(),
            tiers: (0..scenario.tiers.len()).map(|tier| self.tier(tier)).collect(),
            classes: self.classes().map(|(tier, class)| self.class(tier, class)).collect(),
            journeys: self.journeys(),
            origin: Some(self.stats.clone()),
            gateway: None,
            seconds,
        }
    }

    /// All reports of requests.
    pub(super) fn reports(&self) -> impl Iterator<Item = &Report> {
        self.floods.iter().chain(self.journeys.iter().map(|journeys| &journeys.requests))
    }

    /// Latency of what customers of other SKUs than the sale's were granted.
    pub(super) fn other_skus(&self) -> Latencies {
        let mut latencies = Latencies::default();
        if let (Some(journeys), Some(customers)) = (&self.journeys, &self.scenario.customers) {
            let first = customers.steps.len() + usize::from(self.scenario.bots.is_some());
            let others = journeys.requests.classes.iter().skip(first);
            others.for_each(|class| latencies.add(&class.success_latency));
        }
        latencies
    }

    /// Arrivals of the schedules: requests of floods, intents of customers.
    pub(super) fn arrivals(&self) -> u64 {
        let intents = self.journeys.as_ref().map_or(0, |journeys| journeys.traffic.intents);
        self.floods.iter().map(|flood| flood.arrivals).sum::<u64>() + intents
    }

    /// Arrivals that were late, and those that were dropped.
    pub(super) fn faults(&self) -> (u64, u64) {
        let traffic = self.journeys.as_ref().map(|journeys| &journeys.traffic);
        let late = self.floods.iter().map(|flood| flood.late).sum::<u64>();
        let dropped = self.floods.iter().map(|flood| flood.counts().dropped).sum::<u64>();
        traffic.map_or((late, dropped), |traffic| (late + traffic.late, dropped + traffic.dropped))
    }

    /// Requests of customers, by tier and class; then those of floods.
    fn classes(&self) -> impl Iterator<Item = (usize, &ClassReport)> {
        let of_journeys = self.journeys.iter().flat_map(|journeys| &journeys.requests.classes);
        let of_floods = self.scenario.floods.iter().zip(&self.floods);
        let of_floods = of_floods.flat_map(|(flood, report)| {
            report.classes.iter().map(move |class| (flood.tier, class))
        });
        self.journey_tiers.iter().copied().zip(of_journeys).chain(of_floods)
    }

    fn tier(&self, index: usize) -> TierRecord {
        let tier = &self.scenario.tiers[index];
        let (mut counts, mut all) = (Counts::default(), Latencies::default());
        let (mut success, mut refusal) = (Latencies::default(), Latencies::default());
        let (mut refused_by_reason, mut failed_by_reason) = (BTreeMap::new(), BTreeMap::new());
        for (_, class) in self.classes().filter(|(tier, _)| *tier == index) {
            counts.add(&class.counts);
            success.add(&class.success_latency);
            refusal.add(&class.refusal_latency);
            for latencies in [
                &class.success_latency,
                &class.refusal_latency,
                &class.failure_latency,
                &class.timeout_latency,
            ] {
                all.add(latencies);
            }
            add(&mut refused_by_reason, &class.refused_by_reason);
            add(&mut failed_by_reason, &class.failed_by_reason);
        }
        let in_time = tier.deadline.map_or(counts.success, |deadline| success.within(deadline));
        TierRecord {
            tier: tier.name.clone(),
            counts,
            in_time,
            deadline_ms: tier.deadline.map(|deadline| deadline.as_secs_f64() * 1e3),
            refused_by_reason,
            failed_by_reason,
            success: (&success).into(),
            refusal: (&refusal).into(),
            all: (&all).into(),
        }
    }

    fn class(&self, tier: usize, class: &ClassReport) -> ClassRecord {
        ClassRecord {
            class: class.class.clone(),
            tier: self.scenario.tiers[tier].name.clone(),
            counts: class.counts,
            refused_by_reason: class.refused_by_reason.clone(),
            failed_by_reason: class.failed_by_reason.clone(),
            success: (&class.success_latency).into(),
            refusal: (&class.refusal_latency).into(),
        }
    }

    fn generator(&self) -> GeneratorHealth {
        let mut lag = Latencies::default();
        self.reports().for_each(|report| lag.add(&report.lag));
        let (late, dropped) = self.faults();
        GeneratorHealth {
            arrivals: self.arrivals(),
            offered: self.reports().map(|report| report.counts().offered).sum(),
            late,
            dropped,
            retried: self.reports().map(|report| report.retried).sum(),
            lag: (&lag).into(),
            cpu_s: self.cpu.generator,
            threads: self.threads(),
        }
    }

    fn threads(&self) -> usize {
        let floods: usize = self.scenario.floods.iter().map(|flood| flood.threads).sum();
        floods + usize::from(self.journeys.is_some())
    }

    fn saturation(&self) -> Saturation {
        let wall = self.wall.as_secs_f64();
        let cores = machine_cores() as f64;
        let part = |part, cpu_s, threads: f64| PartUse {
            part,
            cpu_s,
            available_s: threads.min(cores) * wall,
            capacity_share: None,
        };
        let mut parts = vec![part(Part::Generator, self.cpu.generator, self.threads() as f64)];
        if let Some(threads) = self.cpu.gateway.as_ref().filter(|threads| !threads.is_empty()) {
            // Work does not move between its threads: the busiest one is its limit.
            let busiest = threads.values().copied().fold(0.0, f64::max) / wall;
            parts.push(PartUse {
                capacity_share: Some(busiest.min(1.0)),
                ..part(Part::Gateway, threads.values().sum(), threads.len() as f64)
            });
        }
        let offered_s = self.scenario.duration.as_secs_f64();
        let calls = (self.stats.answered + self.stats.client_left) as f64;
        let share = calls / (self.scenario.origin.rate_per_s * offered_s);
        parts.push(PartUse {
            capacity_share: Some(share.min(1.0)),
            ..part(Part::Origin, self.cpu.origin, 1.0)
        });
        Saturation { parts }
    }

    fn groups(&self) -> Groups {
        let (scenario, mut groups) = (self.scenario, Groups::default());
        let capacity = scenario.origin.rate_per_s;
        let floods = scenario.floods.iter();
        let floods = floods.map(|f| f.rate_per_s * f.curve.peak(scenario.duration)).sum::<f64>();
        let Some((customers, journeys)) = scenario.customers.as_ref().zip(self.journeys.as_ref())
        else {
            groups.rho = Some(floods / capacity);
            return groups;
        };
        let (traffic, intents) = (&journeys.traffic, journeys.traffic.intents.max(1) as f64);
        let peak = customers.curve.peak(scenario.duration);
        let baseline = customers.curve.value(0.0);
        let humans = (traffic.requests - traffic.bot_requests.min(traffic.requests)) as f64;
        let all: u64 = self.reports().map(|report| report.counts().offered).sum();
        groups.rho = Some(customers.rate_per_s * peak * customers.calls() / capacity);
        groups.sigma =
            (!scenario.origin.stock.is_empty()).then(|| scenario.origin.units() as f64 / intents);
        groups.a = (baseline > 0.0).then_some(peak / baseline);
        groups.theta = Some(theta(scenario, customers));
        groups.r = Some(humans / intents);
        groups.h = Some(match traffic.advised {
            0 => customers.honour(),
            advised => traffic.honoured as f64 / advised as f64,
        });
        groups.beta = Some(traffic.bot_requests as f64 / all.max(1) as f64);
        groups.kappa = Some(traffic.fresh as f64 / traffic.requests.max(1) as f64);
        groups
    }

    fn journeys(&self) -> Option<Journeys> {
        let (report, customers) = (self.journeys.as_ref()?, self.scenario.customers.as_ref()?);
        let traffic = &report.traffic;
        let mut by_class: BTreeMap<_, _> = ClientClass::ALL
            .iter()
            .map(|class| (class.name().to_owned(), counts(&traffic.customers[*class as usize])))
            .collect();
        if self.scenario.bots.is_some() {
            by_class.insert("bot".to_owned(), counts(&traffic.bots));
        }
        let total = traffic.total();
        let seen = total.completed + traffic.bots.completed;
        let paid = self.stats.shop.as_ref().map_or(0, |shop| shop.paid);
        let calls = customers.calls();
        Some(Journeys {
            total: JourneyCounts { late_success: paid.saturating_sub(seen), ..counts(&total) },
            by_class,
            calls,
            completed_per_s: self.completed_per_s(self.scenario.begin, self.scenario.duration),
            optimum_per_s: Some(self.scenario.origin.rate_per_s / calls),
            length: (&traffic.length).into(),
        })
    }

    /// Checkouts completed per second between two moments.
    pub(super) fn completed_per_s(&self, from: Duration, until: Duration) -> f64 {
        const BUCKETS_PER_S: f64 = 10.0;
        let Some(journeys) = &self.journeys else { return 0.0 };
        let completions = &journeys.traffic.completions;
        let index = |at: Duration| (at.as_secs_f64() * BUCKETS_PER_S).round() as usize;
        let (from, until) = (index(from), index(until).min(completions.len()));
        let Some(window) = completions.get(from..until).filter(|window| !window.is_empty()) else {
            return 0.0;
        };
        let completed: u64 = window.iter().map(|count| u64::from(*count)).sum();
        completed as f64 / (window.len() as f64 / BUCKETS_PER_S)
    }
}

/// Patience over the length of a journey that nobody hinders.
fn theta(scenario: &Scenario, customers: &Customers) -> f64 {
    let patience = |index: usize, class: ClientClass| {
        let patience = customers.patience.unwrap_or_else(|| class.patience());
        patience.mean().as_secs_f64() * customers.classes[index]
    };
    let all = ClientClass::ALL.iter().enumerate();
    let patience: f64 = all.map(|(index, class)| patience(index, *class)).sum();
    let shares: f64 = customers.classes.iter().sum();
    let service = scenario.origin.service_time();
    let length = customers
        .steps
        .iter()
        .map(|step| (step.think.mean() + service).as_secs_f64() * f64::from(step.repeat));
    patience / shares.max(f64::MIN_POSITIVE) / length.sum::<f64>().max(1e-3)
}

/// Bots complete too, but they are not customers: only [`Journeys::by_class`] has them.
fn counts(tally: &JourneyTally) -> JourneyCounts {
    JourneyCounts {
        started: tally.started,
        admitted: tally.admitted,
        admitted_completed: tally.admitted_completed,
        admitted_gave_up: tally.admitted_gave_up,
        late_admitted: tally.late_admitted,
        late_completed: tally.late_completed,
        completed: tally.completed,
        abandoned: tally.abandoned,
        gave_up: tally.gave_up,
        sold_out: tally.sold_out,
        unfinished: tally.unfinished,
        late_success: 0,
    }
}

fn machine_cores() -> usize {
    Machine::here().cores.max(1)
}

fn add(sums: &mut BTreeMap<String, u64>, counts: &BTreeMap<String, u64>) {
    for (name, count) in counts {
        *sums.entry(name.clone()).or_default() += count;
    }
}
