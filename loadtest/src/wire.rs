//! HTTP/1.1 body framing, decoded as the bytes come and without keeping them (RFC 9112 §6, §7).

/// Most bytes of chunk extensions and trailers together that one body may carry.
const MAX_OVERHEAD: u32 = 16 * 1024;

/// The bytes do not follow the framing that the head announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// How far the reading of one body has come.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    state: State,
    overhead: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    ChunkCr,
    ChunkData(u64),
    ChunkExtension(u64),
    ChunkLf,
    ChunkSize { size: u64, digits: u8 },
    ChunkSizeLf(u64),
    Done,
    FinalLf,
    Length(u64),
    TrailerLf,
    TrailerLine,
    TrailerStart,
    UntilClose,
}

// === impl Body ===

impl Body {
    pub(crate) const fn chunked() -> Self {
        Self { state: State::ChunkSize { size: 0, digits: 0 }, overhead: 0 }
    }

    pub(crate) const fn length(length: u64) -> Self {
        let state = if length == 0 { State::Done } else { State::Length(length) };
        Self { state, overhead: 0 }
    }

    pub(crate) const fn until_close() -> Self {
        Self { state: State::UntilClose, overhead: 0 }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the end of the connection ends the body well.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Takes from `bytes` what belongs to the body, hands the payload to `sink`, and returns how
    /// many bytes were taken: all of them, unless the body has ended.
    pub(crate) fn advance(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(&[u8]),
    ) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            if let State::ChunkData(left) | State::Length(left) = self.state {
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                sink(&bytes[at..at + take]);
                at += take;
                self.state = match (self.state, left - take as u64) {
                    (State::Length(_), 0) => State::Done,
                    (State::Length(_), left) => State::Length(left),
                    (_, 0) => State::ChunkCr,
                    (_, left) => State::ChunkData(left),
                };
            } else if self.state == State::UntilClose {
                sink(&bytes[at..]);
                at = bytes.len();
            } else {
                self.state = self.step(bytes[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// One byte of chunk framing or trailer.
    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        match (self.state, byte) {
            (State::ChunkSize { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == 15 {
                    return Err(Malformed);
                }
                let digit = (byte as char).to_digit(16).ok_or(Malformed)?;
                Ok(State::ChunkSize { size: size * 16 + u64::from(digit), digits: digits + 1 })
            }
            (State::ChunkSize { size, digits: 1.. }, b'\r') => Ok(State::ChunkSizeLf(size)),
            (State::ChunkSize { size, digits: 1.. }, b';' | b' ' | b'\t') => {
                Ok(State::ChunkExtension(size))
            }
            (State::ChunkExtension(size), b'\r') => Ok(State::ChunkSizeLf(size)),
            (State::ChunkSizeLf(0), b'\n') => Ok(State::TrailerStart),
            (State::ChunkSizeLf(size), b'\n') => Ok(State::ChunkData(size)),
            (State::ChunkCr, b'\r') => Ok(State::ChunkLf),
            (State::ChunkLf, b'\n') => Ok(State::ChunkSize { size: 0, digits: 0 }),
            (State::TrailerStart, b'\r') => Ok(State::FinalLf),
            (State::TrailerLine, b'\r') => Ok(State::TrailerLf),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::FinalLf, b'\n') => Ok(State::Done),
            (State::ChunkExtension(_) | State::TrailerStart | State::TrailerLine, b'\n') => {
                Err(Malformed)
            }
            (State::ChunkExtension(_) | State::TrailerStart | State::TrailerLine, _) => {
                self.overhead += 1;
                if self.overhead > MAX_OVERHEAD {
                    return Err(Malformed);
                }
                Ok(if self.state == State::TrailerStart { State::TrailerLine } else { self.state })
            }
            _ => Err(Malformed),
        }
    }
}

/// A content-length as RFC 9110 §8.6 writes it: digits only, no sign, no list.
pub(crate) fn content_length(value: &[u8]) -> Result<u64, Malformed> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(Malformed)
}

/// Whether a comma-separated header value names `token`.
pub(crate) fn names_token(value: &[u8], token: &str) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Payload, bytes left over, and whether the body ended, fed in pieces of `step` bytes.
    fn decode(
        mut body: Body,
        wire: &[u8],
        step: usize,
    ) -> Result<(Vec<u8>, usize, bool), Malformed> {
        let (mut payload, mut taken) = (Vec::new(), 0);
        for piece in wire.chunks(step) {
            let used = body.advance(piece, |bytes| payload.extend_from_slice(bytes))?;
            taken += used;
            if used < piece.len() {
                break;
            }
        }
        Ok((payload, wire.len() - taken, body.is_done()))
    }

    #[test]
    fn chunked_body_is_the_same_however_it_is_cut() {
        let wire = b"5;a=b\r\nhello\r\nA\r\n, worldly!\r\n0\r\nt: 1\r\n\r\nGET";
        for step in 1..wire.len() {
            let expected = (b"hello, worldly!".to_vec(), 3, true);
            assert_eq!(decode(Body::chunked(), wire, step), Ok(expected), "step {step}");
        }
    }

    #[test]
    fn content_length_body_leaves_the_next_request_alone() {
        let expected = (b"abc".to_vec(), 4, true);
        assert_eq!(decode(Body::length(3), b"abcGET ", 2), Ok(expected));
        assert!(Body::length(0).is_done());
    }

    #[test]
    fn odd_chunk_framing_is_malformed() {
        let odd: [&[u8]; 6] =
            [b"\r\n", b"5\nhello", b"5\r\nhelloX", b"x\r\n", b"-1\r\n", b"fffffffffffffffff\r\n"];
        for wire in odd {
            assert_eq!(decode(Body::chunked(), wire, 3), Err(Malformed), "{wire:?}");
        }
    }

    #[test]
    fn trailers_are_bounded() {
        let mut wire = b"0\r\n".to_vec();
        wire.resize(MAX_OVERHEAD as usize + 10, b'a');
        assert_eq!(decode(Body::chunked(), &wire, 4096), Err(Malformed));
    }

    #[test]
    fn content_length_takes_digits_only() {
        assert_eq!(content_length(b"42"), Ok(42));
        for odd in [&b""[..], b"+1", b"1, 1", b"0x1", b"99999999999999999999"] {
            assert_eq!(content_length(odd), Err(Malformed));
        }
    }
}
