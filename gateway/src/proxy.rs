//! The life of a request, in order.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use floodgate_limiter::Timestamp;
use http::header::{CONNECTION, EXPECT, HeaderValue, SET_COOKIE};
use http::{Request, Response, StatusCode, request};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::admission::{self, Admitted};
use crate::classify::{HeadView, Line};
use crate::clock;
use crate::closing;
use crate::decide::{Decided, Refused, decide};
use crate::exchange::Exchange;
use crate::explain::{Case, Outcome};
use crate::fields::Fields;
use crate::forward::{self, Forwarded};
use crate::grant::cookie::GRANT_HEADER;
use crate::headers::{self, Hop, Peer};
use crate::journey::{Going, Part, set_device};
use crate::link::Link;
use crate::outbound::Outgoing;
use crate::purchase::{self, Purchase, Receipt};
use crate::reason::Reason;
use crate::request_body::{Fault, ReadAhead, RequestBody};
use crate::respond;
use crate::response_body::ResponseBody;
use crate::shadow::{Opinion, Shadow};
use crate::snapshot::Snapshot;
use crate::stock::{Said, Sku};
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
        Ok(decided) => Answering::Later(Box::pin(arrival.serve(decided))),
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
    decided: Result<Decided, Refused>,
    /// What a shadow configuration says.
    opinion: Option<Opinion>,
    now: Timestamp,
}

/// What becomes of a request that is not refused.
enum Step {
    /// It goes to its upstream.
    Go(Go),
    /// It has been answered before.
    Replay(Arc<Receipt>),
}

/// What a request is beside a request.
#[derive(Default)]
struct Errand {
    /// Its way through its journey.
    going: Option<Going>,
    /// What it is about.
    sku: Option<Sku>,
    /// It is to be made once, and this is the time.
    purchase: Option<Purchase>,
}

/// A request of `route` goes to its upstream, and has to be answered by `deadline`.
struct Go {
    route: usize,
    ahead: ReadAhead,
    admitted: Admitted,
    /// What it is beside a request, if it is more.
    errand: Option<Box<Errand>>,
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
        let view = view(&head, body.size_hint().lower());
        let decided = match client.link.decided(snapshot.generation) {
            Some(decided) => Ok(decided),
            None => decide(&client.worker, &snapshot, view, now),
        };
        let shadow = client.worker.shadow();
        let opinion =
            shadow.map(|shadow| Shadow::arrive(&shadow, client.worker.index, view.line, now));
        let route = match decided {
            Ok(decided) => Some(decided.route),
            Err(refused) => refused.route,
        };
        let exchange = Exchange::begin(client, &snapshot, route, now);
        Self { exchange, snapshot, head, body, decided, opinion, now }
    }

    /// What would be refused, and as what.
    fn refused(&self, reason: Reason) -> Refused {
        match self.decided {
            Ok(Decided { route, part, .. }) => Refused { route: Some(route), reason, part },
            Err(refused) => refused,
        }
    }

    fn refuse(mut self, reason: Reason) -> Response<ResponseBody> {
        let refused = self.refused(reason);
        self.exchange.reject(reason);
        if let Some(opinion) = self.opinion {
            opinion.differ();
        }
        // A client that waits for our 100 has sent nothing that could be thrown away.
        if !self.head.headers.contains_key(EXPECT) {
            closing::discard(self.body);
        }
        let worker = &self.exchange.client().worker;
        worker.count_invalid(&self.snapshot, refused.route, refused.part);
        let case = Case::of_refused(worker, &self.snapshot, refused, self.now)
            .map(|case| case.after(clock::now().saturating_since(self.now)));
        let case = case.map(|case| (case, Outcome::Refused(reason)));
        let response = refuse(worker, &self.snapshot, refused, case, self.now);
        finish(response, self.exchange)
    }

    /// What this met until it was decided upon at `now`, if answers say it.
    fn case(&self, part: Part, now: Timestamp) -> Option<Case> {
        let Ok(Decided { route, .. }) = self.decided else { return None };
        let worker = &self.exchange.client().worker;
        let case = Case::open(worker, &self.snapshot, Some(route), part, now)?;
        Some(case.after(now.saturating_since(self.now)))
    }

    async fn serve(mut self, decided: Decided) -> Response<ResponseBody> {
        let go = match self.admit(decided).await {
            Ok(Step::Go(go)) => go,
            Ok(Step::Replay(receipt)) => return self.replay(&receipt, decided.part),
            Err(reason) => return self.refuse(reason),
        };
        let case = self.case(decided.part, go.now).map(Box::new);
        let worker = &self.exchange.client().worker;
        worker.count_invalid(&self.snapshot, Some(decided.route), decided.part);
        self.exchange.admit(self.opinion.and_then(Opinion::agree), go.now);
        let service = Service {
            snapshot: self.snapshot,
            part: decided.part,
            case,
            go,
            head: self.head,
            body: self.body,
            exchange: self.exchange,
        };
        if service.go.errand.as_ref().is_none_or(|errand| errand.purchase.is_none()) {
            return service.run().await;
        }
        // It is made to its end, whether or not its customer waits for it: the next click is for the same.
        match tokio::task::spawn_local(service.run()).await {
            Ok(response) => response,
            Err(_) => respond::refuse(Reason::UpstreamError, Reason::UpstreamError.status(), None),
        }
    }

    /// Answers as the same request was answered before.
    fn replay(mut self, receipt: &Receipt, part: Part) -> Response<ResponseBody> {
        let now = clock::now();
        let case = self.case(part, now);
        self.exchange.replay(now);
        if let Some(opinion) = self.opinion {
            opinion.differ();
        }
        if !self.head.headers.contains_key(EXPECT) {
            closing::discard(self.body);
        }
        let mut response = receipt.replay();
        if let Some(case) = case {
            let worker = &self.exchange.client().worker;
            case.tell(worker, &self.snapshot, Outcome::Replayed, None, response.headers_mut());
        }
        finish(response, self.exchange)
    }

    /// First the body is awaited, so that nobody holds a permit who has yet to send; then the permit.
    async fn admit(&mut self, decided: Decided) -> Result<Step, Reason> {
        let Decided { route: index, part, .. } = decided;
        let snapshot = Rc::clone(&self.snapshot);
        let route = &snapshot.routes[index];
        let upstream = &snapshot.upstreams[route.upstream];
        let deadline = self.now + snapshot.tiers[route.tier.index()].deadline;
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
        let length = self.body.size_hint().lower();
        let meant = &snapshot.config.routes[index];
        let purchase = if meant.once {
            let head = view(&self.head, length);
            match purchase::key(&snapshot, index, head) {
                Some(key) => {
                    let fingerprint = purchase::fingerprint(ahead.bytes(), length);
                    match Box::pin(purchase::begin(&snapshot, key, fingerprint, deadline)).await? {
                        purchase::Begun::First(purchase) => Some(purchase),
                        purchase::Begun::Replay(receipt) => return Ok(Step::Replay(receipt)),
                    }
                }
                None => None,
            }
        } else {
            None
        };
        let sku = match &meant.sku {
            Some(source) => Sku::of(source, &meant.path, view(&self.head, length)),
            None => None,
        };
        let watched = match &sku {
            Some(sku) => snapshot.stocks.claim(sku, now)?.then_some(sku),
            None => None,
        };
        let is_secure = headers::came_by_tls(
            &self.head.headers,
            snapshot.trusts(self.exchange.client().peer.address),
        );
        let going = Going::begin(&snapshot, route, part, is_secure, now)?;
        let admit = admission::admit(&snapshot, route, part, now, deadline);
        let (admitted, now) = match watched {
            Some(sku) => {
                let admit = Box::pin(admit);
                tokio::select! {
                    biased;
                    admitted = admit => admitted?,
                    // Who waits for what is gone is told at once.
                    reason = snapshot.stocks.gone(sku, clock::now) => return Err(reason),
                }
            }
            None => admit.await?,
        };
        let worker = &self.exchange.client().worker;
        let going = going.map(|going| going.admitted(&snapshot, worker, &self.head, now));
        let is_plain = going.is_none() && sku.is_none() && purchase.is_none();
        let errand = (!is_plain).then(|| Box::new(Errand { going, sku, purchase }));
        Ok(Step::Go(Go { route: index, ahead, admitted, errand, now, deadline }))
    }
}

/// What decides about a request, of its head as hyper gives it.
fn view(head: &request::Parts, body: u64) -> HeadView<'_> {
    HeadView {
        line: Line { method: head.method.as_str(), path: head.uri.path() },
        query: head.uri.query().unwrap_or_default(),
        fields: Fields::Map(&head.headers),
        body,
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

/// A request that has its permit.
struct Service {
    snapshot: SnapshotRef,
    part: Part,
    /// What it met, if answers say it.
    case: Option<Box<Case>>,
    go: Go,
    head: request::Parts,
    body: Incoming,
    exchange: Exchange,
}

// === impl Service ===

impl Service {
    /// To the upstream and back, and what is learnt on the way.
    async fn run(mut self) -> Response<ResponseBody> {
        let worker = Rc::clone(&self.exchange.client().worker);
        let snapshot = Rc::clone(&self.snapshot);
        let Errand { going, sku, purchase } =
            self.go.errand.take().map(|errand| *errand).unwrap_or_default();
        let Go { route, now: asked, deadline, .. } = self.go;
        let is_change = !self.head.method.is_safe();
        let mut exchange = self.exchange;
        let mut case = self.case;
        let answer = pass(&snapshot, self.go, self.head, self.body, &mut exchange).await;
        let (mut answer, mut receipt) = (answer, None);
        if let (Ok(Some(response)), Some(_)) = (&mut answer, &purchase) {
            match response.body_mut().collect(purchase::MAX_BODY).await {
                Ok(Some(body)) => {
                    exchange.complete(clock::now());
                    exchange.client().link.set_deadline(None);
                    receipt = Receipt::of(response, body);
                }
                Ok(None) => {}
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
        if let Some(purchase) = purchase {
            purchase.finish(receipt);
        }
        let (mut response, is_upstreams) = match answer {
            Ok(Some(response)) => (response, true),
            Ok(None) => (respond::no_content(), false),
            Err(reason) => {
                let refused = Refused { route: Some(route), reason, part: self.part };
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
                snapshot.stocks.observe(sku, said, asked, now);
            }
        }
        match going {
            Some(going) => going.answered(&snapshot, &worker, &mut response, clock::now()),
            // Whatever it says of a grant, there is none.
            None if is_upstreams => drop(response.headers_mut().remove(GRANT_HEADER)),
            None => {}
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

/// The answer to who is refused at `now`; with a case, it says how that came about.
fn refuse(
    worker: &Worker,
    snapshot: &Snapshot,
    refused: Refused,
    case: Option<(Case, Outcome)>,
    now: Timestamp,
) -> Response<ResponseBody> {
    let told = worker.come_back(snapshot, refused, now);
    let mut response = respond::refuse(refused.reason, snapshot.status(refused.reason), told.wait);
    if let Some(device) = told.device {
        response.headers_mut().insert(SET_COOKIE, set_device(&device, false).into());
    }
    if let Some((case, outcome)) = case {
        case.tell(worker, snapshot, outcome, told.wait, response.headers_mut());
    }
    response
}
