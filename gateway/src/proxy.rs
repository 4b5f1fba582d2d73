//! The life of a request, in order.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use floodgate_config::Stage;
use floodgate_limiter::{Ticket, Timestamp};
use http::header::{EXPECT, HeaderName};
use http::{Method, Request, Response, request};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::access_log::Entry;
use crate::admission::{self, Admitted, Pending, Turn};
use crate::alone;
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
use crate::keyed::{Asked, Limited};
use crate::link::Link;
use crate::objective::TraceId;
use crate::purchase::{self, Attempt, Purchase, Receipt};
use crate::reason::Reason;
use crate::request_body::ReadAhead;
use crate::respond;
use crate::response_body::ResponseBody;
use crate::service::{self, Errand, Go, finish, refuse};
use crate::shadow::{Opinion, Shadow};
use crate::snapshot::Snapshot;
use crate::stages::ASKS_FOR_TIMING;
use crate::stock::Sku;
use crate::worker::{SnapshotRef, Worker};

/// Names the trace that a request belongs to (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

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

/// A request that has come.
pub(crate) struct Arrival {
    /// Its entry in the ledger.
    pub exchange: Exchange,
    /// The rules it came under.
    pub snapshot: SnapshotRef,
    /// As it came.
    pub head: request::Parts,
    /// Its body, until that is read or sent on.
    pub body: Option<Incoming>,
    /// What its head alone says.
    decided: Result<Decided, Refused>,
    /// Its good token, if something goes by it and it is not refused.
    pub token: Option<Rc<Verified>>,
    /// Which limit of its key's own refused it behind that.
    limited: Option<Limited>,
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
        let (route, seen, tenancy) = match decided {
            Ok(decided) => (Some(decided.route), decided.seen, decided.tenancy),
            Err(refused) => (refused.route, refused.seen, refused.tenancy),
        };
        client.worker.count_seen(&snapshot, route, seen);
        let before = client.link.before();
        let mut exchange = Exchange::begin(client, &snapshot, route, tenancy, before, now);
        if let (Ok(_), Some(trace)) = (&decided, head.headers.get(TRACEPARENT)) {
            exchange.set_trace(TraceId::of(trace.as_bytes()));
        }
        let entry = {
            let Client { worker, peer, .. } = exchange.client();
            Entry::of(worker, &snapshot, self::view(&head, peer.address, None, 0))
        };
        exchange.set_entry(entry);
        let (body, token, limited) = (Some(body), None, None);
        Self { exchange, snapshot, head, body, decided, token, limited, opinion, now }
    }

    /// What would be refused, and as what.
    pub(crate) fn refused(&self, reason: Reason) -> Refused {
        match self.decided {
            Ok(Decided { route, part, tenancy, seen, .. }) => {
                let limited = self.limited;
                Refused { route: Some(route), reason, part, tenancy, seen, limited }
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
        if !self.head.headers.contains_key(EXPECT)
            && let Some(body) = self.body.take()
        {
            closing::discard(body);
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

    #[expect(clippy::manual_async_fn, reason = "an async fn would keep all of it twice")]
    fn serve(mut self, decided: Decided) -> impl Future<Output = Response<ResponseBody>> {
        async move {
            self.token = self.find_token(decided);
            let go = match self.admit(decided).await {
                Ok(Onward::Go(go)) => go,
                Ok(Onward::Replay(receipt)) => return self.replay(&receipt, decided),
                Err(reason) => return self.refuse(reason),
            };
            let case = self.case(decided.part, go.now).map(Box::new);
            let worker = &self.exchange.client().worker;
            worker.count_decided(&self.snapshot, decided);
            self.exchange.admit(self.opinion.take().and_then(Opinion::agree), go.now);
            if go.errand.as_ref().is_some_and(|errand| errand.purchase.is_some()) {
                return Box::pin(self.make(go, case)).await;
            }
            let response = service::run(&mut self, go, case).await;
            finish(response, self.exchange)
        }
    }

    /// Makes a purchase to its end, whether or not its customer waits for it: the next click is for the same,
    /// and a drain waits for it.
    async fn make(mut self, go: Go, case: Option<Box<Case>>) -> Response<ResponseBody> {
        let worker = Rc::clone(&self.exchange.client().worker);
        let made = async move {
            let response = service::run(&mut self, go, case).await;
            finish(response, self.exchange)
        };
        alone::to_its_end(worker, made).await.unwrap_or_else(|| {
            respond::refuse(Reason::UpstreamError, Reason::UpstreamError.status(), None)
        })
    }

    /// Answers as the same request was answered before.
    fn replay(mut self, receipt: &Receipt, decided: Decided) -> Response<ResponseBody> {
        let now = clock::now();
        let given = self.given_again(receipt, decided, now);
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
        if !self.head.headers.contains_key(EXPECT)
            && let Some(body) = self.body.take()
        {
            closing::discard(body);
        }
        if let Some(case) = case {
            let worker = &self.exchange.client().worker;
            case.tell(worker, &self.snapshot, Outcome::Replayed, None, response.headers_mut());
        }
        finish(response, self.exchange)
    }

    /// The token by which it was decided. By now it has been seen: this is a look into memory.
    fn find_token(&self, decided: Decided) -> Option<Rc<Verified>> {
        if !self.snapshot.routes[decided.route].reads_token {
            return None;
        }
        let (worker, fields) = (&self.exchange.client().worker, Fields::Map(&self.head.headers));
        worker.token(&self.snapshot, fields, self.now).ok()?
    }

    /// The grant that goes with an answer that is given again.
    fn given_again(&self, receipt: &Receipt, decided: Decided, now: Timestamp) -> Option<Given> {
        let given = receipt.given()?;
        let worker = &self.exchange.client().worker;
        let mut asked = Asked::new(worker, &self.snapshot, self.view());
        given.again(&mut asked, decided, &self.head, self.is_secure(), now)
    }

    /// The customer came by TLS.
    fn is_secure(&self) -> bool {
        headers::came_by_tls(&self.head.headers, self.snapshot.trusts(self.peer()))
    }

    /// First the body is awaited, so that nobody holds a permit who has yet to send; then the permit.
    ///
    /// What few requests have to wait for has a box of its own, here and further on: the future of the
    /// others is small, and so is what moving it costs.
    async fn admit(&mut self, decided: Decided) -> Result<Onward, Reason> {
        let Decided { route: index, part, tenancy, deadline: said, .. } = decided;
        let is_once = self.snapshot.config.routes[index].once;
        let deadline = self.now + said.left;
        self.exchange.count_deadline(said);
        let (ahead, begun, now) = if is_once || self.has_body() {
            Box::pin(self.read(index, deadline)).await?
        } else {
            (ReadAhead::none(), None, self.now)
        };
        let purchase = match begun {
            None => None,
            Some(Attempt::First(purchase)) => Some(purchase),
            Some(Attempt::Replay(receipt)) => return Ok(Onward::Replay(receipt)),
        };
        let mut errand = self.errand(index, part, purchase, now)?;
        let mut watched = None;
        if let Some(Errand { sku: Some(sku), canary, .. }) = errand.as_deref_mut() {
            *canary = self.snapshot.stocks.claim(sku, now)?;
            watched = Some(&*sku).filter(|_| canary.is_none());
        }
        self.exchange.stages().enter(Stage::Queue, clock::now());
        let snapshot = &*self.snapshot;
        let route = &snapshot.routes[index];
        let share = snapshot.tenants.share(tenancy, route.upstream);
        let (tenants, now) = match share {
            None => (None, now),
            Some(_) => {
                let asks = (part, tenancy);
                let _waiting = self.exchange.client().link.wait();
                Box::pin(admission::hold(snapshot, route, asks, now, deadline)).await?
            }
        };
        // In a box, since few routes need it.
        let mut asked = route.keyed.is_some().then(|| {
            let worker = &self.exchange.client().worker;
            Box::new(Asked::new(worker, snapshot, self.view()))
        });
        let keys = asked.as_deref_mut();
        let turn = admission::ask(snapshot, route, part, tenancy, keys, now, deadline);
        self.limited = asked.and_then(|asked| asked.limited);
        let (admitted, now) = match turn? {
            Turn::Now(admitted) => (admitted, now),
            Turn::Later(ticket, pending) => {
                let place = share.map(|share| share.take_place()).transpose()?;
                let _waiting = self.exchange.client().link.wait();
                let admitted = Box::pin(wait(snapshot, ticket, pending, watched)).await?;
                drop(place);
                (admitted, clock::now())
            }
        };
        let admitted = admitted.with(tenants);
        if let Some(errand) = &mut errand {
            let worker = &self.exchange.client().worker;
            let going = errand.going.take();
            let token = self.token.as_deref();
            errand.going =
                going.map(|going| going.admitted(snapshot, worker, &self.head, token, now));
            if let Some(canary) = &mut errand.canary {
                canary.ask();
            }
        }
        // A purchase that is cut off may have been made all the same: what its customer says bounds the wait only.
        let is_purchase = errand.as_ref().is_some_and(|errand| errand.purchase.is_some());
        let (deadline, is_own) = match is_purchase {
            true => (self.now + snapshot.tiers[route.tier.index()].deadline, false),
            false => (deadline, said.is_shorter),
        };
        Ok(Onward::Go(Go { route: index, ahead, admitted, errand, now, deadline, is_own }))
    }

    /// What it is beside a request, which is begun at `now`; nothing, for most.
    fn errand(
        &self,
        index: usize,
        part: Part,
        purchase: Option<Purchase>,
        now: Timestamp,
    ) -> Result<Option<Box<Errand>>, Reason> {
        let snapshot = &*self.snapshot;
        let route = &snapshot.routes[index];
        let meant = &snapshot.config.routes[index];
        if route.journey.is_none() && meant.sku.is_none() && purchase.is_none() {
            return Ok(None);
        }
        let going = Going::begin(snapshot, route, part, self.is_secure(), now)?;
        let sku = match &meant.sku {
            Some(source) if self.head.method != Method::OPTIONS => {
                Sku::of(source, &meant.path, self.view())
            }
            _ => None,
        };
        let is_plain = going.is_none() && sku.is_none() && purchase.is_none();
        Ok((!is_plain).then(|| Box::new(Errand { going, sku, canary: None, purchase })))
    }

    /// Reads what comes of the body in time, and begins the purchase if it is one.
    async fn read(
        &mut self,
        index: usize,
        deadline: Timestamp,
    ) -> Result<(ReadAhead, Option<Attempt>, Timestamp), Reason> {
        let snapshot = Rc::clone(&self.snapshot);
        let route = &snapshot.routes[index];
        let upstream = &snapshot.upstreams[route.upstream];
        let length = self.length();
        let key = match snapshot.config.routes[index].once {
            true => purchase::key(&snapshot, index, self.view(), self.now),
            false => None,
        };
        let (ahead, now) = match &mut self.body {
            Some(body) if !body.is_end_stream() => {
                if self.head.headers.contains_key(EXPECT) && key.is_none() {
                    (ReadAhead::nothing(upstream)?, self.now)
                } else {
                    let (link, until) = (&self.exchange.client().link, clock::instant(deadline));
                    // What tells one purchase from another is awaited whatever it takes.
                    let prompt = if key.is_some() { until } else { ReadAhead::prompt() };
                    let max = route.max_body;
                    let ahead = ReadAhead::of(body, max, link, upstream, prompt, until);
                    (ahead.await?, clock::now())
                }
            }
            _ => (ReadAhead::none(), self.now),
        };
        let Some(key) = key else { return Ok((ahead, None, now)) };
        let head = view(&self.head, self.peer(), self.token.as_deref(), length);
        let fingerprint = purchase::fingerprint(head, &ahead, length);
        let begun = purchase::begin(&snapshot, key, fingerprint, deadline).await?;
        // It may have waited for somebody else's.
        Ok((ahead, Some(begun), clock::now()))
    }

    /// Whether its answer is to say where its time went.
    pub(crate) fn asks_for_timing(&self) -> bool {
        self.snapshot.trusts(self.peer()) && self.head.headers.contains_key(ASKS_FOR_TIMING)
    }

    fn has_body(&self) -> bool {
        self.body.as_ref().is_some_and(|body| !body.is_end_stream())
    }

    /// Whoever it came from.
    fn peer(&self) -> IpAddr {
        self.exchange.client().peer.address
    }

    /// Bytes of its body, as far as they are known.
    fn length(&self) -> u64 {
        self.body.as_ref().map_or(0, |body| body.size_hint().lower())
    }

    /// What decides about it.
    fn view(&self) -> HeadView<'_> {
        view(&self.head, self.peer(), self.token.as_deref(), self.length())
    }
}

/// Waits for its turn, or until what it is about is gone: then it is told at once.
async fn wait(
    snapshot: &Snapshot,
    ticket: Ticket,
    pending: Pending,
    watched: Option<&Sku>,
) -> Result<Admitted, Reason> {
    let Some(sku) = watched else { return admission::wait(ticket, pending, true).await };
    tokio::select! {
        biased;
        admitted = admission::wait(ticket, pending, true) => admitted,
        reason = snapshot.stocks.gone(sku, clock::now) => Err(reason),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, F: Future>(_: impl FnOnce(A, B) -> F) -> (usize, usize) {
        (size_of::<F>(), align_of::<F>())
    }

    /// It is written to the heap for each request, all of it.
    #[test]
    fn the_future_of_a_served_request_is_small() {
        let (size, align) = size_of_future(Arrival::serve);
        assert!(size <= 3_072, "{size}");
        assert!(align <= 8, "the allocator has to look for more: {align}");
    }
}
