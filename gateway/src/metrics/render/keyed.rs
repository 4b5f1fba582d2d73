//! What is known of limits and shares per key.

use super::{Page, names};
use crate::keyed::{self, LimitStatus, Scope, ShareStatus};
use crate::snapshot::Snapshot;

/// A family of samples: its name, kind and help, and the value of one.
type Family<T> = (&'static str, &'static str, &'static str, fn(&T) -> u64);

pub(super) fn render(snapshot: &Snapshot, page: &mut Page<'_>) {
    let (limits, shares) = keyed::status(snapshot);
    of_limits(&limits, page);
    of_shares(&shares, page);
}

fn of_limits(limits: &[LimitStatus<'_>], page: &mut Page<'_>) {
    if limits.is_empty() {
        return;
    }
    let help = "Requests over a limit of their key's own: refused, or only counted in the shadow.";
    page.family(names::KEY_LIMIT_REFUSALS, "counter", help);
    for limit in limits {
        for (mode, count) in [("enforced", limit.refused), ("shadow", limit.would_refuse)] {
            let labels =
                [("route", limit.route), ("limit", limit.meant.name.as_str()), ("mode", mode)];
            page.sample(names::KEY_LIMIT_REFUSALS, &labels, count);
        }
    }
    let families: [Family<LimitStatus<'_>>; 4] = [
        (names::KEY_LIMIT_MISSING, "counter", "Requests without the key.", |it| it.missing),
        (names::KEY_LIMIT_KEYS, "gauge", "Keys that are remembered.", |it| it.keys.keys as u64),
        (names::KEY_LIMIT_MAX_KEYS, "gauge", "How many may be.", |it| it.keys.max_keys as u64),
        (
            names::KEY_LIMIT_IN_COMPANY,
            "counter",
            "Requests of keys for which there was no place, accounted for together.",
            |it| it.keys.in_company,
        ),
    ];
    for (name, kind, help, value) in families {
        page.family(name, kind, help);
        for limit in limits {
            let labels = [("route", limit.route), ("limit", limit.meant.name.as_str())];
            page.sample(name, &labels, value(limit));
        }
    }
}

fn of_shares(shares: &[ShareStatus<'_>], page: &mut Page<'_>) {
    if shares.is_empty() {
        return;
    }
    let scope = |share: &ShareStatus<'_>| match share.scope {
        Scope::Route(name) => ("route", name.to_owned()),
        Scope::Upstream(name) => ("upstream", name.to_owned()),
    };
    let help = "Requests over the share of their key: refused, or only counted in the shadow.";
    page.family(names::KEY_SHARE_REFUSALS, "counter", help);
    for share in shares {
        let (of, name) = scope(share);
        for (mode, count) in [("enforced", share.refused), ("shadow", share.would_refuse)] {
            let labels = [("of", of), ("name", name.as_str()), ("mode", mode)];
            page.sample(names::KEY_SHARE_REFUSALS, &labels, count);
        }
    }
    let families: [Family<ShareStatus<'_>>; 4] = [
        (names::KEY_SHARE_MISSING, "counter", "Requests without the key.", |it| it.missing),
        (names::KEY_SHARE_KEYS, "gauge", "Keys that hold a permit or wait.", |it| {
            it.holders as u64
        }),
        (names::KEY_SHARE_LARGEST, "gauge", "What one key holds at most.", |it| it.largest.into()),
        (names::KEY_SHARE_LIMIT, "gauge", "What it may hold.", |it| it.most.into()),
    ];
    for (name, kind, help, value) in families {
        page.family(name, kind, help);
        for share in shares {
            let (of, owner) = scope(share);
            page.sample(name, &[("of", of), ("name", owner.as_str())], value(share));
        }
    }
}
