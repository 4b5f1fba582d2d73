//! Inputs by a grammar: what well-behaved clients send, what odd ones do, and pipelines of both.

use std::ops::Range;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::mutate::mutate;
use super::random::Random;
use crate::grant::journey::JourneyId;
use crate::grant::keyring::KeyText as _;
use crate::grant::keys::Keys;
use crate::grant::token::Grant;

/// What one connection is sent.
#[derive(Clone)]
pub(super) struct Input {
    pub wire: Vec<u8>,
    /// Where it is cut into pieces, ascending.
    pub cuts: Vec<usize>,
    /// The client waits for each answer before it sends the next request.
    pub waits: bool,
    /// The client ends its side behind the last byte, without waiting for an answer.
    pub leaves: bool,
}

/// What grants are signed with.
pub(super) const KEY: &str = "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a";

/// A grant of the customer `anna`.
static GRANT: LazyLock<String> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let grant = Grant::new(7, since.as_millis() as u64, Duration::from_secs(3600));
    let token = Keys::parse(KEY).unwrap().mint(grant, &JourneyId::new("sale"), b"anna");
    String::from_utf8(token.as_bytes().to_vec()).unwrap()
});

const METHODS: [&str; 8] = ["GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE"];
const ODD_METHODS: [&str; 14] = [
    "OPTIONS",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PATCH",
    "get",
    "Head",
    "FOO",
    "M-SEARCH",
    "",
    "G@T",
    "PRI",
    "GET ",
    "A-METHOD-OF-MORE-THAN-THIRTY-LETTERS",
];
/// Targets of a sale.
const SALE: [&str; 8] = [
    "/enter",
    "/enter?x",
    "/cart",
    "/cart",
    "/goods/gone",
    "/goods/g%6Fne",
    "/goods/there",
    "/buy",
];
const TARGETS: [&str; 20] = [
    "/open",
    "/open/a?b=c",
    "/open/chunked",
    "/open/empty",
    "/open/unmodified",
    "/open/error",
    "/open/close",
    "/closed",
    "/closed/a",
    "/closed?x=y",
    "/closed/b/c",
    "/shut",
    "/shut/a",
    "/small",
    "/small/a",
    "/limited/a",
    "/limited/%61?q=1",
    "/read",
    "/nobody",
    "/nowhere",
];
const ODD_TARGETS: [&str; 28] = [
    "*",
    "",
    "a",
    "a:80",
    "//open",
    "/Closed",
    "/closed/",
    "/open/../closed",
    "/open/%2e%2e/closed",
    "/clos%65d",
    "/closed;x",
    "/closed#f",
    "/closed?#",
    "/closed\"",
    "/closed\u{e4}",
    "/open\\a",
    "http://a",
    "http://a/closed",
    "http://b:81/open/a?b",
    "HTTP://a/closed?b",
    "https://a/open",
    "http://u@a/open",
    "http:///open",
    "ftp://a/open",
    "http://a?closed",
    "/open/big",
    "/open/{a|b}",
    "/closed /a",
];
const ODD_VERSIONS: [&str; 10] = [
    "HTTP/1.0",
    "HTTP/1.0",
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/2.0",
    "HTTP/0.9",
    "http/1.1",
    "HTTP/1.1x",
    "",
    "HTTP/11",
];
const ODD_HOSTS: [&str; 14] = [
    "",
    "host:",
    "host: b\r\nhost: b",
    "Host: a\r\nhost: b",
    "host: a,b",
    "host: u@a",
    "host : a",
    "host: a:99999",
    "host: [::1]:80",
    "HOST:a",
    "host: \t a \t ",
    "hos\u{17f}t: a",
    "host: a\r\n b",
    "host: a/b",
];
const FIELDS: [&str; 16] = [
    "accept: */*",
    "user-agent: x",
    "cookie: a=b; c=d",
    "Content-Type: application/json",
    "x-a: 1",
    "x-a: 2",
    "authorization: Bearer a.b.c",
    "connection: keep-alive",
    "Connection: close",
    "x-floodgate-tier: l1",
    "X_Tier: l1",
    "x-forwarded-for: 1.2.3.4",
    "accept-encoding: gzip, br",
    "x-empty:",
    "x-request-deadline-ms: 30000",
    "grpc-timeout: 30S",
];
const ODD_FIELDS: [&str; 44] = [
    "connection: x-a, close",
    "x-request-deadline-ms: 0",
    "x-request-deadline-ms: -1",
    "x-request-deadline-ms: soon",
    "X-Request-Deadline-Ms: 30000\r\nx-request-deadline-ms: 0",
    "grpc-timeout: 0n",
    "grpc-timeout: 1x",
    "connection: grpc-timeout\r\ngrpc-timeout: 9S",
    "connection: closed",
    "connection: ,,CLOSE,,",
    "connection: content-length",
    "connection: host",
    "connection: transfer-encoding, x-a",
    "connection: te\r\nte: trailers",
    "connection: upgrade\r\nupgrade: websocket",
    "connection: upgrade, close\r\nupgrade: websocket",
    "upgrade: websocket",
    "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA",
    "proxy-connection: keep-alive",
    "keep-alive: timeout=5",
    "expect: 100-continue",
    "Expect: 100-CONTINUE",
    "expect: the-unexpected",
    "expect:",
    "max-forwards: 0",
    "x-a : 1",
    " x-a: 1",
    "x a: 1",
    "x-a",
    ": 1",
    "x-a: a\r\n b",
    "x-a: a\rb",
    "x-a: \0",
    "x-a: \u{e4}",
    "x-\u{e4}: a",
    "x-a: \u{7f}",
    "x-a:\ta\t",
    "x-a: a\n",
    "trailer: x-sum",
    "transfer-encoding: chunked",
    "content-length: 0",
    "content-length: 3",
    "expires: 0\r\nvary: *\r\ndate: today",
    "x-floodgate-reason: none",
];
const ODD_LENGTHS: [&str; 11] = [
    "+5",
    "0x5",
    "5, 5",
    "",
    "5 5",
    "-1",
    "99999999999999999999",
    "900000",
    "5;a",
    "5\r\ncontent-length: 5",
    "5\r\ncontent-length: 6",
];
const CODINGS: [&str; 9] = [
    "gzip, chunked",
    "chunked, chunked",
    "identity",
    "CHUNKED",
    "chunked;q=1",
    ", chunked",
    "chunked\r\ntransfer-encoding: chunked",
    "chunked\r\ncontent-length: 5",
    "\tchunked ",
];
const ODD_CHUNKS: [&str; 16] = [
    "x\r\n",
    " 5\r\nhello\r\n",
    "5 \r\nhello\r\n",
    "5;a=b\r\nhello\r\n",
    "5 ; a=\"b;c\"\r\nhello\r\n",
    "5\nhello\r\n",
    "5\r\nhelloX\r\n",
    "5\r\nhello\n",
    "5;a\rb\r\nhello\r\n",
    "fffffffffffffffff\r\n",
    "00005\r\nhello\r\n",
    "A\r\n0123456789\r\n",
    "0\r\nx-sum: 1\r\n\r\n",
    "0\r\ncontent-length: 1\r\n\r\n",
    "0\r\nx: y\n\r\n",
    "0\r\n\n",
];
const SMUGGLED: &str = "GET /open/smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

// === impl Input ===

impl Input {
    /// The one input of this seed.
    pub(super) fn generate(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let mut wire = Vec::new();
        let requests = 1 + random.below(6).min(random.below(6));
        let tidy = random.chance(35);
        for _ in 0..requests {
            if random.chance(20) {
                sale(random, seed, &mut wire);
                continue;
            }
            let odd = if tidy { 0 } else { random.pick(&[0, 4, 12, 30]) };
            request(random, odd, &mut wire);
        }
        if random.chance(12) {
            wire.truncate(random.below(wire.len()));
        }
        if !tidy && random.chance(60) {
            for _ in 0..=random.below(3) {
                mutate(random, &mut wire);
            }
        }
        let cuts = cuts(random, &wire);
        Self { wire, cuts, waits: random.chance(40), leaves: random.chance(5) }
    }

    /// The pieces as they are sent, cut at `ends` as well if an answer is awaited there.
    pub(super) fn pieces(&self, ends: &[usize]) -> impl Iterator<Item = Range<usize>> {
        let ends = if self.waits { ends } else { &[] };
        let mut cuts = [&self.cuts, ends, &[self.wire.len()]].concat();
        cuts.sort_unstable();
        cuts.dedup();
        let (len, mut begin) = (self.wire.len(), 0);
        cuts.into_iter().take_while(move |end| *end <= len).map(move |end| {
            let piece = begin..end;
            begin = end;
            piece
        })
    }
}

/// Whole, byte by byte, anywhere, or around the line ends.
fn cuts(random: &mut Random, wire: &[u8]) -> Vec<usize> {
    let mut cuts: Vec<usize> = match random.below(10) {
        0..4 => Vec::new(),
        4 if wire.len() < 600 => (1..wire.len()).collect(),
        4..8 => (0..=random.below(6)).map(|_| random.below(wire.len())).collect(),
        _ => {
            let ends = (1..wire.len()).filter(|at| matches!(wire[at - 1], b'\r' | b'\n'));
            ends.filter(|_| random.chance(15)).take(12).collect()
        }
    };
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// One step of a checkout, with everything that may be said of a grant. Keys of purchases are of this
/// input alone.
fn sale(random: &mut Random, seed: u64, out: &mut Vec<u8>) {
    let method = random.pick(&["GET", "GET", "POST", "HEAD"]);
    let mut text = format!("{method} {} HTTP/1.1\r\nhost: a\r\n", random.pick(&SALE));
    let good = GRANT.as_str();
    let forged = format!("{}{}", &good[1..], &good[..1]);
    let user =
        ["x-user-id: anna", "x-user-id: anna", "x-user-id: bert", "X-User-Id:anna", "x-a: 1"];
    text += &format!("{}\r\n", random.pick(&user));
    text += &match random.below(7) {
        0 => format!("x-floodgate-grant: {good}\r\n"),
        1 => format!("cookie: a=b; floodgate-grant-sale={good}; c=\"d\"\r\n"),
        2 => format!("Cookie: floodgate-grant-sale={good}\r\n"),
        3 => format!("X-Floodgate-Grant: {forged}\r\n"),
        4 => format!("x-floodgate-grant: {good}\r\nx-floodgate-grant: {forged}\r\n"),
        5 => format!("cookie: floodgate-grant-sale={forged}; floodgate-device-sale=x\r\n"),
        _ => String::new(),
    };
    if random.chance(30) {
        text += &format!("idempotency-key: {seed}\r\n");
    }
    if method == "POST" {
        let body = random.pick(&["", "hello", "other"]);
        text += &format!("content-length: {}\r\n\r\n{body}", body.len());
    } else {
        text += "\r\n";
    }
    out.extend(text.bytes());
}

/// One request, of which each part is odd in so many of a hundred cases.
fn request(random: &mut Random, odd: usize, out: &mut Vec<u8>) {
    if random.chance(odd / 2) {
        out.extend(random.pick(&["\r\n", "\n", "\r\n\r\n\r\n\r\n\r\n\r\n", " ", "\r"]).bytes());
    }
    let method = if random.chance(odd) { random.pick(&ODD_METHODS) } else { random.pick(&METHODS) };
    let target = if random.chance(odd) { random.pick(&ODD_TARGETS) } else { random.pick(&TARGETS) };
    let version = if random.chance(odd) { random.pick(&ODD_VERSIONS) } else { "HTTP/1.1" };
    let target = if random.chance(odd / 6) {
        format!("{target}{}", "a".repeat(random.pick(&[100, 17_000])))
    } else {
        target.to_owned()
    };
    let mut lines = Vec::new();
    lines.push(if random.chance(odd) { random.pick(&ODD_HOSTS) } else { "host: a" }.to_owned());
    for _ in 0..random.below(5) {
        lines.push(random.pick(&FIELDS).to_owned());
        // Most of a pipeline would never be reached.
        if lines.last().is_some_and(|line| line == "Connection: close") && random.chance(70) {
            lines.pop();
        }
        if random.chance(odd) {
            lines.push(random.pick(&ODD_FIELDS).to_owned());
        }
    }
    if random.chance(odd / 6) {
        lines.push(format!("x-long: {}", "x".repeat(random.pick(&[1_000, 7_900, 9_000]))));
    }
    if random.chance(odd / 6) {
        lines.extend((0..random.below(60)).map(|n| format!("x-{n}: y")));
    }
    let body = body(random, odd, matches!(method, "POST" | "PUT"), &mut lines);
    for at in (1..lines.len()).rev() {
        lines.swap(at, random.below(at + 1));
    }
    let end = if random.chance(odd / 4) { "\n" } else { "\r\n" };
    let space = if random.chance(odd / 4) { random.pick(&["  ", "\t", ""]) } else { " " };
    out.extend(format!("{method} {target}{space}{version}{end}").bytes());
    lines.retain(|line| !line.is_empty());
    lines.iter().for_each(|line| out.extend(format!("{line}{end}").bytes()));
    out.extend(end.bytes());
    out.extend(body);
}

/// A body and the lines that tell of it.
fn body(random: &mut Random, odd: usize, usual: bool, lines: &mut Vec<String>) -> Vec<u8> {
    if !random.chance(if usual { 90 } else { odd.max(4) }) {
        return Vec::new();
    }
    if random.chance(odd.max(3)) {
        lines.push("expect: 100-continue".to_owned());
    }
    let text = text(random);
    if random.chance(30) {
        let coding = if random.chance(odd) { random.pick(&CODINGS) } else { "chunked" };
        lines.push(format!("transfer-encoding: {coding}"));
        return chunks(random, odd, &text);
    }
    let length = if random.chance(odd) {
        random.pick(&ODD_LENGTHS).to_owned()
    } else if random.chance(odd / 2) {
        (text.len() + 10 - random.below(20).min(text.len())).to_string()
    } else {
        text.len().to_string()
    };
    lines.push(format!("Content-Length: {length}"));
    text.into_bytes()
}

fn text(random: &mut Random) -> String {
    match random.below(40) {
        0..10 => "hello".to_owned(),
        10..20 => "x".repeat(random.below(40)),
        20..26 => SMUGGLED.to_owned(),
        26..36 => "y".repeat(random.below(1500)),
        36..39 => "z".repeat(random.below(24_000)),
        _ => "w".repeat(60_000 + random.below(20_000)),
    }
}

fn chunks(random: &mut Random, odd: usize, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(1 + random.below(rest.len()));
        out.extend(format!("{:x}\r\n", chunk.len()).bytes());
        out.extend_from_slice(chunk);
        out.extend(b"\r\n");
        rest = later;
        if random.chance(odd) {
            out.extend(random.pick(&ODD_CHUNKS).bytes());
        }
    }
    out.extend(if random.chance(8) { "0\r\nx-sum: 1\r\n\r\n" } else { "0\r\n\r\n" }.bytes());
    out
}
