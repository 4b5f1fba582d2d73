//! Purchase once: however often a customer clicks, the upstream is asked once, and everybody who asked
//! the same gets its answer.
//!
//! The same is what brings the same `Idempotency-Key` or, without one, what the same customer asks of the
//! same step of a journey for the same SKU, or by the same target. A key is its customer's own: who says nothing of
//! itself, neither to a journey nor by `Authorization`, is whoever else comes from the same address.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use floodgate_limiter::{Begin, Claim, Followed, Once, OnceSettings, Timestamp};
use http::{HeaderMap, Response, StatusCode};
use hyper::ext::ReasonPhrase;

use crate::classify::{HeadView, Line};
use crate::clock;
use crate::grant::cookie::GRANT_HEADER;
use crate::grant::identity::Customer;
use crate::journey::Given;
use crate::reason::Reason;
use crate::request_body::ReadAhead;
use crate::response_body::ResponseBody;
use crate::snapshot::Snapshot;
use crate::stock::Sku;

/// With which a client says that two requests are for one purchase.
const KEY: &str = "idempotency-key";
/// Longest body of an answer that is kept.
pub(crate) const MAX_BODY: usize = 8 * 1024;

/// What is being bought, and what was answered to those who bought.
pub(crate) type Purchases = Once<Arc<Receipt>>;

/// An answer that is kept, to be given again.
#[derive(Debug)]
pub(crate) struct Receipt {
    status: StatusCode,
    phrase: Option<ReasonPhrase>,
    headers: HeaderMap,
    /// Not kept if it was too long.
    body: Option<Bytes>,
    /// The grant that came with it.
    given: Option<Given>,
}

/// The right, and the duty, to make a purchase. Dropped, the next who asks has both.
///
/// In a box: its key wants 16 bytes of alignment, and so would every future that may hold one.
#[derive(Debug)]
pub(crate) struct Purchase(Box<Claim<Arc<Receipt>>>);

/// How a request to buy goes on.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It is the first of its kind.
    First(Purchase),
    /// It has been answered before.
    Replay(Arc<Receipt>),
}

/// As `meant`, with what was known `before`.
pub(crate) fn carry(
    meant: &floodgate_config::Once,
    before: Option<&Arc<Purchases>>,
) -> Arc<Purchases> {
    let settings = OnceSettings { memory: meant.memory as usize, ttl: meant.ttl };
    match before {
        Some(before) => {
            before.apply(settings);
            Arc::clone(before)
        }
        None => Purchases::new(settings),
    }
}

/// Whether a request says by itself which purchase it is for.
pub(crate) fn has_key(head: HeadView<'_>) -> bool {
    head.fields.only(KEY).is_some()
}

/// Whether the answer to a request of route number `route` is here or on its way. Only reads.
pub(crate) fn is_known(
    snapshot: &Snapshot,
    route: usize,
    head: HeadView<'_>,
    now: Timestamp,
) -> bool {
    key(snapshot, route, head).is_some_and(|key| snapshot.purchases.knows(key, now))
}

/// What tells one purchase on route number `route` from another; `None` if nothing does, or if it is none.
pub(crate) fn key(snapshot: &Snapshot, route: usize, head: HeadView<'_>) -> Option<u128> {
    let meant = &snapshot.config.routes[route];
    let Line { method, path } = head.line;
    // What changes nothing may come as often as it likes (RFC 9110 §9.2.1).
    if matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE") {
        return None;
    }
    let journey = meant.journey.map(|(journey, step)| (&snapshot.journeys[journey], step));
    let customer = journey.and_then(|(journey, _)| journey.customer(head.fields, head.token));
    // A purchase is its customer's own: the same from somebody else, or with another proof of who it is, is
    // another.
    let login = head.fields.only("authorization");
    if let Some(key) = head.fields.only(KEY) {
        let customer = customer.as_ref().map(Customer::as_bytes);
        // Nobody shall see what somebody else has bought who happens to use the same key.
        let is_nobody = login.is_none() && customer.is_none();
        let address = is_nobody.then(|| head.client(snapshot));
        return Some(digest(&(meant.name.as_str(), method, key, login, customer, address)));
    }
    let ((journey, step), customer) = journey.zip(customer)?;
    let sku = meant.sku.as_ref().and_then(|source| Sku::of(source, &meant.path, head));
    // However a SKU is written it is the same; without one, what is bought may stand in the target.
    let what = sku.map(|sku| sku.digest()).ok_or((path, head.query));
    Some(digest(&(journey.name.as_str(), step, method, customer.as_bytes(), login, what)))
}

/// Begins a purchase, or waits until whoever did has an answer, until `deadline`.
///
/// # Errors
/// The reason to refuse with.
pub(crate) async fn begin(
    snapshot: &Snapshot,
    key: u128,
    fingerprint: u64,
    deadline: Timestamp,
) -> Result<Attempt, Reason> {
    loop {
        let follow = match snapshot.purchases.begin(key, fingerprint, clock::now()) {
            Begin::First(claim) => return Ok(Attempt::First(Purchase(Box::new(claim)))),
            Begin::Replay(receipt) => return Ok(Attempt::Replay(receipt)),
            Begin::InFlight(follow) => follow,
            Begin::Mismatch => return Err(Reason::KeyReused),
            Begin::Busy => return Err(Reason::InProgress),
            // Everything that is remembered is being made: one more could be made twice.
            Begin::Full => return Err(Reason::BufferFull),
        };
        match tokio::time::timeout_at(clock::instant(deadline), follow).await {
            Ok(Followed::Replay(receipt)) => return Ok(Attempt::Replay(receipt)),
            // That one came to nothing: somebody has to be the next.
            Ok(Followed::Retry) => {}
            Err(_) => return Err(Reason::InProgress),
        }
    }
}

/// Stands for a request whose body was announced with this length, or none, by the beginning of that and,
/// if the request brings a key of its own, by its target: the same key with another is a mistake.
pub(crate) fn fingerprint(head: HeadView<'_>, body: &ReadAhead, length: u64) -> u64 {
    let target = has_key(head).then_some((head.line.path, head.query));
    seeds()[0].hash_one((body.beginning(), length, target))
}

fn digest(key: &impl std::hash::Hash) -> u128 {
    let [high, low] = seeds().each_ref().map(|seed| u128::from(seed.hash_one(key)));
    high << 64 | low
}

/// Nobody outside can find two purchases that look the same.
fn seeds() -> &'static [RandomState; 2] {
    static SEEDS: OnceLock<[RandomState; 2]> = OnceLock::new();
    SEEDS.get_or_init(|| [RandomState::new(), RandomState::new()])
}

/// Whether such an answer says that it is done.
fn is_made(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

// === impl Purchase ===

impl Purchase {
    /// It is answered: with what is to be kept, or with what is not.
    ///
    /// Only what succeeded was made. Anything else is told to those who wait for it, and forgotten: to ask
    /// again may end better, and makes nothing twice.
    pub(crate) fn finish(self, receipt: Option<Receipt>) {
        let size = receipt
            .as_ref()
            .map_or(0, |receipt| if is_made(receipt.status) { receipt.size() } else { usize::MAX });
        self.0.finish(receipt.map(Arc::new), size, clock::now());
    }
}

// === impl Receipt ===

impl Receipt {
    /// What is to be told to whoever asks for the same; `None` if they are to ask themselves. Without a
    /// `body`, which was too long, only that it was made.
    pub(crate) fn of(response: &Response<ResponseBody>, body: Option<Bytes>) -> Option<Self> {
        let status = response.status();
        let is_final = !status.is_server_error()
            && !matches!(
                status,
                StatusCode::REQUEST_TIMEOUT
                    | StatusCode::TOO_EARLY
                    | StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::SWITCHING_PROTOCOLS
            );
        let is_told = is_final && (body.is_some() || is_made(status));
        let phrase = response.extensions().get().cloned();
        is_told.then(|| {
            let mut headers = response.headers().clone();
            // It is for the gateway, and said once.
            headers.remove(GRANT_HEADER);
            if body.is_none() {
                headers.clear();
            }
            Self { status, phrase, headers, body, given: None }
        })
    }

    /// The same with the grant that goes with the answer.
    pub(crate) fn with(self, given: Option<Given>) -> Self {
        Self { given, ..self }
    }

    /// The grant that went with it.
    pub(crate) const fn given(&self) -> Option<&Given> {
        self.given.as_ref()
    }

    /// Memory it takes, about.
    pub(crate) fn size(&self) -> usize {
        let fields =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64);
        size_of::<Self>()
            + fields.sum::<usize>()
            + self.body.as_ref().map_or(0, Bytes::len)
            + self.given.as_ref().map_or(0, Given::size)
    }

    /// The answer once more; `None` if it was too long to be kept.
    pub(crate) fn replay(&self) -> Option<Response<ResponseBody>> {
        let mut response = Response::new(ResponseBody::full(self.body.clone()?));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        if let Some(phrase) = &self.phrase {
            response.extensions_mut().insert(phrase.clone());
        }
        Some(response)
    }
}
