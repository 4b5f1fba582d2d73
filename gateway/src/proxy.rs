//! The life of a request, in order.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use floodgate_limiter::Timestamp;
use http::header::EXPECT;
use http::{Method, Request, Response, request};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::admission;
use crate::classify::{HeadView, Line};
use crate::clock;
use crate::closing;
use crate::decide::{Decided, Refused, decide};
use crate::exchange::Exchange;
use crate::explain::{Case, Outcome};
use crate::fields::Fields;
use crate::headers::{self, Peer};
use crate::journey::{Given, Going, Part};
use crate::jwt::Verified;
use crate::link::Link;
use crate::purchase::{self, Receipt};
use crate::reason::Reason;
use crate::request_body::ReadAhead;
use crate::respond;
use crate::response_body::ResponseBody;
use crate::service::{Errand, Go, Service, finish, refuse};
use crate::shadow::{Opinion, Shadow};
use crate::stock::Sku;
use crate::worker::{SnapshotRef, Worker};

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
enum Onward {
    /// It goes to its upstream.
    Go(Go),
    /// It has been answered before.
    Replay(Arc<Receipt>),
}

/// A purchase that is being made: once nobody waits for it, it counts as active by itself.
struct Alone {
    worker: Rc<Worker>,
    is_alone: Cell<bool>,
    has_ended: Cell<bool>,
}

/// Whoever waits for a purchase.
struct Waits(Rc<Alone>);

// === impl Alone ===

impl Alone {
    fn new(worker: Rc<Worker>) -> Self {
        Self { worker, is_alone: Cell::new(false), has_ended: Cell::new(false) }
    }

    fn end(&self) {
        self.has_ended.set(true);
        if self.is_alone.take() {
            self.worker.leave();
        }
    }
}

impl Drop for Alone {
    /// Also if it ends by a panic.
    fn drop(&mut self) {
        self.end();
    }
}

// === impl Waits ===

impl Drop for Waits {
    fn drop(&mut self) {
        if !self.0.has_ended.get() && !self.0.is_alone.replace(true) {
            self.0.worker.enter();
        }
    }
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
        let view = view(&head, client.peer.address, None, body.size_hint().lower());
        let decided = match client.link.decided(snapshot.generation) {
            Some(decided) => Ok(decided),
            None => decide(&client.worker, &snapshot, view, now),
        };
        let shadow = client.worker.shadow();
        let opinion =
            shadow.map(|shadow| Shadow::arrive(&shadow, client.worker.index, view.line, now));
        let (route, tenancy) = match decided {
            Ok(decided) => (Some(decided.route), decided.tenancy),
            Err(refused) => (refused.route, refused.tenancy),
        };
        let exchange = Exchange::begin(client, &snapshot, route, tenancy, now);
        Self { exchange, snapshot, head, body, decided, opinion, now }
    }

    /// What would be refused, and as what.
    fn refused(&self, reason: Reason) -> Refused {
        match self.decided {
            Ok(Decided { route, part, tenancy, .. }) => {
                Refused { route: Some(route), reason, part, tenancy }
            }
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
        worker.count_refused(&self.snapshot, refused);
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
        let token = self.token(decided);
        let go = match self.admit(decided, token.as_deref()).await {
            Ok(Onward::Go(go)) => go,
            Ok(Onward::Replay(receipt)) => {
                return self.replay(&receipt, decided, token.as_deref());
            }
            Err(reason) => return self.refuse(reason),
        };
        let case = self.case(decided.part, go.now).map(Box::new);
        let worker = &self.exchange.client().worker;
        worker.count_decided(&self.snapshot, decided);
        self.exchange.admit(self.opinion.and_then(Opinion::agree), go.now);
        let service = Service {
            snapshot: self.snapshot,
            decided,
            token,
            case,
            go,
            head: self.head,
            body: self.body,
            exchange: self.exchange,
        };
        if service.go.errand.as_ref().is_none_or(|errand| errand.purchase.is_none()) {
            return service.run().await;
        }
        // It is made to its end, whether or not its customer waits for it: the next click is for the same,
        // and a drain waits for it.
        let alone = Rc::new(Alone::new(Rc::clone(&service.exchange.client().worker)));
        let waits = Waits(Rc::clone(&alone));
        let made = async move {
            let response = service.run().await;
            alone.end();
            response
        };
        let made = tokio::task::spawn_local(made).await;
        drop(waits);
        match made {
            Ok(response) => response,
            Err(_) => respond::refuse(Reason::UpstreamError, Reason::UpstreamError.status(), None),
        }
    }

    /// Answers as the same request was answered before.
    fn replay(
        mut self,
        receipt: &Receipt,
        decided: Decided,
        token: Option<&Verified>,
    ) -> Response<ResponseBody> {
        let now = clock::now();
        let given = self.given_again(receipt, decided, token, now);
        let Some(mut response) = receipt.replay() else {
            let mut response = self.refuse(Reason::AlreadyMade);
            given.inspect(|given| given.tell(&mut response));
            return response;
        };
        given.inspect(|given| given.tell(&mut response));
        let case = self.case(decided.part, now);
        self.exchange.client().worker.count_decided(&self.snapshot, decided);
        self.exchange.replay(now);
        if let Some(opinion) = self.opinion {
            opinion.differ();
        }
        if !self.head.headers.contains_key(EXPECT) {
            closing::discard(self.body);
        }
        if let Some(case) = case {
            let worker = &self.exchange.client().worker;
            case.tell(worker, &self.snapshot, Outcome::Replayed, None, response.headers_mut());
        }
        finish(response, self.exchange)
    }

    /// The token by which it was decided. By now it has been seen: this is a look into memory.
    fn token(&self, decided: Decided) -> Option<Rc<Verified>> {
        let worker = &self.exchange.client().worker;
        let route = &self.snapshot.routes[decided.route];
        let fields = Fields::Map(&self.head.headers);
        route.reads_token.then(|| worker.token(&self.snapshot, fields, self.now).ok()?)?
    }

    /// The grant that goes with an answer that is given again.
    fn given_again(
        &self,
        receipt: &Receipt,
        decided: Decided,
        token: Option<&Verified>,
        now: Timestamp,
    ) -> Option<Given> {
        let Self { exchange, snapshot, head, .. } = self;
        let worker = &exchange.client().worker;
        let asks = (&snapshot.routes[decided.route], decided.part);
        let is_secure = self.is_secure();
        Given::again(receipt.given(), snapshot, worker, asks, (head, token), is_secure, now)
    }

    /// The customer came by TLS.
    fn is_secure(&self) -> bool {
        let peer = self.exchange.client().peer.address;
        headers::came_by_tls(&self.head.headers, self.snapshot.trusts(peer))
    }

    /// First the body is awaited, so that nobody holds a permit who has yet to send; then the permit.
    async fn admit(
        &mut self,
        decided: Decided,
        token: Option<&Verified>,
    ) -> Result<Onward, Reason> {
        let Decided { route: index, part, tenancy, .. } = decided;
        let snapshot = Rc::clone(&self.snapshot);
        let route = &snapshot.routes[index];
        let upstream = &snapshot.upstreams[route.upstream];
        let tier = snapshot.tenants.tier(tenancy, route.tier);
        let deadline = self.now + snapshot.tiers[tier.index()].deadline;
        let meant = &snapshot.config.routes[index];
        let length = self.body.size_hint().lower();
        let peer = self.exchange.client().peer.address;
        let key = match meant.once {
            true => purchase::key(&snapshot, index, view(&self.head, peer, token, length)),
            false => None,
        };
        let (ahead, now) = if self.body.is_end_stream() {
            (ReadAhead::none(), self.now)
        } else if self.head.headers.contains_key(EXPECT) && key.is_none() {
            (ReadAhead::nothing(upstream)?, self.now)
        } else {
            let (link, until) = (&self.exchange.client().link, clock::instant(deadline));
            // In a box of its own, as everything here that holds a timer: timers are large and want a
            // cache line of their own, and most requests need none.
            // What tells one purchase from another is awaited whatever it takes.
            let prompt = if key.is_some() { until } else { ReadAhead::prompt() };
            let (body, max) = (&mut self.body, route.max_body);
            let ahead = Box::pin(ReadAhead::of(body, max, link, upstream, prompt, until));
            (ahead.await?, clock::now())
        };
        let mut purchase = None;
        if let Some(key) = key {
            let head = view(&self.head, peer, token, length);
            let fingerprint = purchase::fingerprint(head, &ahead, length);
            match Box::pin(purchase::begin(&snapshot, key, fingerprint, deadline)).await? {
                purchase::Attempt::First(first) => purchase = Some(first),
                purchase::Attempt::Replay(receipt) => return Ok(Onward::Replay(receipt)),
            }
        }
        let going = Going::begin(&snapshot, route, part, self.is_secure(), now)?;
        let sku = match &meant.sku {
            Some(source) if self.head.method != Method::OPTIONS => {
                Sku::of(source, &meant.path, view(&self.head, peer, token, length))
            }
            _ => None,
        };
        let mut canary = match &sku {
            Some(sku) => snapshot.stocks.claim(sku, now)?,
            None => None,
        };
        let watched = sku.as_ref().filter(|_| canary.is_none());
        let admit = admission::admit(&snapshot, route, part, tenancy, now, deadline);
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
        let going = going.map(|going| going.admitted(&snapshot, worker, &self.head, token, now));
        if let Some(canary) = &mut canary {
            canary.ask();
        }
        let is_plain = going.is_none() && sku.is_none() && purchase.is_none();
        let errand = (!is_plain).then(|| Box::new(Errand { going, sku, canary, purchase }));
        Ok(Onward::Go(Go { route: index, ahead, admitted, errand, now, deadline }))
    }
}

/// What decides about a request, of its head as hyper gives it.
fn view<'a>(
    head: &'a request::Parts,
    peer: IpAddr,
    token: Option<&'a Verified>,
    body: u64,
) -> HeadView<'a> {
    HeadView {
        line: Line { method: head.method.as_str(), path: head.uri.path() },
        query: head.uri.query().unwrap_or_default(),
        fields: Fields::Map(&head.headers),
        peer,
        token,
        body,
    }
}
