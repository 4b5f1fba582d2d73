//! A request that has its permit: to the upstream and back, and what is learnt on the way.

use std::sync::Arc;

use floodgate_limiter::Timestamp;
use http::header::{CONNECTION, HeaderValue, SET_COOKIE};
use http::{Response, StatusCode};

use crate::admission::Admitted;
use crate::clock;
use crate::decide::Refused;
use crate::exchange::Exchange;
use crate::explain::{Case, Outcome};
use crate::forward::{self, Forwarded};
use crate::headers::{self, Hop};
use crate::journey::Going;
use crate::outbound::Outgoing;
use crate::proxy::Arrival;
use crate::purchase::{self, Purchase, Receipt};
use crate::reason::Reason;
use crate::request_body::{Fault, ReadAhead, RequestBody};
use crate::respond;
use crate::response_body::ResponseBody;
use crate::snapshot::Snapshot;
use crate::stages::SERVER_TIMING;
use crate::stock::{Canary, Said, Sku};
use crate::tunnel::Tunnel;
use crate::upstream::Upstream;
use crate::worker::Worker;

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
    /// That is the client's own word: an upstream that takes longer is not slow for it.
    pub is_own: bool,
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

/// To the upstream and back, and what is learnt on the way.
pub(crate) async fn run(
    arrival: &mut Arrival,
    go: Go,
    mut case: Option<Box<Case>>,
) -> Response<ResponseBody> {
    let Go { route, ahead, admitted, errand, now: asked, deadline, is_own } = go;
    // The table of its fields is used for the answer.
    let asks_for_timing = arrival.asks_for_timing();
    let mut answer = pass(arrival, route, ahead, admitted, asked, deadline, is_own).await;
    let mut receipt = None;
    if errand.as_ref().is_some_and(|errand| errand.purchase.is_some()) {
        receipt = Box::pin(made(&mut answer, &mut arrival.exchange, deadline)).await;
    }
    let snapshot = &*arrival.snapshot;
    let worker = &*arrival.exchange.client().worker;
    let (mut response, is_upstreams) = match answer {
        Ok(Some(response)) => (response, true),
        Ok(None) => (respond::no_content(), false),
        Err(reason) => {
            let failed = case.take().map(|case| (*case, Outcome::Failed(reason)));
            let refused = arrival.refused(reason);
            (refuse(worker, snapshot, refused, failed, clock::now()), false)
        }
    };
    if let Some(errand) = errand {
        errand.answered(arrival, &mut response, is_upstreams, receipt, asked);
    }
    if asks_for_timing && let Some(timing) = arrival.exchange.stages().server_timing(clock::now()) {
        response.headers_mut().append(SERVER_TIMING, timing);
    }
    if let Some(case) = case {
        case.tell(worker, snapshot, Outcome::Admitted, None, response.headers_mut());
    }
    response
}

/// What is to be kept of what was answered to a purchase, for those who ask the same.
async fn made(
    answer: &mut Result<Option<Response<ResponseBody>>, Reason>,
    exchange: &mut Exchange,
    deadline: Timestamp,
) -> Option<Box<Receipt>> {
    let Ok(Some(response)) = answer else { return None };
    match response.body_mut().collect(purchase::MAX_BODY).await {
        Ok(body) => {
            if body.is_some() {
                exchange.complete(clock::now());
                exchange.client().link.set_deadline(None);
            }
            Receipt::of(response, body).map(Box::new)
        }
        // Nothing has been said yet: it need not break off in the middle.
        Err(_) => {
            let is_late = clock::now() >= deadline;
            let reason = if is_late { Reason::UpstreamTimeout } else { Reason::UpstreamError };
            exchange.fail(reason);
            exchange.client().link.set_deadline(None);
            *answer = Err(reason);
            None
        }
    }
}

// === impl Errand ===

impl Errand {
    /// Takes in what was answered to what was `asked` then.
    fn answered(
        self,
        arrival: &Arrival,
        response: &mut Response<ResponseBody>,
        is_upstreams: bool,
        receipt: Option<Box<Receipt>>,
        asked: Timestamp,
    ) {
        let (snapshot, worker) = (&arrival.snapshot, &arrival.exchange.client().worker);
        let now = clock::now();
        if let Some(sku) = self.sku.filter(|_| is_upstreams) {
            let said = Said {
                is_change: !arrival.head.method.is_safe(),
                status: response.status(),
                headers: response.headers(),
                body: response.body().whole().map(|body| &body[..]),
            };
            if snapshot.stocks.observe(&sku, said, asked, now)
                && let Some(canary) = self.canary
            {
                canary.hear();
            }
        }
        let going = self.going;
        let given = going.and_then(|going| going.answered(snapshot, worker, response, now));
        if let Some(purchase) = self.purchase {
            purchase.finish(receipt.map(|receipt| receipt.with(given)));
        }
    }
}

/// To the upstream and back; `None` if it ends here instead, and all is well.
///
/// # Errors
/// The reason why there is no answer of the upstream's.
async fn pass(
    arrival: &mut Arrival,
    index: usize,
    ahead: ReadAhead,
    admitted: Admitted,
    now: Timestamp,
    deadline: Timestamp,
    is_own: bool,
) -> Result<Option<Response<ResponseBody>>, Reason> {
    let Arrival { exchange, snapshot, head, body, token, .. } = arrival;
    let snapshot: &Snapshot = snapshot;
    let route = &snapshot.routes[index];
    let upstream = &snapshot.upstreams[route.upstream];
    if headers::ends_here(head) {
        exchange.complete(now);
        return Ok(None);
    }
    let client = exchange.client();
    let (body, fault) =
        RequestBody::new(ahead, body.take(), route.max_body, upstream, &client.link);
    let is_trusted = snapshot.trusts(client.peer.address);
    let mut outgoing = {
        let upgrade = headers::wanted_upgrade(head.version, &head.headers);
        let hop = Hop {
            peer: &client.peer,
            is_trusted,
            tenant: snapshot.tenants.field(token.as_deref(), is_trusted),
            stripped: &client.worker.shared.stripped[client.worker.index],
            via: &snapshot.via,
            upgrade: upgrade.as_ref(),
            default_host: &|| upstream.host(),
            left: deadline.saturating_since(now),
        };
        Outgoing::new(head, &hop, body)
    };
    outgoing.hurries = is_own;
    let fault = fault.as_deref();
    send(exchange, upstream, &mut outgoing, fault, admitted, now, deadline).await.map(Some)
}

/// Sends a request on at `now` and waits for its answer.
///
/// # Errors
/// The reason why there is none.
pub(crate) async fn send(
    exchange: &mut Exchange,
    upstream: &Arc<Upstream>,
    outgoing: &mut Outgoing,
    fault: Option<&Fault>,
    admitted: Admitted,
    now: Timestamp,
    deadline: Timestamp,
) -> Result<Response<ResponseBody>, Reason> {
    let may_switch = outgoing.may_switch;
    let forwarded = match forward::forward(
        exchange, upstream, outgoing, fault, admitted, now, deadline,
    )
    .await
    {
        Ok(Forwarded::Switched(answer, lease)) if may_switch => {
            Tunnel::open(&exchange.client().link, upstream, *answer, lease)
                .map(|response| Forwarded::Whole(response, clock::now()))
        }
        forwarded => forwarded,
    };
    if fault.is_some_and(Fault::is_delayed) {
        exchange.set_delayed();
    }
    let client = exchange.client();
    let reason = match forwarded {
        Ok(Forwarded::Whole(response, ended)) => {
            exchange.complete(ended);
            return Ok(response);
        }
        Ok(Forwarded::Streaming(response)) => {
            client.link.set_deadline(Some(clock::instant(deadline)));
            return Ok(response);
        }
        // Nobody asked to switch: whatever this is, it is not an answer.
        Ok(Forwarded::Switched(..)) => Reason::UpstreamError,
        Err(reason) => reason,
    };
    if outgoing.hurries && reason == Reason::UpstreamTimeout {
        exchange.give_up(clock::now());
    }
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
