//! Whose page asks. Where there are no tokens, whoever is on this machine may change everything, and so could any page
//! that a browser on this machine shows, if it were listened to.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

/// Whether the request does not come from a page, or from one that was served here by an address that nobody else can
/// have given a name to (DNS rebinding). Browsers name the origin of every request that changes something (Fetch, §3.2).
pub(super) fn is_ours(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let (Ok(origin), Some(Ok(host))) = (origin.to_str(), headers.get(HOST).map(|it| it.to_str()))
    else {
        return false;
    };
    let Some((_, authority)) = origin.split_once("://") else { return false };
    authority.eq_ignore_ascii_case(host) && is_local(host)
}

/// An address, or `localhost`, which browsers look up nowhere.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok() || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn ours(origin: Option<&'static str>, host: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        is_ours(&headers)
    }

    #[test]
    fn only_a_page_that_came_from_here_is_listened_to() {
        assert!(ours(None, "shop"));
        for host in ["127.0.0.1:9090", "localhost:9090", "[::1]:9090", "127.0.0.1"] {
            let origin: &'static str = Box::leak(format!("http://{host}").into_boxed_str());
            assert!(ours(Some(origin), host), "{host}");
            assert!(!ours(Some("http://evil.example"), host), "{host}");
            assert!(!ours(Some("null"), host), "{host}");
        }
        // A name that was made to point here.
        assert!(!ours(Some("http://evil.example:9090"), "evil.example:9090"));
        assert!(!ours(Some("http://127.0.0.1:8080"), "127.0.0.1:9090"));
    }
}
