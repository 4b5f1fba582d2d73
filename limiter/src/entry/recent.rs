//! What the last windows measured.

use std::collections::VecDeque;

/// Of so many windows the median counts: two may be as odd as they like, such as those in which a freeze began and ended.
const WINDOWS: usize = 5;

/// Measurements of the last windows that had any.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<f64>);

impl Recent {
    /// Adds what was measured, if it is a positive number.
    pub(crate) fn push(&mut self, value: f64) {
        if value.is_finite() && value > 1e-9 {
            self.0.truncate(WINDOWS - 1);
            self.0.push_front(value);
        }
    }

    /// The median; the lower of two.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.0.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len().saturating_sub(1) / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_odd_windows_of_five_do_not_count() {
        let mut recent = Recent::default();
        assert_eq!(recent.median(), None);
        for value in [90.0, 91.0, 92.0, 1e9, 1e-3] {
            recent.push(value);
        }
        assert_eq!(recent.median(), Some(91.0));
        for value in [50.0, 50.0, 50.0] {
            recent.push(value);
        }
        assert_eq!(recent.median(), Some(50.0));
    }

    #[test]
    fn what_is_no_measurement_is_left_out() {
        let mut recent = Recent::default();
        for value in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            recent.push(value);
        }
        assert_eq!(recent.median(), None);
    }
}
