//! How a rate changes over time: steps, ramps, or a curve that was recorded.

use std::time::Duration;

/// A piecewise linear curve of multiples of a rate. Before its first point it has the value of
/// the first, behind the last that of the last; two points of one time make a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Seconds and multiples, in order of time; never empty.
    points: Vec<(f64, f64)>,
    /// Area under the curve up to each point.
    areas: Vec<f64>,
}

// === impl Curve ===

impl Curve {
    /// Most points of a curve.
    pub const MAX_POINTS: usize = 3_600;
    /// Highest multiple.
    pub const MAX_MULTIPLE: f64 = 1e6;

    /// The same all the time.
    #[must_use]
    pub fn constant() -> Self {
        Self { points: vec![(0.0, 1.0)], areas: vec![0.0] }
    }

    /// Evenly from one multiple to another over `lasting`.
    ///
    /// # Errors
    /// As [`through`](Self::through).
    pub fn ramp(from: f64, to: f64, lasting: Duration) -> Result<Self, String> {
        Self::through(vec![(0.0, from), (lasting.as_secs_f64(), to)])
    }

    /// One multiple before `at`, another from then on.
    ///
    /// # Errors
    /// As [`through`](Self::through).
    pub fn step(before: f64, after: f64, at: Duration) -> Result<Self, String> {
        let at = at.as_secs_f64();
        Self::through(vec![(0.0, before), (at, before), (at, after)])
    }

    /// Through points of seconds and multiples.
    ///
    /// # Errors
    /// There is none or too many, the times go back, or a value is negative or not finite.
    pub fn through(points: Vec<(f64, f64)>) -> Result<Self, String> {
        if points.is_empty() || points.len() > Self::MAX_POINTS {
            return Err(format!(
                "the curve has {} points; use 1 to {}",
                points.len(),
                Self::MAX_POINTS
            ));
        }
        let (mut areas, mut area) = (Vec::with_capacity(points.len()), 0.0);
        for (index, (at, value)) in points.iter().enumerate() {
            let last = points[index.saturating_sub(1)];
            if !at.is_finite() || *at < last.0 || *at < 0.0 || *at > 3_600.0 {
                return Err(format!("point {index} is at {at} s; times rise, from 0 to 3600"));
            }
            if !(0.0..=Self::MAX_MULTIPLE).contains(value) {
                return Err(format!("point {index} is {value}; use 0 to {}", Self::MAX_MULTIPLE));
            }
            // The first value holds from 0 on.
            let (from, begin) = if index == 0 { (*value, 0.0) } else { (last.1, last.0) };
            area += (at - begin) * (from + value) / 2.0;
            areas.push(area);
        }
        Ok(Self { points, areas })
    }

    /// From text of one `seconds,multiple` a line. Empty lines, lines that begin with `#`, and a
    /// first line of words are passed over.
    ///
    /// # Errors
    /// Every line that is wrong, with its number; or as [`through`](Self::through).
    pub fn from_csv(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let (mut points, mut problems) = (Vec::new(), Vec::new());
        for (index, line) in text.lines().enumerate().take(2 * Self::MAX_POINTS) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let number = |part: Option<&str>| part.and_then(|text| text.trim().parse::<f64>().ok());
            let mut parts = line.split(',');
            match (number(parts.next()), number(parts.next()), parts.next()) {
                (Some(at), Some(value), None) => points.push((at, value)),
                _ if points.is_empty() && line.starts_with(|c: char| c.is_alphabetic()) => {}
                _ => problems.push((index + 1, format!("{line:.40?} is not `seconds,multiple`"))),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Self::through(points).map_err(|problem| vec![(1, problem)])
    }

    /// The highest multiple in the first `within`.
    #[must_use]
    pub fn peak(&self, within: Duration) -> f64 {
        let end = within.as_secs_f64();
        let inside = self.points.iter().filter(|(at, _)| *at < end).map(|(_, value)| *value);
        inside.fold(self.value(end), f64::max)
    }

    /// The multiple at a time; at a step, that behind it.
    #[must_use]
    pub fn value(&self, at: f64) -> f64 {
        let next = self.points.partition_point(|(time, _)| *time <= at);
        let Some(last) = next.checked_sub(1).map(|index| self.points[index]) else {
            return self.points[0].1;
        };
        match self.points.get(next) {
            Some((time, value)) => {
                last.1 + (value - last.1) * (at - last.0) / (time - last.0).max(f64::MIN_POSITIVE)
            }
            None => last.1,
        }
    }

    /// The area under the curve from 0 to `within`, in seconds: how many arrivals a rate of 1 has.
    #[must_use]
    pub fn area(&self, within: Duration) -> f64 {
        let end = within.as_secs_f64();
        let next = self.points.partition_point(|(time, _)| *time <= end);
        match next.checked_sub(1) {
            None => self.points[0].1 * end,
            Some(index) => {
                let (at, value) = self.points[index];
                self.areas[index] + (end - at) * (value + self.value(end)) / 2.0
            }
        }
    }

    /// The time at which the area under the curve reaches `area`; infinite when it never does.
    #[must_use]
    pub fn when(&self, area: f64) -> f64 {
        let next = self.areas.partition_point(|reached| *reached <= area);
        let (begin, value, left) = match next.checked_sub(1) {
            None => (0.0, self.points[0].1, area),
            Some(index) => {
                let (at, value) = self.points[index];
                (at, value, area - self.areas[index])
            }
        };
        let slope = match (next, self.points.get(next)) {
            (1.., Some((at, to))) if *at > begin => (to - value) / (at - begin),
            _ => 0.0,
        };
        if left <= 0.0 {
            return begin;
        }
        // left = value x + slope x^2 / 2, in the form that does not cancel for small slopes.
        let root = (value * value + 2.0 * slope * left).max(0.0).sqrt();
        begin + 2.0 * left / (value + root)
    }
}

impl Default for Curve {
    fn default() -> Self {
        Self::constant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn when_is_the_inverse_of_area() {
        let curves = [
            Curve::constant(),
            Curve::ramp(0.0, 4.0, secs(3.0)).unwrap(),
            Curve::ramp(4.0, 0.5, secs(3.0)).unwrap(),
            Curve::step(0.1, 10.0, secs(2.0)).unwrap(),
            Curve::through(vec![(1.0, 2.0), (2.0, 0.0), (3.0, 0.0), (3.0, 1.0)]).unwrap(),
        ];
        for curve in curves {
            for tenth in 1..60 {
                let area = f64::from(tenth) / 10.0;
                let at = curve.when(area);
                assert!((curve.area(secs(at)) - area).abs() < 1e-6, "{curve:?} {area} {at}");
            }
        }
    }

    #[test]
    fn a_step_has_the_exact_area() {
        let curve = Curve::step(0.5, 10.0, secs(2.0)).unwrap();
        assert!((curve.area(secs(2.0)) - 1.0).abs() < 1e-9);
        assert!((curve.area(secs(3.0)) - 11.0).abs() < 1e-9);
        assert_eq!((curve.peak(secs(2.0)), curve.peak(secs(5.0))), (10.0, 10.0));
        assert_eq!(curve.value(1.0), 0.5);
    }

    #[test]
    fn a_rate_of_zero_never_arrives() {
        assert_eq!(Curve::ramp(1.0, 0.0, secs(1.0)).unwrap().when(0.6), f64::INFINITY);
    }

    #[test]
    fn a_recorded_curve_is_read_and_all_its_mistakes_are_told() {
        let curve = Curve::from_csv("seconds,multiple\n# calm\n0,1\n\n5, 1\n5,20\n").unwrap();
        assert_eq!(curve, Curve::through(vec![(0.0, 1.0), (5.0, 1.0), (5.0, 20.0)]).unwrap());
        let problems = Curve::from_csv("0,1\n1;2\n2,x\n3,1,1\n").unwrap_err();
        assert_eq!(problems.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4]);
        for odd in ["", "2,1\n1,1", "0,-1", "0,inf", "0,nan"] {
            assert!(Curve::from_csv(odd).is_err(), "{odd:?}");
        }
    }
}
