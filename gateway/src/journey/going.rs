//! A request's way through its journey from the gate on: what its answer says to the journey, and what
//! the journey adds to it.

use floodgate_limiter::{Begun, Timestamp};
use http::header::{CACHE_CONTROL, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Response, request};

use super::Part;
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
    /// It has a grant, with what the customer is yet to be told of it.
    Holds { nonce: u64, fields: HeaderMap },
    /// It goes by its stage.
    Stage,
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
            Part::Entry { standing, .. } => {
                let spare = snapshot.upstreams[route.upstream].limiter.has_spare();
                Place::New(journey.entry.take(standing, spare, now).ok_or(Reason::NoGrant)?)
            }
            Part::Holder { nonce, expires, .. } => {
                journey.entry.call(nonce, expires, now).map_err(|_| Reason::CallLimit)?;
                Place::Holds { nonce, fields: HeaderMap::new() }
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
                self.place = Place::Holds { nonce, fields };
            }
            Place::Holds { .. } | Place::Stage => shard.calls.increment(),
        }
        self
    }

    /// Takes in what the answer says of the journey, and tells the customer of the grant.
    pub(crate) fn answered(
        self,
        snapshot: &Snapshot,
        worker: &Worker,
        response: &mut Response<ResponseBody>,
        now: Timestamp,
    ) {
        let journey = &snapshot.journeys[self.journey];
        let shard = journey.stats.shard(worker.index);
        let is_finished = journey.is_finished_by(self.step, response.status());
        let word = response.extensions_mut().remove::<GrantWord>();
        let is_ended = word.is_some_and(|GrantWord(word)| word == DONE);
        let Place::Holds { nonce, fields } = self.place else {
            if is_finished {
                shard.finished.increment();
            }
            return;
        };
        if is_finished {
            journey.entry.finish(nonce, now);
        }
        if is_ended {
            shard.ended.increment();
            journey.entry.end(nonce, now);
            response.headers_mut().append(SET_COOKIE, journey.forget(self.is_secure));
            return;
        }
        if !fields.is_empty() {
            // It is this customer's, whatever the upstream says of the rest (RFC 9111 §7.3).
            let private = HeaderValue::from_static("private, no-store");
            response.headers_mut().insert(CACHE_CONTROL, private);
        }
        for (name, value) in &fields {
            response.headers_mut().append(name, value.clone());
        }
    }
}
