//! Where a request comes from: the other end of the connection or, if that is a proxy that is trusted, whoever it
//! speaks for.

use std::net::{IpAddr, SocketAddr};

use crate::fields::Fields;
use crate::http1::elements;

const FORWARDED_FOR: &str = "x-forwarded-for";

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
    let mut client = None;
    for element in fields.all(FORWARDED_FOR).flat_map(elements) {
        client = match address(element) {
            Some(address) if client.is_none() || !is_trusted(address) => Some(address),
            Some(_) => client,
            // What comes before is no address that the next one could have seen.
            None => None,
        };
    }
    client.unwrap_or(peer)
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
    fn who_is_not_trusted_speaks_for_nobody() {
        assert_eq!(client("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(client("::ffff:192.0.2.1", &["10.0.0.1"]), "192.0.2.1");
    }
}
