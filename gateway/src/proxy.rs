//! The life of a request, in order.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use floodgate_limiter::Timestamp;
use http::header::{CONNECTION, EXPECT, HeaderValue};
use http::{Request, Response, StatusCode, request};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::admission::{self, Admitted};
use crate::classify::HeadView;
use crate::clock;
use crate::closing;
use crate::decide::{Refused, decide};
use crate::exchange::Exchange;
use crate::forward::{self, Forwarded};
use crate::headers::{self, Hop, Peer};
use crate::link::Link;
use crate::outbound::Outgoing;
use crate::reason::Reason;
use crate::request_body::{Fault, ReadAhead, RequestBody};
use crate::respond;
use crate::response_body::ResponseBody;
use crate::shadow::{Opinion, Shadow};
use crate::tunnel::Tunnel;
use crate::worker::{SnapshotRef, Worker};

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// What a connection gives to each of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// The worker that serves it.
    pub worker: Rc<Worker>,
    /// What its inlet, this service and its task tell each other.
    pub link: Rc<Link>,
    /// The other end.
    pub peer: Rc<Peer>,
}

/// One request from head to answer. What its head alone rules out is answered at once; everything else
/// takes a future in a box, since in a storm most requests never need the room.
pub(crate) fn handle(client: Client, request: Request<Incoming>) -> Answering {
    let arrival = Arrival::new(client, request);
    match arrival.decided {
        Ok(route) => Answering::Later(Box::pin(arrival.serve(route))),
        Err(refused) => Answering::Now(Some(arrival.refuse(refused.reason))),
    }
}

/// The future of an answer, which hyper may move.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is that of a storm: it shall not allocate"
)]
pub(crate) enum Answering {
    /// Served by this.
    Later(Pin<Box<dyn Future<Output = Response<ResponseBody>>>>),
    /// Here it is.
    Now(Option<Response<ResponseBody>>),
}

/// A request that has come and is not decided upon.
struct Arrival {
    exchange: Exchange,
    snapshot: SnapshotRef,
    head: request::Parts,
    body: Incoming,
    /// What its head alone says.
    decided: Result<usize, Refused>,
    /// What a shadow configuration says.
    opinion: Option<Opinion>,
    now: Timestamp,
}

/// A request of `route` goes to its upstream, and has to be answered by `deadline`.
struct Go {
    route: usize,
    ahead: ReadAhead,
    admitted: Admitted,
    /// When it was admitted.
    now: Timestamp,
    deadline: Timestamp,
}

// === impl Answering ===

impl Future for Answering {
    /// Never an error: whatever happens is an answer.
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Later(future) => future.as_mut().poll(cx).map(Ok),
            // Asked twice, which nobody does, it has nothing more to say.
            Self::Now(response) => {
                response.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer)))
            }
        }
    }
}

// === impl Arrival ===

impl Arrival {
    fn new(client: Client, request: Request<Incoming>) -> Self {
        let snapshot = client.worker.snapshot();
        let now = client.link.arrived();
        let (head, body) = request.into_parts();
        let view = HeadView {
            method: head.method.as_str(),
            path: head.uri.path(),
            body: body.size_hint().lower(),
        };
        let decided = match client.link.route(snapshot.generation) {
            Some(route) => Ok(route),
            None => decide(&client.worker, &snapshot, view, now),
        };
        let shadow = client.worker.shadow();
        let opinion = shadow.map(|shadow| Shadow::arrive(&shadow, client.worker.index, view, now));
        let route = decided.map_or_else(|refused| refused.route, Some);
        let exchange = Exchange::begin(client, &snapshot, route, now);
        Self { exchange, snapshot, head, body, decided, opinion, now }
    }

    fn route(&self) -> Option<usize> {
        self.decided.map_or_else(|refused| refused.route, Some)
    }

    fn refuse(mut self, reason: Reason) -> Response<ResponseBody> {
        let route = self.route();
        self.exchange.reject(reason);
        if let Some(opinion) = self.opinion {
            opinion.differ();
        }
        // A client that waits for our 100 has sent nothing that could be thrown away.
        if !self.head.headers.contains_key(EXPECT) {
            closing::discard(self.body);
        }
        let response = refuse(self.exchange.client(), &self.snapshot, route, reason, self.now);
        finish(response, self.exchange)
    }

    async fn serve(mut self, route: usize) -> Response<ResponseBody> {
        match self.admit(route).await {
            Ok(go) => {
                self.exchange.admit(self.opinion.and_then(Opinion::agree), go.now);
                let response =
                    pass(&self.snapshot, go, self.head, self.body, &mut self.exchange).await;
                finish(response, self.exchange)
            }
            Err(reason) => self.refuse(reason),
        }
    }

    /// First the body is awaited, so that nobody holds a permit who has yet to send; then the permit.
    async fn admit(&mut self, index: usize) -> Result<Go, Reason> {
        let route = &self.snapshot.routes[index];
        let upstream = &self.snapshot.upstreams[route.upstream];
        let deadline = self.now + self.snapshot.tiers[route.tier.index()].deadline;
        let (ahead, now) = if self.body.is_end_stream() {
            (ReadAhead::none(), self.now)
        } else if self.head.headers.contains_key(EXPECT) {
            (ReadAhead::nothing(upstream)?, self.now)
        } else {
            let (link, until) = (&self.exchange.client().link, clock::instant(deadline));
            // In a box of its own, as everything here that holds a timer: timers are large and want a
            // cache line of their own, and most requests need none.
            let ahead =
                Box::pin(ReadAhead::of(&mut self.body, route.max_body, link, upstream, until));
            (ahead.await?, clock::now())
        };
        let (admitted, now) = admission::admit(&self.snapshot, route, now, deadline).await?;
        Ok(Go { route: index, ahead, admitted, now, deadline })
    }
}

/// The answer as it goes out; it keeps the exchange until it is gone.
fn finish(mut response: Response<ResponseBody>, exchange: Exchange) -> Response<ResponseBody> {
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

/// To the upstream and back.
async fn pass(
    snapshot: &SnapshotRef,
    go: Go,
    head: request::Parts,
    body: Incoming,
    exchange: &mut Exchange,
) -> Response<ResponseBody> {
    let Go { route: index, ahead, admitted, now, deadline } = go;
    let route = &snapshot.routes[index];
    let upstream = &snapshot.upstreams[route.upstream];
    if headers::ends_here(&head) {
        exchange.complete(now);
        return respond::no_content();
    }
    let client = exchange.client();
    let fault = Rc::<Fault>::default();
    let body = RequestBody::new(ahead, body, route.max_body, upstream, &client.link, &fault);
    let upgrade = headers::wanted_upgrade(head.version, &head.headers);
    let hop = Hop {
        peer: &client.peer,
        is_trusted: snapshot.trusts(client.peer.address),
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
            return response;
        }
        Ok(Forwarded::Streaming(response)) => {
            client.link.set_deadline(Some(clock::instant(deadline)));
            return response;
        }
        // Nobody asked to switch: whatever this is, it is not an answer.
        Ok(Forwarded::Switched(..)) => Reason::UpstreamError,
        Err(reason) => reason,
    };
    exchange.fail(reason);
    refuse(client, snapshot, Some(index), reason, clock::now())
}

fn refuse(
    client: &Client,
    snapshot: &SnapshotRef,
    route: Option<usize>,
    reason: Reason,
    now: Timestamp,
) -> Response<ResponseBody> {
    let route = route.map(|route| &snapshot.routes[route]);
    respond::refuse(reason, client.worker.retry_after(route, reason, now))
}
