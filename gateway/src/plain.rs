//! Heads of requests that need little on their way through, as most do: they are copied as they came, without
//! a table of their fields.

use http::header::HeaderValue;

use crate::grant::cookie;
use crate::headers::{self, Peer};
use crate::objective::TraceId;
use crate::stripped::Stripped;
use crate::tenant::TenantField;

/// Most heads are smaller.
const HEAD: usize = 1024;
/// Most fields of such a head: their table lies on the stack.
const MAX_FIELDS: usize = 64;

/// The head of a request as it goes to the upstream, but for its end.
#[derive(Debug, Default)]
pub(crate) struct PlainHead {
    /// Request line and fields.
    pub bytes: Vec<u8>,
    /// The method can be repeated (RFC 9110 §9.2.2).
    pub is_idempotent: bool,
    /// The trace that it belongs to.
    pub trace: TraceId,
}

// === impl PlainHead ===

impl PlainHead {
    /// The head at the beginning of `bytes`, which was found good, from a client at `peer` that is not trusted. `None`
    /// unless it is plain: what takes more than to copy it is left to [`headers::write_to_upstream`].
    /// What is taken off since only the gateway may say it is counted in `stripped`.
    pub(crate) fn of(
        bytes: &[u8],
        peer: &Peer,
        via: &HeaderValue,
        stripped: &Stripped,
    ) -> Option<Self> {
        let mut fields = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        request.parse_with_uninit_headers(bytes, &mut fields).ok()?;
        let (method, target) = request.method.zip(request.path)?;
        let is_idempotent = match method {
            "GET" | "PUT" | "DELETE" => true,
            "POST" | "PATCH" => false,
            _ => return None,
        };
        if !target.starts_with('/') {
            return None;
        }
        let mut out = Vec::with_capacity(HEAD);
        for part in [method, " ", target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        // Counted when it is certain that it is plain: who it is left to counts, too.
        let taken_off = Stripped::default();
        let (mut host, mut trace) = (None, TraceId::default());
        for field in request.headers {
            let begin = out.len();
            out.extend_from_slice(field.name.as_bytes());
            out[begin..].make_ascii_lowercase();
            match &out[begin..] {
                b"host" => host = Some(field.value),
                b"traceparent" => trace = TraceId::of(field.value),
                b"connection" if !field.value.eq_ignore_ascii_case(b"keep-alive") => return None,
                b"cookie" if cookie::may_have_ours(field.value) => return None,
                b"max-forwards" | b"upgrade" | b"grpc-timeout" => return None,
                name if !is_passed_on(name, &taken_off) => {
                    out.truncate(begin);
                    continue;
                }
                _ => {}
            }
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value);
            out.extend_from_slice(b"\r\n");
        }
        stripped.add(&taken_off);
        headers::write_provenance(&mut out, peer, host, via);
        Some(Self { bytes: out, is_idempotent, trace })
    }
}

/// Whether a field of this name, in small letters, goes to the upstream if nothing but its name matters.
fn is_passed_on(name: &[u8], stripped: &Stripped) -> bool {
    // The others do not begin so.
    let Some(b'c' | b'e' | b'f' | b'h' | b'k' | b'p' | b't' | b'u' | b'x') = name.first() else {
        return true;
    };
    let Ok(name) = std::str::from_utf8(name) else { return false };
    !matches!(name, "expect" | "trailer" | "forwarded" | "x-forwarded-for")
        && !headers::is_hop_by_hop(name)
        && !headers::is_claim(name, false, TenantField::default(), stripped)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;
    use http::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::headers::{Hop, OutgoingFraming};

    const VIA: [HeaderValue; 2] =
        [HeaderValue::from_static("1.0 floodgate"), HeaderValue::from_static("1.1 floodgate")];
    const LEFT: Duration = Duration::from_millis(1_500);

    fn peer() -> Peer {
        Peer::new("192.0.2.1".parse().unwrap())
    }

    fn plain(head: &str) -> Option<String> {
        let PlainHead { mut bytes, .. } =
            PlainHead::of(head.as_bytes(), &peer(), &VIA[1], &Stripped::default())?;
        headers::write_end(&mut bytes, LEFT);
        Some(String::from_utf8(bytes).unwrap())
    }

    /// The same through a table of its fields, as for heads that are not plain.
    fn by_table(head: &str) -> String {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut read = httparse::Request::new(&mut fields);
        assert!(read.parse(head.as_bytes()).unwrap().is_complete());
        let request = Request::builder().method(read.method.unwrap()).uri(read.path.unwrap());
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        for field in read.headers {
            let name = HeaderName::from_bytes(field.name.as_bytes()).unwrap();
            head.headers.append(name, HeaderValue::from_bytes(field.value).unwrap());
        }
        let hop = Hop {
            peer: &peer(),
            is_trusted: false,
            tenant: TenantField::default(),
            stripped: &Stripped::default(),
            via: &VIA,
            upgrade: None,
            default_host: &|| HeaderValue::from_static("upstream"),
            left: LEFT,
        };
        let mut out = Vec::new();
        headers::write_to_upstream(&mut out, &head, &hop, OutgoingFraming::Given);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_plain_head_is_written_as_any_other() {
        for fields in [
            "Host: a.example:80\r\n",
            "host: a\r\nUser-Agent: x\r\nACCEPT: */*\r\nAccept-Language: de\r\n",
            "host: a\r\nConnection: Keep-Alive\r\nkeep-alive: 5\r\nproxy-connection: x\r\nte: trailers\r\n",
            "host: a\r\nx-floodgate-tier: l1\r\nX_Floodgate_Tier: l1\r\nx-tier: l1\r\nx-mine: 1\r\n",
            "host: a\r\nX-Forwarded-For: 1\r\nforwarded: for=1\r\nx-real-ip: 1\r\nx-forwarded-host: b\r\n",
            "host: a\r\ncookie: a=b; c=d\r\ncontent-length: 0\r\ncontent-type: text/plain\r\n",
            "host: a\r\ntrailer: x\r\nexpect: 100-continue\r\nx-request-deadline-ms: 1\r\nhttp2-settings: x\r\n",
        ] {
            for target in ["/", "/a/b?c=d&e", "/?", "//"] {
                let head = format!("GET {target} HTTP/1.1\r\n{fields}\r\n");
                assert_eq!(plain(&head).unwrap(), by_table(&head));
            }
        }
    }

    #[test]
    fn what_is_taken_off_is_counted_only_if_the_head_is_plain() {
        let stripped = Stripped::default();
        for (end, counts) in [("upgrade: websocket\r\n", [0; 4]), ("", [1, 0, 0, 1])] {
            let head =
                format!("GET / HTTP/1.1\r\nhost: a\r\nx-tier: l1\r\nx-floodgate-a: b\r\n{end}\r\n");
            let plain = PlainHead::of(head.as_bytes(), &peer(), &VIA[1], &stripped);
            assert_eq!((plain.is_some(), stripped.counts()), (end.is_empty(), counts));
        }
    }

    #[test]
    fn what_takes_more_than_to_copy_it_is_not_plain() {
        for line in ["HEAD / HTTP/1.1", "OPTIONS * HTTP/1.1", "GET http://a/ HTTP/1.1"] {
            assert_eq!(plain(&format!("{line}\r\nhost: a\r\n\r\n")), None, "{line}");
        }
        for field in [
            "connection: x-mine",
            "connection: keep-alive, x-mine",
            "connection: upgrade\r\nupgrade: websocket",
            "upgrade: websocket",
            "cookie: floodgate-grant-sale=x",
            "max-forwards: 1",
            "grpc-timeout: 5S",
        ] {
            let head = format!("GET / HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n");
            assert_eq!(plain(&head), None, "{field}");
        }
    }
}
