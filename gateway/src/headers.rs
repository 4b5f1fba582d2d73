//! What an intermediary does to header fields on the way through (RFC 9110 §7.6, RFC 7239).
//!
//! Both ways every name is looked at once, as the head is written or read: nothing is looked up in order
//! to be taken out of a map.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use http::header::{
    CONNECTION, CONTENT_LENGTH, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS,
    UPGRADE,
};
use http::{Method, Version, request};

use crate::deadline;
use crate::grant::cookie;
use crate::http1::elements;
use crate::stripped::Stripped;
use crate::tenant::{TENANT_HEADER, TenantField};

/// How the names of the fields begin that only the gateway may write.
const OURS: &str = "x-floodgate-";
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who is asking, as the upstream is told.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Address of the other end of the connection.
    pub address: IpAddr,
    /// The same as a field value, made once per connection.
    pub text: HeaderValue,
}

/// What an upstream is told beside what the client said.
pub(crate) struct Hop<'a> {
    /// The other end of the connection.
    pub peer: &'a Peer,
    /// Whether its word about the client counts.
    pub is_trusted: bool,
    /// What the upstream is told of the tenant.
    pub tenant: TenantField<'a>,
    /// Counts what is taken off.
    pub stripped: &'a Stripped,
    /// Our entry in the chain, for a request of HTTP/1.0 and of HTTP/1.1.
    pub via: &'a [HeaderValue; 2],
    /// What [`wanted_upgrade`] found.
    pub upgrade: Option<&'a HeaderValue>,
    /// What stands in Host when the client, speaking HTTP/1.0, named none.
    pub default_host: &'a dyn Fn() -> HeaderValue,
    /// How long the answer is worth waiting for.
    pub left: Duration,
}

/// How the body of a request is framed on its way out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OutgoingFraming {
    /// In chunks.
    Chunked,
    /// As the fields of the head say, be it that there is none.
    Given,
    /// By a length that the head does not tell.
    Length(u64),
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
    let is_http2 = elements(upgrade.as_bytes()).any(|protocol| {
        protocol.eq_ignore_ascii_case(b"h2c") || protocol.eq_ignore_ascii_case(b"h2")
    });
    (version == Version::HTTP_11 && is_nominated() && !is_http2).then(|| upgrade.clone())
}

/// Appends the head of a request to `out` as it goes to the upstream.
pub(crate) fn write_to_upstream(
    out: &mut Vec<u8>,
    head: &request::Parts,
    hop: &Hop<'_>,
    framing: OutgoingFraming,
) {
    write_request_line(out, head);
    // The authority of an absolute-form target replaces Host (RFC 9112 §3.2.2).
    let mut host = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let nominated = nominated(&head.headers);
    let is_nominated = |name: &HeaderName| nominated.contains(name);
    if let Some(host) = host {
        write_field(out, "host", host);
    }
    let mut has_grpc_timeout = false;
    for (name, value) in &head.headers {
        let text = name.as_str();
        let is_kept = match text {
            "host" => {
                let is_first = host.is_none();
                host = host.or(Some(value.as_bytes()));
                is_first
            }
            "content-length" => framing == OutgoingFraming::Given,
            "cookie" if cookie::may_have_ours(value.as_bytes()) => {
                if let Some(left) = cookie::without_ours(value).filter(|_| !is_nominated(name)) {
                    write_field(out, text, left.as_bytes());
                }
                false
            }
            deadline::GRPC => {
                has_grpc_timeout |= !is_nominated(name);
                false
            }
            "max-forwards" => head.method != Method::OPTIONS && !is_nominated(name),
            "expect" | "trailer" | "forwarded" | "x-forwarded-for" => false,
            _ => {
                !is_hop_by_hop(text)
                    && !is_claim(text, hop.is_trusted, hop.tenant, hop.stripped)
                    && !is_nominated(name)
            }
        };
        if is_kept {
            write_field(out, text, value.as_bytes());
        }
    }
    if host.is_none() {
        write_field(out, "host", (hop.default_host)().as_bytes());
    }
    let via = &hop.via[usize::from(head.version != Version::HTTP_10)];
    if hop.is_trusted {
        extend_provenance(out, &head.headers, hop.peer, is_nominated);
        write_field(out, "via", via.as_bytes());
    } else {
        write_provenance(out, hop.peer, host, via);
    }
    if let Some(tenant) = hop.tenant.told {
        write_field(out, TENANT_HEADER, tenant);
    }
    if head.method == Method::OPTIONS
        && !is_nominated(&MAX_FORWARDS)
        && let Some(left) = head.headers.get(MAX_FORWARDS).and_then(max_forwards)
    {
        write_number(out, MAX_FORWARDS.as_str(), left.saturating_sub(1));
    }
    match framing {
        OutgoingFraming::Chunked => write_field(out, "transfer-encoding", b"chunked"),
        OutgoingFraming::Given => {}
        OutgoingFraming::Length(length) => write_number(out, "content-length", length),
    }
    if let Some(upgrade) = hop.upgrade {
        write_field(out, "connection", b"upgrade");
        write_field(out, "upgrade", upgrade.as_bytes());
    }
    if has_grpc_timeout {
        let (number, unit) = deadline::grpc_timeout(hop.left);
        // Writing to a Vec cannot fail.
        drop(write!(out, "{}: {number}{unit}\r\n", deadline::GRPC));
    }
    write_end(out, hop.left);
}

/// The end of a head as it goes to the upstream: how long the answer is worth waiting for.
pub(crate) fn write_end(out: &mut Vec<u8>, left: Duration) {
    let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    write_number(out, deadline::MILLIS, left);
    out.extend_from_slice(b"\r\n");
}

/// Says anew in the head that ends at `end` how long its answer is worth waiting for; where it ends then.
pub(crate) fn rewrite_end(out: &mut Vec<u8>, end: usize, left: Duration) -> usize {
    let fields = out[..end].strip_suffix(b"\r\n\r\n").unwrap_or_default();
    let begin = fields.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut anew = Vec::new();
    write_end(&mut anew, left);
    let new_end = begin + anew.len();
    out.splice(begin..end, anew);
    new_end
}

/// Where a request comes from, as it is said of a stranger who asked for `host`, and by whose hands it goes.
pub(crate) fn write_provenance(
    out: &mut Vec<u8>,
    peer: &Peer,
    host: Option<&[u8]>,
    via: &HeaderValue,
) {
    write_field(out, "x-forwarded-for", peer.text.as_bytes());
    write_field(out, "x-forwarded-proto", b"http");
    if let Some(host) = host {
        write_field(out, "x-forwarded-host", host);
    }
    write_field(out, "via", via.as_bytes());
}

/// Path and query stay as they are, byte for byte; what else a target holds has gone into Host.
fn write_request_line(out: &mut Vec<u8>, head: &request::Parts) {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    if !target.starts_with('/') && target != "*" {
        out.push(b'/');
    }
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Inline, since most names are known here.
#[inline]
fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The machinery of `write!` takes ten times as many instructions, for each request.
fn write_number(out: &mut Vec<u8>, name: &str, value: u64) {
    // As many as the largest has.
    let mut digits = [0; 20];
    let mut begin = digits.len();
    let mut left = value;
    loop {
        begin -= 1;
        digits[begin] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    write_field(out, name, &digits[begin..]);
}

/// What a proxy that is trusted said of the client, and the proxy itself at the end of it.
fn extend_provenance(
    out: &mut Vec<u8>,
    headers: &HeaderMap,
    peer: &Peer,
    is_nominated: impl Fn(&HeaderName) -> bool,
) {
    let mut write_list = |name: &HeaderName, element: &[u8]| {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        for line in headers.get_all(name).into_iter().filter(|_| !is_nominated(name)) {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(element);
        out.extend_from_slice(b"\r\n");
    };
    write_list(&FORWARDED_FOR, peer.text.as_bytes());
    if headers.contains_key(FORWARDED) && !is_nominated(&FORWARDED) {
        let node = match peer.address {
            IpAddr::V4(address) => format!("for={address}"),
            IpAddr::V6(address) => format!("for=\"[{address}]\""),
        };
        write_list(&FORWARDED, node.as_bytes());
    }
}

/// Meant for one hop only, whatever Connection says.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// What an answer may not bring: what is meant for one hop, and what only the gateway may say.
pub(crate) fn ends_at_gateway(name: &str) -> bool {
    is_hop_by_hop(name) || name.starts_with(OURS)
}

/// What only the gateway may say and, from a stranger, where a request comes from. Also where it is
/// spelled with underscores: CGI and its heirs do not tell the two apart.
pub(crate) fn is_claim(
    name: &str,
    is_trusted: bool,
    tenant: TenantField<'_>,
    stripped: &Stripped,
) -> bool {
    if !name.starts_with('x') && tenant.removed.is_none() {
        return false;
    }
    let plain;
    let name = if name.contains('_') {
        plain = name.replace('_', "-");
        plain.as_str()
    } else {
        name
    };
    let is_claim = match name {
        deadline::MILLIS | "x-tier" | "x-priority" => true,
        "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-port" | "x-forwarded-proto"
        | "x-real-ip" => !is_trusted,
        _ => name.starts_with(OURS) || tenant.removed.is_some_and(|removed| same(name, removed)),
    };
    if is_claim {
        stripped.count(name);
    }
    is_claim
}

/// Whether `name`, which has `-` for `_`, is that field.
fn same(name: &str, field: &str) -> bool {
    let plain = field.bytes().map(|byte| if byte == b'_' { b'-' } else { byte });
    name.len() == field.len() && name.bytes().eq(plain)
}

/// All options of all Connection fields.
fn options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(CONNECTION).into_iter();
    fields.flat_map(|field| elements(field.as_bytes()))
}

/// The fields that Connection claims for this hop. Framing and Host are not anybody's to take away;
/// heads that try are refused before.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut names = Vec::new();
    if !headers.contains_key(CONNECTION) {
        return names;
    }
    for option in options(headers) {
        if let Some(name) = nomination(option)
            && headers.contains_key(&name)
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// Takes what a Connection field of an answer claims for this hop out of its `headers`.
pub(crate) fn remove_nominated(headers: &mut HeaderMap, connection: &[u8]) {
    for name in elements(connection).filter_map(nomination) {
        headers.remove(name);
    }
}

/// The field that an option stands for, if it may be one.
fn nomination(option: &[u8]) -> Option<HeaderName> {
    // Most of them, and never the name of a field that is passed on.
    if option.eq_ignore_ascii_case(b"keep-alive") || option.eq_ignore_ascii_case(b"close") {
        return None;
    }
    let name = HeaderName::from_bytes(option).ok()?;
    (name != CONTENT_LENGTH && name != HOST).then_some(name)
}

fn max_forwards(field: &HeaderValue) -> Option<u64> {
    let digits = field.as_bytes();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| {
        digits.iter().fold(0u64, |n, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0')))
    })
}

/// Whether the client spoke TLS, as a proxy in front of us may tell.
pub(crate) fn came_by_tls(headers: &HeaderMap, is_trusted: bool) -> bool {
    is_trusted && headers.get(FORWARDED_PROTO).is_some_and(|proto| proto == "https")
}

/// Whether an OPTIONS request ends here: its `Max-Forwards` is 0.
pub(crate) fn ends_here(head: &request::Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.get(MAX_FORWARDS).and_then(max_forwards) == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    /// The head as an upstream reads it.
    fn sent(request: request::Builder, is_trusted: bool) -> request::Parts {
        let (head, ()) = request.body(()).unwrap().into_parts();
        let upgrade = wanted_upgrade(head.version, &head.headers);
        let hop = Hop {
            peer: &Peer::new("192.0.2.1".parse().unwrap()),
            is_trusted,
            tenant: TenantField::default(),
            stripped: &Stripped::default(),
            via: &["1.0 floodgate", "1.1 floodgate"].map(HeaderValue::from_static),
            upgrade: upgrade.as_ref(),
            default_host: &|| HeaderValue::from_static("upstream"),
            left: Duration::from_secs(1),
        };
        let mut wire = Vec::new();
        write_to_upstream(&mut wire, &head, &hop, OutgoingFraming::Given);
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut read = httparse::Request::new(&mut fields);
        assert_eq!(read.parse(&wire), Ok(httparse::Status::Complete(wire.len())));
        let mut request = Request::builder().method(read.method.unwrap()).uri(read.path.unwrap());
        for field in read.headers {
            request = request.header(field.name, field.value);
        }
        request.body(()).unwrap().into_parts().0
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
    fn what_is_left_is_told_in_the_words_of_who_asked() {
        let plain = sent(Request::get("/").header("x-request-deadline-ms", "99"), false);
        assert_eq!(plain.headers["x-request-deadline-ms"], "1000");
        assert!(!plain.headers.contains_key("grpc-timeout"));
        let asked =
            || Request::get("/").header("grpc-timeout", "5S").header("grpc-timeout", "soon");
        let grpc = sent(asked(), false);
        let told: Vec<_> = grpc.headers.get_all("grpc-timeout").iter().collect();
        assert_eq!(told, ["1000000u"]);
        assert_eq!(grpc.headers["x-request-deadline-ms"], "1000");
        let nominated = sent(asked().header("connection", "grpc-timeout"), false);
        assert!(!nominated.headers.contains_key("grpc-timeout"));
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
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 1_234, u64::MAX] {
            let mut out = Vec::new();
            write_number(&mut out, "n", number);
            assert_eq!(String::from_utf8(out).unwrap(), format!("n: {number}\r\n"));
        }
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
