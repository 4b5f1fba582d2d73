//! The key of a request: what it is told from others by, as a digest, and readable for the operator.
//!
//! Percent-encoding is undone in paths and queries, so that there are not many keys for one thing.

use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::OnceLock;

use floodgate_config::{KeyPart, Pattern};
use floodgate_limiter::{Digest, Digesting, KeyText, Seed};

use crate::classify::HeadView;
use crate::percent;
use crate::snapshot::Snapshot;

/// Bytes of a value that may be a secret which the operator is shown.
const HINT: usize = 6;

/// Fields whose values are secrets.
const SECRETS: [&str; 3] = ["authorization", "cookie", "x-api-key"];

/// A key that is looked for in requests of one route.
#[derive(Debug)]
pub(super) struct Key(Box<[Part]>);

#[derive(Debug)]
enum Part {
    Client,
    Header(String),
    Cookie(String),
    Query(String),
    Path(Pattern, usize),
    Claim(String),
}

/// The value of a part.
#[derive(Clone, Copy)]
enum Value<'a> {
    Client(IpAddr),
    /// As it stands there.
    Raw(&'a [u8]),
    /// Percent-encoded, as paths are.
    Path(&'a [u8]),
    /// Percent-encoded, with `+` for a space.
    Query(&'a [u8]),
}

fn seed() -> &'static Seed {
    static SEED: OnceLock<Seed> = OnceLock::new();
    SEED.get_or_init(Seed::new)
}

/// What stands for a client that is told apart by its address for want of a key. It is no key's digest: they have
/// other parts.
pub(super) fn of_client(snapshot: &Snapshot, head: HeadView<'_>) -> Digest {
    let mut digesting = seed().begin();
    digesting.part(b"no key");
    Value::Client(head.client(snapshot)).add_to(&mut digesting);
    digesting.end()
}

// === impl Key ===

impl Key {
    /// `key` on a route with this path.
    pub(super) fn compile(key: &floodgate_config::Key, path: &Pattern) -> Self {
        let part = |part: &KeyPart| match part {
            KeyPart::ClientIp => Part::Client,
            KeyPart::Header(name) => Part::Header(name.clone()),
            KeyPart::Cookie(name) => Part::Cookie(name.clone()),
            KeyPart::Query(name) => Part::Query(name.clone()),
            // Checked to be there; behind all segments there is nothing.
            KeyPart::Path(name) => {
                Part::Path(path.clone(), path.position(name).unwrap_or(usize::MAX))
            }
            KeyPart::Claim(name) => Part::Claim(name.clone()),
        };
        Self(key.parts().iter().map(part).collect())
    }

    /// What stands for the key of a request; `None` if it does not have all of it.
    pub(super) fn digest(&self, snapshot: &Snapshot, head: HeadView<'_>) -> Option<Digest> {
        let mut digesting = seed().begin();
        for part in &self.0 {
            part.value(snapshot, head)?.add_to(&mut digesting);
        }
        Some(digesting.end())
    }

    /// Appends the key to `out` as an operator may see it: of what may be a secret only how it begins.
    pub(super) fn write(&self, snapshot: &Snapshot, head: HeadView<'_>, out: &mut KeyText) {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(b"+");
            }
            let Some(value) = part.value(snapshot, head) else { continue };
            match value {
                Value::Client(address) => write_network(address, out),
                Value::Raw(bytes) if part.is_secret() => {
                    out.push(&bytes[..bytes.len().min(HINT)]);
                    out.push("…".as_bytes());
                }
                value => value.pieces(|piece| out.push(piece)),
            }
        }
    }
}

// === impl Part ===

impl Part {
    fn value<'a>(&self, snapshot: &Snapshot, head: HeadView<'a>) -> Option<Value<'a>> {
        let value = match self {
            Self::Client => return Some(Value::Client(head.client(snapshot))),
            Self::Header(name) => Value::Raw(head.fields.only(name)?),
            Self::Cookie(name) => Value::Raw(head.fields.cookie(name)?),
            Self::Query(name) => Value::Query(parameter(head.query, name)?.as_bytes()),
            // A token that is not good is none.
            Self::Claim(name) => Value::Raw(head.token?.claim(name)?),
            Self::Path(path, at) => Value::Path(segment(path.capture(head.line.path, *at)?)),
        };
        let (Value::Raw(bytes) | Value::Path(bytes) | Value::Query(bytes)) = value else {
            return Some(value);
        };
        (!bytes.is_empty()).then_some(value)
    }

    fn is_secret(&self) -> bool {
        match self {
            // Names somebody, whom a log or a screen does not have to name.
            Self::Cookie(_) | Self::Claim(_) => true,
            Self::Header(name) => SECRETS.contains(&name.as_str()),
            Self::Client | Self::Query(_) | Self::Path(..) => false,
        }
    }
}

// === impl Value ===

impl Value<'_> {
    fn add_to(self, digesting: &mut Digesting) {
        match self {
            Self::Client(IpAddr::V4(address)) => digesting.more(&address.octets()),
            // What a household or a server has at its disposal (RFC 6177).
            Self::Client(IpAddr::V6(address)) => digesting.more(&address.octets()[..8]),
            value => value.pieces(|piece| digesting.more(piece)),
        }
        digesting.end_part();
    }

    /// The bytes that are meant, in pieces.
    fn pieces(self, mut take: impl FnMut(&[u8])) {
        match self {
            Self::Client(_) => {}
            Self::Raw(bytes) => take(bytes),
            Self::Path(bytes) => percent::pieces(bytes, false, take),
            Self::Query(bytes) => percent::pieces(bytes, true, take),
        }
    }
}

/// A segment without its parameters (RFC 3986 §3.3), which many upstreams throw away.
fn segment(captured: &str) -> &[u8] {
    captured.split(';').next().unwrap_or_default().as_bytes()
}

/// The value of the one parameter of this name; which of two the upstream takes is not known.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| is_name(key, name)).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// However the name is written: an upstream would understand it, too.
fn is_name(key: &str, name: &str) -> bool {
    if !key.contains(['%', '+']) {
        return key == name;
    }
    let mut rest = Some(name.as_bytes());
    Value::Query(key.as_bytes()).pieces(|piece| rest = rest.and_then(|it| it.strip_prefix(piece)));
    rest.is_some_and(<[u8]>::is_empty)
}

/// Appends the address as it counts.
fn write_network(address: IpAddr, out: &mut KeyText) {
    // Writing to what has room does not fail, and what has none cuts.
    let _written = match address {
        IpAddr::V4(address) => write!(out, "{address}"),
        IpAddr::V6(address) => {
            let network = Ipv6Addr::from(u128::from(address) >> 64 << 64);
            write!(out, "{network}/64")
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_a_query_are_decoded_and_a_field_is_not() {
        for (value, meant) in [
            (Value::Path(b"a%20+"), "a +"),
            (Value::Query(b"a%20+"), "a  "),
            (Value::Raw(b"a%20+"), "a%20+"),
        ] {
            let mut out = Vec::new();
            value.pieces(|piece| out.extend_from_slice(piece));
            assert_eq!(out, meant.as_bytes());
        }
    }

    #[test]
    fn what_stands_behind_a_semicolon_makes_no_other_key() {
        for text in ["hot", "hot;", "hot;a=1", "hot;a=1;b=2"] {
            assert_eq!(segment(text), b"hot", "{text}");
        }
        assert_eq!(segment(";hot"), b"");
    }

    #[test]
    fn a_parameter_counts_only_if_it_is_the_only_one_of_its_name() {
        for (query, value) in [
            ("sku=1", Some("1")),
            ("a=b&sku=1", Some("1")),
            ("s%6bu=1", Some("1")),
            ("sku=", Some("")),
            ("sku=1&sku=2", None),
            ("sku=1&%73ku=1", None),
            ("sku", None),
            ("skus=1&SKU=1&sku%20=1", None),
            ("", None),
        ] {
            assert_eq!(parameter(query, "sku"), value, "{query}");
        }
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let digest = |text: &str| {
            let mut digesting = seed().begin();
            Value::Client(text.parse().unwrap()).add_to(&mut digesting);
            digesting.end()
        };
        assert_eq!(digest("2001:db8:1:2::1"), digest("2001:db8:1:2:ffff::"));
        assert_ne!(digest("2001:db8:1:2::1"), digest("2001:db8:1:3::1"));
        assert_ne!(digest("192.0.2.1"), digest("192.0.2.2"));
    }
}
