//! Journeys: who may begin one, and who has.
//!
//! ```text
//! entry ──> a grant to be had? ── no ──> refused, told when to come back
//!             │ yes                           and remembered for it
//!             v
//!           permit ──> upstream ──> answer with the grant ──> later steps with it ──> finished
//! ```

mod again;
mod going;
mod redeemed;
mod stats;
mod status;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use floodgate_config::{Config, Identity, Sticky};
use floodgate_limiter::{Entry, EntrySettings, Load, Rank, Returns, Standing, Timestamp};
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use http::{StatusCode, request};

use crate::fields::Fields;
use crate::grant::cookie::{GRANT_HEADER, SetCookie, grant_text};
use crate::grant::device::{DeviceId, SignedDevice};
use crate::grant::identity::{self, Customer};
use crate::grant::journey::JourneyId;
use crate::grant::keyring::Keyring;
use crate::grant::keys::Keys;
use crate::grant::nonce::Nonces;
use crate::grant::token::{Grant, Invalid};
use crate::jwt::Verified;
use crate::tenant::Tenants;
use crate::upstream::Upstream;
use crate::worker::Worker;
use redeemed::Redeemed;

pub(crate) use again::Kept;
pub(crate) use going::{Given, Going};
pub(crate) use stats::JourneyStats;
pub(crate) use status::JourneyStatus;

/// How long a device is known again, in seconds: 30 days.
const DEVICE_AGE: u64 = 30 * 24 * 3600;

/// A journey's live state.
#[derive(Debug)]
pub(crate) struct Journey {
    /// Name of the journey.
    pub name: String,
    /// What it goes by.
    pub sticky: Sticky,
    /// Who gets a grant, and what became of those who did.
    pub entry: Arc<Entry>,
    /// When those who did not were told to come back.
    pub returns: Arc<Returns>,
    /// For how many of them that is remembered.
    max_customers: usize,
    /// Its counters.
    pub stats: Arc<JourneyStats>,
    /// What grants are signed with.
    keyring: Arc<Keyring>,
    /// Numbers of grants.
    nonces: Arc<Nonces>,
    id: JourneyId,
    /// How many calls it takes, at least.
    pub steps: f64,
    /// Where a request says whose it is.
    identity: Identity,
    /// How long a grant is good.
    ttl: Duration,
    /// The step, and the statuses of its answer, that finish it.
    finish: (usize, Vec<u16>),
    /// Indices of the upstreams that its steps go to, and how many go there.
    upstreams: Vec<(usize, u32)>,
    /// What these have done as of the last look: one at a time, in memory that is kept.
    loads: Mutex<Vec<Load>>,
}

/// What a request is in the journey of its route.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Part {
    /// Nothing: there is none, or it is off.
    #[default]
    None,
    /// It wants to begin.
    Entry {
        /// Whose it is, if it says so.
        customer: Option<u64>,
        /// What that one was told the last time.
        standing: Standing,
        /// What is wrong with the grant that it brought.
        invalid: Option<Invalid>,
    },
    /// It has begun.
    Holder {
        /// Number of the grant.
        nonce: u64,
        /// When that ends.
        expires: Timestamp,
        /// Which step it asks for.
        step: usize,
    },
    /// It asks for a step without having to show anything.
    Stage {
        /// Which step it asks for.
        step: usize,
    },
    /// It asks for a later step without having begun.
    Stranger {
        /// What is wrong with the grant that it brought.
        invalid: Option<Invalid>,
    },
}

// === impl Part ===

impl Part {
    /// Its precedence within its tier: whoever is further on goes first.
    pub(crate) fn rank(self) -> Rank {
        let of = |step: usize, base: usize| Rank::new(u8::try_from(base + step).unwrap_or(u8::MAX));
        match self {
            Self::None | Self::Stranger { .. } => Rank::ORDINARY,
            Self::Entry { .. } => of(0, 1),
            Self::Stage { step } => of(step, 1),
            Self::Holder { step, .. } => of(step, 2),
        }
    }

    /// What is wrong with the grant that it brought, if something is.
    pub(crate) const fn invalid(self) -> Option<Invalid> {
        match self {
            Self::Entry { invalid, .. } | Self::Stranger { invalid } => invalid,
            Self::None | Self::Holder { .. } | Self::Stage { .. } => None,
        }
    }
}

// === impl Journey ===

impl Journey {
    /// Journey number `index` of `config`, with the state that `old` has.
    pub(crate) fn compile(
        config: &Config,
        index: usize,
        keyring: Arc<Keyring>,
        old: Option<&Self>,
        cores: usize,
        now: Timestamp,
    ) -> Self {
        let meant = &config.journeys[index];
        let settings = EntrySettings {
            steps: u32::try_from(meant.steps.len()).unwrap_or(u32::MAX),
            headroom: meant.headroom,
            ttl: meant.ttl,
            calls: meant.calls,
            max_grants: meant.max_grants,
        };
        let mut upstreams: Vec<(usize, u32)> = Vec::new();
        for &route in &meant.steps {
            let upstream = config.routes[route].upstream;
            match upstreams.iter_mut().find(|(known, _)| *known == upstream) {
                Some((_, steps)) => *steps += 1,
                None => upstreams.push((upstream, 1)),
            }
        }
        let entry = match old {
            Some(old) => {
                old.entry.apply(settings, now);
                Arc::clone(&old.entry)
            }
            None => Arc::new(Entry::new(settings, now)),
        };
        let same_size = |old: &&Self| old.max_customers == meant.max_customers;
        Self {
            name: meant.name.clone(),
            sticky: meant.sticky,
            entry,
            returns: old.filter(same_size).map_or_else(
                || Arc::new(Returns::new(meant.max_customers)),
                |old| Arc::clone(&old.returns),
            ),
            max_customers: meant.max_customers,
            stats: old
                .map_or_else(|| Arc::new(JourneyStats::new(cores)), |old| Arc::clone(&old.stats)),
            keyring,
            nonces: old.map_or_else(Arc::default, |old| Arc::clone(&old.nonces)),
            id: JourneyId::new(&meant.name),
            steps: meant.steps.len() as f64,
            identity: meant.identity.clone(),
            ttl: meant.ttl,
            finish: (meant.finish.step, meant.finish.status.clone()),
            loads: Mutex::new(Vec::with_capacity(upstreams.len())),
            upstreams,
        }
    }

    /// What a request for step number `step` is, at `now`.
    pub(crate) fn part(
        &self,
        worker: &Worker,
        step: usize,
        fields: Fields<'_>,
        token: Option<&Verified>,
        now: Timestamp,
    ) -> Part {
        match self.sticky {
            Sticky::Off => return Part::None,
            Sticky::Stage => return Part::Stage { step },
            Sticky::Grant => {}
        }
        let text = grant_text(fields, &self.id);
        if text.is_none() && step > 0 {
            return Part::Stranger { invalid: None };
        }
        let customer = self.customer(fields, token);
        let mut invalid = None;
        if let Some(text) = text {
            let now_ms = worker.date.unix_ms();
            match self.verify(text, fields, customer.as_ref(), now_ms) {
                Ok(grant) => {
                    let left = grant.expires_ms.saturating_sub(now_ms);
                    let (nonce, expires) = (grant.nonce, now + Duration::from_millis(left));
                    // At the entry, whoever has used up a grant is somebody who would begin anew. Of a part of
                    // the table that takes a lock, which only holders come to, as with every call of theirs.
                    if step > 0 || self.entry.is_good(nonce, expires, now) {
                        return Part::Holder { nonce, expires, step };
                    }
                }
                Err(why) => invalid = Some(why),
            }
        }
        if step > 0 {
            return Part::Stranger { invalid };
        }
        let customer = customer.map(|customer| customer.digest());
        let standing =
            customer.map_or(Standing::New, |customer| self.returns.standing(customer, now));
        Part::Entry { customer, standing, invalid }
    }

    /// Whether it is the application that says whose request it is, not a device of the gateway's.
    pub(crate) fn is_named(&self, fields: Fields<'_>, token: Option<&Verified>) -> bool {
        self.named(fields, token, &self.keyring.keys()).is_some()
    }

    /// Whose request it is: as the application says or, where it says nothing, whose device's.
    pub(crate) fn customer(
        &self,
        fields: Fields<'_>,
        token: Option<&Verified>,
    ) -> Option<Customer> {
        let keys = self.keyring.keys();
        self.named(fields, token, &keys).or_else(|| self.device(fields, &keys).map(Customer::from))
    }

    /// The same if it is the application that says so.
    fn named(&self, fields: Fields<'_>, token: Option<&Verified>, keys: &Keys) -> Option<Customer> {
        match &self.identity {
            Identity::Device => None,
            identity => identity::customer(identity, fields, token, keys, &self.id),
        }
    }

    fn device(&self, fields: Fields<'_>, keys: &Keys) -> Option<DeviceId> {
        identity::device(fields, keys, &self.id)
    }

    /// The grant of `text`, if it is that of whoever sent `fields`. One that was given to a device goes on
    /// to be good once the application knows its customer.
    fn verify(
        &self,
        text: &[u8],
        fields: Fields<'_>,
        customer: Option<&Customer>,
        now_ms: u64,
    ) -> Result<Grant, Invalid> {
        let keys = self.keyring.keys();
        let verify = |customer: &Customer| keys.verify(text, &self.id, customer.as_bytes(), now_ms);
        // A grant is somebody's: nobody has none.
        match customer.map_or(Err(Invalid::OtherCustomer), verify) {
            Err(Invalid::OtherCustomer) => match self.device(fields, &keys) {
                Some(device) => verify(&device.into()),
                None => Err(Invalid::OtherCustomer),
            },
            verified => verified,
        }
    }

    /// How a customer stands who is to be let in with this `standing`: to have come on time gives precedence once,
    /// however many requests say so at once.
    fn redeem(
        &self,
        customer: Option<u64>,
        standing: Standing,
        now: Timestamp,
    ) -> (Standing, Option<Redeemed>) {
        match customer {
            Some(customer) if standing == Standing::OnTime => {
                match self.returns.redeem(customer, now) {
                    true => (Standing::OnTime, Some(Redeemed::new(&self.returns, customer))),
                    false => (Standing::New, None),
                }
            }
            _ => (standing, None),
        }
    }

    /// Whether an answer of this status to step number `step` finishes it.
    pub(crate) fn is_finished_by(&self, step: usize, status: StatusCode) -> bool {
        self.finish.0 == step && self.finish.1.contains(&status.as_u16())
    }

    /// Signs grant number `nonce` for whoever sent `head`: what the customer is to be told.
    fn grant(
        &self,
        nonce: u64,
        head: &request::Parts,
        token: Option<&Verified>,
        worker: &Worker,
        is_secure: bool,
    ) -> HeaderMap {
        let mut told = HeaderMap::new();
        let keys = self.keyring.keys();
        let fields = Fields::Map(&head.headers);
        let customer = match self.named(fields, token, &keys) {
            Some(customer) => customer,
            None => {
                let device = self.device(fields, &keys).or_else(|| DeviceId::random().ok());
                let Some(device) = device else { return told };
                // With the grant, whichever it is: the two are good only together, and the key that signed it the
                // last time may be gone before the grant is.
                let signed = keys.sign_device(device);
                let cookie = device_cookie(self.id.device_cookie(), &signed, is_secure);
                told.append(SET_COOKIE, cookie.into());
                device.into()
            }
        };
        // Whatever it was told, it is here.
        self.returns.forget(customer.digest());
        let grant = Grant::new(nonce, worker.date.unix_ms(), self.ttl);
        let token = keys.mint(grant, &self.id, customer.as_bytes());
        told.append(GRANT_HEADER, HeaderValue::from(&token));
        told.append(SET_COOKIE, self.cookie(token.as_bytes(), self.ttl.as_secs(), is_secure));
        told
    }

    /// Makes somebody of whom nobody knows anything a customer, who is known again by a cookie; `None` if
    /// the system has no random numbers.
    pub(crate) fn introduce(&self) -> Option<(Customer, SignedDevice)> {
        let device = DeviceId::random().ok()?;
        Some((device.into(), self.keyring.keys().sign_device(device)))
    }

    /// Has somebody who was refused be known again.
    pub(crate) fn set_returning<'a>(&'a self, device: &'a SignedDevice) -> SetCookie<'a> {
        device_cookie(self.id.return_cookie(), device, false)
    }

    /// Has the customer forget a grant.
    fn forget(&self, is_secure: bool) -> HeaderValue {
        self.cookie(b"", 0, is_secure)
    }

    fn cookie(&self, value: &[u8], max_age: u64, is_secure: bool) -> HeaderValue {
        SetCookie { name: self.id.cookie(), value, max_age, is_secure }.into()
    }

    /// Lets entry control see what the upstreams have done.
    pub(crate) fn tick(&self, upstreams: &[Arc<Upstream>], tenants: &Tenants, now: Timestamp) {
        // Somebody else is at it.
        let Ok(mut loads) = self.loads.try_lock() else { return };
        loads.clear();
        loads.extend(self.upstreams.iter().map(|&(index, steps)| {
            let it = &upstreams[index];
            let mut totals = it.limiter.totals();
            // Who holds a grant may wait for its tenant's own permits before those of all: that is no less too many.
            totals.ranked_wait_nanos += tenants.ranked_wait_nanos(index);
            Load { upstream: it.number, totals, steps }
        }));
        self.entry.tick(&loads, now);
    }

    /// What grants are signed with.
    pub(crate) const fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }
}

fn device_cookie<'a>(name: &'a str, device: &'a SignedDevice, is_secure: bool) -> SetCookie<'a> {
    SetCookie { name, value: device.as_bytes(), max_age: DEVICE_AGE, is_secure }
}
