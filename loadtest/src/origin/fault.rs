//! What goes wrong with an origin, and when.

use std::{fmt, str::FromStr, time::Duration};

/// Something that goes wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// When it begins, from the begin of the origin's clock.
    pub at: Duration,
    /// How long it lasts.
    pub lasting: Duration,
    /// What it is.
    pub kind: FaultKind,
    /// The share of requests that it hits, 0 to 1. Being down hits all.
    pub share: f64,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The port is closed and so is every connection, as when the process has ended.
    Down,
    /// Requests are answered with this status, after the usual work.
    Errors(u16),
    /// No answer leaves before the end of it.
    Freeze,
    /// The connection is reset instead of an answer.
    Reset,
    /// Bodies come slowly.
    SlowBody,
}

// === impl Fault ===

impl Fault {
    /// When it is over.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.at.saturating_add(self.lasting)
    }

    pub(super) fn is_on(&self, now: Duration) -> bool {
        (self.at..self.end()).contains(&now)
    }
}

/// Whether the origin is down `now`, and when that changes next.
pub(super) fn down(faults: &[Fault], now: Duration) -> (bool, Option<Duration>) {
    let mut downs = faults.iter().filter(|fault| fault.kind == FaultKind::Down);
    let is_down = downs.clone().any(|fault| fault.is_on(now));
    let changes = downs.by_ref().flat_map(|fault| [fault.at, fault.end()]);
    (is_down, changes.filter(|change| *change > now).min())
}

/// `AT+LASTING=KIND` or `AT+LASTING=KIND@SHARE`: `5s+3s=freeze`, `1s+10s=503@0.2`.
impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (times, what) = text.split_once('=')?;
            let (at, lasting) = times.split_once('+')?;
            let (kind, share) = what.split_once('@').unwrap_or((what, "1"));
            let time = |text: &str| humantime::parse_duration(text).ok();
            let share = share.parse().ok().filter(|share| (0.0..=1.0).contains(share))?;
            let kind = kind.parse().ok()?;
            Some(Self { at: time(at)?, lasting: time(lasting)?, kind, share })
        };
        read().ok_or_else(|| {
            format!("{text:?} is no fault; write 5s+3s=freeze or 1s+10s=503@0.2 (down, reset, slow-body)")
        })
    }
}

// === impl FaultKind ===

impl FaultKind {
    /// As they are written, except for a status.
    pub const NAMES: [&str; 4] = ["down", "freeze", "reset", "slow-body"];
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "down" => Self::Down,
            "freeze" => Self::Freeze,
            "reset" => Self::Reset,
            "slow-body" => Self::SlowBody,
            _ => {
                let status = text.parse().ok().filter(|status| (400..600).contains(status));
                Self::Errors(status.ok_or_else(|| {
                    format!("write a status from 400 to 599, or {}", Self::NAMES.join(", "))
                })?)
            }
        })
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down => f.write_str("down"),
            Self::Errors(status) => write!(f, "{status}"),
            Self::Freeze => f.write_str("freeze"),
            Self::Reset => f.write_str("reset"),
            Self::SlowBody => f.write_str("slow-body"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_written() {
        let fault: Fault = "5s+300ms=503@0.25".parse().unwrap();
        assert_eq!((fault.kind, fault.share), (FaultKind::Errors(503), 0.25));
        assert_eq!(fault.end(), Duration::from_millis(5300));
        for odd in ["", "5s=freeze", "5s+1s=melt", "5s+1s=200", "5s+1s=reset@2"] {
            assert!(odd.parse::<Fault>().is_err(), "{odd}");
        }
        for name in FaultKind::NAMES {
            assert_eq!(name.parse::<FaultKind>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn being_down_has_a_begin_and_an_end() {
        let faults: Vec<Fault> = ["1s+9s=freeze", "2s+3s=down"].map(|f| f.parse().unwrap()).into();
        let secs = Duration::from_secs;
        assert_eq!(down(&faults, secs(1)), (false, Some(secs(2))));
        assert_eq!(down(&faults, secs(2)), (true, Some(secs(5))));
        assert_eq!(down(&faults, secs(5)), (false, None));
    }
}
