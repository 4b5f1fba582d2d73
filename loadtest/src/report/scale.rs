//! From a value to a place on an axis, and the marks along it.

/// One axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    Linear { min: f64, max: f64 },
    Log { min: f64, max: f64 },
}

/// A mark on an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    /// Without a label it is a faint line only.
    pub(super) labelled: bool,
}

// === impl Scale ===

impl Scale {
    /// From zero to a round value at or above all of `values`.
    pub(crate) fn from_zero(values: impl IntoIterator<Item = f64>) -> Self {
        let max = values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max);
        let max = if max > 0.0 { max * 1.04 } else { 1.0 };
        let step = step(max, 5.0);
        Self::Linear { min: 0.0, max: (max / step).ceil() * step }
    }

    /// Whole or half decades around all of the positive `values`.
    pub(crate) fn decades(values: impl IntoIterator<Item = f64>) -> Self {
        let positive = values.into_iter().filter(|value| value.is_finite() && *value > 0.0);
        let (low, high) =
            positive.fold((f64::MAX, 0.0_f64), |(low, high), at| (low.min(at), high.max(at)));
        if high == 0.0 {
            return Self::Log { min: 0.1, max: 10.0 };
        }
        let min = round_down(low);
        let max = round_down(high * 3.1);
        Self::Log { min, max: if max > min * 9.0 { max } else { min * 10.0 } }
    }

    /// Where a value lies, 0 to 1; what is beyond an end lies on it.
    pub(super) fn at(self, value: f64) -> f64 {
        let share = match self {
            Self::Linear { min, max } => (value - min) / (max - min),
            Self::Log { min, max } => (value.max(min) / min).ln() / (max / min).ln(),
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// About `wanted` labelled marks.
    pub(super) fn ticks(self, wanted: f64) -> Vec<Tick> {
        match self {
            Self::Linear { min, max } => {
                let step = step(max - min, wanted);
                let first = (min / step).ceil() as i64;
                let last = (max / step + 1e-9).floor() as i64;
                (first..=last.min(first + 64))
                    .map(|at| Tick { value: at as f64 * step, labelled: true })
                    .collect()
            }
            Self::Log { min, max } => {
                let decades = (max / min).log10();
                let mut ticks = Vec::new();
                let mut power = 10_f64.powf(min.log10().floor());
                while power <= max * 1.000_1 && ticks.len() < 64 {
                    for (digit, labelled) in
                        [(1.0, true), (3.0, decades <= 2.1), (2.0, false), (5.0, false)]
                    {
                        let value = power * digit;
                        let within = value >= min * 0.999_9 && value <= max * 1.000_1;
                        if within && (labelled || decades <= 4.1) {
                            ticks.push(Tick { value, labelled });
                        }
                    }
                    power *= 10.0;
                }
                ticks
            }
        }
    }
}

/// 1, 2, 2.5 or 5 times a power of ten, so that about `wanted` of them make `span`.
fn step(span: f64, wanted: f64) -> f64 {
    let rough = (span / wanted).max(1e-12);
    let power = 10_f64.powf(rough.log10().floor());
    let digit = [1.0, 2.0, 2.5, 5.0].into_iter().find(|digit| rough <= digit * power * 1.000_1);
    digit.unwrap_or(10.0) * power
}

/// The largest 1 or 3 times a power of ten that is not above `value`.
fn round_down(value: f64) -> f64 {
    let power = 10_f64.powf((value * 1.000_001).log10().floor());
    if value >= power * 3.0 { power * 3.0 } else { power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_their_values_and_end_round() {
        for max in [0.0, 0.003, 1.0, 7.0, 99.0, 101.0, 12_345.0] {
            let Scale::Linear { max: end, .. } = Scale::from_zero([max]) else { panic!() };
            assert!(end >= max && end <= (max * 1.6).max(1.0), "{max} {end}");
        }
        for values in [vec![], vec![0.05, 900.0], vec![3.0], vec![f64::NAN, 10.0, 100.0]] {
            let scale = Scale::decades(values.clone());
            let Scale::Log { min, max } = scale else { panic!() };
            assert!(min > 0.0 && max >= min * 9.9, "{min} {max}");
            for value in values.into_iter().filter(|value| value.is_finite()) {
                assert!(min <= value && value <= max, "{min} {value} {max}");
            }
        }
    }

    #[test]
    fn places_are_within_the_axis_whatever_the_value() {
        for scale in [Scale::from_zero([10.0]), Scale::decades([1.0, 100.0])] {
            for value in [-1.0, 0.0, 5.0, 1e9, f64::NAN, f64::INFINITY] {
                assert!((0.0..=1.0).contains(&scale.at(value)), "{value}");
            }
        }
        assert_eq!(Scale::decades([1.0, 30.0]).at(1.0), 0.0);
    }

    #[test]
    fn marks_are_few_and_within_the_axis() {
        for max in [0.2, 1.0, 13.0, 3_600.0] {
            let ticks = Scale::Linear { min: 0.0, max }.ticks(6.0);
            assert!((3..=11).contains(&ticks.len()), "{max}: {}", ticks.len());
            assert!(ticks.iter().all(|tick| tick.value <= max * 1.000_001));
        }
        let ticks = Scale::Log { min: 0.1, max: 3_000.0 }.ticks(5.0);
        let labelled = ticks.iter().filter(|tick| tick.labelled).count();
        assert_eq!(labelled, 5, "0.1, 1, 10, 100, 1000");
    }
}
