//! The life of a request, in order.

use std::rc::Rc;

use floodgate_limiter::Timestamp;
use http::header::{CONNECTION, EXPECT, HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode, request};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::admission;
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
pub async fn handle(client: Client, request: Request<Incoming>) -> Response<ResponseBody> {
    let now = clock::now();
    let live = client.core.live();
    let (head, body) = request.into_parts();
    let verdict = client.link.take_verdict();
    let route = match verdict {
        Some(_) => None,
        None => classify(&live, &head.method, head.uri.path()),
    };
    let mut exchange = Exchange::begin(&client.core, &client.link, &live, route, now);
    let result = match (verdict, route) {
        (Some(reason), _) => Err((reason, Some(body))),
        (None, Some(route)) => serve(&client, &live, route, head, body, &mut exchange, now).await,
        (None, None) if head.method == Method::TRACE => Err((Reason::MethodNotAllowed, Some(body))),
        (None, None) => Err((Reason::NoRoute, Some(body))),
    };
    let mut response = result.unwrap_or_else(|(reason, body)| {
        if let Some(body) = body {
            discard::rest_of(body);
        }
        let tier = route.map_or(0, |route| live.routes[route].tier.index());
        respond::refuse(reason, client.core.retry_after(tier, now))
    });
    if client.core.shared.is_draining() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| body.keep(exchange))
}

/// The reason for a refusal, and the request's body if nobody has read of it.
type Refusal = (Reason, Option<Incoming>);

async fn serve(
    client: &Client,
    live: &Live,
    route: usize,
    mut head: request::Parts,
    body: Incoming,
    exchange: &mut Exchange,
    now: Timestamp,
) -> Result<Response<ResponseBody>, Refusal> {
    let route = &live.routes[route];
    let deadline = now + live.tiers[route.tier.index()].deadline;
    if headers::ends_here(&head) {
        exchange.admit();
        exchange.complete();
        return Ok(options());
    }
    let admitted = async {
        examine(client, &head, &body, route.max_body)?;
        admission::admit(live, route, now, deadline).await
    };
    let admitted = match admitted.await {
        Ok(admitted) => admitted,
        Err(reason) => {
            exchange.reject(reason);
            // A client that waits for our 100 has sent nothing that could be thrown away.
            let unread = (!head.headers.contains_key(EXPECT)).then_some(body);
            return Err((reason, unread));
        }
    };
    exchange.admit();

    let upstream = &live.upstreams[route.upstream];
    let upgrade = headers::wanted_upgrade(head.version, &head.headers);
    let wants_upgrade = upgrade.is_some();
    headers::to_upstream(
        &mut head,
        &client.peer,
        live.trusts(client.peer.address),
        &live.via,
        upgrade,
    );
    if !head.headers.contains_key(HOST) {
        head.headers.insert(HOST, upstream.host());
    }
    headers::set_deadline(&mut head.headers, deadline.saturating_since(clock::now()));
    let fault = Rc::<Fault>::default();
    let body = RequestBody::new(body, route.max_body, Rc::clone(&client.link), Rc::clone(&fault));
    let request = Request::from_parts(head, body);
    let answer =
        forward::forward(&client.core.pool, upstream, request, &fault, admitted, deadline).await;
    let answer = match answer {
        Ok(Answer::Response(response)) => Ok(response),
        Ok(Answer::Switched(head, lease)) if wants_upgrade => {
            Tunnel::open(&client.link, upstream, head, lease).await
        }
        // Nobody asked to switch: whatever this is, it is not an answer.
        Ok(Answer::Switched(..)) => Err(Reason::UpstreamError),
        Err(reason) => Err(reason),
    };
    match answer {
        Ok(response) => {
            if response.body().is_whole() {
                exchange.complete();
            } else {
                client.link.set_deadline(Some(clock::instant(deadline)));
            }
            Ok(response)
        }
        Err(reason) => {
            exchange.fail(reason);
            Err((reason, None))
        }
    }
}

/// What the head alone rules out, before anything is taken.
fn examine(
    client: &Client,
    head: &request::Parts,
    body: &Incoming,
    max_body: u64,
) -> Result<(), Reason> {
    if client.core.shared.is_draining() {
        return Err(Reason::Draining);
    }
    if head.method == Method::TRACE {
        return Err(Reason::MethodNotAllowed);
    }
    if body.size_hint().lower() > max_body {
        return Err(Reason::BodyTooLarge);
    }
    Ok(())
}

/// The answer to an OPTIONS request whose `Max-Forwards` ends here.
fn options() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
