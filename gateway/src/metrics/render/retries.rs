//! Requests that were sent a second time.

use super::Page;
use crate::clock;
use crate::metrics::names;
use crate::retry::Why;
use crate::snapshot::Snapshot;

pub(super) fn render(snapshot: &Snapshot, page: &mut Page<'_>) {
    let upstreams = || snapshot.upstreams.iter().map(|it| (it.name.as_str(), &it.retries));
    page.family(names::RETRIES, "counter", "Requests that were sent again, by why.");
    for (upstream, retries) in upstreams() {
        for (why, count) in Why::NAMES.iter().zip(retries.made()) {
            page.sample(names::RETRIES, &[("upstream", upstream), ("why", why)], count);
        }
    }
    page.family(names::RETRIES_REFUSED, "counter", "Those that the budget did not allow.");
    for (upstream, retries) in upstreams() {
        page.sample(names::RETRIES_REFUSED, &[("upstream", upstream)], retries.refused());
    }
    page.family(names::RETRY_BUDGET, "gauge", "Retries that the budget has left.");
    let now = clock::now();
    for (upstream, retries) in upstreams() {
        page.sample(names::RETRY_BUDGET, &[("upstream", upstream)], retries.status(now).left);
    }
}
