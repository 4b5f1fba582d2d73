//! The gateway's own counts, tier by tier.

use std::ops::{Add, Sub};

use super::Sums;
use crate::reason::Reason;
use crate::snapshot::Snapshot;

const REASONS: usize = Reason::ALL.len();

/// What happened to some requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) arrivals: u64,
    pub(crate) admitted: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) abandoned: u64,
    /// By [`Reason::index`].
    pub(crate) rejected: [u64; REASONS],
}

/// The gateway's own counts at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Books {
    /// In order of priority.
    pub(crate) tiers: Vec<Account>,
    /// Requests that belong to no route.
    pub(crate) unmatched: Account,
}

// === impl Books ===

impl Books {
    /// With what earlier generations counted of tiers that there still are.
    pub(crate) fn read(snapshot: &Snapshot) -> Self {
        let mut tiers = vec![Account::default(); snapshot.tiers.len()];
        for route in &snapshot.routes {
            let tier = &mut tiers[route.tier.index()];
            *tier = *tier + Account::from(route.stats.sums());
        }
        for ((_, name), stats) in &snapshot.retired {
            let tier = snapshot.tiers.iter().position(|tier| tier.name == *name);
            if let Some(tier) = tier.map(|index| &mut tiers[index]) {
                *tier = *tier + Account::from(stats.sums());
            }
        }
        Self { tiers, unmatched: Account::from(snapshot.unmatched.sums()) }
    }

    /// Everything.
    pub(crate) fn total(&self) -> Account {
        self.tiers.iter().fold(self.unmatched, |sum, tier| sum + *tier)
    }
}

// === impl Account ===

impl Default for Account {
    /// Nothing yet. Not derived: arrays as long as that of the reasons have no default.
    fn default() -> Self {
        Self {
            arrivals: 0,
            admitted: 0,
            completed: 0,
            failed: 0,
            abandoned: 0,
            rejected: [0; REASONS],
        }
    }
}

impl Account {
    /// Refusals of all reasons.
    pub(crate) fn all_rejected(&self) -> u64 {
        self.rejected.iter().sum()
    }

    /// Refusals for `reason`.
    pub(crate) fn rejected_for(&self, reason: Reason) -> u64 {
        self.rejected[reason.index()]
    }

    /// Whether every arrival has ended, in exactly one way.
    pub(crate) fn closes(&self) -> bool {
        self.arrivals == self.admitted + self.all_rejected() + self.abandoned
            && self.admitted == self.completed + self.failed
    }

    fn combine(self, other: Self, of: fn(u64, u64) -> u64) -> Self {
        Self {
            arrivals: of(self.arrivals, other.arrivals),
            admitted: of(self.admitted, other.admitted),
            completed: of(self.completed, other.completed),
            failed: of(self.failed, other.failed),
            abandoned: of(self.abandoned, other.abandoned),
            rejected: std::array::from_fn(|at| of(self.rejected[at], other.rejected[at])),
        }
    }
}

impl Add for Account {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.combine(other, u64::wrapping_add)
    }
}

impl Sub for Account {
    type Output = Self;

    /// What has happened since `earlier`.
    fn sub(self, earlier: Self) -> Self {
        self.combine(earlier, u64::saturating_sub)
    }
}

impl From<Sums> for Account {
    fn from(sums: Sums) -> Self {
        let Sums { arrivals, admitted, completed, abandoned, failed, rejected, .. } = sums;
        Self { arrivals, admitted, completed, failed, abandoned, rejected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_closes_when_every_arrival_has_exactly_one_end() {
        let mut account = Account { arrivals: 5, admitted: 3, completed: 2, ..Account::default() };
        account.failed = 1;
        account.rejected[Reason::Watermark.index()] = 2;
        assert!(account.closes());
        assert!(!Account { arrivals: 6, ..account }.closes(), "one arrival without an end");
        assert!(!Account { completed: 3, ..account }.closes(), "one admission with two");
        assert!((account + account).closes());
        assert_eq!(account + account - account, account);
    }
}
