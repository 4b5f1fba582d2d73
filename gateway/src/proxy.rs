//! The life of a request, in order.

use std::convert::Infallible;
use std::rc::Rc;

use floodgate_limiter::Timestamp;
use http::header::{CONNECTION, EXPECT, HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode, request};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::admission::{self, Admitted};
use crate::classify::classify;
use crate::clock;
use crate::closing;
use crate::exchange::Exchange;
use crate::forward::{self, Answer};
use crate::headers::{self, Peer};
use crate::link::Link;
use crate::reason::Reason;
use crate::request_body::{Fault, ReadAhead, RequestBody};
use crate::respond;
use crate::response_body::ResponseBody;
use crate::shadow::{Opinion, Shadow};
use crate::tunnel::Tunnel;
use crate::worker::{SnapshotRef, Worker};

/// What a connection gives to each of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// The worker that serves it.
    pub worker: Rc<Worker>,
    /// Its turnstile.
    pub link: Rc<Link>,
    /// The other end.
    pub peer: Rc<Peer>,
}

/// One request from head to answer.
///
/// # Errors
/// Never: whatever happens is an answer.
pub(crate) async fn handle(
    client: Client,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let now = clock::now();
    let snapshot = client.worker.snapshot();
    let (head, mut body) = request.into_parts();
    let verdict = client.link.take_verdict();
    let route = match verdict {
        Some(_) => None,
        None => classify(&snapshot, &head.method, head.uri.path()),
    };
    // Only what came through the turnstile: to the shadow, too, a malformed request is none.
    let shadow = client.worker.shadow().filter(|_| verdict.is_none());
    let opinion = shadow.map(|shadow| {
        Shadow::arrive(&shadow, client.worker.index, &head.method, head.uri.path(), now)
    });
    let mut exchange = Exchange::begin(client, &snapshot, route, now);
    let decision = match (verdict, route) {
        (Some(reason), _) => Err(reason),
        (None, None) => Err(Reason::NoRoute),
        (None, Some(route)) => {
            decide(exchange.client(), &snapshot, route, &head, &mut body, now).await
        }
    };
    let mut response = match decision {
        Ok(decision) => {
            exchange.admit(opinion.and_then(Opinion::agree));
            // In a box of its own: in a storm most requests never need the room.
            Box::pin(pass(&snapshot, decision, head, body, &mut exchange)).await
        }
        Err(reason) => {
            exchange.reject(reason);
            if let Some(opinion) = opinion {
                opinion.differ();
            }
            // A client that waits for our 100 has sent nothing that could be thrown away.
            if !head.headers.contains_key(EXPECT) {
                closing::discard(body);
            }
            refuse(exchange.client(), &snapshot, route, reason, now)
        }
    };
    let is_switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if exchange.client().worker.shared.is_draining() && !is_switching {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| body.keep(exchange)))
}

/// A request of `route` goes to its upstream, and has to be answered by `deadline`.
struct Go {
    route: usize,
    ahead: ReadAhead,
    admitted: Admitted,
    deadline: Timestamp,
}

/// Everything that can be said by the head alone, cheapest first; then the body is awaited, so that
/// nobody holds a permit who has yet to send; then the permit.
async fn decide(
    client: &Client,
    snapshot: &SnapshotRef,
    index: usize,
    head: &request::Parts,
    body: &mut Incoming,
    now: Timestamp,
) -> Result<Go, Reason> {
    let route = &snapshot.routes[index];
    let deadline = now + snapshot.tiers[route.tier.index()].deadline;
    if client.worker.shared.is_draining() {
        return Err(Reason::Draining);
    }
    if head.method == Method::TRACE {
        return Err(Reason::MethodNotAllowed);
    }
    if body.size_hint().lower() > route.max_body {
        return Err(Reason::BodyTooLarge);
    }
    admission::look(snapshot, route, now)?;
    let (ahead, now) = if body.is_end_stream() {
        (ReadAhead::none(), now)
    } else {
        let upstream = &snapshot.upstreams[route.upstream];
        let ahead = if head.headers.contains_key(EXPECT) {
            ReadAhead::nothing(upstream)?
        } else {
            ReadAhead::of(body, route.max_body, &client.link, upstream, clock::instant(deadline))
                .await?
        };
        (ahead, clock::now())
    };
    let admitted = admission::admit(snapshot, route, now, deadline).await?;
    Ok(Go { route: index, ahead, admitted, deadline })
}

/// To the upstream and back.
async fn pass(
    snapshot: &SnapshotRef,
    go: Go,
    mut head: request::Parts,
    body: Incoming,
    exchange: &mut Exchange,
) -> Response<ResponseBody> {
    let Go { route: index, ahead, admitted, deadline } = go;
    let route = &snapshot.routes[index];
    let upstream = &snapshot.upstreams[route.upstream];
    if headers::ends_here(&head) {
        exchange.complete();
        return respond::no_content();
    }
    let client = exchange.client();
    let upgrade = headers::wanted_upgrade(head.version, &head.headers);
    let wants_upgrade = upgrade.is_some();
    let trusted = snapshot.trusts(client.peer.address);
    headers::to_upstream(&mut head, &client.peer, trusted, &snapshot.via, upgrade);
    if !head.headers.contains_key(HOST) {
        head.headers.insert(HOST, upstream.host());
    }
    headers::set_deadline(&mut head.headers, deadline.saturating_since(clock::now()));
    let fault = Rc::<Fault>::default();
    let body =
        RequestBody::new(ahead, body, route.max_body, Rc::clone(&client.link), Rc::clone(&fault));
    let request = Request::from_parts(head, body);
    let answer =
        match forward::forward(&client.worker.pool, upstream, request, &fault, admitted, deadline)
            .await
        {
            Ok(Answer::Response(response)) => Ok(response),
            Ok(Answer::Switched(head, lease)) if wants_upgrade => {
                Tunnel::open(&client.link, upstream, head, lease).await
            }
            // Nobody asked to switch: whatever this is, it is not an answer.
            Ok(Answer::Switched(..)) => Err(Reason::UpstreamError),
            Err(reason) => Err(reason),
        };
    match answer {
        Ok(response) if response.body().is_whole() => {
            exchange.complete();
            response
        }
        Ok(response) => {
            client.link.set_deadline(Some(clock::instant(deadline)));
            response
        }
        Err(reason) => {
            exchange.fail(reason);
            refuse(client, snapshot, Some(index), reason, clock::now())
        }
    }
}

fn refuse(
    client: &Client,
    snapshot: &SnapshotRef,
    route: Option<usize>,
    reason: Reason,
    now: Timestamp,
) -> Response<ResponseBody> {
    // Only those who are asked to come back count for when.
    let tier = route.filter(|_| reason.is_retryable()).map(|route| snapshot.routes[route].tier);
    respond::refuse(reason, tier.map(|tier| client.worker.retry_after(tier, now)))
}
