//! One request head: whole, well-formed, and with a framing that only reads one way.

use std::mem::MaybeUninit;

use http::Method;
use http::uri::Authority;

use super::byte_set::{PATH, QUERY};
use super::host::is_valid_authority;
use super::list::elements;
use crate::reason::Reason;

/// Longest request target. RFC 9110 §4.1 asks for at least 8,000 octets.
const MAX_TARGET: usize = 16 * 1024;

/// Upper end of the `max_headers` key: the parser's table lies on the stack.
pub(super) const MAX_HEADERS: usize = 256;

/// Empty lines that are skipped in front of a request line (RFC 9112 §2.2 asks for one).
const MAX_LEADING_LINES: usize = 4;

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// Bytes, request line and all fields together.
    pub bytes: usize,
    /// Number of header fields, at most 256.
    pub headers: usize,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framing {
    /// A chunked body.
    Chunked,
    /// This many bytes; 0 when there is no body.
    Length(u64),
}

/// A head that may be passed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Head<'a> {
    /// Bytes it takes, the empty line included.
    pub len: usize,
    /// What follows it.
    pub framing: Framing,
    /// As it was sent.
    pub method: &'a str,
    /// Path of the target without its query, as it was sent; `*` for the server as a whole.
    pub path: &'a str,
    /// What follows the question mark, as it was sent; empty without one.
    pub query: &'a str,
    /// HTTP/1.1, not 1.0.
    pub is_http_11: bool,
    /// The client does not want the connection to last beyond the answer.
    pub is_last: bool,
    /// The client waits for our 100 before it sends the body.
    pub expects: bool,
}

/// What the fields of a head say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Fields {
    framing: Framing,
    closes: bool,
    keeps_alive: bool,
    expects: bool,
}

/// Reads one head off the front of `bytes` and has `judge` say what it makes of the head and its fields,
/// whose table lies on the stack: `None` while it is incomplete.
///
/// # Errors
/// The reason to refuse with when no way of completing `bytes` makes a request that may be passed on.
pub(crate) fn read<'a, T>(
    bytes: &'a [u8],
    limits: HeadLimits,
    judge: impl FnOnce(Head<'a>, &[httparse::Header<'a>]) -> T,
) -> Result<Option<T>, Reason> {
    refuse_many_empty_lines(bytes)?;
    let mut table = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let headers = &mut table[..limits.headers.min(MAX_HEADERS)];
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(bytes, headers) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() > limits.bytes => {
            return Err(if request.path.is_none() {
                Reason::UriTooLong
            } else {
                Reason::HeadTooLarge
            });
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Reason::HeadTooLarge),
        Err(httparse::Error::Version) => {
            return match version_reason(bytes) {
                Some(reason) => Err(reason),
                None if bytes.len() > limits.bytes => Err(Reason::BadRequest),
                None => Ok(None),
            };
        }
        Err(_) => return Err(Reason::BadRequest),
    };
    let target = request.path.unwrap_or_default();
    if target.len() > MAX_TARGET {
        return Err(Reason::UriTooLong);
    }
    if len > limits.bytes {
        return Err(Reason::HeadTooLarge);
    }
    if has_bare_line_feed(&bytes[..len]) {
        return Err(Reason::BadRequest);
    }
    let method = request.method.unwrap_or_default();
    let is_http_11 = request.version == Some(1);
    let (path, query) = check_target(method, target)?;
    let fields = check_fields(request.headers, is_http_11)?;
    let head = Head {
        len,
        framing: fields.framing,
        method,
        path,
        query,
        is_http_11,
        is_last: fields.closes || !(is_http_11 || fields.keeps_alive),
        expects: fields.expects,
    };
    Ok(Some(judge(head, request.headers)))
}

fn refuse_many_empty_lines(bytes: &[u8]) -> Result<(), Reason> {
    let empty = bytes.chunks(2).take_while(|line| *line == b"\r\n").count();
    if empty > MAX_LEADING_LINES { Err(Reason::BadRequest) } else { Ok(()) }
}

/// What follows the empty lines that may precede a request. Behind more of them no request is looked for.
pub(crate) fn skip_empty_lines(bytes: &[u8]) -> &[u8] {
    (0..MAX_LEADING_LINES).fold(bytes, |rest, _| rest.strip_prefix(b"\r\n").unwrap_or(rest))
}

/// A version that is written correctly but is not ours gets 505, everything else 400. `None` while its
/// line has not ended: what it is shall not depend on how it comes.
fn version_reason(bytes: &[u8]) -> Option<Reason> {
    let begin = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n'))?;
    let end = begin + bytes[begin..].iter().position(|&b| b == b'\n')?;
    let line = bytes[begin..end].strip_suffix(b"\r").unwrap_or(&bytes[begin..end]);
    let mut words = line.split(|&b| b == b' ').skip(2);
    Some(match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Reason::VersionNotSupported
        }
        _ => Reason::BadRequest,
    })
}

/// A line feed that no carriage return precedes: two readers may disagree where the line ends.
fn has_bare_line_feed(head: &[u8]) -> bool {
    // To the end whatever is found: without a way out the compiler looks at many bytes at once.
    let pairs = head.iter().zip(head.get(1..).unwrap_or_default());
    let is_bare = pairs.fold(false, |found, (&a, &b)| found | ((b == b'\n') & (a != b'\r')));
    is_bare || head.first() == Some(&b'\n')
}

/// RFC 9112 §3.2: the four forms of a target, and who may use them. Its path and its query.
fn check_target<'a>(method: &str, target: &'a str) -> Result<(&'a str, &'a str), Reason> {
    if method == Method::CONNECT.as_str() {
        return Err(Reason::NotImplemented);
    }
    if target == "*" {
        let may = method == Method::OPTIONS.as_str();
        return if may { Ok((target, "")) } else { Err(Reason::BadRequest) };
    }
    let path = if target.starts_with('/') { target } else { absolute_path(target)? };
    let end = path.bytes().position(|b| b == b'?').unwrap_or(path.len());
    let (path, query) = path.split_at(end);
    let good = PATH.has_all(path.as_bytes()) && QUERY.has_all(query.as_bytes());
    if !good {
        return Err(Reason::BadRequest);
    }
    Ok((if path.is_empty() { "/" } else { path }, query.strip_prefix('?').unwrap_or(query)))
}

/// Path and query of an absolute-form target whose authority is good.
fn absolute_path(target: &str) -> Result<&str, Reason> {
    let (scheme, rest) = target.split_once("://").ok_or(Reason::BadRequest)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Reason::BadRequest);
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // Stricter than Host: it has to become one.
    let is_good =
        is_valid_authority(authority.as_bytes()) && authority.parse::<Authority>().is_ok();
    if is_good { Ok(path) } else { Err(Reason::BadRequest) }
}

/// Goes over the fields once: framing, Host, Connection, Expect.
fn check_fields(fields: &[httparse::Header<'_>], is_http_11: bool) -> Result<Fields, Reason> {
    let mut closes = false;
    let mut keeps_alive = false;
    let mut expects = false;
    let mut length = None;
    let mut chunked = false;
    let mut host = false;
    for field in fields {
        let name = field.name;
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => {
                if host || !is_valid_authority(field.value) {
                    return Err(Reason::BadRequest);
                }
                host = true;
            }
            // HTTP/1.0 does not know it (RFC 9110 §10.1.1).
            6 if is_http_11 && name.eq_ignore_ascii_case("expect") => {
                check_expectation(field.value)?;
                expects = true;
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                for option in check_connection(field.value)? {
                    closes |= option.eq_ignore_ascii_case(b"close");
                    keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                if length.is_some() {
                    return Err(Reason::BadRequest);
                }
                length = Some(content_length(field.value)?);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                if chunked || !is_http_11 {
                    return Err(Reason::BadRequest);
                }
                check_transfer_encoding(field.value)?;
                chunked = true;
            }
            _ => {}
        }
    }
    if is_http_11 && !host {
        return Err(Reason::BadRequest);
    }
    let framing = match (chunked, length) {
        // A request with both is how requests are smuggled (RFC 9112 §6.1).
        (true, Some(_)) => return Err(Reason::BadRequest),
        (true, None) => Framing::Chunked,
        (false, length) => Framing::Length(length.unwrap_or(0)),
    };
    Ok(Fields { framing, closes, keeps_alive, expects })
}

/// Digits only. A list of equal values may be refused (RFC 9110 §8.6), so it is.
fn content_length(value: &[u8]) -> Result<u64, Reason> {
    // 18 digits always fit; nobody sends an exabyte.
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Reason::BadRequest);
    }
    Ok(value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

/// Exactly `chunked`. Other codings before it are not implemented; anything else is malformed.
fn check_transfer_encoding(value: &[u8]) -> Result<(), Reason> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = elements(value).rev();
    let last_is_chunked = codings.next().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
    let others_are_known = codings.all(|coding| {
        [&b"gzip"[..], b"x-gzip", b"deflate", b"compress", b"x-compress"]
            .iter()
            .any(|known| coding.eq_ignore_ascii_case(known))
    });
    Err(if last_is_chunked && others_are_known {
        Reason::NotImplemented
    } else {
        Reason::BadRequest
    })
}

/// The one expectation that there is.
fn check_expectation(value: &[u8]) -> Result<(), Reason> {
    if value.eq_ignore_ascii_case(b"100-continue") {
        Ok(())
    } else {
        Err(Reason::ExpectationFailed)
    }
}

/// The options, which must not take framing or Host away (RFC 9110 §7.6.1).
fn check_connection(value: &[u8]) -> Result<impl Iterator<Item = &[u8]>, Reason> {
    let takes_away = elements(value).any(|option| {
        [&b"content-length"[..], b"transfer-encoding", b"host"]
            .iter()
            .any(|name| option.eq_ignore_ascii_case(name))
    });
    if takes_away { Err(Reason::BadRequest) } else { Ok(elements(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 32 * 1024, headers: 100 };

    fn check(head: &str) -> Result<Option<Head<'_>>, Reason> {
        read(head.as_bytes(), LIMITS, |head, _| head)
    }

    fn with(field: &str) -> Result<Framing, Reason> {
        check(&format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"))
            .map(|head| head.expect("whole").framing)
    }

    #[test]
    fn a_plain_head_is_measured_to_its_last_byte() {
        let head = "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n";
        let more = format!("{head}GET /next");
        let parsed = check(&more).unwrap().unwrap();
        assert_eq!((parsed.len, parsed.framing), (head.len(), Framing::Length(0)));
        assert_eq!(check(&head[..head.len() - 1]), Ok(None));
    }

    #[test]
    fn framing_reads_one_way_only() {
        assert_eq!(with("Content-Length: 10"), Ok(Framing::Length(10)));
        assert_eq!(with("Transfer-Encoding: CHUNKED"), Ok(Framing::Chunked));
        for bad in [
            "Content-Length: +1",
            "Content-Length: 0x1",
            "Content-Length: 1, 1",
            "Content-Length: ",
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 99999999999999999999",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: , chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: chunked;q=1",
            "Transfer-Encoding: chunked, gzip",
        ] {
            assert_eq!(with(bad), Err(Reason::BadRequest), "{bad}");
        }
        assert_eq!(with("Transfer-Encoding: gzip, chunked"), Err(Reason::NotImplemented));
        assert_eq!(
            check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Err(Reason::BadRequest)
        );
    }

    #[test]
    fn what_decides_is_read_off_the_head() {
        let head = "POST http://b:80/c/d?e HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\nExpect: 100-continue\r\n\r\n";
        let head = check(head).unwrap().unwrap();
        assert_eq!((head.method, head.path, head.query), ("POST", "/c/d", "e"));
        assert!(head.is_http_11 && head.is_last && head.expects);
        for (target, path) in [("http://b", "/"), ("http://b?x", "/"), ("/?x/y", "/")] {
            let head = format!("GET {target} HTTP/1.0\r\n\r\n");
            let head = check(&head).unwrap().unwrap();
            assert_eq!((head.path, head.is_http_11, head.is_last), (path, false, true));
        }
    }

    #[test]
    fn bare_line_feeds_folds_and_empty_lines_are_refused() {
        for bad in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        ] {
            assert_eq!(check(bad), Err(Reason::BadRequest), "{bad:?}");
        }
        assert!(check("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok_and(|head| head.is_some()));
    }

    #[test]
    fn targets_have_four_forms() {
        let ask = |line: &str| {
            check(&format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n")).map(|head| head.map(drop))
        };
        for good in ["GET /", "OPTIONS *", "GET http://b/c", "GET http://b", "GET /a%20b?c={d}|e"] {
            assert!(ask(good).is_ok(), "{good}");
        }
        for bad in [
            "GET *",
            "GET a",
            "GET b:80",
            "GET http://u@b/",
            "GET http:///c",
            "GET /#f",
            "GET /a\"b",
            "GET ftp://b/",
            "GET http://a%20b/",
            "GET /ä",
            "GET /a\\b",
        ] {
            assert_eq!(ask(bad), Err(Reason::BadRequest), "{bad}");
        }
        assert_eq!(ask("CONNECT a:443"), Err(Reason::NotImplemented));
    }

    #[test]
    fn a_foreign_version_is_told_apart_from_a_broken_one_however_it_comes() {
        for line in ["GET / HTTP/2.0", "GET / HTTP/0.9", "GET / FTP/1.1"] {
            for end in 0..=line.len() {
                assert_eq!(check(&line[..end]), Ok(None), "{line}");
            }
        }
        let endless = format!("GET / X{}", "x".repeat(LIMITS.bytes));
        assert_eq!(check(&endless), Err(Reason::BadRequest));
    }

    #[test]
    fn too_much_has_names_of_its_own() {
        let long = "x".repeat(MAX_TARGET);
        assert_eq!(
            check(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
            Err(Reason::UriTooLong)
        );
        let many = "X: y\r\n".repeat(100);
        assert_eq!(
            check(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")),
            Err(Reason::HeadTooLarge)
        );
        let wide = "x".repeat(LIMITS.bytes);
        assert_eq!(check(&format!("GET / HTTP/1.1\r\nHost: {wide}")), Err(Reason::HeadTooLarge));
        assert_eq!(check(&"G".repeat(LIMITS.bytes + 1)), Err(Reason::UriTooLong));
        assert_eq!(check("GET / HTTP/2.0\r\n\r\n"), Err(Reason::VersionNotSupported));
        assert_eq!(check("\r\nGET / HTTP/2.0\r\n\r\n"), Err(Reason::VersionNotSupported));
        assert_eq!(check("GET / HTTP/1.1x\r\n\r\n"), Err(Reason::BadRequest));
    }
}
