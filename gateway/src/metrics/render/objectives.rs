//! How tiers keep to what they promise.

use super::Page;
use crate::clock;
use crate::metrics::names;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

pub(super) fn render(shared: &Shared, snapshot: &Snapshot, page: &mut Page<'_>) {
    let status = shared.history.status(snapshot, clock::now());
    let rows: Vec<_> = snapshot.config.tiers.iter().zip(&status).collect();
    let budgets = || {
        rows.iter().flat_map(|(tier, status)| {
            [("availability", &status.availability), ("latency", &status.latency)]
                .map(|(objective, budget)| (tier.name.as_str(), objective, budget))
        })
    };
    page.family(names::OBJECTIVE_LATENCY, "gauge", "How long an answer may take.");
    for (tier, _) in &rows {
        let latency = tier.objective.latency.as_secs_f64();
        page.sample(names::OBJECTIVE_LATENCY, &[("tier", &tier.name)], latency);
    }
    page.family(names::OBJECTIVE_TARGET, "gauge", "Share of the requests that is to be good.");
    for (tier, objective, budget) in budgets() {
        let labels = [("tier", tier), ("objective", objective)];
        page.sample(names::OBJECTIVE_TARGET, &labels, budget.target);
    }
    page.family(names::OBJECTIVE_REQUESTS, "counter", "Requests by whether they were good.");
    for (tier, objective, budget) in budgets() {
        for (outcome, count) in [("good", budget.good), ("bad", budget.bad)] {
            let labels = [("tier", tier), ("objective", objective), ("outcome", outcome)];
            page.sample(names::OBJECTIVE_REQUESTS, &labels, count);
        }
    }
    page.family(names::OBJECTIVE_BUDGET_LEFT, "gauge", "What is left of the error budget, of 1.");
    for (tier, objective, budget) in budgets() {
        let labels = [("tier", tier), ("objective", objective)];
        page.sample(names::OBJECTIVE_BUDGET_LEFT, &labels, budget.left);
    }
    page.family(names::OBJECTIVE_BURN_RATE, "gauge", "Bad ones in multiples of what may be.");
    for (tier, objective, budget) in budgets() {
        for (window, burn) in [("5m", budget.burn_short), ("1h", budget.burn_long)] {
            let labels = [("tier", tier), ("objective", objective), ("window", window)];
            page.sample(names::OBJECTIVE_BURN_RATE, &labels, burn);
        }
    }
    page.family(names::OBJECTIVE_VIOLATIONS, "counter", "Who was not served, and why.");
    for (tier, status) in &rows {
        for (reason, stage, count) in &status.missed {
            let labels =
                [("tier", tier.name.as_str()), ("stage", stage.as_str()), ("reason", reason)];
            page.sample(names::OBJECTIVE_VIOLATIONS, &labels, count);
        }
    }
}
