//! A request that has its permit: to the upstream and back, and what is learnt on the way.

use std::rc::Rc;

use floodgate_limiter::Timestamp;
use http::header::{CONNECTION, HeaderValue, SET_COOKIE};
use http::{Response, StatusCode, request};
use hyper::body::Incoming;

use crate::admission::Admitted;
use crate::clock;
use crate::decide::{Decided, Refused};
use crate::exchange::Exchange;
use crate::explain::{Case, Outcome};
use crate::forward::{self, Forwarded};
use crate::grant::cookie::GRANT_HEADER;
use crate::headers::{self, Hop};
use crate::journey::Going;
use crate::jwt::Verified;
use crate::outbound::Outgoing;
use crate::purchase::{self, Purchase, Receipt};
use crate::reason::Reason;
use crate::request_body::{Fault, ReadAhead, RequestBody};
use crate::respond;
use crate::response_body::ResponseBody;
use crate::snapshot::Snapshot;
use crate::stock::{Canary, Said, Sku};
use crate::tunnel::Tunnel;
use crate::worker::{SnapshotRef, Worker};

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// What a request is beside a request.
#[derive(Default)]
pub(crate) struct Errand {
    /// Its way through its journey.
    pub going: Option<Going>,
    /// What it is about.
    pub sku: Option<Sku>,
    /// It is to find out whether there is something left of it again.
    pub canary: Option<Canary>,
    /// It is to be made once, and this is the time.
    pub purchase: Option<Purchase>,
}

/// A request of `route` goes to its upstream, and has to be answered by `deadline`.
pub(crate) struct Go {
    /// Index of its route.
    pub route: usize,
    /// What was read of its body.
    pub ahead: ReadAhead,
    /// Its permit.
    pub admitted: Admitted,
    /// What it is beside a request, if it is more.
    pub errand: Option<Box<Errand>>,
    /// When it was admitted.
    pub now: Timestamp,
    /// When its answer has to be complete.
    pub deadline: Timestamp,
}

/// The answer as it goes out; it keeps the exchange until it is gone.
pub(crate) fn finish(
    mut response: Response<ResponseBody>,
    exchange: Exchange,
) -> Response<ResponseBody> {
    let client = exchange.client();
    let is_switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if client.worker.shared.is_draining() && !is_switching {
        response.headers_mut().insert(CONNECTION, CLOSE);
    }
    // No other option is ever ours.
    if response.headers().contains_key(CONNECTION) {
        client.link.set_last();
    }
    response.map(|body| body.keep(exchange))
}

/// A request that has its permit.
pub(crate) struct Service {
    /// The rules it came under.
    pub snapshot: SnapshotRef,
    /// What it is in its journey, and whose it is.
    pub decided: Decided,
    /// Its good token.
    pub token: Option<Rc<Verified>>,
    /// What it met, if answers say it.
    pub case: Option<Box<Case>>,
    /// Where it goes.
    pub go: Go,
    /// As it came.
    pub head: request::Parts,
    /// The rest of its body.
    pub body: Incoming,
    /// Its entry in the ledger.
    pub exchange: Exchange,
}

// === impl Service ===

impl Service {
    /// To the upstream and back, and what is learnt on the way.
    pub(crate) async fn run(mut self) -> Response<ResponseBody> {
        let worker = Rc::clone(&self.exchange.client().worker);
        let snapshot = Rc::clone(&self.snapshot);
        let Errand { going, sku, canary, purchase } =
            self.go.errand.take().map(|errand| *errand).unwrap_or_default();
        let Go { route, now: asked, deadline, .. } = self.go;
        let is_change = !self.head.method.is_safe();
        let mut exchange = self.exchange;
        let mut case = self.case;
        let token = self.token.as_deref();
        let mut answer = pass(&snapshot, self.go, self.head, token, self.body, &mut exchange).await;
        let mut receipt = None;
        if let (Ok(Some(response)), Some(_)) = (&mut answer, &purchase) {
            match response.body_mut().collect(purchase::MAX_BODY).await {
                Ok(body) => {
                    if body.is_some() {
                        exchange.complete(clock::now());
                        exchange.client().link.set_deadline(None);
                    }
                    receipt = Receipt::of(response, body);
                }
                // Nothing has been said yet: it need not break off in the middle.
                Err(_) => {
                    let is_late = clock::now() >= deadline;
                    let reason =
                        if is_late { Reason::UpstreamTimeout } else { Reason::UpstreamError };
                    exchange.fail(reason);
                    exchange.client().link.set_deadline(None);
                    answer = Err(reason);
                }
            }
        }
        let (mut response, is_upstreams) = match answer {
            Ok(Some(response)) => (response, true),
            Ok(None) => (respond::no_content(), false),
            Err(reason) => {
                let Decided { part, tenancy, .. } = self.decided;
                let refused = Refused { route: Some(route), reason, part, tenancy };
                let case = case.take().map(|case| (*case, Outcome::Failed(reason)));
                (refuse(&worker, &snapshot, refused, case, clock::now()), false)
            }
        };
        if is_upstreams {
            let now = clock::now();
            if let Some(sku) = &sku {
                let said = Said {
                    is_change,
                    status: response.status(),
                    headers: response.headers(),
                    body: response.body().whole().map(|body| &body[..]),
                };
                if snapshot.stocks.observe(sku, said, asked, now)
                    && let Some(canary) = canary
                {
                    canary.hear();
                }
            }
        }
        let given = match going {
            Some(going) => going.answered(&snapshot, &worker, &mut response, clock::now()),
            None => {
                if is_upstreams {
                    // Whatever it says of a grant, there is none.
                    response.headers_mut().remove(GRANT_HEADER);
                }
                None
            }
        };
        if let Some(purchase) = purchase {
            purchase.finish(receipt.map(|receipt| receipt.with(given)));
        }
        if let Some(case) = case {
            case.tell(&worker, &snapshot, Outcome::Admitted, None, response.headers_mut());
        }
        finish(response, exchange)
    }
}

/// To the upstream and back; `None` if it ends here instead, and all is well.
///
/// # Errors
/// The reason why there is no answer of the upstream's.
async fn pass(
    snapshot: &Snapshot,
    go: Go,
    head: request::Parts,
    token: Option<&Verified>,
    body: Incoming,
    exchange: &mut Exchange,
) -> Result<Option<Response<ResponseBody>>, Reason> {
    let Go { route: index, ahead, admitted, now, deadline, .. } = go;
    let route = &snapshot.routes[index];
    let upstream = &snapshot.upstreams[route.upstream];
    if headers::ends_here(&head) {
        exchange.complete(now);
        return Ok(None);
    }
    let client = exchange.client();
    let fault = Rc::<Fault>::default();
    let body = RequestBody::new(ahead, body, route.max_body, upstream, &client.link, &fault);
    let upgrade = headers::wanted_upgrade(head.version, &head.headers);
    let is_trusted = snapshot.trusts(client.peer.address);
    let hop = Hop {
        peer: &client.peer,
        is_trusted,
        tenant: snapshot.tenants.field(token, is_trusted),
        stripped: &client.worker.shared.stripped[client.worker.index],
        via: &snapshot.via,
        upgrade: upgrade.as_ref(),
        default_host: &|| upstream.host(),
        left: deadline.saturating_since(now),
    };
    let outgoing = Outgoing::new(head, &hop, body);
    let pool = &client.worker.pool;
    let forwarded =
        match forward::forward(pool, upstream, outgoing, &fault, admitted, now, deadline).await {
            Ok(Forwarded::Switched(answer, lease)) if upgrade.is_some() => {
                Tunnel::open(&client.link, upstream, *answer, lease)
                    .map(|response| Forwarded::Whole(response, clock::now()))
            }
            forwarded => forwarded,
        };
    let reason = match forwarded {
        Ok(Forwarded::Whole(response, ended)) => {
            exchange.complete(ended);
            return Ok(Some(response));
        }
        Ok(Forwarded::Streaming(response)) => {
            client.link.set_deadline(Some(clock::instant(deadline)));
            return Ok(Some(response));
        }
        // Nobody asked to switch: whatever this is, it is not an answer.
        Ok(Forwarded::Switched(..)) => Reason::UpstreamError,
        Err(reason) => reason,
    };
    exchange.fail(reason);
    Err(reason)
}

/// The answer to a request that is refused at `now`, which says how it was decided upon if there is a case.
pub(crate) fn refuse(
    worker: &Worker,
    snapshot: &Snapshot,
    refused: Refused,
    case: Option<(Case, Outcome)>,
    now: Timestamp,
) -> Response<ResponseBody> {
    let told = worker.come_back(snapshot, refused, now);
    let mut response = respond::refuse(refused.reason, snapshot.status(refused.reason), told.wait);
    if let Some((journey, device)) = told.device {
        let cookie = snapshot.journeys[journey].set_returning(&device);
        response.headers_mut().insert(SET_COOKIE, cookie.into());
    }
    if let Some((case, outcome)) = case {
        case.tell(worker, snapshot, outcome, told.wait, response.headers_mut());
    }
    response
}
