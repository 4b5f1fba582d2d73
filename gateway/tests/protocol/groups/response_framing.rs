//! Where responses end: RFC 9112 §6.3 and §8, and what happens to the connection behind it.

use crate::{
    case::{Case, case, get, head, post},
    client::Step,
    expect::*,
    origin::{Act, Reply, When},
    safety::POISON,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(lengths());
    cases.extend(codings());
    cases.extend(cut_short());
    cases.extend(surplus());
    cases.extend(whole());
    cases.extend(early());
    cases
}

fn answered(id: &str, reply: impl AsRef<[u8]>) -> Case {
    case(id).send(get(&[])).reply(reply)
}

fn lengths() -> Vec<Case> {
    [
        ("length-letters", "Content-Length: two"),
        ("length-plus", "Content-Length: +2"),
        ("length-minus", "Content-Length: -2"),
        ("length-hexadecimal", "Content-Length: 0x2"),
        ("length-empty", "Content-Length:"),
        ("length-decimal-point", "Content-Length: 2.0"),
        ("length-space-inside", "Content-Length: 2 2"),
        ("length-above-64-bits", "Content-Length: 18446744073709551618"),
        ("length-twice-different", "Content-Length: 2\r\nContent-Length: 3"),
        ("length-list-different", "Content-Length: 2, 3"),
        ("length-list-with-invalid", "Content-Length: 2, x"),
    ]
    .into_iter()
    .map(|(id, field)| {
        answered(id, format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\nok")).expect(all(vec![status(502), marked(), kept()]))
    })
    .chain([
        answered("length-twice-equal", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok")
            .expect(any(vec![all(vec![status(200), body("ok")]), status(502)])),
        answered("length-list-equal", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok")
            .expect(any(vec![all(vec![status(200), body("ok")]), status(502)])),
        answered(
            "length-and-chunked",
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
        .expect(any(vec![all(vec![status(200), body("ok")]), status(502)])),
        answered(
            "chunked-and-length",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
        .expect(any(vec![all(vec![status(200), body("ok")]), status(502)])),
    ])
    .collect()
}

fn codings() -> Vec<Case> {
    let chunks = "2\r\nok\r\n0\r\n\r\n";
    // An unknown or repeated coding leaves the end unknown: an error, or read to the close; never
    // the coded bytes passed off as a whole plain body.
    let unsure = |id: &str, field: &str| {
        case(id)
            .send(get(&[]))
            .origin(Reply::new(format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n{chunks}")).close())
            .expect(any(vec![status(502), all(vec![status(200), body("ok")])]))
    };
    let malformed = |id: &str, bytes: &str| {
        case(id)
            .send(get(&[]))
            .origin(
                Reply::new(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{bytes}"))
                    .close(),
            )
            .step(Step::ReadToEnd)
            .without_probe()
            .expect(never_completed())
    };
    let or_502 = |id: &str, bytes: &str| {
        // Nothing of the body has been passed on when the fault is seen: either way is honest.
        case(id)
            .send(get(&[]))
            .origin(
                Reply::new(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{bytes}"))
                    .close(),
            )
            .expect(any(vec![all(vec![never_completed(), gone()]), status(502)]))
    };
    vec![
        unsure("coding-chunked-twice", "Transfer-Encoding: chunked, chunked"),
        unsure("coding-two-lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        unsure("coding-unknown", "Transfer-Encoding: cow"),
        unsure("coding-not-final", "Transfer-Encoding: chunked, gzip"),
        case("coding-identity")
            .send(get(&[]))
            .origin(Reply::new(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n{chunks}")).close())
            .expect(any(vec![status(502), all(vec![status(200), body(chunks)])])),
        or_502("chunk-size-invalid", "xx\r\nok\r\n0\r\n\r\n"),
        or_502("chunk-size-too-large", "ffffffffffffffffff\r\nok\r\n0\r\n\r\n"),
        or_502("chunk-size-negative", "-2\r\nok\r\n0\r\n\r\n"),
        malformed("chunk-data-end-missing", "2\r\nok0\r\n\r\n"),
        malformed("chunk-second-invalid", "2\r\nok\r\nzz\r\nok\r\n0\r\n\r\n"),
        // An extension is ignored, whatever stands in it, as long as it is not passed on.
        case("chunk-extension-nul")
            .send(get(&[]))
            .reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a\0\r\nok\r\n0\r\n\r\n")
            .expect(any(vec![body("ok"), never_completed(), status(502)])),
        answered("chunk-extension", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n")
            .expect(all(vec![status(200), body("ok"), kept()])),
        answered(
            "trailers",
            "HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: v\r\n\r\n",
        )
        .expect(all(vec![status(200), body("ok"), kept()])),
        answered(
            "trailers-not-announced",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: v\r\nContent-Length: 9\r\n\r\n",
        )
        .expect(any(vec![all(vec![status(200), body("ok"), answer_lacks("content-length")]), never_completed()])),
    ]
}

/// What the origin broke off must look broken off to the client.
fn cut_short() -> Vec<Case> {
    let cut = |id: &str, reply: Reply| {
        case(id)
            .send(get(&[]))
            .origin(reply)
            .step(Step::ReadToEnd)
            .expect(all(vec![never_completed(), gone()]))
            .returns_permits()
    };
    let bytes = |text: &str| Act::Write(text.as_bytes().to_vec());
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    vec![
        cut("cut-length", Reply::new(length).close()),
        cut("cut-length-by-reset", Reply::acts(When::Body, vec![bytes(length), Act::Reset])),
        cut("cut-chunked-behind-a-chunk", Reply::new(chunked).close()),
        cut("cut-chunked-in-a-chunk", Reply::new(&chunked[..chunked.len() - 4]).close()),
        cut("cut-chunked-in-a-size", Reply::new(format!("{chunked}5")).close()),
        cut("cut-chunked-behind-the-last-size", Reply::new(format!("{chunked}0\r\n")).close()),
        cut("cut-chunked-by-reset", Reply::acts(When::Body, vec![bytes(chunked), Act::Reset])),
        cut("cut-chunked-in-a-trailer", Reply::new(format!("{chunked}0\r\nX-T: v\r\n")).close()),
        case("cut-before-any-body-byte")
            .send(get(&[]))
            .origin(Reply::new("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").close())
            .expect(any(vec![status(502), all(vec![never_completed(), gone()])])),
        case("cut-until-close-by-reset")
            .send(get(&[]))
            .origin(Reply::acts(
                When::Body,
                vec![bytes("HTTP/1.1 200 OK\r\n\r\nhello"), Act::Reset],
            ))
            .step(Step::ReadToEnd)
            // The reset may be seen before the head; what was begun is not completed.
            .expect(any(vec![all(vec![never_completed(), gone()]), status(502)])),
        case("cut-at-the-deadline")
            .send(head("GET /hasty/x HTTP/1.1", &["Host: a"]))
            .origin(Reply::acts(When::Body, vec![bytes(length), Act::Hang]))
            .step(Step::ReadToEnd)
            .expect(all(vec![never_completed(), gone()]))
            .returns_permits(),
    ]
}

/// Bytes behind a response belong to nobody.
fn surplus() -> Vec<Case> {
    let poisoned = format!("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n{POISON}");
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let behind = |id: &str, first: &str| {
        // The second request must be answered by its own answer.
        case(id)
            .send(get(&[]))
            .step(Step::WaitAnswers(1))
            .send(head("GET /c/second HTTP/1.1", &["Host: a"]))
            .step(Step::WaitAnswers(2))
            .requests(2)
            .reply(format!("{first}{poisoned}"))
            .expect(all(vec![statuses(&[200, 200]), kept()]))
    };
    vec![
        behind("surplus-response", ok),
        behind(
            "surplus-response-behind-chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        behind("surplus-response-behind-no-length", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        case("surplus-bytes")
            .send(get(&[]))
            .step(Step::WaitAnswers(1))
            .send(head("GET /c/second HTTP/1.1", &["Host: a"]))
            .step(Step::WaitAnswers(2))
            .requests(2)
            .reply(format!("{ok}{POISON}"))
            .expect(all(vec![statuses(&[200, 200]), kept()])),
        case("surplus-behind-204")
            .send(get(&[]))
            .step(Step::WaitAnswers(1))
            .send(head("GET /c/second HTTP/1.1", &["Host: a"]))
            .step(Step::WaitAnswers(2))
            .requests(2)
            .reply(format!("HTTP/1.1 204 No Content\r\n\r\n{poisoned}"))
            .expect(all(vec![statuses(&[204, 200]), kept()])),
        case("surplus-behind-head")
            .send(head("HEAD /c HTTP/1.1", &["Host: a"]))
            .step(Step::WaitAnswers(1))
            .send(head("GET /c/second HTTP/1.1", &["Host: a"]))
            .step(Step::WaitAnswers(2))
            .requests(2)
            .reply(poisoned.clone())
            .expect(all(vec![statuses(&[200, 200]), kept()])),
        case("stale-connection-is-not-used")
            .send(get(&[]))
            .step(Step::WaitAnswers(1))
            .send(head("POST /c/second HTTP/1.1", &["Host: a", "Content-Length: 2"]))
            .send("hi")
            .step(Step::WaitAnswers(2))
            .requests(2)
            .origin(Reply::new(ok).close())
            .expect(all(vec![statuses(&[200, 200]), forwarded(2), kept()])),
    ]
}

fn whole() -> Vec<Case> {
    let large = "z".repeat(300_000);
    vec![
        answered("length-of-300000", format!("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{large}"))
            .expect(all(vec![status(200), body(large.clone()), kept()])),
        answered(
            "chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        )
        .expect(all(vec![status(200), body("hello"), kept()])),
        answered("chunked-empty", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            .expect(all(vec![status(200), body(""), kept()])),
        case("until-close")
            .send(get(&[]))
            .origin(Reply::new("HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nhello").close())
            .expect(all(vec![status(200), body("hello")])),
        case("until-close-large")
            .send(get(&[]))
            .origin(Reply::new(format!("HTTP/1.1 200 OK\r\n\r\n{large}")).close())
            .expect(all(vec![status(200), body(large)])),
        case("until-close-by-http-1.0")
            .send(get(&[]))
            .origin(Reply::new("HTTP/1.0 200 OK\r\n\r\nhello").close())
            .expect(all(vec![status(200), body("hello")])),
        case("http-1.0-with-keep-alive")
            .send(get(&[]))
            .reply("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello")
            .expect(all(vec![status(200), body("hello"), kept()])),
        case("in-single-bytes")
            .send(get(&[]))
            .origin(Reply::acts(When::Body, vec![Act::Trickle(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n".to_vec(),
            )]))
            .expect(all(vec![status(200), body("hello"), kept()])),
        // RFC 9112 §6.1: no chunked to a client of 1.0.
        case("chunked-for-a-client-of-1.0")
            .send(head("GET /c HTTP/1.0", &["Host: a"]))
            .reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .expect(all(vec![status(200), body("hello"), answer_lacks("transfer-encoding"), closed()])),
        case("chunked-for-a-client-of-1.0-with-keep-alive")
            .send(head("GET /c HTTP/1.0", &["Host: a", "Connection: keep-alive"]))
            .reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .expect(all(vec![status(200), body("hello"), answer_lacks("transfer-encoding")])),
    ]
}

/// An answer that does not wait for the request's body: the client gets it whole.
fn early() -> Vec<Case> {
    let busy = || Act::Write(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy".to_vec());
    let large = || post(&["Content-Length: 900000"], "b".repeat(900_000));
    let expect = || all(vec![status(503), body("busy")]);
    vec![
        case("early-answer-small-body")
            .send(post(&["Content-Length: 5"], "he"))
            .origin(Reply::acts(When::Head, vec![busy()]))
            .step(Step::WaitAnswers(1))
            .without_probe()
            .expect(expect())
            .returns_permits(),
        case("early-answer-large-body")
            .send(large())
            .origin(Reply::acts(When::Head, vec![busy()]))
            .without_probe()
            .expect(expect()),
        case("early-answer-then-close")
            .send(large())
            .origin(Reply::acts(When::Head, vec![busy(), Act::Close]))
            .without_probe()
            // The origin's close may overtake its answer: then it is an upstream error.
            .expect(any(vec![expect(), status(502)])),
        case("early-answer-body-never-sent")
            .send(post(&["Content-Length: 900000"], ""))
            .origin(Reply::acts(When::Head, vec![busy()]))
            .step(Step::WaitAnswers(1))
            .without_probe()
            .expect(expect()),
        case("early-answer-chunked-body")
            .send(post(&["Transfer-Encoding: chunked"], "5\r\nhello\r\n"))
            .origin(Reply::acts(When::Head, vec![busy()]))
            .step(Step::WaitAnswers(1))
            .without_probe()
            .expect(expect()),
        case("early-answer-never-mixes-with-the-next")
            .send(post(&["Content-Length: 5"], "he"))
            .origin(Reply::acts(When::Head, vec![busy()]))
            .step(Step::WaitAnswers(1))
            .send("llo")
            .send(head("GET /c/second HTTP/1.1", &["Host: a"]))
            .requests(2)
            .without_probe()
            .expect(expect()),
    ]
}
