//! The life of a request, in order.

use std::convert::Infallible;
use std::rc::Rc;

use floodgate_limiter::Timestamp;
use http::header::{CONNECTION, EXPECT, HOST, HeaderValue};
use http::{Method, Request, Response, request};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::admission::{self, Admitted};
use crate::body::ResponseBody;
use crate::classify::classify;
use crate::clock;
use crate::core::{Core, Live};
use crate::discard;
use crate::exchange::Exchange;
use crate::forward::{self, Answer};
use crate::headers::{self, Peer};
use crate::reason::Reason;
use crate::request_body::{Fault, RequestBody};
use crate::respond;
use crate::tunnel::Tunnel;
use crate::turnstile::Link;

/// What a connection gives to each of its requests.
#[derive(Clone, Debug)]
pub struct Client {
    /// The core that serves it.
    pub core: Rc<Core>,
    /// Its turnstile.
    pub link: Rc<Link>,
    /// The other end.
    pub peer: Rc<Peer>,
}

/// One request from head to answer.
///
/// # Errors
/// Never: whatever happens is an answer.
pub async fn handle(
    client: Client,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let now = clock::now();
    let live = client.core.live();
    let (head, body) = request.into_parts();
    let verdict = client.link.take_verdict();
    let route = match verdict {
        Some(_) => None,
        None => classify(&live, &head.method, head.uri.path()),
    };
    let mut exchange = Exchange::begin(&client.core, &client.link, &live, route, now);
    let decision = match (verdict, route) {
        (Some(reason), _) => Err(reason),
        (None, None) => Err(Reason::NoRoute),
        (None, Some(route)) => decide(&client, &live, route, &head, &body, now).await,
    };
    let mut response = match decision {
        Ok(passage) => {
            exchange.admit();
            // In a box of its own: in a storm most requests never need the room.
            Box::pin(pass(&client, &live, passage, head, body, &mut exchange)).await
        }
        Err(reason) => {
            exchange.reject(reason);
            // A client that waits for our 100 has sent nothing that could be thrown away.
            if !head.headers.contains_key(EXPECT) {
                discard::rest_of(body);
            }
            refuse(&client, &live, route, reason)
        }
    };
    if client.core.shared.is_draining() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| body.keep(exchange)))
}

/// A permit for a request of `route`, to be used before `deadline`.
struct Passage {
    route: usize,
    admitted: Admitted,
    deadline: Timestamp,
}

/// Everything that can be said by the head alone, cheapest first, and then the gate.
async fn decide(
    client: &Client,
    live: &Live,
    index: usize,
    head: &request::Parts,
    body: &Incoming,
    now: Timestamp,
) -> Result<Passage, Reason> {
    let route = &live.routes[index];
    if client.core.shared.is_draining() {
        return Err(Reason::Draining);
    }
    if head.method == Method::TRACE {
        return Err(Reason::MethodNotAllowed);
    }
    if body.size_hint().lower() > route.max_body {
        return Err(Reason::BodyTooLarge);
    }
    let deadline = now + live.tiers[route.tier.index()].deadline;
    let admitted = admission::admit(live, route, now, deadline).await?;
    Ok(Passage { route: index, admitted, deadline })
}

/// To the upstream and back.
async fn pass(
    client: &Client,
    live: &Live,
    passage: Passage,
    mut head: request::Parts,
    body: Incoming,
    exchange: &mut Exchange,
) -> Response<ResponseBody> {
    let Passage { route: index, admitted, deadline } = passage;
    let route = &live.routes[index];
    let upstream = &live.upstreams[route.upstream];
    if headers::ends_here(&head) {
        exchange.complete();
        return respond::no_content();
    }
    let upgrade = headers::wanted_upgrade(head.version, &head.headers);
    let wants_upgrade = upgrade.is_some();
    let trusted = live.trusts(client.peer.address);
    headers::to_upstream(&mut head, &client.peer, trusted, &live.via, upgrade);
    if !head.headers.contains_key(HOST) {
        head.headers.insert(HOST, upstream.host());
    }
    headers::set_deadline(&mut head.headers, deadline.saturating_since(clock::now()));
    let fault = Rc::<Fault>::default();
    let body = RequestBody::new(body, route.max_body, Rc::clone(&client.link), Rc::clone(&fault));
    let request = Request::from_parts(head, body);
    let answer =
        match forward::forward(&client.core.pool, upstream, request, &fault, admitted, deadline)
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
            refuse(client, live, Some(index), reason)
        }
    }
}

fn refuse(
    client: &Client,
    live: &Live,
    route: Option<usize>,
    reason: Reason,
) -> Response<ResponseBody> {
    let tier = route.map_or(0, |route| live.routes[route].tier.index());
    respond::refuse(reason, client.core.retry_after(tier, clock::now()))
}
