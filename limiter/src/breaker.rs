//! The breaker of one tier: sheds load while *our own* buffer is under pressure.
//!
//! It says nothing of the upstream's health. It trips at the high watermark and resets at the low one, which happens while
//! work still waits, so that the upstream does not run dry. Trips that shed are spaced; a trip that comes too soon after one
//! holds the level instead, letting in one for one what leaves. So it neither flaps nor starves anybody.

use std::time::Duration;

use crate::timestamp::Timestamp;
use crate::watermarks::Watermarks;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// Admits.
    Closed,
    /// Open: admits only while the pressure is below the high watermark.
    Holding,
    /// Open: admits nothing.
    Shedding,
}

/// State and history of one tier's breaker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Breaker {
    state: State,
    /// When the present or last trip was.
    tripped: Option<Timestamp>,
    /// When it last began to shed.
    shed: Option<Timestamp>,
    trips: u64,
}

impl Breaker {
    pub(crate) const fn new() -> Self {
        Self { state: State::Closed, tripped: None, shed: None, trips: 0 }
    }

    /// Moves on to what `pressure` asks for at `now`.
    pub(crate) fn observe(
        &mut self,
        pressure: f64,
        watermarks: Watermarks,
        now: Timestamp,
        spacing: Duration,
    ) {
        match self.state {
            // ## Closed => Shedding | Holding
            State::Closed if pressure >= watermarks.high() => {
                self.trips += 1;
                self.tripped = Some(now);
                if has_passed(spacing, self.shed, now) {
                    self.shed = Some(now);
                    self.state = State::Shedding;
                } else {
                    self.state = State::Holding;
                }
            }
            // ## Shedding => Closed
            State::Shedding if pressure <= watermarks.low() => self.state = State::Closed,
            // ## Holding => Closed
            State::Holding
                if pressure <= watermarks.low() && has_passed(spacing, self.tripped, now) =>
            {
                self.state = State::Closed;
            }
            _ => {}
        }
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    /// How often it has left `Closed`.
    pub(crate) const fn trips(&self) -> u64 {
        self.trips
    }
}

fn has_passed(spacing: Duration, since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_none_or(|since| now.saturating_since(since) >= spacing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACING: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn trips_at_high_and_resets_at_low_only() {
        let marks = Watermarks::new(0.8, 0.4).unwrap();
        let mut breaker = Breaker::new();
        for (pressure, state) in [
            (0.79, State::Closed),
            (0.8, State::Shedding),
            (0.41, State::Shedding),
            (0.4, State::Closed),
            (0.79, State::Closed),
        ] {
            breaker.observe(pressure, marks, at(0), SPACING);
            assert_eq!(breaker.state(), state, "at {pressure}");
        }
        assert_eq!(breaker.trips(), 1);
    }

    #[test]
    fn a_trip_too_soon_after_a_shed_holds_until_the_spacing_has_passed() {
        let marks = Watermarks::new(0.8, 0.4).unwrap();
        let mut breaker = Breaker::new();
        breaker.observe(1.0, marks, at(0), SPACING);
        breaker.observe(0.0, marks, at(10), SPACING);
        breaker.observe(1.0, marks, at(20), SPACING);
        assert_eq!(breaker.state(), State::Holding);
        breaker.observe(0.0, marks, at(1_019), SPACING);
        assert_eq!(breaker.state(), State::Holding);
        breaker.observe(0.0, marks, at(1_020), SPACING);
        assert_eq!(breaker.state(), State::Closed);
        breaker.observe(1.0, marks, at(1_020), SPACING);
        assert_eq!(breaker.state(), State::Shedding);
    }
}
