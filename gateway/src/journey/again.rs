//! The grant that goes with an answer that is given again.

use std::sync::{Mutex, PoisonError};

use floodgate_limiter::Timestamp;
use http::request;

use super::{Given, Going, Part};
use crate::admission;
use crate::decide::Decided;
use crate::keyed::Asked;
use crate::stock::Sku;

/// The grant that came with an answer which is kept, and the one that took its place.
#[derive(Debug)]
pub(crate) struct Kept(Mutex<Latest>);

#[derive(Debug)]
struct Latest {
    given: Given,
    /// It is not the first any more, and there will not be a third: an answer that is given again costs no permit, and
    /// must not be a source of grants.
    is_renewed: bool,
}

// === impl Kept ===

impl Kept {
    /// This came with the answer.
    pub(crate) const fn new(given: Given) -> Self {
        Self(Mutex::new(Latest { given, is_renewed: false }))
    }

    /// The grant of a customer who asks again for an entry that was answered before: that which
    /// came with the answer, as long as it is good, since the answer may have been lost. After that it is one more who
    /// would begin, and gets another one, once, if it would be let in. If none came with it, since the origin ended it
    /// at once, there is none now.
    pub(crate) fn again(
        &self,
        asked: &mut Asked<'_>,
        decided: Decided,
        head: &request::Parts,
        is_secure: bool,
        now: Timestamp,
    ) -> Option<Given> {
        let Part::Entry { .. } = decided.part else { return None };
        let journey = asked.snapshot.routes[decided.route].journey?.0;
        // Held while another one is made: of those who ask at once one makes it, and all are told of that.
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.given.is_good(&asked.snapshot.journeys[journey].entry, now) {
            return Some(latest.given.clone());
        }
        if latest.is_renewed {
            return None;
        }
        let given = renew(asked, decided, head, is_secure, now)?;
        *latest = Latest { given: given.clone(), is_renewed: true };
        Some(given)
    }

    /// Memory it takes beside itself, about.
    pub(crate) fn size(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).given.size()
    }
}

/// A grant for whoever would be let in if this had not been answered before. It takes the rates of whoever is.
fn renew(
    asked: &mut Asked<'_>,
    decided: Decided,
    head: &request::Parts,
    is_secure: bool,
    now: Timestamp,
) -> Option<Given> {
    let (worker, snapshot, token) = (asked.worker, asked.snapshot, asked.head.token);
    let Decided { route: index, part, mut tenancy, .. } = decided;
    let (route, meant) = (&snapshot.routes[index], &snapshot.config.routes[index]);
    let sku = meant.sku.as_ref().and_then(|source| Sku::of(source, &meant.path, asked.head));
    if let Some(sku) = sku {
        snapshot.stocks.look(&sku, now).ok()?;
    }
    admission::look(snapshot, route, part, &mut tenancy, Some(asked), now).ok()?;
    let going = Going::begin(snapshot, route, part, is_secure, now).ok()??;
    admission::take(snapshot, route, tenancy, Some(asked), now).ok()?;
    going.admitted(snapshot, worker, head, token, now).given()
}
