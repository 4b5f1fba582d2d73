//! A strict reader of chunked framing: says how many bytes may be passed on.
//!
//! It follows RFC 9112 §7.1 to the letter where readers differ: line ends are CRLF, sizes are plain
//! hexadecimal, extensions hold no control characters. A size line and the trailer section are only
//! passed on once they are whole, so that whoever reads behind us always stands at a clean border.

use crate::reason::Reason;

/// Longest size line, extensions included.
const MAX_SIZE_LINE: usize = 1024;
/// The extensions of all chunks of one body that carry data (RFC 9112 §7.1.1 asks for a limit on the
/// sum).
const MAX_EXTENSIONS: usize = 8 * 1024;
/// Longest trailer section, and the most fields in it.
const MAX_TRAILERS: usize = 8 * 1024;
const MAX_TRAILER_FIELDS: usize = 32;

/// Where in a chunked body the next byte stands; in front of the first size line by default.
#[derive(Debug)]
pub(crate) struct Chunked {
    at: At,
    extensions: usize,
}

#[derive(Debug)]
enum At {
    Size,
    Data(u64),
    DataEnd,
    Done,
}

/// What may be done with the bytes that were shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Step {
    /// So many of them may be passed on.
    pub pass: usize,
    /// With them the body is complete.
    pub done: bool,
}

// === impl Chunked ===

impl Default for Chunked {
    fn default() -> Self {
        Self { at: At::Size, extensions: 0 }
    }
}

impl Chunked {
    /// Reads on over `bytes`, which begin where the last step's `pass` ended.
    ///
    /// # Errors
    /// The framing is broken at the first of these bytes. What precedes a break is passed first, so
    /// that whoever reads behind us stands right in front of it.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Step, Reason> {
        let mut pass = 0;
        while pass < bytes.len() {
            let taken = match self.read_on(&bytes[pass..]) {
                Ok(taken) => taken,
                Err(_) if pass > 0 => break,
                Err(reason) => return Err(reason),
            };
            if taken == 0 {
                break;
            }
            pass += taken;
        }
        Ok(Step { pass, done: matches!(self.at, At::Done) })
    }

    /// Takes what belongs together at the front of `rest`; 0 if it is incomplete.
    fn read_on(&mut self, rest: &[u8]) -> Result<usize, Reason> {
        Ok(match self.at {
            At::Size => self.read_size(rest)?,
            At::Data(left) => {
                let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - taken as u64;
                self.at = if left == 0 { At::DataEnd } else { At::Data(left) };
                taken
            }
            At::DataEnd => match rest {
                [b'\r', b'\n', ..] => {
                    self.at = At::Size;
                    2
                }
                [b'\r'] => 0,
                _ => return Err(Reason::BadRequest),
            },
            At::Done => 0,
        })
    }

    /// A size line; for the last chunk together with the trailer section. 0 while incomplete.
    fn read_size(&mut self, bytes: &[u8]) -> Result<usize, Reason> {
        let window = &bytes[..bytes.len().min(MAX_SIZE_LINE)];
        let Some(end) = window.iter().position(|&b| b == b'\n') else {
            split_size_line(window.strip_suffix(b"\r").unwrap_or(window))?;
            return if bytes.len() < MAX_SIZE_LINE { Ok(0) } else { Err(Reason::BadRequest) };
        };
        let line = window[..end].strip_suffix(b"\r").ok_or(Reason::BadRequest)?;
        let (size, extension) = parse_size_line(line)?;
        if size == 0 {
            let Some(trailers) = read_trailers(&bytes[end + 1..])? else { return Ok(0) };
            self.at = At::Done;
            return Ok(end + 1 + trailers);
        }
        self.extensions += extension;
        if self.extensions > MAX_EXTENSIONS {
            return Err(Reason::BadRequest);
        }
        self.at = At::Data(size);
        Ok(end + 1)
    }
}

/// Size and length of the extensions of a whole line, without its CRLF.
fn parse_size_line(line: &[u8]) -> Result<(u64, usize), Reason> {
    let (size, extension) = split_size_line(line)?;
    let starts_well = extension.is_empty() || extension.trim_ascii_start().first() == Some(&b';');
    if size.is_empty() || !starts_well {
        return Err(Reason::BadRequest);
    }
    let value = size.iter().fold(0, |n, &digit| n * 16 + u64::from(hex(digit)));
    Ok((value, extension.len()))
}

/// Digits and the rest of a line that may still grow, if it can become a good one.
fn split_size_line(line: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at(digits);
    let starts_well = matches!(extension.trim_ascii_start(), [] | [b';', ..]);
    let holds_text = extension.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f));
    // 15 digits cannot overflow; a chunk of an exabyte is a mistake or an attack.
    if (digits == 0 && !line.is_empty()) || digits > 15 || !starts_well || !holds_text {
        return Err(Reason::BadRequest);
    }
    Ok((size, extension))
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// Length of the trailer section with its empty line, or `None` while it is incomplete.
fn read_trailers(bytes: &[u8]) -> Result<Option<usize>, Reason> {
    match bytes {
        [] | [b'\r'] => return Ok(None),
        [b'\r', b'\n', ..] => return Ok(Some(2)),
        _ => {}
    }
    let window = &bytes[..bytes.len().min(MAX_TRAILERS)];
    let has_bare_line_feed = |section: &[u8]| {
        section.iter().enumerate().any(|(at, &b)| b == b'\n' && !section[..at].ends_with(b"\r"))
    };
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    match httparse::parse_headers(window, &mut fields) {
        Ok(httparse::Status::Complete((len, fields))) => {
            // What is behind the section is not ours to judge.
            if has_bare_line_feed(&window[..len])
                || fields.iter().any(|field| is_forbidden_trailer(field.name))
            {
                return Err(Reason::BadRequest);
            }
            Ok(Some(len))
        }
        Ok(httparse::Status::Partial)
            if window.len() < MAX_TRAILERS && !has_bare_line_feed(window) =>
        {
            Ok(None)
        }
        Ok(httparse::Status::Partial) | Err(_) => Err(Reason::BadRequest),
    }
}

/// Fields that would change framing or routing after the fact (RFC 9110 §6.5.1).
fn is_forbidden_trailer(name: &str) -> bool {
    ["content-length", "host", "transfer-encoding", "connection", "authorization", "te", "upgrade"]
        .iter()
        .any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows `body` in pieces of `size` until it is complete, broken, or used up.
    fn read_in(size: usize, body: &[u8]) -> Result<Step, Reason> {
        let mut chunked = Chunked::default();
        let (mut pass, mut shown, mut done) = (0, 0, false);
        while !done && (shown < body.len() || pass < shown) {
            shown = (shown + size).min(body.len());
            let step = chunked.read(&body[pass..shown])?;
            pass += step.pass;
            done = step.done;
            if shown == body.len() && step.pass == 0 {
                break;
            }
        }
        Ok(Step { pass, done })
    }

    /// However it comes, a body means the same.
    fn read(body: &[u8]) -> Result<Step, Reason> {
        let whole = read_in(body.len(), body);
        for size in 1..body.len() {
            assert_eq!(read_in(size, body), whole, "{} in pieces of {size}", body.escape_ascii());
        }
        whole
    }

    #[test]
    fn a_good_body_passes_whole_and_not_further() {
        for body in [
            &b"0\r\n\r\n"[..],
            b"5\r\nhello\r\n0\r\n\r\n",
            b"5;a=b\r\nhello\r\n0\r\n\r\n",
            b"A\r\n0123456789\r\n0\r\n\r\n",
            b"1 ; a=\"b;c\"\r\nx\r\n0\r\n\r\n",
            b"1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n",
            b"00001\r\nx\r\n000\r\n\r\n",
        ] {
            assert_eq!(
                read(body),
                Ok(Step { pass: body.len(), done: true }),
                "{}",
                body.escape_ascii()
            );
            for next in [&b"GET /"[..], b"POST / HTTP/1.1\r\n\r\na\nb\n", b"\n"] {
                let more = [body, next].concat();
                assert_eq!(read_in(1 << 20, &more), Ok(Step { pass: body.len(), done: true }));
            }
        }
    }

    #[test]
    fn whatever_reads_two_ways_is_refused() {
        for body in [
            &b"x\r\n"[..],
            b"\r\n",
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"-1\r\n",
            b"+5\r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5;a=\0\r\nhello\r\n",
            b"5;a\nb\r\nhello\r\n",
            b"5;a\rb\r\n",
            b"fffffffffffffffff\r\n",
            b"5_0\r\n",
            b"0\r\nX : y\r\n\r\n",
            b"0\r\nContent-Length: 1\r\n\r\n",
            b"0\r\nX: y\n\r\n",
            b"0\r\n\n",
            b"0\r\n X: y\r\n\r\n",
            b"5,5\r\nhello\r\n",
        ] {
            assert_eq!(
                read_in(body.len(), body),
                Err(Reason::BadRequest),
                "{}",
                body.escape_ascii()
            );
        }
    }

    #[test]
    fn what_precedes_a_break_is_passed_first() {
        let mut chunked = Chunked::default();
        assert_eq!(chunked.read(b"a\r\nhello"), Ok(Step { pass: 8, done: false }));
        assert_eq!(chunked.read(b"worldXX"), Ok(Step { pass: 5, done: false }));
        assert_eq!(chunked.read(b"XX"), Err(Reason::BadRequest));
    }

    #[test]
    fn lines_and_trailers_are_bounded() {
        let long = [&b"5;"[..], &[b'a'; MAX_SIZE_LINE], b"\r\n"].concat();
        assert_eq!(read_in(1 << 20, &long), Err(Reason::BadRequest));
        let many = [&[b"1;", &[b'a'; 900][..], b"\r\nx\r\n"].concat().repeat(10)[..], b"0\r\n\r\n"]
            .concat();
        assert_eq!(read_in(1 << 20, &many), Err(Reason::BadRequest));
        let trailers = [&b"0\r\nX: "[..], &[b'a'; MAX_TRAILERS]].concat();
        assert_eq!(read_in(1 << 20, &trailers), Err(Reason::BadRequest));
    }
}
