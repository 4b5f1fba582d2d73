//! `uri-host [ ":" port ]` (RFC 3986 §3.2.2, RFC 9110 §7.2).

use std::net::Ipv6Addr;

use super::byte_set::{REG_NAME, UNESCAPED};

/// Whether `authority` may stand in a Host field or an absolute-form target: no userinfo, a
/// non-empty host, a port that is a number. Commas are refused although RFC 3986 knows them:
/// they make one field look like a list of two.
pub(super) fn is_valid_authority(authority: &[u8]) -> bool {
    // Most are names without escapes.
    match authority.split_at(UNESCAPED.prefix(authority)) {
        ([_, ..], []) => return true,
        ([_, ..], [b':', port @ ..]) => return is_port(port),
        _ => {}
    }
    let (host, port) = match authority {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|&b| b == b']') else { return false };
            let literal = std::str::from_utf8(&rest[..end]).unwrap_or_default();
            if literal.parse::<Ipv6Addr>().is_err() {
                return false;
            }
            match &rest[end + 1..] {
                [] => return true,
                [b':', port @ ..] => return is_port(port),
                _ => return false,
            }
        }
        _ => match authority.iter().position(|&b| b == b':') {
            Some(colon) => (&authority[..colon], &authority[colon + 1..]),
            None => (authority, &b""[..]),
        },
    };
    !host.is_empty() && REG_NAME.has_all(host) && has_whole_escapes(host) && is_port(port)
}

fn is_port(port: &[u8]) -> bool {
    let digit = |b: u8| b.is_ascii_digit().then(|| u32::from(b - b'0'));
    let number = |n: u32, b: &u8| digit(*b).map(|digit| n * 10 + digit);
    port.len() <= 5 && port.iter().try_fold(0, number).is_some_and(|port| port <= 65_535)
}

/// Every `%` is followed by two hexadecimal digits.
fn has_whole_escapes(host: &[u8]) -> bool {
    host.iter().enumerate().all(|(at, &b)| {
        b != b'%'
            || host.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::is_valid_authority;

    #[test]
    fn names_addresses_and_ports_are_taken() {
        for good in
            ["a", "a.example", "a:80", "a:", "127.0.0.1:65535", "[::1]", "[::1]:8080", "x%41"]
        {
            assert!(is_valid_authority(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn everything_ambiguous_is_refused() {
        for bad in [
            "", ":80", "a,b", "u@a", "a b", "a/b", "a:b", "a:99999", "a:123456", "[::1", "[::1]x",
            "[x]", "a\\b", "a#b", "a?b", "x%4", "x%zz", "a:80:80", "::1", "ä",
        ] {
            assert!(!is_valid_authority(bad.as_bytes()), "{bad}");
        }
    }
}
