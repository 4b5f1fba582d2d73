//! What must hold after a run.

use std::time::Duration;

use super::need::Need;

/// One promise: a measure and its bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// What is looked at.
    pub measure: Measure,
    /// Of which tier, for measures that are by tier.
    pub tier: usize,
    /// What it may be.
    pub bound: Bound,
    /// From when on, for measures over time; the begin of the sale without.
    pub from: Option<Duration>,
    /// Until when; the end of the offered load without.
    pub until: Option<Duration>,
    /// What it is not judged without.
    pub needs: Vec<Need>,
}

/// What a measure may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Not less than this.
    pub at_least: Option<f64>,
    /// Not more than this.
    pub at_most: Option<f64>,
}

/// Something that can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Payments that the origin took.
    Charges,
    /// Completed checkouts per second.
    CompletedPerS,
    /// Of the customers whose first step succeeded and who did not leave of their own accord or
    /// find nothing left: the share that completed.
    Completion,
    /// Completed checkouts per second over what the origin could complete (C/k).
    Efficiency,
    /// Share of a tier's requests that failed or timed out.
    FailedShare,
    /// Successes of a tier within its deadline, per second.
    GoodputPerS,
    /// Share of a tier's requests that succeeded within its deadline.
    InTimeShare,
    /// Journeys that the origin finished when their customer had left.
    LateSuccess,
    /// Orders that the origin took.
    Orders,
    /// Orders that reached the origin when nothing was left.
    OrdersAfterSoldOut,
    /// 99th percentile of what customers of other SKUs than the first were granted, milliseconds.
    OtherSkusP99Ms,
    /// Units sold beyond the stock.
    Oversold,
    /// Median latency of a tier's successes while floods of other tiers come, over that while none does: the
    /// median second of each.
    P50Beside,
    /// 99th percentile of the same.
    P99Beside,
    /// Most requests that the origin had at once.
    PeakConcurrency,
    /// Seconds from the end of the last fault until checkouts were back at 95 %.
    RecoveryS,
    /// Median latency of a tier's refusals, milliseconds.
    RefusalP50Ms,
    /// 99th percentile of a tier's refusals, milliseconds.
    RefusalP99Ms,
    /// Time to sell out over the least time it can take.
    SellOut,
    /// Median latency of a tier's successes, milliseconds.
    SuccessP50Ms,
    /// 99th percentile of a tier's successes, milliseconds.
    SuccessP99Ms,
    /// 99.9th percentile of a tier's successes, milliseconds.
    SuccessP999Ms,
    /// Share of a tier's requests that succeeded.
    SuccessShare,
    /// Share of the origin's calls that belong to customers who did not complete.
    Waste,
}

// === impl Measure ===

impl Measure {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Charges,
        Self::CompletedPerS,
        Self::Completion,
        Self::Efficiency,
        Self::FailedShare,
        Self::GoodputPerS,
        Self::InTimeShare,
        Self::LateSuccess,
        Self::Orders,
        Self::OrdersAfterSoldOut,
        Self::OtherSkusP99Ms,
        Self::Oversold,
        Self::P50Beside,
        Self::P99Beside,
        Self::PeakConcurrency,
        Self::RecoveryS,
        Self::RefusalP50Ms,
        Self::RefusalP99Ms,
        Self::SellOut,
        Self::SuccessP50Ms,
        Self::SuccessP99Ms,
        Self::SuccessP999Ms,
        Self::SuccessShare,
        Self::Waste,
    ];

    /// As it stands in scenario files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Charges => "charges",
            Self::CompletedPerS => "completed_per_s",
            Self::Completion => "completion",
            Self::Efficiency => "efficiency",
            Self::FailedShare => "failed_share",
            Self::GoodputPerS => "goodput_per_s",
            Self::InTimeShare => "in_time_share",
            Self::LateSuccess => "late_success",
            Self::Orders => "orders",
            Self::OrdersAfterSoldOut => "orders_after_sold_out",
            Self::OtherSkusP99Ms => "other_skus_p99_ms",
            Self::Oversold => "oversold",
            Self::P50Beside => "p50_beside",
            Self::P99Beside => "p99_beside",
            Self::PeakConcurrency => "peak_concurrency",
            Self::RecoveryS => "recovery_s",
            Self::RefusalP50Ms => "refusal_p50_ms",
            Self::RefusalP99Ms => "refusal_p99_ms",
            Self::SellOut => "sell_out",
            Self::SuccessP50Ms => "success_p50_ms",
            Self::SuccessP99Ms => "success_p99_ms",
            Self::SuccessP999Ms => "success_p999_ms",
            Self::SuccessShare => "success_share",
            Self::Waste => "waste",
        }
    }

    /// Whether it is of one tier.
    #[must_use]
    pub const fn is_by_tier(self) -> bool {
        matches!(
            self,
            Self::FailedShare
                | Self::GoodputPerS
                | Self::InTimeShare
                | Self::P50Beside
                | Self::P99Beside
                | Self::RefusalP50Ms
                | Self::RefusalP99Ms
                | Self::SuccessP50Ms
                | Self::SuccessP99Ms
                | Self::SuccessP999Ms
                | Self::SuccessShare
        )
    }

    /// Whether it scales with the scenario: a number of things per second or at once.
    #[must_use]
    pub const fn scales(self) -> bool {
        matches!(
            self,
            Self::Charges
                | Self::CompletedPerS
                | Self::GoodputPerS
                | Self::Orders
                | Self::PeakConcurrency
        )
    }

    /// Whether it is about customers.
    #[must_use]
    pub const fn is_of_journeys(self) -> bool {
        matches!(
            self,
            Self::CompletedPerS
                | Self::Completion
                | Self::Efficiency
                | Self::LateSuccess
                | Self::OtherSkusP99Ms
                | Self::RecoveryS
                | Self::Waste
        )
    }
}

// === impl Bound ===

impl Bound {
    /// Whether a value keeps to it; what is not a number does not.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        self.at_least.is_none_or(|least| value >= least)
            && self.at_most.is_none_or(|most| value <= most)
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.at_least, self.at_most) {
            (Some(least), Some(most)) => write!(f, "{least} to {most}"),
            (Some(least), None) => write!(f, "at least {least}"),
            (None, Some(most)) => write!(f, "at most {most}"),
            (None, None) => f.write_str("anything"),
        }
    }
}
