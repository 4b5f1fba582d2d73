//! What a request asks of the shop, read from its head without keeping any of it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A step of a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Cart,
    Checkout,
    Order,
    Pay,
    Poll,
    Sale,
}

/// A request for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Hash of `x-user-id`.
    pub(super) customer: Option<u64>,
    /// Hash of `idempotency-key`.
    pub(super) key: Option<u64>,
    /// The order that is polled or paid; one that does not exist without.
    pub(super) order: usize,
    /// Index of the SKU.
    pub(super) sku: u16,
    pub(super) step: Step,
    /// When the customer leaves, milliseconds since 1970.
    pub(super) until_ms: Option<u64>,
}

// === impl Step ===

impl Step {
    pub(super) const ALL: [Self; 6] =
        [Self::Cart, Self::Checkout, Self::Order, Self::Pay, Self::Poll, Self::Sale];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cart => "cart",
            Self::Checkout => "checkout",
            Self::Order => "order",
            Self::Pay => "pay",
            Self::Poll => "poll",
            Self::Sale => "sale",
        }
    }

    fn of(method: &str, path: &str) -> Option<Self> {
        let mut segments = path.split('/').skip(1);
        Some(match (method, segments.next()?, segments.next()) {
            ("POST", "cart", _) => Self::Cart,
            (_, "checkout", None) => Self::Checkout,
            ("POST", "orders", None) => Self::Order,
            ("GET", "orders", Some(_)) => Self::Poll,
            ("POST", "pay", _) => Self::Pay,
            ("GET", "sale", Some(_)) => Self::Sale,
            _ => return None,
        })
    }
}

// === impl Call ===

impl Call {
    /// The call that a head makes; `None` when it is no step of a checkout.
    pub(super) fn read(
        head: &httparse::Request<'_, '_>,
        sku_of: impl FnOnce(&[u8]) -> u16,
    ) -> Option<Self> {
        let (method, target) = (head.method.unwrap_or_default(), head.path.unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let step = Step::of(method, path)?;
        let header = |name: &str| {
            let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.map(|header| header.value)
        };
        let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.trim().parse::<u64>().ok();
        let second = path.split('/').nth(2).map(str::as_bytes);
        let sku = match step {
            Step::Sale => second,
            _ => query.split('&').find_map(|pair| pair.strip_prefix("sku=")).map(str::as_bytes),
        };
        let order = if step == Step::Poll { second } else { header("x-order-id") };
        Some(Self {
            customer: header("x-user-id").map(hash),
            key: header("idempotency-key").map(hash),
            order: order.and_then(number).map_or(usize::MAX, |id| id as usize),
            sku: sku_of(sku.or_else(|| header("x-sku")).unwrap_or_default()),
            step,
            until_ms: header("x-customer-until").and_then(number),
        })
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &str) -> Option<Call> {
        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut head = httparse::Request::new(&mut headers);
        head.parse(wire.as_bytes()).unwrap();
        Call::read(&head, |sku| sku.len() as u16)
    }

    #[test]
    fn steps_are_known_by_method_and_path() {
        for (line, step) in [
            ("POST /cart", Some(Step::Cart)),
            ("GET /checkout?a=1", Some(Step::Checkout)),
            ("POST /orders", Some(Step::Order)),
            ("GET /orders/7", Some(Step::Poll)),
            ("POST /pay", Some(Step::Pay)),
            ("GET /sale/hot/status", Some(Step::Sale)),
            ("GET /orders", None),
            ("GET /", None),
            ("GET *", None),
        ] {
            let call = read(&format!("{line} HTTP/1.1\r\n\r\n"));
            assert_eq!(call.map(|call| call.step), step, "{line}");
        }
    }

    #[test]
    fn the_sku_comes_from_path_query_or_header() {
        for wire in [
            "GET /sale/hot HTTP/1.1\r\n\r\n",
            "POST /cart?sku=hot HTTP/1.1\r\n\r\n",
            "POST /orders HTTP/1.1\r\nx-sku: hot\r\n\r\n",
        ] {
            assert_eq!(read(wire).unwrap().sku, 3, "{wire}");
        }
    }

    #[test]
    fn customer_key_order_and_patience_are_read() {
        let call = read(
            "POST /pay HTTP/1.1\r\nX-User-Id: a\r\nx-order-id: 5\r\nx-customer-until: 12\r\n\r\n",
        )
        .unwrap();
        assert_eq!((call.order, call.until_ms, call.key), (5, Some(12), None));
        assert_eq!(call.customer, Some(hash(b"a")));
        assert_eq!(read("GET /orders/x HTTP/1.1\r\n\r\n").unwrap().order, usize::MAX);
    }
}
