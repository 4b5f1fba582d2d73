//! Addresses: listeners, upstream servers, networks of trusted proxies.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::source::quote;
use crate::value::{Complaint, Text};

/// A server of an upstream, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerAddress {
    /// A name that is resolved when it is connected to, and a port.
    Host {
        /// A DNS name.
        host: String,
        /// 1..=65535.
        port: u16,
    },
    /// An address and a port.
    Socket(SocketAddr),
}

/// A network: an address and the number of its leading bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

// === impl SocketAddr ===

impl Text for SocketAddr {
    const FORM: &'static str = "an address and a port in quotes, such as \"127.0.0.1:8080\"";
    const PATTERN: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(|_| {
            let suggestion = match text.strip_prefix("localhost:").or(text.strip_prefix(':')) {
                Some(port) if port.parse::<u16>().is_ok() => {
                    let host = if text.starts_with(':') { "0.0.0.0" } else { "127.0.0.1" };
                    format!("did you mean \"{host}:{port}\"?")
                }
                _ => format!("expected {}", Self::FORM),
            };
            Complaint::new(format!("{} is not an address to listen on", quote(text)), suggestion)
        })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

// === impl ServerAddress ===

impl Text for ServerAddress {
    const FORM: &'static str = "a host and a port in quotes, such as \"127.0.0.1:9000\"";
    const PATTERN: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, Complaint> {
        let wrong = |suggestion: String| {
            Complaint::new(format!("{} is not a server", quote(text)), suggestion)
        };
        if let Some((_, rest)) = text.split_once("://") {
            let rest = rest.trim_end_matches('/');
            return Err(match Self::parse(rest) {
                Ok(meant) => wrong(format!("without a scheme: \"{meant}\"")),
                Err(_) => wrong(format!("without a scheme: {}", Self::FORM)),
            });
        }
        if let Ok(socket) = text.parse::<SocketAddr>() {
            if socket.port() == 0 {
                return Err(wrong("the port must be from 1 to 65535".to_owned()));
            }
            return Ok(Self::Socket(socket));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(match is_host(text) {
                true => wrong(format!("a port is missing, such as \"{text}:80\"")),
                false => wrong(format!("expected {}", Self::FORM)),
            });
        };
        match port.parse() {
            Ok(port) if port > 0 && port_is_plain(text) && is_host(host) => {
                Ok(Self::Host { host: host.to_owned(), port })
            }
            _ => Err(wrong(format!("expected {}", Self::FORM))),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(socket) => socket.fmt(f),
        }
    }
}

// === impl Cidr ===

impl Cidr {
    /// Whether `address` is in the network. An IPv4 address in IPv6 clothes (`::ffff:a.b.c.d`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let ignored = 32 - u32::from(self.prefix);
                (network.to_bits() ^ address.to_bits()).checked_shr(ignored).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let ignored = 128 - u32::from(self.prefix);
                (network.to_bits() ^ address.to_bits()).checked_shr(ignored).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl Text for Cidr {
    const FORM: &'static str = "a network in quotes, such as \"10.0.0.0/8\" or \"192.0.2.7\"";
    const PATTERN: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, Complaint> {
        let wrong = || {
            let message = format!("{} is not a network", quote(text));
            Complaint::new(message, format!("expected {}", Self::FORM))
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(prefix) if prefix.bytes().all(|b| b.is_ascii_digit()) => {
                prefix.parse().ok().filter(|prefix| *prefix <= bits).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        Ok(Self { address, prefix })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A DNS name; underscores are common inside clusters.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // All digits and dots is a mistyped address, not a name.
    text.len() <= 253 && text.split('.').all(label) && text.bytes().any(|b| b.is_ascii_alphabetic())
}

/// `str::parse` takes a leading plus.
fn port_is_plain(text: &str) -> bool {
    !text.contains('+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_addresses_or_names_with_a_port() {
        for text in ["127.0.0.1:9000", "[::1]:9000", "checkout.internal:80", "app_1:8080"] {
            assert_eq!(ServerAddress::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            ":80",
            "127.0.0.1",
            "127.0.0.1:0",
            "1.2.3:80",
            "a..b:80",
            "a:+80",
            "a:65536",
            "-a:1",
        ] {
            assert!(ServerAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn near_misses_are_told_what_is_meant() {
        let server = |text| ServerAddress::parse(text).unwrap_err().suggestion;
        assert_eq!(server("http://127.0.0.1:9000/"), "without a scheme: \"127.0.0.1:9000\"");
        assert_eq!(server("checkout"), "a port is missing, such as \"checkout:80\"");
        let listen = |text| SocketAddr::parse(text).unwrap_err().suggestion;
        assert_eq!(listen(":8080"), "did you mean \"0.0.0.0:8080\"?");
        assert_eq!(listen("localhost:8080"), "did you mean \"127.0.0.1:8080\"?");
    }

    #[test]
    fn a_network_contains_what_shares_its_prefix() {
        let contains = |network, address: &str| {
            Cidr::parse(network).unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(contains("192.0.2.7", "192.0.2.7"));
        assert!(!contains("192.0.2.7", "192.0.2.6"));
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        assert!(!contains("::/0", "10.0.0.1"));
        assert!(contains("::/0", "::1"));
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "::/129"] {
            assert!(Cidr::parse(text).is_err(), "{text}");
        }
    }
}
