//! How different clients come back after a refusal.

use std::time::Duration;

use crate::{origin::ServiceTime, rng::Rng};

/// A kind of client, by what it does when it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientClass {
    /// App that retries three times at once, then its user taps again.
    A0,
    /// App with a kit that honours Retry-After and backs off with full jitter, five times.
    A1,
    /// Browser without a script: its user reloads, sooner or later not any more.
    H0,
    /// Browser with a waiting page: comes back when it is told to.
    H1,
}

// === impl ClientClass ===

impl ClientClass {
    /// All of them; the index is that of shares and counts.
    pub const ALL: [Self; 4] = [Self::A0, Self::A1, Self::H0, Self::H1];

    /// Shares of customers unless a scenario says otherwise, in the order of [`ALL`](Self::ALL).
    pub const SHARES: [f64; 4] = [0.10, 0.15, 0.35, 0.40];

    /// Name in scenario files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A0 => "a0",
            Self::A1 => "a1",
            Self::H0 => "h0",
            Self::H1 => "h1",
        }
    }

    /// Whether it comes back when it is told to, not before.
    #[must_use]
    pub fn honours_retry_after(self) -> bool {
        matches!(self, Self::A1 | Self::H1)
    }

    /// Whether it is a browser: it keeps cookies, an app carries headers.
    #[must_use]
    pub fn is_browser(self) -> bool {
        matches!(self, Self::H0 | Self::H1)
    }

    /// How long its customers wait for their goods unless a scenario says otherwise.
    #[must_use]
    pub fn patience(self) -> ServiceTime {
        let seconds = match self {
            Self::A0 => 60,
            Self::A1 => 120,
            Self::H0 => 45,
            Self::H1 => 180,
        };
        ServiceTime::Exponential { mean: Duration::from_secs(seconds) }
    }

    /// How long it waits before retry `n` (from 0) of a step; `None` when it does not retry.
    /// `told` is what Retry-After said.
    pub(super) fn wait(self, n: u32, told: Option<Duration>, rng: &mut Rng) -> Option<Duration> {
        let told = told.filter(|_| self.honours_retry_after());
        match (self, told) {
            (Self::A1, _) if n >= 5 => None,
            (_, Some(told)) => Some(told.mul_f64(0.8 + 0.4 * rng.fraction())),
            (Self::A0, _) if n < 3 => Some(Duration::from_millis([200, 500, 1000][n as usize])),
            (Self::A0, _) => reload(n - 3, rng),
            (Self::A1, _) => {
                let most = (0.5 * f64::from(1u32 << n)).min(30.0);
                Some(Duration::from_secs_f64(most * rng.fraction()))
            }
            (Self::H0, _) => reload(n, rng),
            (Self::H1, _) => Some(Duration::from_secs_f64(2.0 * (0.8 + 0.4 * rng.fraction()))),
        }
    }
}

/// A person reloads with a probability that falls with every disappointment.
fn reload(n: u32, rng: &mut Rng) -> Option<Duration> {
    let again = rng.fraction() < 0.85 * 0.95f64.powi(n.min(1000) as i32);
    let pause = ServiceTime::LogNormal { median: Duration::from_millis(1200), sigma: 0.7 };
    let pause = pause.sample(rng);
    again.then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(class: ClientClass, told: Option<Duration>) -> Vec<Option<Duration>> {
        let mut rng = Rng::new(1, 1);
        (0..1000).map(|n| class.wait(n, told, &mut rng)).collect()
    }

    #[test]
    fn whoever_honours_retry_after_does_not_come_earlier_than_told_by_more_than_a_fifth() {
        let told = Duration::from_secs(4);
        for class in ClientClass::ALL.into_iter().filter(|class| class.honours_retry_after()) {
            for wait in waits(class, Some(told)).into_iter().flatten() {
                assert!((told.mul_f64(0.8)..=told.mul_f64(1.2)).contains(&wait), "{wait:?}");
            }
        }
    }

    #[test]
    fn whoever_does_not_honour_it_does_the_same_with_and_without() {
        let told = Some(Duration::from_secs(30));
        for class in [ClientClass::A0, ClientClass::H0] {
            assert_eq!(waits(class, told), waits(class, None));
        }
    }

    #[test]
    fn the_kit_tries_five_times_and_the_naive_app_at_once() {
        let kit = waits(ClientClass::A1, None);
        assert!(kit[..5].iter().all(Option::is_some) && kit[5..].iter().all(Option::is_none));
        let naive = waits(ClientClass::A0, None);
        assert_eq!(naive[0], Some(Duration::from_millis(200)));
    }

    #[test]
    fn a_person_gives_up_in_the_end() {
        let reloads = waits(ClientClass::H0, None);
        let first = reloads.iter().position(Option::is_none);
        assert!(first.is_some_and(|first| first < 40), "{first:?}");
    }
}
