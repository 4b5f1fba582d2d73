//! Who worked how hard.

use serde::{Deserialize, Serialize};

/// Who worked how hard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saturation {
    /// Those of the three that could be looked at.
    pub parts: Vec<PartUse>,
}

/// How hard one of the three worked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartUse {
    /// Which one.
    pub part: Part,
    /// CPU time, user and system, seconds.
    pub cpu_s: f64,
    /// Cores' worth of time that it could have had, in seconds: threads times wall time.
    pub available_s: f64,
    /// Share of a capacity other than CPU (the origin's places), 0 to 1, when it has one.
    pub capacity_share: Option<f64>,
}

/// The three that a run consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What is judged.
    Gateway,
    /// What asks.
    Generator,
    /// What serves.
    Origin,
}

// === impl Saturation ===

impl Saturation {
    /// Share of its CPU time or capacity from which a part counts as saturated.
    pub const FULL: f64 = 0.9;

    /// Those that could not have done much more.
    pub fn saturated(&self) -> impl Iterator<Item = Part> {
        self.parts.iter().filter(|part| part.share() >= Self::FULL).map(|part| part.part)
    }
}

// === impl PartUse ===

impl PartUse {
    /// Share of the CPU time it could have had.
    #[must_use]
    pub fn cpu_share(&self) -> f64 {
        if self.available_s > 0.0 { self.cpu_s / self.available_s } else { 0.0 }
    }

    /// The larger of CPU and other capacity.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.cpu_share().max(self.capacity_share.unwrap_or(0.0))
    }
}

// === impl Part ===

impl Part {
    /// As it stands in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Generator => "generator",
            Self::Origin => "origin",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_saturated_by_time_or_by_places() {
        let part = |cpu_s, capacity_share| PartUse {
            part: Part::Origin,
            cpu_s,
            available_s: 10.0,
            capacity_share,
        };
        for (use_of, is_saturated) in [
            (part(9.5, None), true),
            (part(1.0, Some(0.95)), true),
            (part(1.0, Some(0.5)), false),
            (PartUse { available_s: 0.0, ..part(1.0, None) }, false),
        ] {
            let saturation = Saturation { parts: vec![use_of] };
            assert_eq!(saturation.saturated().count() == 1, is_saturated, "{use_of:?}");
        }
    }
}
