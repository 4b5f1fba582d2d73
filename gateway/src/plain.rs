//! Heads of requests that need little on their way through, as most do: they are copied as they came, without
//! a table of their fields.

use http::header::HeaderValue;

use crate::grant::cookie;
use crate::headers::{self, Peer};

/// Most heads are smaller.
const HEAD: usize = 1024;
/// Most fields of such a head: their table lies on the stack.
const MAX_FIELDS: usize = 64;

/// The head of a request as it goes to the upstream, but for its end.
#[derive(Debug, Default)]
pub(crate) struct PlainHead {
    /// Request line and fields.
    pub bytes: Vec<u8>,
    /// The method changes nothing (RFC 9110 §9.2.1).
    pub is_safe: bool,
}

// === impl PlainHead ===

impl PlainHead {
    /// The head at the beginning of `bytes`, which was found good, from a client at `peer` that is not trusted. `None`
    /// unless it is plain: what takes more than to copy it is left to [`headers::write_to_upstream`].
    pub(crate) fn of(bytes: &[u8], peer: &Peer, via: &HeaderValue) -> Option<Self> {
        let mut fields = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        request.parse_with_uninit_headers(bytes, &mut fields).ok()?;
        let (method, target) = request.method.zip(request.path)?;
        let is_safe = match method {
            "GET" => true,
            "POST" | "PUT" | "PATCH" | "DELETE" => false,
            _ => return None,
        };
        if !target.starts_with('/') {
            return None;
        }
        let mut out = Vec::with_capacity(HEAD);
        for part in [method, " ", target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        let mut host = None;
        for field in request.headers {
            let begin = out.len();
            out.extend_from_slice(field.name.as_bytes());
            out[begin..].make_ascii_lowercase();
            match &out[begin..] {
                b"host" => host = Some(&*field.value),
                b"connection" if !field.value.eq_ignore_ascii_case(b"keep-alive") => return None,
                b"cookie" if cookie::may_have_ours(field.value) => return None,
                b"max-forwards" | b"upgrade" => return None,
                name if !is_passed_on(name) => {
                    out.truncate(begin);
                    continue;
                }
                _ => {}
            }
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value);
            out.extend_from_slice(b"\r\n");
        }
        headers::write_provenance(&mut out, peer, host, via);
        Some(Self { bytes: out, is_safe })
    }
}

/// Whether a field of this name, in small letters, goes to the upstream if nothing but its name matters.
fn is_passed_on(name: &[u8]) -> bool {
    // The others do not begin so.
    let Some(b'c' | b'e' | b'f' | b'h' | b'k' | b'p' | b't' | b'u' | b'x') = name.first() else {
        return true;
    };
    let Ok(name) = std::str::from_utf8(name) else { return false };
    !matches!(name, "expect" | "trailer" | "forwarded" | "x-forwarded-for")
        && !headers::is_hop_by_hop(name)
        && !headers::is_claim(name, false)
}
