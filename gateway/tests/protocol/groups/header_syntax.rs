//! Field lines: RFC 9112 §2.2 and §5, RFC 9110 §5.

use crate::{
    case::{Case, case, get, head},
    client::Step,
    expect::*,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(malformed());
    cases.extend(either());
    cases.extend(well_formed());
    cases.extend(sizes());
    cases
}

fn malformed() -> Vec<Case> {
    [
        ("space-before-colon", "X-A : b"),
        ("tab-before-colon", "X-A\t: b"),
        ("content-length-space-before-colon", "Content-Length : 0"),
        ("no-colon", "X-A"),
        ("no-colon-but-spaces", "X A b"),
        ("empty-name", ": b"),
        ("empty-name-space", " : b"),
        ("space-in-name", "X A: b"),
        ("nul-in-name", "X\0A: b"),
        ("nul-in-value", "X-A: b\0c"),
        ("cr-in-name", "X\rA: b"),
        ("bare-cr-in-value", "X-A: b\rc"),
        ("bare-cr-hides-a-field", "X-A: b\rTransfer-Encoding: chunked"),
        ("bare-cr-at-end-of-value", "X-A: b\r"),
        ("control-in-value", "X-A: b\u{1}c"),
        ("escape-in-value", "X-A: \u{1b}[31m"),
        ("delete-in-value", "X-A: b\u{7f}c"),
        ("vertical-tab-in-value", "X-A: b\u{b}c"),
        ("brackets-in-name", "X[A]: b"),
        ("parentheses-in-name", "X(A): b"),
        ("comma-in-name", "X,A: b"),
        ("slash-in-name", "X/A: b"),
        ("at-in-name", "X@A: b"),
        ("quote-in-name", "X\"A: b"),
        ("semicolon-in-name", "X;A: b"),
        ("equals-in-name", "X=A: b"),
        ("backslash-in-name", "X\\A: b"),
        ("brace-in-name", "X{A}: b"),
        ("non-ascii-in-name", "X-\u{c4}: b"),
        ("byte-order-mark-in-name", "\u{feff}X-A: b"),
        ("control-in-name", "X\u{1}A: b"),
        ("delete-in-name", "X\u{7f}: b"),
    ]
    .into_iter()
    .map(|(id, field)| case(id).send(get(&[field])).expect(refused(&[400])))
    .chain([
        case("space-before-first-field")
            .send("GET /c HTTP/1.1\r\n Host: shop.example\r\n\r\n")
            .expect(refused(&[400])),
        case("tab-before-first-field")
            .send("GET /c HTTP/1.1\r\n\tX-A: b\r\nHost: shop.example\r\n\r\n")
            .expect(refused(&[400])),
        case("space-line-before-first-field")
            .send("GET /c HTTP/1.1\r\n \r\nHost: shop.example\r\n\r\n")
            .expect(refused(&[400])),
        case("bare-cr-ends-head")
            .send("GET /c HTTP/1.1\r\nHost: shop.example\r\r\n\r\n")
            .expect(refused(&[400])),
        case("bare-cr-as-line-end")
            .send("GET /c HTTP/1.1\rHost: shop.example\r\r\n\r\n")
            .expect(refused(&[400])),
        case("request-line-then-cr-cr-lf")
            .send("GET /c HTTP/1.1\r\r\nHost: shop.example\r\n\r\n")
            .expect(refused(&[400])),
    ])
    .collect()
}

/// Where a recipient may forgive: then what is passed on is well formed, which the judge of the
/// upstream bytes sees to.
fn either() -> Vec<Case> {
    let lenient =
        |id: &str, bytes: &str| case(id).send(bytes).expect(any(vec![served(), refused(&[400])]));
    vec![
        lenient("obs-fold-space", "GET /c HTTP/1.1\r\nHost: shop.example\r\nX-A: b\r\n c\r\n\r\n"),
        lenient("obs-fold-tab", "GET /c HTTP/1.1\r\nHost: shop.example\r\nX-A: b\r\n\tc\r\n\r\n"),
        lenient("obs-fold-empty", "GET /c HTTP/1.1\r\nHost: shop.example\r\nX-A: b\r\n \r\n\r\n"),
        lenient(
            "obs-fold-hides-a-field",
            "GET /c HTTP/1.1\r\nHost: shop.example\r\nX-A: b\r\n Transfer-Encoding: chunked\r\n\r\n",
        ),
        lenient("lf-line-ends", "GET /c HTTP/1.1\nHost: shop.example\n\n"),
        lenient("lf-behind-request-line", "GET /c HTTP/1.1\nHost: shop.example\r\n\r\n"),
        lenient("lf-behind-one-field", "GET /c HTTP/1.1\r\nX-A: b\nHost: shop.example\r\n\r\n"),
        lenient("lf-ends-head", "GET /c HTTP/1.1\r\nHost: shop.example\r\n\n"),
        lenient("crlf-before-request", "\r\nGET /c HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
        lenient("lf-before-request", "\nGET /c HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
        lenient(
            "crlf-twice-before-request",
            "\r\n\r\nGET /c HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        ),
        case("obs-fold-of-a-length")
            .send("POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n 0\r\n\r\n0123456789")
            .expect(refused(&[400])),
        case("obs-fold-of-a-coding")
            .send("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n")
            .expect(any(vec![served(), refused(&[400, 501])])),
        // Who takes LF LF for the end of a head reads two requests, and must forward two.
        case("lf-lf-between-requests")
            .send(
                "GET /c HTTP/1.1\r\nHost: a\r\nX-A: b\n\nGET /c/second HTTP/1.1\r\nHost: a\r\n\r\n",
            )
            .requests(2)
            .expect(any(vec![refused(&[400]), all(vec![forwarded(2), statuses(&[200, 200])])])),
        case("many-crlf-before-request")
            .send("\r\n".repeat(50_000))
            .step(Step::ReadToEnd)
            .expect(all(vec![untouched(), gone()])),
    ]
}

fn well_formed() -> Vec<Case> {
    vec![
        case("whitespace-around-value")
            .send(get(&["X-A: \t b c \t "]))
            .expect(all(vec![served(), sent("x-a", "b c")])),
        case("no-space-behind-colon")
            .send(get(&["X-A:b"]))
            .expect(all(vec![served(), sent("x-a", "b")])),
        case("empty-value").send(get(&["X-A:"])).expect(all(vec![served(), sent("x-a", "")])),
        case("tab-inside-value")
            .send(get(&["X-A: b\tc"]))
            .expect(all(vec![served(), sent("x-a", "b\tc")])),
        case("all-token-marks-in-name")
            .send(get(&["x!#$%&'*+-.^_`|~: b"]))
            .expect(all(vec![served(), sent("x!#$%&'*+-.^_`|~", "b")])),
        case("obs-text-in-value")
            .send(b"GET /c HTTP/1.1\r\nHost: a\r\nX-A: \xe9t\xe9\r\n\r\n")
            .expect(any(vec![served(), refused(&[400])])),
        case("equal-names-keep-their-order")
            .send(get(&["X-A: 1", "X-B: 2", "X-A: 3", "X-A: 4"]))
            .expect(all(vec![served(), sent("x-a", "1, 3, 4")])),
        case("cookies-keep-their-lines")
            .send(get(&["Cookie: a=1", "Cookie: b=2"]))
            .expect(all(vec![served(), sent_lines("cookie", &["a=1", "b=2"])])),
        case("unknown-fields-are-forwarded")
            .send(get(&[
                "X-Unknown-To-All: yes",
                "Authorization: Basic eDp5",
                "Accept-Language: de",
            ]))
            .expect(all(vec![
                served(),
                sent("x-unknown-to-all", "yes"),
                sent("authorization", "Basic eDp5"),
                sent("accept-language", "de"),
            ])),
        case("colons-in-value")
            .send(get(&["X-A: b:c:d"]))
            .expect(all(vec![served(), sent("x-a", "b:c:d")])),
        case("field-in-two-segments")
            .send("GET /c HTTP/1.1\r\nHost: sh")
            .step(Step::Drip {
                bytes: b"op.example\r\nX-A: b\r\n\r\n".to_vec(),
                piece: 1,
                gap: std::time::Duration::from_millis(1),
            })
            .expect(all(vec![served(), sent("x-a", "b")])),
    ]
}

fn sizes() -> Vec<Case> {
    let many = |count: usize| -> Vec<u8> {
        // Host is one of them.
        let fields: Vec<String> = (1..count).map(|i| format!("x-{i}: {i}")).collect();
        get(&fields.iter().map(String::as_str).collect::<Vec<_>>())
    };
    vec![
        case("90-fields").send(many(90)).expect(served()),
        case("100-fields").send(many(100)).expect(all(vec![served(), sent("x-99", "99")])),
        case("101-fields").send(many(101)).expect(refused(&[431])),
        case("1000-fields").send(many(1000)).expect(refused(&[431])),
        case("value-of-8000").send(get(&[&format!("X-A: {}", "v".repeat(8_000))])).expect(served()),
        case("value-of-24000")
            .send(get(&[&format!("X-A: {}", "v".repeat(24_000))]))
            .expect(served()),
        case("value-of-40000")
            .send(get(&[&format!("X-A: {}", "v".repeat(40_000))]))
            .expect(refused(&[431])),
        case("name-of-40000")
            .send(get(&[&format!("{}: v", "x".repeat(40_000))]))
            .expect(refused(&[400, 431])),
        case("head-of-many-fields-too-large")
            .send(get(&vec![format!("X-A: {}", "v".repeat(1_000)); 60]
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()))
            .expect(refused(&[431])),
        case("head-without-end")
            .send(format!("GET /c HTTP/1.1\r\nHost: a\r\nX-A: {}", "v".repeat(300_000)))
            .expect(refused(&[431])),
        case("cookie-of-16000")
            .send(head(
                "GET /c HTTP/1.1",
                &["Host: a", &format!("Cookie: s={}", "c".repeat(16_000))],
            ))
            .expect(served()),
    ]
}
