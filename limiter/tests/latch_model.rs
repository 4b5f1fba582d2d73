//! Random lives of a latch against a model that searches lists.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::{LatchSettings, Latches, Look, Seen, Stock, Timestamp};
use support::{Random, at};

#[test]
fn any_life_of_a_latch_agrees_with_the_model() {
    for seed in 0..600 {
        let life = std::panic::AssertUnwindSafe(|| live(seed));
        if let Err(panic) = std::panic::catch_unwind(life) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[derive(Clone)]
struct Sku {
    sku: u64,
    stock: Stock,
    since: Timestamp,
    due: Timestamp,
    by_status: bool,
    strikes: Vec<Timestamp>,
}

/// In the order in which they were last heard of.
#[derive(Clone)]
struct Model {
    settings: LatchSettings,
    skus: Vec<Sku>,
    forgotten: Timestamp,
}

impl Model {
    fn look(&self, sku: u64, now: Timestamp) -> Look {
        match self.skus.iter().find(|known| known.sku == sku) {
            Some(Sku { stock: stock @ (Stock::ReservedOut | Stock::SoldOut), due, .. }) => {
                if now >= *due { Look::Canary(*stock) } else { Look::Refuse(*stock) }
            }
            _ => Look::Pass,
        }
    }

    fn claim(&mut self, sku: u64, now: Timestamp) -> bool {
        let is_due = matches!(self.look(sku, now), Look::Canary(_));
        if is_due {
            let known = self.skus.iter_mut().find(|known| known.sku == sku).unwrap();
            known.due = now + self.settings.ttl;
        }
        is_due
    }

    fn unclaim(&mut self, sku: u64, claimed: Timestamp, is_asked: bool, now: Timestamp) {
        let ttl = self.settings.ttl;
        if let Some(known) = self.skus.iter_mut().find(|known| known.sku == sku)
            && known.stock.is_out()
            && known.due == claimed + ttl
        {
            known.due = if is_asked { now + ttl / 10 } else { claimed };
        }
    }

    /// Makes room for one that would close or not. Whether there is.
    fn make_room(&mut self, closes: bool) -> bool {
        if self.skus.len() < self.settings.max_skus {
            return true;
        }
        let open = self.skus.iter().position(|known| !known.stock.is_out());
        match open.or(closes.then_some(0)) {
            Some(leaves) => {
                let leaves = self.skus.remove(leaves);
                self.forgotten = self.forgotten.max(leaves.since);
                true
            }
            None => false,
        }
    }

    /// Takes the SKU out, to be put back at the end when it has been heard of.
    fn take(&mut self, sku: u64, closes: bool) -> Option<Sku> {
        if let Some(index) = self.skus.iter().position(|known| known.sku == sku) {
            return Some(self.skus.remove(index));
        }
        let since = self.forgotten;
        self.make_room(closes).then(|| Sku {
            sku,
            stock: Stock::Open,
            since,
            due: at(0),
            by_status: false,
            strikes: vec![],
        })
    }

    fn observe(&mut self, sku: u64, seen: Seen, asked: Timestamp, now: Timestamp) -> Option<Stock> {
        let is_known = self.skus.iter().any(|known| known.sku == sku);
        let bare = seen.remaining.is_none() && seen.state.is_none();
        if let Some(known) = self.skus.iter().find(|known| known.sku == sku)
            && asked < known.since
        {
            return None;
        }
        if !is_known && (bare && !seen.sold_out || asked < self.forgotten) {
            return None;
        }
        let explicit_out = seen.state.is_some_and(Stock::is_out) || seen.remaining == Some(0);
        let mut known = self.take(sku, explicit_out || bare)?;
        let before = known.stock;
        if bare && seen.sold_out {
            if !before.is_out() {
                known.strikes.push(now);
            }
            let recent = |then: &&Timestamp| now.saturating_since(**then) <= Duration::from_secs(1);
            if known.strikes.iter().filter(recent).count() >= 3 {
                known.strikes.clear();
                known.by_status = true;
                known.stock = Stock::SoldOut;
            }
        } else {
            known.strikes.clear();
            if bare {
                if known.by_status {
                    known.stock = Stock::Open;
                }
            } else {
                known.stock = match (seen.state, seen.remaining) {
                    (Some(stock), _) if stock.is_out() => stock,
                    (_, Some(0)) if known.stock == Stock::SoldOut => Stock::SoldOut,
                    (_, Some(0)) => Stock::ReservedOut,
                    (Some(Stock::Low), _) => Stock::Low,
                    (_, Some(n)) if n <= self.settings.low => Stock::Low,
                    _ => Stock::Open,
                };
                known.by_status = false;
            }
        }
        known.by_status &= known.stock.is_out();
        self.put(known, before, now)
    }

    fn set(&mut self, sku: u64, stock: Stock, now: Timestamp) -> Option<Stock> {
        let Some(mut known) = self.take(sku, stock.is_out()) else {
            self.forgotten = self.forgotten.max(now);
            return None;
        };
        let before = known.stock;
        known.since = now;
        known.strikes.clear();
        known.by_status = false;
        known.stock = stock;
        self.put(known, before, now)
    }

    fn put(&mut self, mut known: Sku, before: Stock, now: Timestamp) -> Option<Stock> {
        let stock = known.stock;
        if stock != before {
            known.due = now + self.settings.ttl;
            if stock.is_out() || before.is_out() {
                known.since = known.since.max(now);
            }
        }
        self.skus.push(known);
        (stock != before).then_some(stock)
    }

    fn resized(&self, settings: LatchSettings) -> Self {
        let mut other = Self { settings, skus: vec![], forgotten: self.forgotten };
        let out = |is_out| self.skus.iter().filter(move |known| known.stock.is_out() == is_out);
        for known in out(false).chain(out(true)) {
            if other.make_room(known.stock.is_out()) {
                other.skus.push(known.clone());
            }
        }
        other
    }
}

fn live(seed: u64) {
    let mut random = Random::new(seed);
    let settings = |random: &mut Random| LatchSettings {
        max_skus: 1 + random.below(7) as usize,
        ttl: Duration::from_millis(1 + random.below(3_000)),
        low: random.below(3),
    };
    let first = settings(&mut random);
    let mut latches = Arc::new(Latches::new(first));
    // Whoever still has the first one sees and says the same.
    let oldest = Arc::clone(&latches);
    let mut model = Model { settings: first, skus: vec![], forgotten: at(0) };
    // Some share their place in the table.
    let skus: Vec<u64> = (0..9).map(|n| (random.below(4) << 2) + (n << 40)).collect();
    let mut canaries = Vec::new();
    let mut now = 5_000;
    for _ in 0..400 {
        now += random.below(400);
        let sku = skus[random.below(9) as usize];
        let asked = at(now - random.below(2) * random.below(1_500));
        let any = if random.one_in(2) { &oldest } else { &latches };
        match random.below(20) {
            0..14 => {
                let seen = match random.below(5) {
                    0 => Seen { sold_out: random.one_in(2), ..Seen::default() },
                    1 => Seen { sold_out: true, ..Seen::default() },
                    2 => Seen { remaining: Some(random.below(4)), ..Seen::default() },
                    3 => Seen { state: Some(stock(&mut random)), ..Seen::default() },
                    _ => Seen {
                        remaining: Some(random.below(4)),
                        state: Some(stock(&mut random)),
                        sold_out: random.one_in(2),
                    },
                };
                let changed = any.observe(sku, "sku", seen, asked, at(now));
                assert_eq!(changed, model.observe(sku, seen, asked, at(now)));
            }
            14..17 => {
                let is_canary = model.claim(sku, at(now));
                assert_eq!(any.claim_canary(sku, at(now)), is_canary);
                canaries.extend(is_canary.then_some((sku, at(now))));
                if !canaries.is_empty() && random.one_in(2) {
                    let canary = random.below(canaries.len() as u64) as usize;
                    let ((sku, claimed), is_asked) = (canaries.remove(canary), random.one_in(2));
                    any.unclaim_canary(sku, claimed, is_asked, at(now));
                    model.unclaim(sku, claimed, is_asked, at(now));
                }
            }
            17 => {
                let stock = stock(&mut random);
                assert_eq!(any.set(sku, "sku", stock, at(now)), model.set(sku, stock, at(now)));
            }
            18 => {
                let changed = settings(&mut random);
                any.apply(changed);
                model.settings = LatchSettings { max_skus: model.settings.max_skus, ..changed };
            }
            _ if random.one_in(4) => {
                let changed = settings(&mut random);
                latches = any.resized(changed);
                model = model.resized(changed);
            }
            _ => {}
        }
        for &sku in &skus {
            assert_eq!(latches.look(sku, at(now)), model.look(sku, at(now)));
            assert_eq!(oldest.look(sku, at(now)), model.look(sku, at(now)));
        }
        let out = model.skus.iter().filter(|known| known.stock.is_out()).count();
        assert_eq!((latches.list().len(), latches.latched()), (model.skus.len(), out));
        for stock in Stock::ALL {
            let of_this = model.skus.iter().filter(|known| known.stock == stock).count();
            assert_eq!(latches.count(stock), of_this, "{stock}");
        }
    }
}

fn stock(random: &mut Random) -> Stock {
    [Stock::Open, Stock::Low, Stock::ReservedOut, Stock::SoldOut][random.below(4) as usize]
}
