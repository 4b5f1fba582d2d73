//! A request's way through its journey from the gate on: what its answer says to the journey, and what
//! the journey adds to it, also when it is given again.

use std::sync::Arc;

use floodgate_limiter::{Begun, Entry, Timestamp};
use http::header::{CACHE_CONTROL, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Response, request};

use super::Part;
use crate::clock;
use crate::jwt::Verified;
use crate::outbound::GrantWord;
use crate::reason::Reason;
use crate::response_body::ResponseBody;
use crate::snapshot::{Route, Snapshot};
use crate::worker::Worker;

/// With which the origin ends a grant, so that the next customer may begin the sooner.
const DONE: &[u8] = b"done";

/// A request on its way through its journey.
#[derive(Debug)]
pub(crate) struct Going {
    journey: usize,
    step: usize,
    place: Place,
    /// The customer came by TLS.
    is_secure: bool,
}

#[derive(Debug)]
enum Place {
    /// It has the right to a grant.
    New(Begun),
    /// It has a grant, and no permit yet.
    Calls(Call),
    /// It has a grant.
    Holds { nonce: u64 },
    /// It has just got one, which the customer is yet to be told.
    Given(Given),
    /// It goes by its stage.
    Stage,
}

/// A grant, as the customer is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    nonce: u64,
    expires: Timestamp,
    fields: HeaderMap,
}

/// A holder's call, which is given back to the grant if it is dropped: refused behind this, it has cost the upstream
/// nothing.
#[derive(Debug)]
struct Call {
    /// Empty once made.
    entry: Option<Arc<Entry>>,
    nonce: u64,
}

// === impl Call ===

impl Call {
    /// Number of the grant, whose call this was.
    fn made(mut self) -> u64 {
        self.entry = None;
        self.nonce
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            entry.give_back(self.nonce, clock::now());
        }
    }
}

// === impl Going ===

impl Going {
    /// Lets a request of `route` that is this `part` of its journey in, as far as the journey goes.
    ///
    /// # Errors
    /// The reason to refuse with. What was taken is given back when this is dropped.
    pub(crate) fn begin(
        snapshot: &Snapshot,
        route: &Route,
        part: Part,
        is_secure: bool,
        now: Timestamp,
    ) -> Result<Option<Self>, Reason> {
        let Some((index, step)) = route.journey else { return Ok(None) };
        let journey = &snapshot.journeys[index];
        let place = match part {
            Part::None => return Ok(None),
            Part::Stranger { .. } => return Err(Reason::GrantRequired),
            Part::Stage { .. } => Place::Stage,
            Part::Entry { customer, standing, .. } => {
                let standing = journey.redeem(customer, standing, now);
                let spare = snapshot.upstreams[route.upstream].limiter.has_spare();
                Place::New(journey.entry.take(standing, spare, now).ok_or(Reason::NoGrant)?)
            }
            Part::Holder { nonce, expires, .. } => {
                journey.entry.call(nonce, expires, now).map_err(|_| Reason::CallLimit)?;
                Place::Calls(Call { entry: Some(Arc::clone(&journey.entry)), nonce })
            }
        };
        Ok(Some(Self { journey: index, step, place, is_secure }))
    }

    /// It has a permit: whoever has just begun gets a grant.
    pub(crate) fn admitted(
        mut self,
        snapshot: &Snapshot,
        worker: &Worker,
        head: &request::Parts,
        token: Option<&Verified>,
        now: Timestamp,
    ) -> Self {
        let journey = &snapshot.journeys[self.journey];
        let shard = journey.stats.shard(worker.index);
        match self.place {
            Place::New(begun) => {
                let nonce = journey.nonces.next();
                begun.grant(nonce, now);
                let fields = journey.grant(nonce, head, token, worker, self.is_secure);
                self.place = Place::Given(Given { nonce, expires: now + journey.ttl, fields });
            }
            Place::Calls(call) => {
                shard.calls.increment();
                self.place = Place::Holds { nonce: call.made() };
            }
            Place::Holds { .. } | Place::Given(_) | Place::Stage => shard.calls.increment(),
        }
        self
    }

    /// Takes in what the answer says of the journey, and tells the customer of the grant: of which one, if it is new.
    pub(crate) fn answered(
        self,
        snapshot: &Snapshot,
        worker: &Worker,
        response: &mut Response<ResponseBody>,
        now: Timestamp,
    ) -> Option<Given> {
        let journey = &snapshot.journeys[self.journey];
        let shard = journey.stats.shard(worker.index);
        let is_finished = journey.is_finished_by(self.step, response.status());
        let word = response.extensions_mut().remove::<GrantWord>();
        let is_ended = word.is_some_and(|GrantWord(word)| word == DONE);
        let (nonce, given) = match self.place {
            Place::Holds { nonce } => (nonce, None),
            Place::Given(given) => (given.nonce, Some(given)),
            Place::New(_) | Place::Calls(_) | Place::Stage => {
                if is_finished {
                    shard.finished.increment();
                }
                return None;
            }
        };
        if is_finished {
            journey.entry.finish(nonce, now);
        }
        if is_ended {
            shard.ended.increment();
            journey.entry.end(nonce, now);
            response.headers_mut().append(SET_COOKIE, journey.forget(self.is_secure));
            return None;
        }
        given.inspect(|given| given.tell(response))
    }
}

// === impl Given ===

impl Given {
    /// The grant of a customer who asks again for an entry of `route` that was answered before: that which came with the
    /// answer, as long as it is good, since the answer may have been lost. After that it is one more who would begin. If
    /// none came with it, since the origin ended it at once, there is none now.
    pub(crate) fn again(
        before: Option<&Self>,
        snapshot: &Snapshot,
        worker: &Worker,
        (route, part): (&Route, Part),
        (head, token): (&request::Parts, Option<&Verified>),
        is_secure: bool,
        now: Timestamp,
    ) -> Option<Self> {
        let Part::Entry { .. } = part else { return None };
        let entry = &snapshot.journeys[route.journey?.0].entry;
        let before = before?;
        if entry.is_good(before.nonce, before.expires, now) {
            return Some(before.clone());
        }
        let going = Going::begin(snapshot, route, part, is_secure, now).ok()??;
        match going.admitted(snapshot, worker, head, token, now).place {
            Place::Given(given) => Some(given),
            _ => None,
        }
    }

    /// Tells the customer.
    pub(crate) fn tell(&self, response: &mut Response<ResponseBody>) {
        let headers = response.headers_mut();
        if !self.fields.is_empty() {
            // It is this customer's, whatever the upstream says of the rest (RFC 9111 §7.3).
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        }
        for (name, value) in &self.fields {
            headers.append(name, value.clone());
        }
    }

    /// Memory it takes beside itself, about.
    pub(crate) fn size(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum()
    }
}
