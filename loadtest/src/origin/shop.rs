//! The trade of an origin: stock that really falls, orders, payments, and who caused the work.
//!
//! | step | request | answer |
//! |---|---|---|
//! | sale | `GET /sale/{sku}` and below | 200 with `x-stock-remaining` |
//! | cart | `POST /cart` | 200 |
//! | checkout | `GET /checkout` | 200 |
//! | order | `POST /orders` | 201 with `location: /orders/{id}`, or 409 when nothing is left |
//! | poll | `GET /orders/{id}` | 200, or 404 for an order that does not exist |
//! | pay | `POST /pay` with `x-order-id` | 200, or 404; paying twice is paying once |
//!
//! The SKU comes from the path, from `x-sku` or from `?sku=`; the first of the shop without. Orders
//! with the same `idempotency-key` are one, unless the shop is told to be not idempotent.
//! `x-user-id` is whom the work is counted for, and
//! `x-customer-until` (milliseconds since 1970) says how long that customer waits.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::call::{Call, Step};

/// Customers told apart; the work of more is counted, but not by customer.
const MAX_CUSTOMERS: usize = 262_144;

/// What a shop has seen and sold. Calls count when their work is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShopStats {
    /// Work done, by step.
    pub calls: BTreeMap<String, u64>,
    /// Customers by `x-user-id`.
    pub customers: u64,
    /// Most calls of one customer.
    pub most_calls: u64,
    /// Orders: units of stock that were taken.
    pub ordered: u64,
    /// Orders asked for again with the same key, and answered with the first.
    pub repeated: u64,
    /// Orders refused because nothing was left.
    pub sold_out: u64,
    /// Orders beyond the stock, counted from the book of orders: always 0.
    pub oversold: u64,
    /// Orders that were paid.
    pub paid: u64,
    /// Payments that were taken: more than orders that were paid when some were charged twice.
    #[serde(default)]
    pub charges: u64,
    /// Of those paid, when the customer had left: a charge that nobody saw succeed.
    pub paid_late: u64,
    /// Calls that were worked on when the customer had left.
    pub late_calls: u64,
    /// Calls of customers who have not paid: work that came to nothing, so far.
    pub unpaid_calls: u64,
    /// From [`begin`](super::OriginHandle::begin) to the order that took the last unit.
    pub sold_out_after_ms: Option<u64>,
    /// What is left, by SKU.
    pub stock: BTreeMap<String, u64>,
}

/// Everything behind one lock: the origin has one thread, so nobody waits for it.
#[derive(Debug)]
pub(super) struct Shop(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    calls: [u64; Step::ALL.len()],
    customers: HashMap<u64, Customer>,
    /// Places in `skus`.
    by_name: HashMap<Box<[u8]>, u16>,
    /// By idempotency key; never more than orders.
    keys: HashMap<u64, u32>,
    charges: u64,
    idempotent: bool,
    late_calls: u64,
    /// Calls without a customer, or beyond the bound.
    nameless_calls: u64,
    /// The index is the id. Never more than stock.
    orders: Vec<Order>,
    paid: u64,
    paid_late: u64,
    repeated: u64,
    skus: Vec<Sku>,
    sold_out: u64,
    sold_out_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Customer {
    calls: u64,
    paid: bool,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    paid: bool,
    sku: u16,
}

#[derive(Debug)]
struct Sku {
    left: u64,
    name: String,
    stock: u64,
}

/// What the shop answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<String>,
    pub(super) body: String,
}

// === impl Shop ===

impl Shop {
    /// Most units, all SKUs together: each may become an order that is remembered.
    pub(super) const MAX_STOCK: u64 = 10_000_000;
    pub(super) const MAX_SKUS: usize = 4_096;

    pub(super) fn new(stock: &[(String, u64)], idempotent: bool) -> io::Result<Self> {
        let units = stock.iter().map(|(_, units)| u128::from(*units)).sum::<u128>();
        if stock.len() > Self::MAX_SKUS || units > u128::from(Self::MAX_STOCK) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{} SKUs with {units} units are too many; use at most {} with {}",
                    stock.len(),
                    Self::MAX_SKUS,
                    Self::MAX_STOCK
                ),
            ));
        }
        let sku =
            |(name, units): &(String, u64)| Sku { left: *units, name: name.clone(), stock: *units };
        let skus = stock.iter().map(sku).collect();
        let names = stock.iter().enumerate().rev();
        let by_name = names.map(|(at, (name, _))| (name.as_bytes().into(), at as u16)).collect();
        Ok(Self(Mutex::new(Books { by_name, idempotent, skus, ..Books::default() })))
    }

    /// Which SKU a name means: the first of the shop when it is not known.
    pub(super) fn sku(&self, name: &[u8]) -> u16 {
        self.lock().by_name.get(name).copied().unwrap_or(0)
    }

    /// Does what a call asks for, `now` after the begin.
    pub(super) fn trade(&self, call: &Call, now: Duration) -> Reply {
        let mut books = self.lock();
        let late = call.until_ms.is_some_and(|until| until < unix_ms());
        books.calls[call.step as usize] += 1;
        books.late_calls += u64::from(late);
        match call.customer {
            Some(customer) if books.has_room_for(customer) => {
                books.customers.entry(customer).or_default().calls += 1;
            }
            _ => books.nameless_calls += 1,
        }
        match call.step {
            Step::Cart | Step::Checkout => Reply::ok(),
            Step::Order => books.order(call, now),
            Step::Pay => books.pay(call, late),
            Step::Poll => books.poll(call),
            Step::Sale => {
                let left = books.skus.get(usize::from(call.sku)).map_or(0, |sku| sku.left);
                Reply { headers: vec![format!("x-stock-remaining: {left}")], ..Reply::ok() }
            }
        }
    }

    pub(super) fn stats(&self) -> ShopStats {
        let books = self.lock();
        let mut by_sku = vec![0u64; books.skus.len()];
        for order in &books.orders {
            by_sku[usize::from(order.sku)] += 1;
        }
        let oversold = by_sku.iter().zip(&books.skus).map(|(sold, sku)| {
            // Counted from the orders, not from the counter that is meant to prevent it.
            sold.saturating_sub(sku.stock)
        });
        let unpaid = books.customers.values().filter(|customer| !customer.paid);
        ShopStats {
            calls: Step::ALL
                .iter()
                .map(|step| (step.name().to_owned(), books.calls[*step as usize]))
                .collect(),
            customers: books.customers.len() as u64,
            most_calls: books.customers.values().map(|customer| customer.calls).max().unwrap_or(0),
            ordered: books.orders.len() as u64,
            charges: books.charges,
            repeated: books.repeated,
            sold_out: books.sold_out,
            oversold: oversold.sum(),
            paid: books.paid,
            paid_late: books.paid_late,
            late_calls: books.late_calls,
            unpaid_calls: books.nameless_calls + unpaid.map(|customer| customer.calls).sum::<u64>(),
            sold_out_after_ms: books.sold_out_after.map(|after| after.as_millis() as u64),
            stock: books.skus.iter().map(|sku| (sku.name.clone(), sku.left)).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Books ===

impl Books {
    fn has_room_for(&self, customer: u64) -> bool {
        self.customers.len() < MAX_CUSTOMERS || self.customers.contains_key(&customer)
    }

    fn order(&mut self, call: &Call, now: Duration) -> Reply {
        let key = call.key.filter(|_| self.idempotent);
        if let Some(id) = key.and_then(|key| self.keys.get(&key).copied()) {
            self.repeated += 1;
            return Reply::created(id);
        }
        let Some(sku) = self.skus.get_mut(usize::from(call.sku)) else { return Reply::sold_out() };
        let Some(left) = sku.left.checked_sub(1) else {
            self.sold_out += 1;
            return Reply::sold_out();
        };
        sku.left = left;
        let id = self.orders.len() as u32;
        self.orders.push(Order { paid: false, sku: call.sku });
        if let Some(key) = key {
            self.keys.insert(key, id);
        }
        if self.skus.iter().all(|sku| sku.left == 0) {
            self.sold_out_after = Some(now);
        }
        let mut reply = Reply::created(id);
        reply.headers.push(format!("x-stock-remaining: {left}"));
        reply
    }

    fn poll(&self, call: &Call) -> Reply {
        match self.orders.get(call.order) {
            Some(Order { paid: true, .. }) => Reply::of(200, "{\"status\":\"paid\"}"),
            Some(_) => Reply::of(200, "{\"status\":\"confirmed\"}"),
            None => Reply::of(404, "{\"status\":\"unknown\"}"),
        }
    }

    fn pay(&mut self, call: &Call, late: bool) -> Reply {
        let Some(order) = self.orders.get_mut(call.order) else {
            return Reply::of(404, "{\"status\":\"unknown\"}");
        };
        let is_first = !std::mem::replace(&mut order.paid, true);
        self.charges += u64::from(is_first || !self.idempotent);
        if is_first {
            self.paid += 1;
            self.paid_late += u64::from(late);
            if let Some(customer) = call.customer.and_then(|id| self.customers.get_mut(&id)) {
                customer.paid = true;
            }
        }
        Reply::of(200, "{\"status\":\"paid\"}")
    }
}

// === impl Reply ===

impl Reply {
    fn of(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.to_owned() }
    }

    fn ok() -> Self {
        Self::of(200, "{\"status\":\"ok\"}")
    }

    fn created(id: u32) -> Self {
        let headers = vec![format!("location: /orders/{id}")];
        Self { headers, ..Self::of(201, &format!("{{\"id\":\"{id}\"}}")) }
    }

    fn sold_out() -> Self {
        let headers = vec!["x-stock-remaining: 0".to_owned()];
        Self { headers, ..Self::of(409, "{\"reason\":\"sold_out\"}") }
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(step: Step) -> Call {
        Call { customer: Some(1), key: None, order: usize::MAX, sku: 0, step, until_ms: None }
    }

    fn shop(units: u64) -> Shop {
        Shop::new(&[("hot".into(), units)], true).unwrap()
    }

    #[test]
    fn stock_falls_by_one_per_order_and_never_below_nothing() {
        let shop = shop(2);
        let statuses = [0, 1, 2, 3].map(|n| shop.trade(&call(Step::Order), ms(n)).status);
        assert_eq!(statuses, [201, 201, 409, 409]);
        let stats = shop.stats();
        assert_eq!((stats.ordered, stats.sold_out, stats.oversold), (2, 2, 0));
        assert_eq!((stats.stock["hot"], stats.sold_out_after_ms), (0, Some(1)));
    }

    #[test]
    fn the_same_key_is_the_same_order() {
        let shop = shop(2);
        let order = Call { key: Some(7), ..call(Step::Order) };
        let first = shop.trade(&order, ms(0));
        assert_eq!(shop.trade(&order, ms(0)).headers[0], first.headers[0]);
        assert_eq!((shop.stats().ordered, shop.stats().repeated), (1, 1));
    }

    #[test]
    fn a_shop_that_is_not_idempotent_orders_and_charges_as_often_as_it_is_asked() {
        for (idempotent, ordered, charges) in [(true, 1, 1), (false, 2, 2)] {
            let shop = Shop::new(&[("hot".into(), 2)], idempotent).unwrap();
            for _ in 0..2 {
                shop.trade(&Call { key: Some(7), ..call(Step::Order) }, ms(0));
                shop.trade(&Call { order: 0, ..call(Step::Pay) }, ms(0));
            }
            let stats = shop.stats();
            assert_eq!((stats.ordered, stats.charges, stats.paid), (ordered, charges, 1));
        }
    }

    #[test]
    fn work_without_a_payment_is_waste_and_a_late_payment_is_known() {
        let shop = shop(1);
        let other = |step| Call { customer: Some(2), ..call(step) };
        shop.trade(&call(Step::Cart), ms(0));
        shop.trade(&other(Step::Cart), ms(0));
        shop.trade(&other(Step::Order), ms(0));
        let pay = Call { order: 0, until_ms: Some(1), ..other(Step::Pay) };
        assert_eq!(shop.trade(&pay, ms(0)).status, 200);
        shop.trade(&pay, ms(0));
        let stats = shop.stats();
        assert_eq!((stats.paid, stats.paid_late, stats.late_calls), (1, 1, 2));
        assert_eq!((stats.unpaid_calls, stats.customers, stats.most_calls), (1, 2, 4));
        let unknown = Call { order: 1, ..call(Step::Pay) };
        assert_eq!(shop.trade(&unknown, ms(0)).status, 404);
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }
}
