//! What is known of the stock: a latch for each SKU, fed by what the upstream's answers say, and asked
//! before a request goes there.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use floodgate_config::{Pattern, SkuSource};
use floodgate_limiter::{LatchSettings, Latches, Look, Seen, Stock, Timestamp};
use http::{HeaderMap, StatusCode};
use tokio::sync::watch;

use crate::classify::HeadView;
use crate::clock;
use crate::percent;
use crate::reason::Reason;

/// What the upstream says is left, a number.
const REMAINING: &str = "x-stock-remaining";
/// What the upstream says the state is: `open`, `low`, `reserved_out` or `sold_out`.
const STATE: &str = "x-stock-state";
/// What a refusing answer has in its body, if that is why.
const SOLD_OUT: &[u8] = b"sold_out";
/// Which SKU the upstream speaks of, if it says so: a word about another one than was asked for says nothing.
const NAME: &str = "x-stock-sku";
/// Longest name of a SKU; a longer one is nobody's.
const MAX_NAME: usize = 64;

/// The latches, and a way to be told when one closes.
#[derive(Debug)]
pub(crate) struct Stocks {
    latches: Arc<Latches>,
    /// Moves when a latch closes.
    closed: watch::Sender<()>,
}

/// The request that asks whether something has come back. Dropped before that was answered, it lets the next one ask.
#[derive(Debug)]
pub(crate) struct Canary {
    /// Empty once there is an answer.
    stocks: Option<Arc<Stocks>>,
    sku: u64,
    /// When it was claimed.
    now: Timestamp,
    /// The upstream was asked.
    is_asked: bool,
}

/// What an answer may say of the stock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    /// The request was to change something.
    pub is_change: bool,
    /// Status of the answer.
    pub status: StatusCode,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// Its body, if that is short.
    pub body: Option<&'a [u8]>,
}

/// The SKU that a request is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Sku {
    digest: u64,
    len: usize,
    name: [u8; MAX_NAME],
}

// === impl Stocks ===

impl Stocks {
    /// As `meant`, with what was known `before`.
    pub(crate) fn carry(meant: &floodgate_config::Latch, before: Option<&Arc<Self>>) -> Arc<Self> {
        let (max_skus, ttl, low) = (meant.max_skus, meant.ttl, u64::from(meant.low));
        let settings = LatchSettings { max_skus, ttl, low };
        match before {
            Some(before) if before.latches.settings().max_skus == max_skus => {
                before.latches.apply(settings);
                Arc::clone(before)
            }
            Some(before) => Arc::new(Self {
                latches: before.latches.resized(settings),
                closed: before.closed.clone(),
            }),
            None => {
                let latches = Arc::new(Latches::new(settings));
                Arc::new(Self { latches, closed: watch::Sender::new(()) })
            }
        }
    }

    /// The latches, for the operator.
    pub(crate) fn latches(&self) -> &Latches {
        &self.latches
    }

    /// Whether anything of `sku` may be left, as far as is known. Only reads.
    ///
    /// # Errors
    /// The reason to refuse with.
    pub(crate) fn look(&self, sku: &Sku, now: Timestamp) -> Result<(), Reason> {
        match self.latches.look(sku.digest, now) {
            Look::Pass | Look::Canary(_) => Ok(()),
            Look::Refuse(stock) => Err(reason(stock)),
        }
    }

    /// The same for a request that is about to be let in: of those who are to find out whether something
    /// has come back, one may go: the canary. Everybody else is to be sent away if it sells out meanwhile.
    ///
    /// # Errors
    /// The reason to refuse with.
    pub(crate) fn claim(
        self: &Arc<Self>,
        sku: &Sku,
        now: Timestamp,
    ) -> Result<Option<Canary>, Reason> {
        match self.latches.look(sku.digest, now) {
            Look::Canary(stock) if !self.latches.claim_canary(sku.digest, now) => {
                Err(reason(stock))
            }
            Look::Canary(_) => Ok(Some(Canary {
                stocks: Some(Arc::clone(self)),
                sku: sku.digest,
                now,
                is_asked: false,
            })),
            Look::Pass => Ok(None),
            Look::Refuse(stock) => Err(reason(stock)),
        }
    }

    /// Resolves when `sku` is found to be gone, with the reason to refuse with.
    pub(crate) async fn gone(&self, sku: &Sku, now: impl Fn() -> Timestamp) -> Reason {
        let mut closed = self.closed.subscribe();
        loop {
            // It may have closed since the last look and before this one began to listen.
            if let Look::Refuse(stock) | Look::Canary(stock) = self.latches.look(sku.digest, now())
            {
                return reason(stock);
            }
            // Never an error: the sender is here.
            if closed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Takes in what an answer says of `sku`: to a request that was sent when it was `asked`. One that
    /// changes something at the upstream, if it succeeds, has found something left; a page says nothing. Whether it
    /// said anything.
    pub(crate) fn observe(
        &self,
        sku: &Sku,
        answer: Said<'_>,
        asked: Timestamp,
        now: Timestamp,
    ) -> bool {
        let Said { is_change, status, headers, body } = answer;
        let named = headers.get(NAME).map(|value| Sku::parse(value.as_bytes()));
        if named.is_some_and(|named| named.is_none_or(|named| named.digest != sku.digest)) {
            return false;
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let says_no = matches!(status, StatusCode::CONFLICT | StatusCode::GONE)
            && body.is_some_and(|body| contains(body, SOLD_OUT));
        let seen = Seen {
            remaining: text(REMAINING).and_then(|digits| digits.parse().ok()),
            state: text(STATE).and_then(Stock::from_name),
            sold_out: says_no,
        };
        if !((is_change && status.is_success())
            || says_no
            || seen.remaining.is_some()
            || seen.state.is_some())
        {
            return false;
        }
        let changed = self.latches.observe(sku.digest, sku.name(), seen, asked, now);
        self.tell(changed);
        if let Some(stock) = changed {
            tracing::info!(sku = sku.name(), state = stock.as_str(), "stock");
        }
        true
    }

    /// The operator says how it is. The new state, if that changed it.
    pub(crate) fn set(&self, sku: &Sku, stock: Stock, now: Timestamp) -> Option<Stock> {
        let changed = self.latches.set(sku.digest, sku.name(), stock, now);
        self.tell(Some(stock));
        changed
    }

    fn tell(&self, changed: Option<Stock>) {
        if matches!(changed, Some(Stock::ReservedOut | Stock::SoldOut)) {
            self.closed.send_replace(());
        }
    }
}

// === impl Canary ===

impl Canary {
    /// It goes to the upstream.
    pub(crate) const fn ask(&mut self) {
        self.is_asked = true;
    }

    /// The answer says how it is.
    pub(crate) fn hear(mut self) {
        self.stocks = None;
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        if let Some(stocks) = self.stocks.take() {
            stocks.latches.unclaim_canary(self.sku, self.now, self.is_asked, clock::now());
        }
    }
}

// === impl Sku ===

impl Sku {
    /// The one that a request names, if it names one.
    pub(crate) fn of(source: &SkuSource, pattern: &Pattern, head: HeadView<'_>) -> Option<Self> {
        match source {
            SkuSource::Path { segment } => {
                Self::parse(pattern.capture(head.line.path, *segment)?.as_bytes())
            }
            SkuSource::Header(name) => Self::parse(head.fields.only(name)?),
            SkuSource::Query(name) => {
                let pairs = head.query.split('&').filter_map(|pair| pair.split_once('='));
                // However the name is written: an upstream would understand it, too.
                let is_ours = |key: &str| {
                    Self::read(key.as_bytes(), true).is_some_and(|key| key.name() == name)
                };
                let mut values = pairs.filter(|(key, _)| is_ours(key)).map(|(_, value)| value);
                let value = values.next()?;
                // Which of two the upstream takes is not known.
                values.next().is_none().then(|| Self::read(value.as_bytes(), true))?
            }
        }
    }

    /// A name as it stands in a path or a field. Percent-encoding is undone, so that there are not many names for
    /// one thing.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        Self::read(text, false)
    }

    /// The same; in a query a plus may stand for a space.
    fn read(text: &[u8], has_plus: bool) -> Option<Self> {
        let mut name = [0; MAX_NAME];
        let mut len = 0;
        percent::pieces(text, has_plus, |piece| {
            if let Some(room) = name.get_mut(len..len + piece.len()) {
                room.copy_from_slice(piece);
            }
            len += piece.len();
        });
        let read = name.get(..len)?;
        let digest = digest(read);
        (len > 0 && std::str::from_utf8(read).is_ok()).then_some(Self { digest, len, name })
    }

    /// Stands for the name in tables; not the same in another process.
    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    /// As people know it.
    pub(crate) fn name(&self) -> &str {
        std::str::from_utf8(&self.name[..self.len]).unwrap_or_default()
    }
}

fn digest(name: &[u8]) -> u64 {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    SEED.get_or_init(RandomState::new).hash_one(name)
}

const fn reason(stock: Stock) -> Reason {
    match stock {
        Stock::ReservedOut => Reason::ReservedOut,
        _ => Reason::SoldOut,
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_has_one_name_however_it_is_written() {
        let sku = |text: &str| Sku::parse(text.as_bytes());
        assert_eq!(sku("hot"), sku("h%6ft"));
        assert_eq!(sku("h%6Ft").unwrap().name(), "hot");
        assert_ne!(sku("hot"), sku("Hot"));
        assert_eq!(sku("100%").unwrap().name(), "100%");
        assert_eq!(sku("%zz").unwrap().name(), "%zz");
        assert_eq!(sku("a+b").unwrap().name(), "a+b");
        let asked = |text: &str| Sku::read(text.as_bytes(), true);
        assert_eq!(asked("a+b"), asked("a%20b"));
        assert_eq!(asked("a%2Bb"), sku("a+b"));
        let long = "x".repeat(MAX_NAME + 1);
        for nobody in ["", "%ff", &long] {
            assert_eq!(sku(nobody), None, "{nobody}");
        }
    }
}
