//! A strict reader of HTTP/1 messages, for both sides of the gateway.
//!
//! The judge must not share the leniency of what it judges: whatever RFC 9112 lets a recipient
//! forgive (a single LF, whitespace around a name, a folded line) is a fault here, because neither
//! the origin nor the client may ever be sent it.

/// What kind of message is read, which decides whether it may have a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    /// `bodiless` answers a HEAD: its framing fields announce a body that does not follow.
    Response {
        bodiless: bool,
    },
}

/// How the body of a message was delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Chunked,
    Length,
    None,
    UntilClose,
}

/// One message as it stood on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Request line or status line, without its CRLF.
    pub(crate) start: String,
    /// Field lines in order: lower-case name, value without surrounding whitespace.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) framing: Framing,
    /// The body with its chunked coding removed.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether the announced end was reached; with [`Framing::UntilClose`] only the caller knows.
    pub(crate) complete: bool,
    /// Bytes taken from the input.
    pub(crate) length: usize,
}

/// The outcome of reading one message from the start of a byte string.
#[derive(Clone, Debug)]
pub(crate) enum Parsed {
    /// The bytes can not be a message that a strict recipient accepts.
    Fault(String),
    Message(Message),
    /// The head is not complete yet.
    Partial,
}

/// Everything the client received, taken apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) interim: Vec<Message>,
    pub(crate) finals: Vec<Message>,
    /// The bytes behind a 101, where the connection is no longer HTTP.
    pub(crate) tunnel: Option<Vec<u8>>,
    /// Bytes behind the last message that are not a message (yet).
    pub(crate) rest: Vec<u8>,
    pub(crate) fault: Option<String>,
}

// === impl Message ===

impl Message {
    /// The status code of a response, 0 where the start line has none.
    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    /// All values of a field, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }

    /// The values of a field joined as a list; `None` where the field is absent.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let all = self.all(name);
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// Whether a list-valued field holds this member, in any case.
    pub(crate) fn lists(&self, name: &str, member: &str) -> bool {
        self.field(name)
            .is_some_and(|v| v.split(',').any(|m| m.trim().eq_ignore_ascii_case(member)))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

// === reading ===

/// Reads one message from the start of `bytes`.
pub(crate) fn read(bytes: &[u8], kind: Kind) -> Parsed {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return match bytes.iter().enumerate().find(|&(i, b)| stray(bytes, i, *b)) {
            Some((at, _)) => Parsed::Fault(format!("stray CR, LF or NUL at byte {at} of a head")),
            None => Parsed::Partial,
        };
    };
    match read_head(&bytes[..end + 2], kind) {
        Ok((start, fields)) => read_body(bytes, end + 4, kind, start, fields),
        Err(fault) => Parsed::Fault(fault),
    }
}

/// Reads all messages a client received; `closed` tells that no more will come.
pub(crate) fn answers(bytes: &[u8], first_bodiless: bool, closed: bool) -> Answers {
    let mut answers = Answers::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let bodiless = first_bodiless && answers.finals.is_empty();
        let mut message = match read(rest, Kind::Response { bodiless }) {
            Parsed::Fault(fault) => {
                answers.fault = Some(fault);
                break;
            }
            Parsed::Message(message) => message,
            Parsed::Partial => break,
        };
        rest = &rest[message.length..];
        match message.status() {
            101 => {
                answers.interim.push(message);
                answers.tunnel = Some(rest.to_vec());
                return answers;
            }
            100..=199 => answers.interim.push(message),
            _ => {
                message.complete |= message.framing == Framing::UntilClose && closed;
                answers.finals.push(message);
            }
        }
    }
    answers.rest = rest.to_vec();
    answers
}

pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

pub(crate) fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether the byte at `i` is a NUL, a CR without LF or an LF without CR. A CR at the very end may
/// still get its LF.
fn stray(bytes: &[u8], i: usize, byte: u8) -> bool {
    match byte {
        0 => true,
        b'\r' => i + 1 < bytes.len() && bytes[i + 1] != b'\n',
        b'\n' => i == 0 || bytes[i - 1] != b'\r',
        _ => false,
    }
}

type Fields = Vec<(String, String)>;

fn read_head(head: &[u8], kind: Kind) -> Result<(String, Fields), String> {
    if let Some((at, _)) = head.iter().enumerate().find(|&(i, b)| stray(head, i, *b)) {
        return Err(format!("stray CR, LF or NUL at byte {at} of a head"));
    }
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or("").to_owned();
    let parts: Vec<&str> = start.split(' ').collect();
    let good = match kind {
        Kind::Request => {
            parts.len() == 3
                && is_token(parts[0])
                && !parts[1].is_empty()
                && parts[1].bytes().all(|b| b.is_ascii_graphic())
                && parts[2] == "HTTP/1.1"
        }
        Kind::Response { .. } => {
            parts.len() >= 2
                && matches!(parts[0], "HTTP/1.1" | "HTTP/1.0")
                && parts[1].len() == 3
                && parts[1].bytes().all(|b| b.is_ascii_digit())
        }
    };
    if !good {
        return Err(format!("bad start line {start:?}"));
    }
    Ok((start, read_fields(lines)?))
}

fn read_fields<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Fields, String> {
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_once(':').ok_or(format!("no colon in {line:?}"))?;
            if !is_token(name) {
                return Err(format!("bad field name {name:?}"));
            }
            if value.bytes().any(|b| b == 0x7f || (b < b' ' && b != b'\t')) {
                return Err(format!("control byte in {line:?}"));
            }
            Ok((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
        })
        .collect()
}

fn read_body(bytes: &[u8], at: usize, kind: Kind, start: String, fields: Fields) -> Parsed {
    let mut message = Message {
        start,
        fields,
        framing: Framing::None,
        body: Vec::new(),
        trailers: Vec::new(),
        complete: true,
        length: at,
    };
    let codings = message.all("transfer-encoding");
    let lengths = message.all("content-length");
    if !codings.is_empty() && !lengths.is_empty() {
        return Parsed::Fault("both content-length and transfer-encoding".into());
    }
    if codings.len() > 1 || codings.iter().any(|c| !c.eq_ignore_ascii_case("chunked")) {
        return Parsed::Fault(format!("transfer-encoding {codings:?}"));
    }
    if lengths.len() > 1 || lengths.iter().any(|l| l.is_empty() || !l.bytes().all(digit)) {
        return Parsed::Fault(format!("content-length {lengths:?}"));
    }
    let chunked = !codings.is_empty();
    let length = lengths.first().map(|l| l.parse::<usize>().unwrap_or(usize::MAX));
    if let Kind::Response { bodiless } = kind {
        let status = message.status();
        if bodiless || status < 200 || status == 204 || status == 304 {
            return Parsed::Message(message);
        }
        if !chunked && length.is_none() {
            message.framing = Framing::UntilClose;
            message.body = bytes[at..].to_vec();
            message.length = bytes.len();
            message.complete = false;
            return Parsed::Message(message);
        }
    }
    if chunked {
        message.framing = Framing::Chunked;
        return match read_chunks(bytes, at, &mut message) {
            Ok(()) => Parsed::Message(message),
            Err(fault) => Parsed::Fault(fault),
        };
    }
    if let Some(length) = length {
        message.framing = Framing::Length;
        let end = bytes.len().min(at.saturating_add(length));
        message.body = bytes[at..end].to_vec();
        message.complete = end - at == length;
        message.length = end;
    }
    Parsed::Message(message)
}

fn digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// Reads a chunked body from `at`; what is missing at the end makes the message incomplete.
fn read_chunks(bytes: &[u8], mut at: usize, message: &mut Message) -> Result<(), String> {
    message.complete = false;
    message.length = bytes.len();
    loop {
        let Some(line) = find(&bytes[at..], b"\r\n") else { return partial_line(&bytes[at..]) };
        let text = String::from_utf8_lossy(&bytes[at..at + line]).into_owned();
        let size = text.split(';').next().unwrap_or("");
        if size.is_empty() || size.len() > 15 || !size.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("bad chunk size line {text:?}"));
        }
        if text.bytes().any(|b| b < b' ' && b != b'\t') {
            return Err(format!("control byte in chunk extension {text:?}"));
        }
        let size = usize::from_str_radix(size, 16).map_err(|e| e.to_string())?;
        at += line + 2;
        if size == 0 {
            break;
        }
        let end = bytes.len().min(at + size);
        message.body.extend_from_slice(&bytes[at..end]);
        match bytes.get(at + size..) {
            Some([b'\r', b'\n', ..]) => at += size + 2,
            Some([] | [b'\r']) | None => return Ok(()),
            Some(_) => return Err("no CRLF behind the data of a chunk".into()),
        }
    }
    let mut lines = Vec::new();
    loop {
        let Some(line) = find(&bytes[at..], b"\r\n") else { return partial_line(&bytes[at..]) };
        let text = String::from_utf8_lossy(&bytes[at..at + line]).into_owned();
        at += line + 2;
        if text.is_empty() {
            break;
        }
        lines.push(text);
    }
    message.trailers = read_fields(lines.iter().map(String::as_str))?;
    message.complete = true;
    message.length = at;
    Ok(())
}

fn partial_line(rest: &[u8]) -> Result<(), String> {
    match rest.iter().enumerate().find(|&(i, b)| stray(rest, i, *b)) {
        Some(_) => Err("stray CR, LF or NUL in chunked framing".into()),
        None => Ok(()),
    }
}
