//! Status lines and field lines that an origin sends: RFC 9112 §4 and §5.

use crate::{
    case::{Case, case, get, head},
    expect::*,
    origin::{Act, Reply, When},
};

/// An answer with these head bytes behind the status line.
fn with(id: &str, head: &str) -> Case {
    case(id).send(get(&[])).reply(format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 2\r\n\r\nok"))
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(status_lines());
    cases.extend(field_lines());
    cases.extend(no_answer());
    cases
}

fn status_lines() -> Vec<Case> {
    let bad = [
        ("no-status", "HTTP/1.1\r\n"),
        ("status-two-digits", "HTTP/1.1 20 OK\r\n"),
        ("status-four-digits", "HTTP/1.1 2000 OK\r\n"),
        ("status-letters", "HTTP/1.1 abc OK\r\n"),
        ("status-negative", "HTTP/1.1 -20 OK\r\n"),
        ("status-zero", "HTTP/1.1 000 OK\r\n"),
        ("status-099", "HTTP/1.1 099 OK\r\n"),
        ("version-2.0", "HTTP/2.0 200 OK\r\n"),
        ("version-lower-case", "http/1.1 200 OK\r\n"),
        ("version-nonsense", "HTTP/x.1 200 OK\r\n"),
        ("protocol-other", "ICY 200 OK\r\n"),
        ("garbage", "\u{1}\u{2}\u{3}garbage\r\n"),
        ("nul-in-reason", "HTTP/1.1 200 O\0K\r\n"),
        ("bare-cr-in-reason", "HTTP/1.1 200 O\rK\r\n"),
        ("leading-space", " HTTP/1.1 200 OK\r\n"),
        ("a-request", "GET / HTTP/1.1\r\n"),
    ];
    let good = [
        ("no-reason", "HTTP/1.1 200 \r\n", 200),
        ("no-reason-no-space", "HTTP/1.1 200\r\n", 200),
        ("reason-of-words", "HTTP/1.1 200 All is well (really)\r\n", 200),
        ("status-299", "HTTP/1.1 299 Odd\r\n", 299),
        ("status-599", "HTTP/1.1 599 Odd\r\n", 599),
        ("status-418", "HTTP/1.1 418 I'm a teapot\r\n", 418),
        ("status-500-is-the-origins", "HTTP/1.1 500 Oh\r\n", 500),
        ("version-1.0", "HTTP/1.0 200 OK\r\n", 200),
        ("status-503-is-the-origins", "HTTP/1.1 503 Busy\r\n", 503),
    ];
    let body_of = |line: &str| format!("{line}Content-Length: 2\r\n\r\nok");
    bad.into_iter()
        .map(|(id, line)| {
            case(id).send(get(&[])).reply(body_of(line)).expect(all(vec![status(502), marked()]))
        })
        .chain(good.into_iter().map(|(id, line, code)| {
            case(id).send(get(&[])).reply(body_of(line)).expect(all(vec![
                status(code),
                body("ok"),
                kept(),
            ]))
        }))
        .chain([
            case("answer-of-http-0.9")
                .send(get(&[]))
                .origin(Reply::new("<html>no head at all</html>").close())
                .expect(status(502)),
            case("status-600-and-above")
                .send(get(&[]))
                .reply(body_of("HTTP/1.1 700 Odd\r\n"))
                .expect(any(vec![status(502), status(700)])),
            case("obs-text-in-reason")
                .send(get(&[]))
                .reply(b"HTTP/1.1 200 \xe9t\xe9\r\nContent-Length: 2\r\n\r\nok")
                .expect(any(vec![all(vec![status(200), body("ok")]), status(502)])),
            case("crlf-before-status-line")
                .send(get(&[]))
                .reply("\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .expect(any(vec![all(vec![status(200), body("ok")]), status(502)])),
        ])
        .collect()
}

fn field_lines() -> Vec<Case> {
    let clean = || any(vec![all(vec![status(200), body("ok")]), status(502)]);
    vec![
        // RFC 9112 §5.1 and §5.2: removed or replaced by an intermediary, or the answer discarded.
        with("space-before-colon", "X-A : b\r\n").expect(any(vec![
            all(vec![status(200), body("ok"), answer_field("x-a", "b")]),
            status(502),
        ])),
        with("obs-fold", "X-A: b\r\n c\r\n").expect(clean()),
        with("obs-fold-tab", "X-A: b\r\n\tc\r\n").expect(clean()),
        with("obs-fold-hides-a-field", "X-A: b\r\n Set-Cookie: x\r\n")
            .expect(all(vec![clean(), answer_lacks("set-cookie")])),
        with("bare-lf", "X-A: b\n").expect(clean()),
        with("bare-cr", "X-A: b\rc\r\n").expect(clean()),
        with("nul", "X-A: b\0c\r\n").expect(clean()),
        with("no-colon", "X-A\r\n").expect(clean()),
        with("empty-name", ": b\r\n").expect(clean()),
        with("invalid-name", "X[A]: b\r\n").expect(clean()),
        with("non-ascii-name", "X-\u{c4}: b\r\n").expect(clean()),
        with("control-in-value", "X-A: b\u{1}c\r\n").expect(clean()),
        with("field-leading-space", " X-A: b\r\n").expect(clean()),
        with("99-fields", &(0..98).map(|i| format!("x-{i}: {i}\r\n")).collect::<String>())
            .expect(all(vec![status(200), body("ok"), answer_field("x-97", "97")])),
        with("1000-fields", &(0..1000).map(|i| format!("x-{i}: {i}\r\n")).collect::<String>())
            .expect(all(vec![status(502), marked()])),
        with("value-of-8000", &format!("X-A: {}\r\n", "v".repeat(8_000)))
            .expect(all(vec![status(200), body("ok")])),
        with("head-of-two-megabytes", &format!("X-A: {}\r\n", "v".repeat(1_000)).repeat(2_000))
            .expect(all(vec![status(502), marked()])),
        with("line-of-two-megabytes", &format!("X-A: {}\r\n", "v".repeat(2_000_000)))
            .expect(all(vec![status(502), marked()])),
        with("refusal-marks-of-the-origin", "X-Floodgate-Reason: watermark\r\n")
            .expect(all(vec![status(200), body("ok")])),
        case("head-in-single-bytes")
            .send(get(&[]))
            .origin(Reply::acts(
                When::Body,
                vec![Act::Trickle(
                    b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok".to_vec(),
                )],
            ))
            .expect(all(vec![status(200), body("ok"), answer_field("x-a", "b"), kept()])),
    ]
}

fn no_answer() -> Vec<Case> {
    let broken = |id: &str, reply: Reply| {
        case(id)
            .send(get(&[]))
            .origin(reply)
            .expect(all(vec![status(502), marked(), problem(), kept()]))
            .returns_permits()
    };
    vec![
        broken("closed-without-a-byte", Reply::acts(When::Body, vec![Act::Close])),
        broken("closed-without-a-byte-at-the-head", Reply::acts(When::Head, vec![Act::Close])),
        broken("reset-without-a-byte", Reply::acts(When::Body, vec![Act::Reset])),
        broken("closed-in-the-status-line", Reply::new("HTTP/1.1 20").close()),
        broken("closed-in-the-head", Reply::new("HTTP/1.1 200 OK\r\nContent-Le").close()),
        broken(
            "closed-before-the-end-of-the-head",
            Reply::new("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n").close(),
        ),
        broken(
            "reset-in-the-head",
            Reply::acts(When::Body, vec![Act::Write(b"HTTP/1.1 200 OK\r\n".to_vec()), Act::Reset]),
        ),
        case("connection-refused")
            .send(head("GET /nobody/x HTTP/1.1", &["Host: a"]))
            .expect(all(vec![status(502), marked(), problem(), untouched(), kept()]))
            .returns_permits(),
        case("never-answers")
            .send(head("GET /hasty/x HTTP/1.1", &["Host: a"]))
            .origin(Reply::acts(When::Body, vec![Act::Hang]))
            .expect(all(vec![status(504), marked(), problem()]))
            .returns_permits(),
        case("never-ends-its-head")
            .send(head("GET /hasty/x HTTP/1.1", &["Host: a"]))
            .origin(Reply::acts(
                When::Body,
                vec![Act::Write(b"HTTP/1.1 200 OK\r\nX-A: b\r\n".to_vec()), Act::Hang],
            ))
            .expect(all(vec![status(504), marked()]))
            .returns_permits(),
        // RFC 9110 §9.2.2: what may have been done is not done twice.
        case("post-is-never-repeated")
            .send(crate::case::post(&["Content-Length: 5"], "hello"))
            .origin(Reply::acts(When::Body, vec![Act::Close]))
            .expect(all(vec![status(502), forwarded(1)])),
        case("get-on-a-new-connection-is-not-repeated")
            .send(get(&[]))
            .origin(Reply::acts(When::Body, vec![Act::Close]))
            .expect(all(vec![status(502), forwarded(1)])),
        case("answer-before-any-request")
            .send(get(&[]))
            .origin(Reply::acts(
                When::Connect,
                vec![
                    Act::Write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()),
                    Act::Hang,
                ],
            ))
            // Bytes before the request are no answer to it, but a gateway can not always tell.
            .expect(any(vec![status(502), body("ok")]))
            .without_probe(),
    ]
}
