//! Heads of answers, written without a library.

use std::io::Write as _;

/// What a body is filled with: one block, sent as often as needed.
pub(super) static FILLING: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// How the body of an answer is framed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    Chunked,
    Length(usize),
    /// 204 and 304 have no body and no length.
    None,
}

/// Appends a head to `out`. `headers` are whole lines without their end.
pub(super) fn head<'a>(
    out: &mut Vec<u8>,
    status: u16,
    framing: Framing,
    content_type: &str,
    keep_alive: bool,
    headers: impl IntoIterator<Item = &'a str>,
) {
    // Writing to a Vec cannot fail.
    let mut line = |args: std::fmt::Arguments<'_>| drop(out.write_fmt(args));
    line(format_args!("HTTP/1.1 {status} {}\r\n", phrase(status)));
    match framing {
        Framing::Chunked => line(format_args!("transfer-encoding: chunked\r\n")),
        Framing::Length(bytes) => line(format_args!("content-length: {bytes}\r\n")),
        Framing::None => {}
    }
    if !matches!(framing, Framing::None) {
        line(format_args!("content-type: {content_type}\r\n"));
    }
    if !keep_alive {
        line(format_args!("connection: close\r\n"));
    }
    for header in headers {
        line(format_args!("{header}\r\n"));
    }
    line(format_args!("\r\n"));
}

/// How an answer of this status is framed when it has `bytes` of body.
pub(super) fn framing(status: u16, bytes: usize) -> Framing {
    if matches!(status, 204 | 304) { Framing::None } else { Framing::Length(bytes) }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        409 => "Conflict",
        410 => "Gone",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
