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
use crate::grant::device::SignedDevice;
use crate::journey::Part;
use crate::reason::Reason;
use crate::snapshot::{Route, Snapshot};

/// Share of what an upstream can take that is set aside for those who come back. A retry budget of a tenth
/// is what SRE practice recommends (Beyer et al., "The Site Reliability Workbook", 2018, chapter 11).
const SHARE: f64 = 0.1;
/// When they come back who are on their way, and those who only have to wait for somebody else's answer.
const SOON: Duration = Duration::from_secs(1);
/// As far ahead as a calendar books.
const LONGEST: Duration = Duration::from_secs(31);
/// What two digits of seconds say, for those who are told exactly.
const LONGEST_EXACT: Duration = Duration::from_secs(99);
/// What a closed limit tells; any other is open again within 100 days.
const LONGEST_LIMITED: Duration = Duration::from_secs(101 * 24 * 60 * 60);
/// So that they do not come together either.
const SPREAD_MS: u64 = 500;

/// What a refused customer is told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// How long to wait, if that may help.
    pub wait: Option<Duration>,
    /// What is to be known again by a cookie, since the customer is by nothing else, and the index of its journey.
    pub device: Option<(usize, SignedDevice)>,
}

/// The calendars of one worker.
#[derive(Debug)]
pub(crate) struct Calendars {
    /// One per upstream.
    upstreams: RefCell<Vec<Calendar>>,
    /// One per journey, for those who want to begin: each of them costs as many calls as there are steps.
    entries: RefCell<Vec<Calendar>>,
    workers: usize,
    random: Cell<u64>,
}

// === impl Calendars ===

impl Calendars {
    /// Those of one of `workers`; `seed` makes them differ.
    pub(crate) fn new(workers: usize, seed: u64) -> Self {
        let random = Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Self { upstreams: RefCell::default(), entries: RefCell::default(), workers, random }
    }

    /// What a request that is refused at `now` is told. Only those who are asked to come back count for
    /// when.
    pub(crate) fn tell(&self, snapshot: &Snapshot, refused: Refused, now: Timestamp) -> Told {
        let Refused { route, reason, part, tenancy, limited, .. } = refused;
        let Some(route) = route.filter(|_| reason.is_retryable()) else { return Told::default() };
        let route = &snapshot.routes[route];
        if let Some(limited) = limited.filter(|_| reason == Reason::KeyLimit) {
            return Told { wait: Some(limited.wait.min(LONGEST_LIMITED)), device: None };
        }
        let wait = match (reason, part) {
            (Reason::ReservedOut, _) => {
                snapshot.config.latch.ttl.clamp(SOON, LONGEST) + self.spread()
            }
            // When the next is let in. Who is over a share gets on once one of its own is answered.
            (Reason::TenantLimit, _) => {
                let wait = snapshot.tenants.wait(tenancy, now);
                wait.map_or_else(|| self.soon(), |wait| wait.min(LONGEST_EXACT))
            }
            (Reason::CircuitOpen, _) => return self.tell_of_circuit(snapshot, route, refused, now),
            (Reason::InProgress | Reason::TokenUnchecked, _) | (_, Part::Holder { .. }) => {
                self.soon()
            }
            (_, Part::Entry { standing: Standing::Early { told }, .. }) => {
                told.saturating_since(now)
            }
            (_, Part::Entry { customer, .. }) => {
                return self.tell_newcomer(snapshot, route, customer, Duration::ZERO, now);
            }
            _ => {
                let calls_per_s = snapshot.upstreams[route.upstream].capacity.per_s();
                let at = self.book(&self.upstreams, route.upstream, calls_per_s, now);
                at.saturating_since(now)
            }
        };
        Told { wait: Some(wait), device: None }
    }

    /// Not before the first probes are let in, and then as many at a time as ever.
    fn tell_of_circuit(
        &self,
        snapshot: &Snapshot,
        route: &Route,
        refused: Refused,
        now: Timestamp,
    ) -> Told {
        let tier = snapshot.tenants.tier(refused.tenancy, route.tier);
        let circuits = snapshot.upstreams[route.upstream].circuits.as_ref();
        let opens_in = circuits.map_or(Duration::ZERO, |circuits| circuits.opens_in(tier, now));
        let wait = match refused.part {
            Part::Holder { .. } => opens_in + self.soon(),
            Part::Entry { standing: Standing::Early { told }, .. } => {
                told.saturating_since(now).max(opens_in)
            }
            Part::Entry { customer, .. } => {
                return self.tell_newcomer(snapshot, route, customer, opens_in, now);
            }
            _ => {
                let calls_per_s = snapshot.upstreams[route.upstream].capacity.per_s();
                let at = self.book(&self.upstreams, route.upstream, calls_per_s, now);
                opens_in + at.saturating_since(now)
            }
        };
        Told { wait: Some(wait.min(LONGEST_EXACT)), device: None }
    }

    /// Books for a customer who would begin a journey, from `after` on, and remembers what that one is told.
    fn tell_newcomer(
        &self,
        snapshot: &Snapshot,
        route: &Route,
        customer: Option<u64>,
        after: Duration,
        now: Timestamp,
    ) -> Told {
        let Some((index, _)) = route.journey else { return Told::default() };
        let journey = &snapshot.journeys[index];
        let calls_per_s = snapshot.upstreams[route.upstream].capacity.per_s();
        let at = self.book(&self.entries, index, calls_per_s / journey.steps, now);
        let at = (at + after).min(now + LONGEST_EXACT);
        let mut device = None;
        let customer = customer.or_else(|| {
            let (customer, introduced) = journey.introduce()?;
            device = Some((index, introduced));
            Some(customer.digest())
        });
        if let Some(customer) = customer {
            journey.returns.tell(customer, now, at);
        }
        Told { wait: Some(at.saturating_since(now)), device }
    }

    /// Books in calendar number `index` of those of something that can take so many a second.
    fn book(
        &self,
        calendars: &RefCell<Vec<Calendar>>,
        index: usize,
        per_s: f64,
        now: Timestamp,
    ) -> Timestamp {
        let mut calendars = calendars.borrow_mut();
        while calendars.len() <= index {
            calendars.push(Calendar::new(self.random()));
        }
        calendars[index].book(now, SHARE * per_s / self.workers as f64)
    }

    fn soon(&self) -> Duration {
        SOON + self.spread()
    }

    fn spread(&self) -> Duration {
        Duration::from_millis(self.random() % SPREAD_MS)
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
