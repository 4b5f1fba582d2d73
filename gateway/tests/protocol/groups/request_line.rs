//! Request line and version: RFC 9112 §2.2, §2.3 and §3.

use crate::{
    case::{Case, case, head},
    expect::*,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(versions());
    cases.extend(malformed());
    cases.extend(methods());
    cases
}

/// Lines whose version is not ours to speak.
fn versions() -> Vec<Case> {
    [
        ("version-lower-case", "GET /c http/1.1"),
        ("version-mixed-case", "GET /c Http/1.1"),
        ("version-absent", "GET /c"),
        ("version-2.0", "GET /c HTTP/2.0"),
        ("version-3.0", "GET /c HTTP/3.0"),
        ("version-0.9", "GET /c HTTP/0.9"),
        ("version-one-digit", "GET /c HTTP/1"),
        ("version-two-digits", "GET /c HTTP/1.10"),
        ("version-leading-zero", "GET /c HTTP/01.1"),
        ("version-comma", "GET /c HTTP/1,1"),
        ("version-letters", "GET /c HTTP/x.y"),
        ("version-space-inside", "GET /c HTTP/ 1.1"),
        ("version-other-protocol", "GET /c ICY/1.1"),
        ("version-trailing-bytes", "GET /c HTTP/1.1x"),
    ]
    .into_iter()
    .map(|(id, line)| {
        let statuses: &[u16] = &[400, 426, 505];
        case(id).send(head(line, &["Host: shop.example"])).expect(refused(statuses))
    })
    .chain([
        // RFC 9112 §2.3: a later minor version is served as the highest that is known.
        case("version-1.2-as-1.1").send(head("GET /c HTTP/1.2", &["Host: shop.example"])).expect(
            any(vec![refused(&[400, 505]), all(vec![served(), request_line("GET /c HTTP/1.1")])]),
        ),
        // RFC 9110 §2.5: an intermediary sends its own version on.
        case("version-1.0-becomes-1.1")
            .send(head("GET /c HTTP/1.0", &["Host: shop.example"]))
            .expect(all(vec![served(), request_line("GET /c HTTP/1.1")])),
        case("http-0.9-simple-request")
            .send("GET /c\r\n")
            .step(crate::client::Step::HalfClose)
            .expect(all(vec![untouched(), gone()])),
        case("preface-of-http-2")
            .send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .expect(all(vec![untouched(), gone()]))
            .without_probe()
            .step(crate::client::Step::ReadToEnd),
        case("bytes-of-tls")
            .send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
            .expect(all(vec![untouched(), gone()]))
            .without_probe()
            .step(crate::client::Step::ReadToEnd),
    ])
    .collect()
}

fn malformed() -> Vec<Case> {
    [
        ("two-spaces-before-target", "GET  /c HTTP/1.1"),
        ("two-spaces-before-version", "GET /c  HTTP/1.1"),
        ("tab-before-target", "GET\t/c HTTP/1.1"),
        ("tab-before-version", "GET /c\tHTTP/1.1"),
        ("leading-space", " GET /c HTTP/1.1"),
        ("trailing-space", "GET /c HTTP/1.1 "),
        ("trailing-tab", "GET /c HTTP/1.1\t"),
        ("no-method", "/c HTTP/1.1"),
        ("empty-method", " /c HTTP/1.1"),
        ("no-target", "GET HTTP/1.1"),
        ("empty-target", "GET  HTTP/1.1"),
        ("method-with-colon", "GE:T /c HTTP/1.1"),
        ("method-with-brackets", "GE[T] /c HTTP/1.1"),
        ("method-with-at", "G@T /c HTTP/1.1"),
        ("method-with-quote", "G\"T /c HTTP/1.1"),
        ("method-with-slash", "GET/ /c HTTP/1.1"),
        ("method-with-nul", "GE\0T /c HTTP/1.1"),
        ("method-with-non-ascii", "G\u{c9}T /c HTTP/1.1"),
        ("method-with-control", "G\u{1}T /c HTTP/1.1"),
        ("bare-cr-inside", "GET /c\r HTTP/1.1"),
        ("bare-lf-inside", "GET /c\n HTTP/1.1"),
        ("vertical-tab-separator", "GET\u{b}/c HTTP/1.1"),
        ("form-feed-separator", "GET\u{c}/c HTTP/1.1"),
    ]
    .into_iter()
    .map(|(id, line)| {
        let statuses: &[u16] = &[400, 501, 505];
        case(id).send(head(line, &["Host: shop.example"])).expect(refused(statuses))
    })
    .collect()
}

fn methods() -> Vec<Case> {
    let long = format!("{} /c HTTP/1.1", "M".repeat(10_000));
    let forwards = |id: &str, method: &str| {
        let line = format!("{method} /c HTTP/1.1");
        case(id).send(head(&line, &["Host: shop.example"])).expect(all(vec![
            served(),
            request_line(line),
            kept(),
        ]))
    };
    vec![
        forwards("method-unknown-is-forwarded", "PURGE"),
        forwards("method-lower-case-is-its-own", "get"),
        forwards("method-with-token-marks", "M-SEARCH"),
        forwards("method-put-without-body", "PUT"),
        forwards("method-delete", "DELETE"),
        forwards("method-patch", "PATCH"),
        case("method-too-long")
            .send(head(&long, &["Host: shop.example"]))
            .expect(any(vec![served(), refused(&[400, 414, 431, 501])])),
        case("connect-like-lower-case")
            .send(head("connect /c HTTP/1.1", &["Host: shop.example"]))
            .expect(any(vec![served(), turned_away(&[400, 405, 501])])),
    ]
}
