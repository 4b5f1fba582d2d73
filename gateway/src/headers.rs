//! What an intermediary does to header fields on the way through (RFC 9110 §7.6, RFC 7239).

use std::net::IpAddr;
use std::time::Duration;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, Entry, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    MAX_FORWARDS, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{Method, Uri, Version, request, response};

use crate::reason::Reason;
use crate::respond::REASON_HEADER;

/// What is left of the deadline, told to the upstream.
const DEADLINE: HeaderName = HeaderName::from_static("x-request-deadline-ms");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const TIER: HeaderName = HeaderName::from_static("x-tier");
const PRIORITY: HeaderName = HeaderName::from_static("x-priority");

/// Meant for one hop only, whatever Connection says.
const HOP_BY_HOP: [HeaderName; 7] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, HTTP2_SETTINGS];

/// What an untrusted client may not say about where a request comes from.
const PROVENANCE: [HeaderName; 6] =
    [FORWARDED, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PORT, FORWARDED_PROTO, REAL_IP];

/// Who is asking, as the upstream is told.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Address of the other end of the connection.
    pub address: IpAddr,
    /// The same as a field value, made once per connection.
    pub text: HeaderValue,
}

// === impl Peer ===

impl Peer {
    /// The other end of a connection.
    pub(crate) fn new(address: IpAddr) -> Self {
        // An IPv4 client on a dual-stack listener is an IPv4 client.
        let address = address.to_canonical();
        let text = HeaderValue::try_from(address.to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Self { address, text }
    }
}

/// The protocol a request asks to switch to, if it may: HTTP/1.1, nominated in Connection, not HTTP/2.
pub(crate) fn wanted_upgrade(version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    let upgrade = headers.get(UPGRADE)?;
    let is_nominated = || options(headers).any(|option| option.eq_ignore_ascii_case(b"upgrade"));
    let is_http2 =
        upgrade.as_bytes().split(|&b| b == b',').map(<[u8]>::trim_ascii).any(|protocol| {
            protocol.eq_ignore_ascii_case(b"h2c") || protocol.eq_ignore_ascii_case(b"h2")
        });
    (version == Version::HTTP_11 && is_nominated() && !is_http2).then(|| upgrade.clone())
}

/// Everything a request head goes through before it is sent on.
///
/// `trusted` says whether the peer's word about the client counts, `via` is our entry in the chain,
/// `upgrade` what [`wanted_upgrade`] found.
pub(crate) fn to_upstream(
    head: &mut request::Parts,
    peer: &Peer,
    trusted: bool,
    via: &[HeaderValue; 2],
    upgrade: Option<HeaderValue>,
) {
    let is_chunked = head.headers.contains_key(TRANSFER_ENCODING);
    to_origin_form(head);
    strip_hop_by_hop(&mut head.headers);
    head.headers.remove(EXPECT);
    head.headers.remove(TRAILER);
    strip_claims(&mut head.headers);
    set_provenance(&mut head.headers, peer, trusted);
    let via = &via[usize::from(head.version != Version::HTTP_10)];
    head.headers.append(VIA, via.clone());
    if head.method == Method::OPTIONS {
        decrement_max_forwards(&mut head.headers);
    }
    if is_chunked {
        // Said here, since hyper would send a GET without its chunks.
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if let Some(upgrade) = upgrade {
        head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, upgrade);
    }
    head.version = Version::HTTP_11;
}

/// Tells the upstream how long its answer is worth waiting for.
pub(crate) fn set_deadline(headers: &mut HeaderMap, left: Duration) {
    headers
        .insert(DEADLINE, HeaderValue::from(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)));
}

/// What an answer's head goes through before it is passed on.
///
/// # Errors
/// Its framing cannot be trusted (RFC 9112 §6.3): the answer has to be replaced and its connection
/// closed.
pub(crate) fn to_downstream(head: &mut response::Parts) -> Result<(), Reason> {
    let headers = &mut head.headers;
    if headers.contains_key(TRANSFER_ENCODING) {
        let mut codings = headers.get_all(TRANSFER_ENCODING).into_iter();
        let is_chunked =
            codings.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !is_chunked || codings.next().is_some() {
            return Err(Reason::UpstreamError);
        }
        headers.remove(CONTENT_LENGTH);
    } else {
        unify_content_length(headers)?;
    }
    strip_hop_by_hop(headers);
    headers.remove(REASON_HEADER);
    // Whatever the upstream speaks, this is what we speak.
    head.version = Version::HTTP_11;
    Ok(())
}

/// Several equal lengths become one; anything else that is not one number is an error.
fn unify_content_length(headers: &mut HeaderMap) -> Result<(), Reason> {
    let mut fields = headers.get_all(CONTENT_LENGTH).into_iter();
    let Some(first) = fields.next() else { return Ok(()) };
    let is_number = |value: &[u8]| !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    if fields.next().is_none() && is_number(first.as_bytes()) {
        return Ok(());
    }
    let mut lengths = headers
        .get_all(CONTENT_LENGTH)
        .into_iter()
        .flat_map(|field| field.as_bytes().split(|&b| b == b',').map(<[u8]>::trim_ascii));
    let length = lengths.next().filter(|length| is_number(length)).ok_or(Reason::UpstreamError)?;
    if lengths.any(|other| other != length) {
        return Err(Reason::UpstreamError);
    }
    let length = HeaderValue::from_bytes(length).map_err(|_| Reason::UpstreamError)?;
    headers.insert(CONTENT_LENGTH, length);
    Ok(())
}

/// All options of all Connection fields.
fn options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(CONNECTION).into_iter();
    fields.flat_map(|field| field.as_bytes().split(|&b| b == b',')).map(<[u8]>::trim_ascii)
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        // Framing and Host are not the client's to take away; heads that try are refused before.
        let nominated: Vec<HeaderName> = options(headers)
            .filter_map(|option| HeaderName::from_bytes(option).ok())
            .filter(|name| *name != CONTENT_LENGTH && *name != HOST)
            .collect();
        for name in nominated {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Removes what only the gateway may say.
fn strip_claims(headers: &mut HeaderMap) {
    remove_all(headers, |name| {
        name.starts_with("x-floodgate-")
            || name == DEADLINE.as_str()
            || name == TIER.as_str()
            || name == PRIORITY.as_str()
    });
}

/// Removes the fields that `is_unwanted` names, also where they are spelled with underscores: CGI and
/// its heirs do not tell the two apart.
fn remove_all(headers: &mut HeaderMap, is_unwanted: impl Fn(&str) -> bool) {
    let is_unwanted = |name: &HeaderName| {
        let name = name.as_str();
        if name.contains('_') { is_unwanted(&name.replace('_', "-")) } else { is_unwanted(name) }
    };
    while let Some(name) = headers.keys().find(|name| is_unwanted(name)).cloned() {
        headers.remove(name);
    }
}

fn set_provenance(headers: &mut HeaderMap, peer: &Peer, trusted: bool) {
    if !trusted {
        remove_all(headers, |name| PROVENANCE.iter().any(|unwanted| *unwanted == *name));
        headers.insert(FORWARDED_FOR, peer.text.clone());
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
        if let Some(host) = headers.get(HOST).cloned() {
            headers.insert(FORWARDED_HOST, host);
        }
        return;
    }
    append_to_list(headers, FORWARDED_FOR, peer.text.as_bytes());
    if headers.contains_key(FORWARDED) {
        let node = match peer.address {
            IpAddr::V4(address) => format!("for={address}"),
            IpAddr::V6(address) => format!("for=\"[{address}]\""),
        };
        append_to_list(headers, FORWARDED, node.as_bytes());
    }
}

/// Joins all lines of a list field and adds `element`.
fn append_to_list(headers: &mut HeaderMap, name: HeaderName, element: &[u8]) {
    let mut list = Vec::new();
    for line in headers.get_all(&name) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(element);
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(name, value);
    }
}

fn decrement_max_forwards(headers: &mut HeaderMap) {
    if let Entry::Occupied(mut field) = headers.entry(MAX_FORWARDS) {
        match max_forwards(field.get()) {
            Some(left) => drop(field.insert(HeaderValue::from(left.saturating_sub(1)))),
            None => drop(field.remove()),
        }
    }
}

fn max_forwards(field: &HeaderValue) -> Option<u64> {
    let digits = field.as_bytes();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| {
        digits.iter().fold(0u64, |n, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0')))
    })
}

/// Whether an OPTIONS request ends here: its `Max-Forwards` is 0.
pub(crate) fn ends_here(head: &request::Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.get(MAX_FORWARDS).and_then(max_forwards) == Some(0)
}

/// The authority of an absolute-form target replaces Host (RFC 9112 §3.2.2); path and query stay as
/// they are, byte for byte.
fn to_origin_form(head: &mut request::Parts) {
    let Some(authority) = head.uri.authority() else { return };
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        head.headers.insert(HOST, host);
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    head.uri = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn sent(request: request::Builder, trusted: bool) -> request::Parts {
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        let upgrade = wanted_upgrade(head.version, &head.headers);
        let peer = Peer::new("192.0.2.1".parse().unwrap());
        to_upstream(
            &mut head,
            &peer,
            trusted,
            &[HeaderValue::from_static("1.0 floodgate"), HeaderValue::from_static("1.1 floodgate")],
            upgrade,
        );
        head
    }

    #[test]
    fn what_is_meant_for_one_hop_stays_on_it() {
        let head = sent(
            Request::get("/")
                .header("connection", "x-one, close")
                .header("connection", "X-Two")
                .header("x-one", "1")
                .header("x-two", "2")
                .header("keep-alive", "1")
                .header("te", "trailers")
                .header("upgrade", "h2c")
                .header("x-three", "3"),
            false,
        );
        for gone in ["connection", "x-one", "x-two", "keep-alive", "te", "upgrade"] {
            assert!(!head.headers.contains_key(gone), "{gone}");
        }
        assert_eq!(head.headers["x-three"], "3");
    }

    #[test]
    fn only_the_gateway_speaks_for_itself() {
        let head = sent(
            Request::get("/")
                .header("x-floodgate-tier", "l1")
                .header("x-floodgate-x", "1")
                .header("x-tier", "l1"),
            false,
        );
        assert!(
            head.headers
                .keys()
                .all(|name| !name.as_str().replace('_', "-").starts_with("x-floodgate-"))
        );
        assert!(!head.headers.contains_key("x-tier"));
    }

    #[test]
    fn a_strangers_word_about_itself_is_replaced_and_a_proxys_extended() {
        let asked = || {
            Request::get("/")
                .header("x-forwarded-for", "1.1.1.1")
                .header("forwarded", "for=1.1.1.1")
        };
        let stranger = sent(asked(), false);
        assert_eq!(stranger.headers["x-forwarded-for"], "192.0.2.1");
        assert!(!stranger.headers.contains_key("forwarded"));
        let proxy = sent(asked(), true);
        assert_eq!(proxy.headers["x-forwarded-for"], "1.1.1.1, 192.0.2.1");
        assert_eq!(proxy.headers["forwarded"], "for=1.1.1.1, for=192.0.2.1");
    }

    #[test]
    fn an_absolute_target_sets_host_and_keeps_its_path() {
        let head = sent(Request::get("http://b:81/p//q?%20").header("host", "a"), false);
        assert_eq!(head.headers["host"], "b:81");
        assert_eq!(head.headers["x-forwarded-host"], "b:81");
        assert_eq!(head.uri, "/p//q?%20");
        let bare = sent(Request::get("http://b?x").header("host", "a"), false);
        assert_eq!(bare.uri, "/?x");
    }

    #[test]
    fn an_upgrade_is_passed_on_only_if_connection_names_it() {
        let head = sent(
            Request::get("/").header("connection", "Upgrade").header("upgrade", "websocket"),
            false,
        );
        assert_eq!(head.headers["upgrade"], "websocket");
        assert_eq!(head.headers["connection"], "upgrade");
        let head = sent(Request::get("/").header("upgrade", "websocket"), false);
        assert!(!head.headers.contains_key("upgrade"));
    }
}
