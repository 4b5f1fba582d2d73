//! One request's head: framing, and the instructions it carries for the origin.
//!
//! Instructions come as headers (`x-origin-delay-ms: 50`) or in the query
//! (`/orders?x-origin-delay-ms=50`). An unknown one is answered with 400, so that a test with a
//! typing error does not pass by accident.

use std::{mem::MaybeUninit, ops::Range, time::Duration};

use serde::Serialize;

use crate::wire::{self, Body};

use super::{call::Call, config::OriginConfig, shop::Shop};

/// Largest head.
pub(super) const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;
const PREFIX: &str = "x-origin-";

/// What came of looking at the bytes so far.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Not to be answered as asked: a status and why.
    Bad(u16, &'static str),
    Complete(Request),
    Incomplete,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) body: Body,
    /// What it asks of the shop, when there is one.
    pub(super) call: Option<Box<Call>>,
    pub(super) echo: Option<Box<Echo>>,
    pub(super) expects_continue: bool,
    /// Length of the head.
    pub(super) head_bytes: usize,
    pub(super) instructions: Instructions,
    /// A HEAD request, whose answer has no body.
    pub(super) is_head: bool,
    pub(super) keep_alive: bool,
    /// Where in the head the path stands, without the query.
    pub(super) path: Range<usize>,
    pub(super) upgrade: Option<String>,
}

/// How the origin is to treat one request.
#[derive(Debug, Default)]
pub(super) struct Instructions {
    pub(super) behaviour: Behaviour,
    pub(super) body_bytes: Option<usize>,
    /// How long a slow body takes.
    pub(super) body_time: Option<Duration>,
    /// Instead of the service time.
    pub(super) delay: Option<Duration>,
    /// Headers to put on the answer, as `name: value`.
    pub(super) headers: Vec<String>,
    pub(super) status: Option<u16>,
}

/// What the origin does instead of a plain answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Behaviour {
    #[default]
    Answer,
    /// The body comes in chunked coding, with a trailer.
    Chunked,
    /// The connection is closed without an answer.
    CloseBeforeAnswer,
    /// The answer comes before the body was read, and the connection closes.
    EarlyAnswer,
    /// A 103 comes before the answer.
    EarlyHints,
    /// The answer describes the request as it arrived.
    Echo,
    /// Bytes that are not HTTP.
    Garbage,
    /// Nothing until the client leaves.
    NeverAnswer,
    /// A TCP reset instead of an answer.
    Reset,
    /// The body comes in ten pieces over `x-origin-body-ms`.
    SlowBody,
    /// 101, then every byte comes back.
    Switch101,
    /// Half of the announced body, then the connection is closed.
    Truncate,
}

/// A request as it arrived, for the answer that repeats it.
#[derive(Debug, Serialize)]
pub(super) struct Echo {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) version: String,
    /// In order, names as received; values that are not UTF-8 with replacement characters.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body_bytes: u64,
    /// FNV-1a, 64 bit, of the whole body, in 16 hexadecimal digits.
    pub(super) body_fnv1a: String,
    /// The body itself when it has at most 64 KiB.
    pub(super) body: Option<String>,
}

// === impl Request ===

impl Request {
    /// Whether the plain answer is the right one: there is no body, and nothing special is asked.
    pub(super) fn is_plain(&self) -> bool {
        self.body.is_done()
            && self.call.is_none()
            && self.keep_alive
            && !self.is_head
            && self.instructions.is_none()
    }
}

// === impl Behaviour ===

impl Behaviour {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "answer" => Self::Answer,
            "chunked" => Self::Chunked,
            "close-before-answer" => Self::CloseBeforeAnswer,
            "early-answer" => Self::EarlyAnswer,
            "early-hints" => Self::EarlyHints,
            "echo" => Self::Echo,
            "garbage" => Self::Garbage,
            "never-answer" => Self::NeverAnswer,
            "reset" => Self::Reset,
            "slow-body" => Self::SlowBody,
            "switch-101" => Self::Switch101,
            "truncate" => Self::Truncate,
            _ => return None,
        })
    }
}

// === impl Instructions ===

impl Instructions {
    /// Whether there are none. `body_time` alone changes nothing.
    pub(super) fn is_none(&self) -> bool {
        self.behaviour == Behaviour::Answer
            && self.body_bytes.is_none()
            && self.delay.is_none()
            && self.headers.is_empty()
            && self.status.is_none()
    }

    /// Takes one instruction; `None` when it is not understood.
    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        let millis = || {
            let time = Duration::from_millis(value.parse().ok()?);
            (time <= OriginConfig::MAX_SERVICE_TIME).then_some(time)
        };
        match name.to_ascii_lowercase().as_str() {
            "behaviour" => self.behaviour = Behaviour::parse(value)?,
            "body-bytes" => {
                let bytes = value.parse().ok()?;
                self.body_bytes = (bytes <= OriginConfig::MAX_BODY_BYTES).then_some(bytes);
                self.body_bytes?;
            }
            "body-ms" => self.body_time = Some(millis()?),
            "delay-ms" => self.delay = Some(millis()?),
            "header" => self.headers.push(value.contains(':').then(|| value.to_owned())?),
            "status" => {
                self.status = value.parse().ok().filter(|status| (200..600).contains(status));
                self.status?;
            }
            _ => return None,
        }
        Some(())
    }
}

/// Reads the head at the start of `bytes`.
pub(super) fn parse(bytes: &[u8], shop: Option<&Shop>) -> Parsed {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut []);
    let head_bytes = match head.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) if bytes.len() >= MAX_HEAD_BYTES => {
            return Parsed::Bad(431, "head too large");
        }
        Ok(httparse::Status::Partial) => return Parsed::Incomplete,
        Err(httparse::Error::TooManyHeaders) => return Parsed::Bad(431, "too many headers"),
        Err(_) => return Parsed::Bad(400, "malformed head"),
    };
    match read(&head, bytes, head_bytes, shop) {
        Ok(request) => Parsed::Complete(request),
        Err((status, why)) => Parsed::Bad(status, why),
    }
}

fn read(
    head: &httparse::Request<'_, '_>,
    bytes: &[u8],
    head_bytes: usize,
    shop: Option<&Shop>,
) -> Result<Request, (u16, &'static str)> {
    let (method, target) = (head.method.unwrap_or_default(), head.path.unwrap_or_default());
    let mut instructions = Instructions::default();
    let mut instruct = |name: &str, value: &[u8]| {
        let value = std::str::from_utf8(value).ok().map(str::trim);
        value
            .and_then(|value| instructions.set(name, value))
            .ok_or((400, "instruction not understood"))
    };
    let (mut length, mut chunked, mut close, mut keep) = (None, false, false, false);
    let (mut expects_continue, mut upgrade) = (false, None);
    for header in head.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if header.name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)) {
            instruct(&header.name[PREFIX.len()..], header.value)?;
        } else if is("content-length") {
            let value = wire::content_length(header.value).map_err(|_| (400, "content-length"))?;
            if length.replace(value).is_some_and(|other| other != value) {
                return Err((400, "conflicting content-length"));
            }
        } else if is("transfer-encoding") {
            if chunked || !header.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err((501, "transfer-encoding"));
            }
            chunked = true;
        } else if is("connection") {
            close |= wire::names_token(header.value, "close");
            keep |= wire::names_token(header.value, "keep-alive");
        } else if is("expect") {
            expects_continue = header.value.eq_ignore_ascii_case(b"100-continue");
        } else if is("upgrade") {
            upgrade = Some(String::from_utf8_lossy(header.value).into_owned());
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    for pair in query.split('&').filter(|pair| pair.starts_with(PREFIX)) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        instruct(&name[PREFIX.len()..], value.as_bytes())?;
    }
    let body = match (chunked, length) {
        (true, Some(_)) => return Err((400, "content-length beside transfer-encoding")),
        (true, None) => Body::chunked(),
        (false, length) => Body::length(length.unwrap_or(0)),
    };
    let start = path.as_ptr() as usize - bytes.as_ptr() as usize;
    let http_11 = head.version == Some(1);
    let echo = (instructions.behaviour == Behaviour::Echo).then(|| Box::new(Echo::of(head)));
    Ok(Request {
        body,
        call: shop.and_then(|shop| Call::read(head, |name| shop.sku(name))).map(Box::new),
        echo,
        expects_continue: expects_continue && http_11,
        head_bytes,
        instructions,
        is_head: method == "HEAD",
        keep_alive: !close && (http_11 || keep),
        path: start..start + path.len(),
        upgrade,
    })
}

// === impl Echo ===

impl Echo {
    fn of(head: &httparse::Request<'_, '_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            method: head.method.unwrap_or_default().to_owned(),
            target: head.path.unwrap_or_default().to_owned(),
            version: format!("HTTP/1.{}", head.version.unwrap_or_default()),
            headers: head
                .headers
                .iter()
                .map(|header| (header.name.to_owned(), text(header.value)))
                .collect(),
            body_bytes: 0,
            body_fnv1a: String::new(),
            body: None,
        }
    }
}

/// The first segment of a path, with its slash: what requests are counted by.
pub(super) fn prefix_of(path: &str) -> &str {
    let end = path.bytes().skip(1).position(|byte| byte == b'/');
    end.map_or(path, |end| &path[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(wire: &str) -> Request {
        match parse(wire.as_bytes(), None) {
            Parsed::Complete(request) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn instructions_come_by_header_and_by_query() {
        let wire = "GET /a?n=1&x-origin-status=404 HTTP/1.1\r\nX-Origin-Delay-Ms: 7\r\n\
                    x-origin-behaviour: slow-body\r\n\r\n";
        let request = complete(wire);
        assert_eq!(&wire[request.path], "/a");
        assert_eq!(request.instructions.status, Some(404));
        assert_eq!(request.instructions.delay, Some(Duration::from_millis(7)));
        assert_eq!(request.instructions.behaviour, Behaviour::SlowBody);
    }

    #[test]
    fn what_is_not_understood_is_answered_and_not_ignored() {
        for (line, status) in [
            ("x-origin-dealy-ms: 7", 400),
            ("x-origin-status: 42", 400),
            ("x-origin-behaviour: explode", 400),
            ("content-length: 1\r\ncontent-length: 2", 400),
            ("content-length: 1\r\ntransfer-encoding: chunked", 400),
            ("transfer-encoding: gzip", 501),
        ] {
            let wire = format!("POST / HTTP/1.1\r\n{line}\r\n\r\n");
            let parsed = parse(wire.as_bytes(), None);
            assert!(matches!(parsed, Parsed::Bad(got, _) if got == status), "{line}: {parsed:?}");
        }
    }

    #[test]
    fn keep_alive_follows_version_and_connection() {
        for (version, connection, keep_alive) in [
            ("1.1", "x", true),
            ("1.1", "x, Close", false),
            ("1.0", "x", false),
            ("1.0", "keep-alive", true),
        ] {
            let wire = format!("GET / HTTP/{version}\r\nconnection: {connection}\r\n\r\n");
            assert_eq!(complete(&wire).keep_alive, keep_alive, "{version} {connection}");
        }
    }

    #[test]
    fn prefix_is_the_first_segment() {
        for (path, prefix) in [("/orders/7/pay", "/orders"), ("/orders", "/orders"), ("/", "/")] {
            assert_eq!(prefix_of(path), prefix);
        }
        assert_eq!(prefix_of("http://a/b"), "http:");
    }
}
