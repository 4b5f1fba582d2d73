//! Changes of single bytes and small spans.

use super::random::Random;

/// Bytes that mean something to a reader of HTTP.
const SPECIAL: &[u8] = b"\r\n\0 \t:;,/\\\"#%0\x0b\x7f\x80\xff";
/// Pieces that are likely to mean something where they land.
const PIECES: [&str; 12] = [
    "\r\n",
    "\r\n\r\n",
    "\n\n",
    "HTTP/1.1",
    "host: b\r\n",
    "content-length: 1\r\n",
    "transfer-encoding: chunked\r\n",
    "connection: close\r\n",
    "GET /open HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /closed HTTP/1.1\r\nhost: a\r\n\r\n",
    "0\r\n\r\n",
    "\r\n ",
];

/// Changes `wire` in one place.
pub(super) fn mutate(random: &mut Random, wire: &mut Vec<u8>) {
    if wire.is_empty() {
        return;
    }
    let at = random.below(wire.len());
    let end = (at + 1 + random.below(4)).min(wire.len());
    match random.below(10) {
        0 => wire[at] ^= 1 << random.below(8),
        1 => wire[at] = random.pick(SPECIAL),
        2 | 3 => wire.insert(at, random.pick(SPECIAL)),
        4 | 5 => drop(wire.drain(at..end)),
        6 => {
            let end = (at + 1 + random.below(40)).min(wire.len());
            let twice = wire[at..end].to_vec();
            wire.splice(end..end, twice);
        }
        7 => drop(wire.splice(at..at, random.pick(&PIECES).bytes())),
        8 => wire[at] = if wire[at].is_ascii_lowercase() { wire[at] - 32 } else { b'a' },
        _ => wire.truncate(at),
    }
}
