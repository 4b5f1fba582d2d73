//! Limits that are found, and the memory of the process.

use super::{Page, names};
use crate::shared::Shared;
use crate::snapshot::Snapshot;

pub(super) fn render(shared: &Shared, snapshot: &Snapshot, page: &mut Page<'_>) {
    let found: Vec<_> = snapshot
        .upstreams
        .iter()
        .filter_map(|upstream| Some((upstream.name.as_str(), upstream.permits.status()?)))
        .collect();
    if !found.is_empty() {
        page.family(
            names::ADAPTIVE_LIMIT,
            "gauge",
            "The limit that was found; it rules unless in the shadow.",
        );
        for (upstream, status) in &found {
            page.sample(names::ADAPTIVE_LIMIT, &[("upstream", upstream)], status.limit);
        }
        page.family(
            names::ADAPTIVE_BASELINE,
            "gauge",
            "Mean service time with few in flight; 0: not known yet.",
        );
        for (upstream, status) in &found {
            let baseline = status.baseline.as_secs_f64();
            page.sample(names::ADAPTIVE_BASELINE, &[("upstream", upstream)], baseline);
        }
    }
    let memory = &shared.memory;
    page.family(names::MEMORY, "gauge", "Memory in use, pages of files left out.");
    page.sample(names::MEMORY, &[], memory.used());
    if let Some(limit) = memory.limit() {
        page.family(names::MEMORY_LIMIT, "gauge", "What counts as full.");
        page.sample(names::MEMORY_LIMIT, &[], limit);
    }
    page.family(
        names::MEMORY_PRESSURE,
        "gauge",
        "How full the memory is, 0 to 1; 0 without a limit.",
    );
    page.sample(names::MEMORY_PRESSURE, &[], memory.pressure());
}
