//! The body of an answer, as it comes.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;

use super::connection::Connection;
use crate::headers;

/// Bytes read at once at first, and at most once a body turns out to come fast.
const ROOM: usize = 8 * 1024;
const MAX_ROOM: usize = 32 * 1024;
/// Longest size line, and what may stand in all of them beside the sizes.
const MAX_SIZE_LINE: usize = 4 * 1024;
const MAX_EXTENSIONS: usize = 16 * 1024;
/// Longest trailer section, and the most fields in it.
const MAX_TRAILERS: usize = 16 * 1024;
const MAX_TRAILER_FIELDS: usize = 64;

/// Reads one body from its connection.
#[derive(Debug)]
pub(crate) struct BodyReader {
    at: At,
    room: usize,
}

#[derive(Debug)]
enum At {
    /// So many bytes are to come.
    Length(u64),
    /// It lasts as long as the connection.
    UntilClose,
    Size {
        extensions: usize,
    },
    Data {
        left: u64,
        extensions: usize,
    },
    DataEnd {
        extensions: usize,
    },
    Trailers,
    Done,
}

/// What was found in the bytes that are here.
enum Found {
    Frame(Frame<Bytes>),
    End,
    /// Too little to say.
    Nothing,
}

// === impl BodyReader ===

impl BodyReader {
    const fn new(at: At) -> Self {
        Self { at, room: ROOM }
    }

    /// There is no body.
    pub(super) const fn none() -> Self {
        Self::new(At::Done)
    }

    /// In chunks.
    pub(super) const fn chunked() -> Self {
        Self::new(At::Size { extensions: 0 })
    }

    /// Of a known length.
    pub(super) const fn length(length: u64) -> Self {
        Self::new(if length == 0 { At::Done } else { At::Length(length) })
    }

    /// As long as the connection.
    pub(super) const fn until_close() -> Self {
        Self::new(At::UntilClose)
    }

    /// Nothing more comes.
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.at, At::Done)
    }

    /// Bytes that are still to come, if that is known.
    pub(crate) const fn left(&self) -> Option<u64> {
        match self.at {
            At::Length(left) => Some(left),
            At::Done => Some(0),
            _ => None,
        }
    }

    /// The whole body, if it is at the beginning of `behind`, the bytes behind the head; it is taken
    /// from there.
    pub(crate) fn take_whole(&mut self, behind: &mut Bytes) -> Option<Bytes> {
        let length = usize::try_from(self.left()?).ok().filter(|&length| length <= behind.len())?;
        self.at = At::Done;
        Some(behind.split_to(length))
    }

    /// The next piece, or the trailers; `None` once it has ended.
    pub(crate) fn poll_frame(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match self.find(&mut connection.unread)? {
                Found::Frame(frame) => return Poll::Ready(Some(Ok(frame))),
                Found::End => {
                    self.at = At::Done;
                    return Poll::Ready(None);
                }
                Found::Nothing => {}
            }
            let came = ready!(connection.poll_fill(cx, self.room))?;
            match (&self.at, came) {
                (At::UntilClose, 0) => self.at = At::Done,
                (_, 0) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                _ if came >= self.room => self.room = MAX_ROOM.min(self.room * 2),
                _ => {}
            }
        }
    }

    /// Takes the next piece from what is here.
    fn find(&mut self, unread: &mut BytesMut) -> io::Result<Found> {
        loop {
            match self.at {
                At::Done => return Ok(Found::End),
                _ if unread.is_empty() => return Ok(Found::Nothing),
                At::Length(ref mut left) => {
                    let piece = take(unread, left);
                    if *left == 0 {
                        self.at = At::Done;
                    }
                    return Ok(Found::Frame(Frame::data(piece)));
                }
                At::UntilClose => {
                    return Ok(Found::Frame(Frame::data(unread.split().freeze())));
                }
                At::Size { extensions } => {
                    let Some(line) = take_size_line(unread)? else { return Ok(Found::Nothing) };
                    let (size, extension) = read_size(&line)?;
                    let extensions = extensions + extension;
                    if extensions > MAX_EXTENSIONS {
                        return Err(malformed());
                    }
                    self.at = match size {
                        0 => At::Trailers,
                        left => At::Data { left, extensions },
                    };
                }
                At::Data { mut left, extensions } => {
                    let piece = take(unread, &mut left);
                    self.at = match left {
                        0 => At::DataEnd { extensions },
                        left => At::Data { left, extensions },
                    };
                    return Ok(Found::Frame(Frame::data(piece)));
                }
                At::DataEnd { extensions } => match unread[..] {
                    [b'\r', b'\n', ..] => {
                        drop(unread.split_to(2));
                        self.at = At::Size { extensions };
                    }
                    [b'\r'] => return Ok(Found::Nothing),
                    _ => return Err(malformed()),
                },
                At::Trailers => {
                    let Some(trailers) = take_trailers(unread)? else { return Ok(Found::Nothing) };
                    self.at = At::Done;
                    if !trailers.is_empty() {
                        return Ok(Found::Frame(Frame::trailers(trailers)));
                    }
                }
            }
        }
    }
}

/// As much as there is of `left` bytes.
fn take(unread: &mut BytesMut, left: &mut u64) -> Bytes {
    let length = unread.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    *left -= length as u64;
    unread.split_to(length).freeze()
}

/// A size line without its end; `None` while it is incomplete.
fn take_size_line(unread: &mut BytesMut) -> io::Result<Option<BytesMut>> {
    let window = &unread[..unread.len().min(MAX_SIZE_LINE)];
    let Some(end) = window.iter().position(|&b| b == b'\n') else {
        return if window.len() < MAX_SIZE_LINE { Ok(None) } else { Err(malformed()) };
    };
    let mut line = unread.split_to(end + 1);
    if !line.ends_with(b"\r\n") {
        return Err(malformed());
    }
    line.truncate(end - 1);
    Ok(Some(line))
}

/// The size, and the length of what stands behind it.
fn read_size(line: &[u8]) -> io::Result<(u64, usize)> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at(digits);
    let ends_well = matches!(extension.trim_ascii_start(), [] | [b';', ..]);
    let size = std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
    size.filter(|_| ends_well).map(|size| (size, extension.len())).ok_or_else(malformed)
}

/// The trailer section with its empty line; `None` while it is incomplete.
fn take_trailers(unread: &mut BytesMut) -> io::Result<Option<HeaderMap>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    match httparse::parse_headers(unread, &mut fields) {
        Ok(httparse::Status::Complete((length, fields))) if length <= MAX_TRAILERS => {
            let mut trailers = HeaderMap::with_capacity(fields.len());
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes());
                let value = HeaderValue::from_bytes(field.value);
                let (name, value) =
                    (name.map_err(|_| malformed())?, value.map_err(|_| malformed())?);
                // What may not stand in the head may not come behind it.
                if !headers::ends_at_gateway(name.as_str()) && name != CONTENT_LENGTH {
                    trailers.append(name, value);
                }
            }
            drop(unread.split_to(length));
            Ok(Some(trailers))
        }
        Ok(httparse::Status::Partial) if unread.len() < MAX_TRAILERS => Ok(None),
        _ => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader finds when bytes come in pieces of `size`: data, trailers, and what is left over.
    fn read(reader: BodyReader, wire: &[u8], size: usize) -> io::Result<(Vec<u8>, usize, Vec<u8>)> {
        let mut reader = reader;
        let (mut unread, mut data, mut trailers) = (BytesMut::new(), Vec::new(), 0);
        let mut pieces = wire.chunks(size);
        loop {
            match reader.find(&mut unread)? {
                Found::End => return Ok((data, trailers, unread.to_vec())),
                Found::Frame(frame) => match frame.into_data() {
                    Ok(piece) => data.extend_from_slice(&piece),
                    Err(frame) => trailers += frame.into_trailers().map_or(0, |map| map.len()),
                },
                Found::Nothing => match pieces.next() {
                    Some(piece) => unread.extend_from_slice(piece),
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                },
            }
        }
    }

    #[test]
    fn a_body_is_read_to_its_end_and_not_further_however_it_is_cut() {
        let chunked = b"5;a=b\r\nhello\r\n00a \r\n, 16 bytes\r\n0\r\nx-end: 1\r\n\r\nHTTP";
        for size in 1..=chunked.len() {
            let (data, trailers, left) = read(BodyReader::chunked(), chunked, size).unwrap();
            assert_eq!((data.as_slice(), trailers), (&b"hello, 16 bytes"[..], 1), "{size}");
            assert!(b"HTTP".starts_with(&left), "{size}");
            let (data, _, _) = read(BodyReader::length(4), b"four and more", size).unwrap();
            assert_eq!(data, b"four");
        }
    }

    #[test]
    fn chunks_that_read_two_ways_are_an_error() {
        for wire in [
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "\r\n",
            "-5\r\n",
            "+5\r\nhello",
            "0x5\r\nhello",
            "5 5\r\nhello",
            "10000000000000005\r\nhello",
            "0\r\na b: c\r\n\r\n",
        ] {
            for size in [1, 3, 1000] {
                let error = read(BodyReader::chunked(), wire.as_bytes(), size).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{wire:?}");
            }
        }
    }

    #[test]
    fn lines_extensions_and_trailers_are_bounded() {
        let endless = [
            format!("5;{}", "a".repeat(MAX_SIZE_LINE)),
            format!("1;{}\r\nx\r\n", "a".repeat(1_000)).repeat(20),
            format!("0\r\n{}", "a: b\r\n".repeat(MAX_TRAILERS / 6 + 1)),
        ];
        for wire in endless {
            let error = read(BodyReader::chunked(), wire.as_bytes(), 997).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_whole_body_is_taken_only_if_all_of_it_is_there() {
        let mut behind = Bytes::from_static(b"wholerest");
        assert_eq!(BodyReader::length(5).take_whole(&mut behind).unwrap(), "whole");
        assert_eq!(BodyReader::length(5).take_whole(&mut behind), None);
        assert_eq!(BodyReader::chunked().take_whole(&mut behind), None);
        assert_eq!(behind, "rest");
    }
}
