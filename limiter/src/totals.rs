//! What an upstream has done since the start, as far as the rate of entries is planned by it.

/// Sums since the start of one limiter; differences of two of them are a window.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Permits given back whose time was measured.
    pub services: u64,
    /// How long those were held, in nanoseconds.
    pub service_nanos: u64,
    /// Requests of holders (rank 2 or higher) that got a permit.
    pub ranked: u64,
    /// How long those waited for it, in nanoseconds.
    pub ranked_wait_nanos: u64,
    /// Permits there are now.
    pub limit: u32,
}

impl Totals {
    /// What was added since `earlier`; the limit is that of now.
    pub(crate) const fn since(&self, earlier: &Self) -> Self {
        Self {
            services: self.services.saturating_sub(earlier.services),
            service_nanos: self.service_nanos.saturating_sub(earlier.service_nanos),
            ranked: self.ranked.saturating_sub(earlier.ranked),
            ranked_wait_nanos: self.ranked_wait_nanos.saturating_sub(earlier.ranked_wait_nanos),
            limit: self.limit,
        }
    }
}
