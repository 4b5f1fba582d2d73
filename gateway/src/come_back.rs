//! When the refused should come back: as many at a time as a part of the upstream can take, and never
//! together.
//!
//! A return time is booked for each in a calendar; a customer of a journey who comes too early is told the
//! same time again. Whoever is on the way through a journey books nothing: there are few, and they go
//! first.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use floodgate_limiter::{Calendar, Standing, Timestamp};

use crate::decide::Refused;
use crate::journey::Part;
use crate::reason::Reason;
use crate::snapshot::Snapshot;
use crate::upstream::Upstream;

/// Share of what an upstream can take that is set aside for those who come back. A retry budget of a tenth
/// is what SRE practice recommends (Beyer et al., "The Site Reliability Workbook", 2018, chapter 11).
const SHARE: f64 = 0.1;
/// When they come back who are on their way, and those who only have to wait for somebody else's answer.
const SOON: Duration = Duration::from_secs(1);
/// So that they do not come together either.
const SPREAD_MS: u64 = 500;

/// The calendars of one worker, one per upstream.
#[derive(Debug)]
pub(crate) struct Calendars {
    calendars: RefCell<Vec<Calendar>>,
    workers: usize,
    random: Cell<u64>,
}

// === impl Calendars ===

impl Calendars {
    /// Those of one of `workers`; `seed` makes them differ.
    pub(crate) fn new(workers: usize, seed: u64) -> Self {
        let random = Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Self { calendars: RefCell::default(), workers, random }
    }

    /// How long a request that is refused at `now` should wait, if that may help. Only those who are
    /// asked to come back count for when.
    pub(crate) fn wait(
        &self,
        snapshot: &Snapshot,
        refused: Refused,
        now: Timestamp,
    ) -> Option<Duration> {
        let Refused { route, reason, part } = refused;
        let route = &snapshot.routes[route.filter(|_| reason.is_retryable())?];
        if reason == Reason::ReservedOut {
            return Some(snapshot.config.latch.ttl.max(SOON));
        }
        let customer = match part {
            Part::Holder { .. } => return Some(self.soon()),
            Part::Entry { standing: Standing::Early { told }, .. } => {
                return Some(told.saturating_since(now));
            }
            Part::Entry { customer, .. } => customer.zip(route.journey),
            _ if reason == Reason::InProgress => return Some(self.soon()),
            _ => None,
        };
        let told = self.book(&snapshot.upstreams[route.upstream], route.upstream, now);
        if let Some((customer, (journey, _))) = customer {
            snapshot.journeys[journey].returns.tell(customer, now, told);
        }
        Some(told.saturating_since(now))
    }

    fn book(&self, upstream: &Upstream, index: usize, now: Timestamp) -> Timestamp {
        let mut calendars = self.calendars.borrow_mut();
        while calendars.len() <= index {
            calendars.push(Calendar::new(self.random()));
        }
        calendars[index].book(now, SHARE * upstream.capacity.per_s() / self.workers as f64)
    }

    fn soon(&self) -> Duration {
        SOON + Duration::from_millis(self.random() % SPREAD_MS)
    }

    /// xorshift64, good enough to spread people.
    fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x >> 11
    }
}
