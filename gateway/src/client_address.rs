//! Where a request comes from: the other end of the connection or, if that is a proxy that is trusted, whoever it
//! speaks for.

use std::net::{IpAddr, SocketAddr};

use crate::fields::Fields;
use crate::http1::elements;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Heard where there is no `X-Forwarded-For` (RFC 7239); where there are both, they have to agree.
const FORWARDED: &str = "forwarded";

/// The address of the client whose `fields` came from `peer`: the last that a trusted proxy names and that is not one
/// itself. What stands in front of it anybody may have written.
pub(crate) fn client_address(
    peer: IpAddr,
    fields: Fields<'_>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    // An IPv4 client on a dual-stack listener is an IPv4 client.
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return peer;
    }
    let named = |name: &str, parse: fn(&[u8]) -> Option<IpAddr>| {
        let mut lines = fields.all(name).rev().peekable();
        lines.peek()?;
        Some(last(lines.flat_map(|line| elements(line).rev()).map(parse), &is_trusted))
    };
    match (named(FORWARDED_FOR, address), named(FORWARDED, forwarded_for)) {
        // The proxy writes one of them, and hands on whatever stands in the other.
        (Some(usual), Some(other)) if usual != other => None,
        (usual, other) => usual.or(other).flatten(),
    }
    .unwrap_or(peer)
}

/// The client of a `chain` of addresses that begins with the last: the first that is not trusted. What lies behind it is not
/// even parsed: there may be much of it.
fn last(
    chain: impl Iterator<Item = Option<IpAddr>>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let mut client = None;
    for element in chain {
        // What comes before no address is none that the next proxy could have seen.
        let Some(address) = element else { break };
        client = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// The address that an element of `Forwarded` is for, if it names one.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut pairs = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let value = pairs.find_map(|pair| {
        let (name, value) = pair.split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    })?;
    let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    address(unquoted.unwrap_or(value))
}

/// An address as proxies write it: alone or with a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse().map(|it: SocketAddr| it.ip())).ok()?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let name = "X-Forwarded-For";
        let fields: Vec<_> =
            lines.iter().map(|value| httparse::Header { name, value: value.as_bytes() }).collect();
        let is_trusted = |address: IpAddr| address.to_string().starts_with("10.");
        client_address(peer.parse().unwrap(), Fields::Parsed(&fields), is_trusted).to_string()
    }

    #[test]
    fn a_client_is_the_last_that_no_trusted_proxy_is() {
        for (lines, expected) in [
            (&[][..], "10.0.0.1"),
            (&["192.0.2.7"], "192.0.2.7"),
            (&["198.51.100.1, 192.0.2.7"], "192.0.2.7"),
            (&["198.51.100.1", "192.0.2.7, 10.0.0.2", "10.0.0.3"], "192.0.2.7"),
            (&["10.0.0.4, 10.0.0.2"], "10.0.0.4"),
            (&["192.0.2.7:4711"], "192.0.2.7"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["[2001:db8::7]:4711"], "2001:db8::7"),
            (&["::ffff:192.0.2.7"], "192.0.2.7"),
            (&["192.0.2.7, unknown"], "10.0.0.1"),
            (&["192.0.2.7, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["", "\u{fc}"], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", lines), expected, "{lines:?}");
            assert_eq!(client("::ffff:10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn the_other_header_is_heard_where_the_usual_one_is_not() {
        let client = |fields: &[(&str, &str)]| {
            let fields: Vec<_> = fields
                .iter()
                .map(|&(name, value)| httparse::Header { name, value: value.as_bytes() })
                .collect();
            let is_trusted = |address: IpAddr| address.to_string().starts_with("10.");
            let peer = "10.0.0.1".parse().unwrap();
            client_address(peer, Fields::Parsed(&fields), is_trusted).to_string()
        };
        for (value, expected) in [
            ("for=192.0.2.7", "192.0.2.7"),
            ("For=192.0.2.7;proto=https;by=10.0.0.2", "192.0.2.7"),
            ("proto=https; for=\"192.0.2.7:4711\"", "192.0.2.7"),
            ("for=\"[2001:db8::7]:4711\", for=10.0.0.9", "2001:db8::7"),
            ("for=198.51.100.1, for=192.0.2.7", "192.0.2.7"),
            ("for=unknown", "10.0.0.1"),
            ("for=192.0.2.7, for=_hidden", "10.0.0.1"),
            ("by=192.0.2.7", "10.0.0.1"),
            ("for", "10.0.0.1"),
        ] {
            assert_eq!(client(&[("Forwarded", value)]), expected, "{value}");
        }
        let both = [("forwarded", "for=192.0.2.7"), ("x-forwarded-for", "192.0.2.8")];
        assert_eq!(client(&both), "10.0.0.1");
        let both = [("forwarded", "for=192.0.2.8"), ("x-forwarded-for", "192.0.2.8")];
        assert_eq!(client(&both), "192.0.2.8");
    }

    #[test]
    fn who_is_not_trusted_speaks_for_nobody() {
        assert_eq!(client("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(client("::ffff:192.0.2.1", &["10.0.0.1"]), "192.0.2.1");
    }
}
