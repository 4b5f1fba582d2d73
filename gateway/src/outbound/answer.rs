//! The head of an answer: read, judged, and stripped of what is not for the client.

use std::cell::Cell;
use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, response};
use hyper::ext::ReasonPhrase;

use super::body_reader::BodyReader;
use crate::grant::cookie::GRANT_HEADER;
use crate::headers;
use crate::http1::elements;

/// Most fields in one head.
const MAX_FIELDS: usize = 256;

thread_local! {
    /// A table of an answer that is written, emptied.
    static SPARE: Cell<HeaderMap> = Cell::default();
}

/// The head of an answer, ready to be passed on, and what is to be known of the rest.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What the client gets of it.
    pub head: response::Parts,
    /// How its body ends.
    pub body: BodyReader,
    /// What came behind the head.
    pub behind: Bytes,
    /// The protocol it switches to, if it names one.
    pub upgrade: Option<HeaderValue>,
    /// The connection may carry another request afterwards.
    pub keeps_alive: bool,
}

/// What the origin says to its customer's grant, an extension of its answer: not for the customer.
#[derive(Clone, Debug)]
pub(crate) struct GrantWord(pub HeaderValue);

/// What stands at the beginning of some bytes.
pub(super) enum Parsed {
    /// An answer.
    Answer(Box<Answer>),
    /// An interim answer, which ends here; nobody is told.
    Interim(usize),
    /// Not enough to say.
    Partial,
}

/// It is not an answer, or one that reads two ways.
#[derive(Debug)]
pub(super) struct Malformed;

/// What the fields say that are not passed on as they are.
#[derive(Default)]
struct Fields<'b> {
    /// The length, and the digits that say it.
    length: Option<(u64, &'b [u8])>,
    is_chunked: Option<bool>,
    connection: Vec<&'b [u8]>,
    closes: bool,
    upgrade: Option<HeaderValue>,
    grant: Option<GrantWord>,
}

/// Keeps a table that is needed no more for the next answer.
pub(crate) fn reuse(mut table: HeaderMap) {
    table.clear();
    SPARE.set(table);
}

/// Reads the head at the beginning of `bytes`, the answer to a HEAD request or to any other, and puts
/// its fields into `table`, which is empty.
///
/// # Errors
/// Its framing cannot be trusted (RFC 9112 §6.3), or it is no HTTP at all.
pub(super) fn parse(
    bytes: &Bytes,
    is_head: bool,
    table: &mut HeaderMap,
) -> Result<Parsed, Malformed> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut read = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut read, bytes, &mut lines) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(_) => return Err(Malformed),
    };
    let status = read.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Malformed)?;
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Parsed::Interim(length));
    }
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = status;
    head.headers = std::mem::take(table);
    if head.headers.capacity() == 0 {
        head.headers = SPARE.take();
    }
    let is_http_11 = read.version == Some(1);
    let fields = read_fields(bytes, read.headers, &mut head.headers)?;
    let has_body = !(is_head
        || status == StatusCode::SWITCHING_PROTOCOLS
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED);
    let body = match (fields.is_chunked, fields.length) {
        // Nobody knows where such a body ends.
        (Some(false), _) => return Err(Malformed),
        (Some(true), _) if has_body && !is_http_11 => return Err(Malformed),
        _ if !has_body => BodyReader::none(),
        (Some(true), _) => BodyReader::chunked(),
        (None, Some((length, _))) => BodyReader::length(length),
        (None, None) => BodyReader::until_close(),
    };
    if let Some(reason) = read.reason
        && Some(reason) != status.canonical_reason()
        && let Ok(phrase) = ReasonPhrase::try_from(reason.as_bytes())
    {
        head.extensions.insert(phrase);
    }
    if let Some(word) = fields.grant {
        head.extensions.insert(word);
    }
    let upgrade = fields.upgrade;
    // A server of HTTP/1.0 closes unless it says otherwise, and what it says is not worth the doubt.
    let keeps_alive = is_http_11 && !fields.closes && status != StatusCode::SWITCHING_PROTOCOLS;
    let behind = bytes.slice(length..);
    Ok(Parsed::Answer(Box::new(Answer { head, body, behind, upgrade, keeps_alive })))
}

/// Puts into `table` what is passed on, and says what the rest means.
fn read_fields<'b>(
    bytes: &Bytes,
    lines: &[httparse::Header<'b>],
    table: &mut HeaderMap,
) -> Result<Fields<'b>, Malformed> {
    let mut fields = Fields::default();
    table.reserve(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Malformed)?;
        match name.as_str() {
            "content-length" => {
                fields.add_length(line.value)?;
                continue;
            }
            "transfer-encoding" => {
                let is_chunked = line.value.eq_ignore_ascii_case(b"chunked");
                fields.is_chunked = Some(is_chunked && fields.is_chunked.is_none());
            }
            "connection" => fields.add_connection(line.value),
            "upgrade" => fields.upgrade = value(bytes, line.value).ok(),
            _ if name == GRANT_HEADER => {
                fields.grant = value(bytes, line.value).ok().map(GrantWord)
            }
            _ => {}
        }
        if !headers::ends_at_gateway(name.as_str()) {
            table.append(name, value(bytes, line.value)?);
        }
    }
    if let Some((_, digits)) = fields.length.filter(|_| fields.is_chunked.is_none()) {
        table.append(CONTENT_LENGTH, value(bytes, digits)?);
    }
    for connection in &fields.connection {
        headers::remove_nominated(table, connection);
    }
    Ok(fields)
}

/// A part of `bytes` as a field value that shares their memory.
fn value(bytes: &Bytes, part: &[u8]) -> Result<HeaderValue, Malformed> {
    HeaderValue::from_maybe_shared(bytes.slice_ref(part)).map_err(|_| Malformed)
}

// === impl Fields ===

impl<'b> Fields<'b> {
    /// Several equal lengths are one; anything else that is not one number is an error.
    fn add_length(&mut self, value: &'b [u8]) -> Result<(), Malformed> {
        for element in elements(value) {
            let length = number(element).ok_or(Malformed)?;
            if self.length.get_or_insert((length, element)).0 != length {
                return Err(Malformed);
            }
        }
        Ok(())
    }

    fn add_connection(&mut self, value: &'b [u8]) {
        self.closes |= elements(value).any(|option| option.eq_ignore_ascii_case(b"close"));
        if !value.eq_ignore_ascii_case(b"keep-alive") && !value.eq_ignore_ascii_case(b"close") {
            self.connection.push(value);
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let number = |n: u64, b: &u8| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    };
    // hyper keeps the last two values for itself.
    let length = digits.iter().try_fold(0, number).filter(|&length| length < u64::MAX - 1);
    length.filter(|_| !digits.is_empty())
}
