//! One small GET, bounded in time and size.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::wire::{self, Body};

/// For connecting, asking and reading together.
const TIMEOUT: Duration = Duration::from_millis(800);
/// Largest page, head included.
const MAX_BYTES: usize = 4 * 1024 * 1024;
const MAX_HEADERS: usize = 64;

/// The body of a page that is answered with 200.
pub(super) fn get(addr: SocketAddr, path: &str, token: Option<&str>) -> io::Result<String> {
    let end = Instant::now() + TIMEOUT;
    let mut stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
    let authorization =
        token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n{authorization}connection: close\r\n\r\n")
            .as_bytes(),
    )?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let length = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..length]);
        if bytes.len() > MAX_BYTES {
            return Err(io::Error::other("the page is too large"));
        }
        if let Some(page) = page(&bytes, length == 0)? {
            return Ok(page);
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The body, when all of it is there.
fn page(bytes: &[u8], ended: bool) -> io::Result<Option<String>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let length = match head.parse(bytes).map_err(io::Error::other)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    if head.code != Some(200) {
        let status = head.code.unwrap_or_default();
        return Err(io::Error::other(format!("the admin listener answers {status}")));
    }
    let malformed = |_| io::Error::other("malformed answer");
    let mut body = Body::until_close();
    for header in head.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            body = Body::length(wire::content_length(header.value).map_err(malformed)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            body = Body::chunked();
            break;
        }
    }
    let mut page = Vec::new();
    body.advance(&bytes[length..], |part| page.extend_from_slice(part)).map_err(malformed)?;
    let whole = body.is_done() || (ended && body.ends_with_connection());
    Ok(whole.then(|| String::from_utf8_lossy(&page).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_by_length_by_chunk_or_with_the_connection() {
        let whole = |text: &str, ended| page(text.as_bytes(), ended).unwrap();
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        ] {
            assert_eq!(whole(text, false).as_deref(), Some("ab"));
            for cut in 0..text.len() {
                assert_eq!(whole(&text[..cut], true), None, "{cut}");
            }
        }
        let text = "HTTP/1.1 200 OK\r\n\r\nab";
        assert_eq!(whole(text, false), None);
        assert_eq!(whole(text, true).as_deref(), Some("ab"));
        assert!(page(b"HTTP/1.1 401 No\r\n\r\n", true).is_err());
    }
}
