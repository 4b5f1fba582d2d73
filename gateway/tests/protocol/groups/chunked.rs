//! Chunked request bodies: RFC 9112 §7.1, with what recipients got wrong over the years.

use crate::{
    case::{Case, SMUGGLED, case, post},
    client::Step,
    expect::*,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(malformed());
    cases.extend(broken_off());
    cases.extend(extensions_and_trailers());
    cases.extend(well_formed());
    cases
}

fn chunked(id: &str, body: impl AsRef<[u8]>) -> Case {
    case(id).send(post(&["Transfer-Encoding: chunked"], body))
}

/// The client is told, the connection is closed, and the origin never gets a whole request.
fn malformed() -> Vec<Case> {
    [
        ("size-no-digits", "x\r\nhello\r\n0\r\n\r\n"),
        ("size-letters-behind", "5x\r\nhello\r\n0\r\n\r\n"),
        ("size-hexadecimal-prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("size-plus", "+5\r\nhello\r\n0\r\n\r\n"),
        ("size-minus", "-5\r\nhello\r\n0\r\n\r\n"),
        ("size-underscore", "1_0\r\n0123456789abcdef\r\n0\r\n\r\n"),
        ("size-empty", "\r\nhello\r\n0\r\n\r\n"),
        ("size-only-extension", ";a=b\r\nhello\r\n0\r\n\r\n"),
        ("size-space-before", " 5\r\nhello\r\n0\r\n\r\n"),
        ("size-tab-before", "\t5\r\nhello\r\n0\r\n\r\n"),
        ("size-space-inside", "1 0\r\n0123456789abcdef\r\n0\r\n\r\n"),
        ("size-quoted", "\"5\"\r\nhello\r\n0\r\n\r\n"),
        ("size-decimal-point", "5.0\r\nhello\r\n0\r\n\r\n"),
        ("size-comma", "5,5\r\nhello\r\n0\r\n\r\n"),
        ("size-nul-behind", "5\0\r\nhello\r\n0\r\n\r\n"),
        ("size-vertical-tab-behind", "5\u{b}\r\nhello\r\n0\r\n\r\n"),
        ("size-above-64-bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("size-of-64-bits", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        (
            "size-of-200-digits",
            concat!(
                "fffffffffffffffffffffffffffffffffffffffffffffffff",
                "fffffffffffffffffffffffffffffffffffffffffffffff\r\nhello\r\n0\r\n\r\n"
            ),
        ),
        ("line-end-lf", "5\nhello\r\n0\r\n\r\n"),
        ("line-end-cr", "5\rhello\r\n0\r\n\r\n"),
        ("line-end-cr-cr-lf", "5\r\r\nhello\r\n0\r\n\r\n"),
        ("data-end-lf", "5\r\nhello\n0\r\n\r\n"),
        ("data-end-cr", "5\r\nhello\r0\r\n\r\n"),
        ("data-end-missing", "5\r\nhello0\r\n\r\n"),
        ("data-end-two-bytes", "5\r\nhelloXX0\r\n\r\n"),
        ("data-longer-than-size", "5\r\nhello world\r\n0\r\n\r\n"),
        ("data-shorter-than-size", "5\r\nhi\r\n0\r\n\r\n0\r\n\r\n"),
        ("last-size-lf", "5\r\nhello\r\n0\n\r\n"),
        ("last-line-lf", "5\r\nhello\r\n0\r\n\n"),
        ("last-chunk-negative-zero", "5\r\nhello\r\n-0\r\n\r\n"),
        ("all-lf", "5\nhello\n0\n\n"),
        ("extension-lf", "5;a\nhello\r\n0\r\n\r\n"),
        ("extension-bare-cr", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
        ("extension-nul", "5;a\0b\r\nhello\r\n0\r\n\r\n"),
        ("extension-control", "5;a\u{1}b\r\nhello\r\n0\r\n\r\n"),
        ("extension-hides-a-chunk-by-lf", "5;\nhello\r\n0\r\n\r\n"),
        ("extension-without-semicolon", "5 a=b\r\nhello\r\n0\r\n\r\n"),
        ("trailer-space-before-colon", "5\r\nhello\r\n0\r\nX-A : b\r\n\r\n"),
        ("trailer-no-colon", "5\r\nhello\r\n0\r\nX-A\r\n\r\n"),
        ("trailer-empty-name", "5\r\nhello\r\n0\r\n: b\r\n\r\n"),
        ("trailer-nul", "5\r\nhello\r\n0\r\nX-A: b\0\r\n\r\n"),
        ("trailer-bare-cr", "5\r\nhello\r\n0\r\nX-A: b\rc\r\n\r\n"),
        ("trailer-lf", "5\r\nhello\r\n0\r\nX-A: b\n\r\n"),
        ("trailer-fold", "5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n"),
    ]
    .into_iter()
    .map(|(id, body)| {
        let statuses: &[u16] = &[400, 413];
        chunked(id, body).expect(all(vec![never_whole(), status_in(statuses), closed()]))
    })
    .chain([
        chunked("size-missing-hides-a-request", format!("\r\n\r\n{SMUGGLED}"))
            .requests(2)
            .step(Step::WaitAnswers(1))
            .expect(all(vec![never_whole(), status_in(&[400]), closed()])),
        chunked("size-overflow-hides-a-request", format!("10000000000000000\r\n\r\n{SMUGGLED}"))
            .requests(2)
            .step(Step::WaitAnswers(1))
            .expect(all(vec![never_whole(), status_in(&[400, 413]), closed()])),
        chunked("extension-of-100000", format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(100_000)))
            .expect(all(vec![never_whole(), status_in(&[400, 413, 431]), closed()])),
        chunked("extensions-of-a-megabyte-in-all", {
            let chunk = format!("1;{}\r\nx\r\n", "a".repeat(2_000));
            format!("{}0\r\n\r\n", chunk.repeat(500))
        })
        .expect(all(vec![never_whole(), status_in(&[400, 413, 431]), closed()])),
        chunked(
            "trailer-of-100000",
            format!("5\r\nhello\r\n0\r\nX-A: {}\r\n\r\n", "v".repeat(100_000)),
        )
        .expect(all(vec![never_whole(), status_in(&[400, 413, 431]), closed()])),
        chunked("trailers-by-the-thousand", {
            format!("5\r\nhello\r\n0\r\n{}\r\n", "X-A: b\r\n".repeat(2_000))
        })
        .expect(all(vec![never_whole(), status_in(&[400, 413, 431]), closed()])),
        // The head and the first chunk were good and may have been forwarded already.
        chunked("malformed-second-chunk", "5\r\nhello\r\n")
            .step(Step::WaitUpstream(b"hello".to_vec()))
            .send("zz\r\nworld\r\n0\r\n\r\n")
            .step(Step::WaitAnswers(1))
            .step(Step::WaitUpstreamEnd)
            .expect(all(vec![never_whole(), status_in(&[400]), closed()]))
            .returns_permits(),
    ])
    .collect()
}

/// An end in the midst of the body: never made whole for the origin.
fn broken_off() -> Vec<Case> {
    [
        ("in-size", "5"),
        ("behind-size", "5\r\n"),
        ("in-data", "5\r\nhel"),
        ("behind-data", "5\r\nhello"),
        ("behind-chunk", "5\r\nhello\r\n"),
        ("in-last-size", "5\r\nhello\r\n0"),
        ("behind-last-size", "5\r\nhello\r\n0\r\n"),
        ("in-trailer", "5\r\nhello\r\n0\r\nX-A: b\r\n"),
        ("at-start", ""),
        ("in-data-whose-size-wraps-32-bits", "100000005\r\nhello\r\n0\r\n\r\n"),
    ]
    .into_iter()
    .map(|(id, body)| {
        chunked(&format!("end-{id}"), body)
            .step(Step::HalfClose)
            .step(Step::ReadToEnd)
            .expect(all(vec![never_whole(), never_completed(), gone()]))
            .returns_permits()
    })
    .collect()
}

fn extensions_and_trailers() -> Vec<Case> {
    let good = || all(vec![served(), sent_body("hello"), kept()]);
    // RFC 9112 §7.1.1: unknown extensions are ignored.
    let extension =
        |id: &str, line: &str| chunked(id, format!("{line}\r\nhello\r\n0\r\n\r\n")).expect(good());
    let trailer = |id: &str, field: &str, name: &'static str| {
        chunked(id, format!("5\r\nhello\r\n0\r\n{field}\r\n\r\n")).expect(any(vec![
            all(vec![served(), sent_body("hello"), not_sent(name)]),
            all(vec![never_whole(), status_in(&[400]), closed()]),
        ]))
    };
    vec![
        extension("extension-name", "5;a"),
        extension("extension-name-and-value", "5;a=b"),
        extension("extension-quoted", "5;a=\"b c\""),
        extension("extension-quoted-semicolon", "5;a=\"b;c\""),
        extension("extension-two", "5;a=b;c=d"),
        chunked("extension-space-before", "5 ;a=b\r\nhello\r\n0\r\n\r\n")
            .expect(any(vec![good(), all(vec![never_whole(), status_in(&[400]), closed()])])),
        chunked("extension-empty", "5;\r\nhello\r\n0\r\n\r\n")
            .expect(any(vec![good(), all(vec![never_whole(), status_in(&[400]), closed()])])),
        chunked("size-space-behind", "5 \r\nhello\r\n0\r\n\r\n")
            .expect(any(vec![good(), all(vec![never_whole(), status_in(&[400]), closed()])])),
        chunked("extension-on-last-chunk", "5\r\nhello\r\n0;a=b\r\n\r\n").expect(good()),
        chunked("trailer-is-allowed", "5\r\nhello\r\n0\r\nX-Checksum: 1\r\n\r\n").expect(good()),
        trailer("trailer-content-length", "Content-Length: 5", "content-length"),
        trailer("trailer-transfer-encoding", "Transfer-Encoding: chunked", "x-none"),
        trailer("trailer-host", "Host: other.example", "x-none"),
        trailer("trailer-authorization", "Authorization: Basic eDp5", "authorization"),
        trailer("trailer-forwarded-for", "X-Forwarded-For: 203.0.113.9", "x-none"),
        trailer("trailer-connection", "Connection: close", "x-none"),
        trailer("trailer-tier", "X-Tier: l1", "x-tier"),
    ]
}

fn well_formed() -> Vec<Case> {
    let good = |id: &str, body: &str, text: &str| {
        chunked(id, body).expect(all(vec![served(), sent_body(text), kept()]))
    };
    let many = "1\r\nx\r\n".repeat(2_000) + "0\r\n\r\n";
    let large = format!("{:x}\r\n{}\r\n0\r\n\r\n", 100_000, "y".repeat(100_000));
    vec![
        good("one-chunk", "5\r\nhello\r\n0\r\n\r\n", "hello"),
        good("three-chunks", "2\r\nhe\r\n2\r\nll\r\n1\r\no\r\n0\r\n\r\n", "hello"),
        good("size-capital-hexadecimal", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        good("size-small-hexadecimal", "a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        good("size-leading-zeros", "0005\r\nhello\r\n0\r\n\r\n", "hello"),
        good("last-size-several-zeros", "5\r\nhello\r\n000\r\n\r\n", "hello"),
        good("crlf-inside-data", "9\r\na\r\n0\r\n\r\nb\r\n0\r\n\r\n", "a\r\n0\r\n\r\nb"),
        good("two-thousand-chunks", &many, &"x".repeat(2_000)),
        good("large-chunk", &large, &"y".repeat(100_000)),
        chunked("in-single-bytes", "")
            .step(Step::Drip {
                bytes: b"5\r\nhello\r\n0\r\n\r\n".to_vec(),
                piece: 1,
                gap: std::time::Duration::from_millis(1),
            })
            .expect(all(vec![served(), sent_body("hello"), kept()])),
    ]
}
