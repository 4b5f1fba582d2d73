//! Our own refusals: what they carry, and that a client with an unread body can read them.

use crate::{
    case::{Case, SMUGGLED, case, get, head, post},
    client::Step,
    expect::*,
};

/// In step for the next request, or ended in order: never reset, never stuck.
fn kept_or_closed() -> Check {
    any(vec![kept(), closed()])
}

fn closed_route(fields: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = head("POST /closed/x HTTP/1.1", &[&["Host: a"], fields].concat());
    bytes.extend_from_slice(body.as_ref());
    bytes
}

fn small_route(fields: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = head("POST /small/x HTTP/1.1", &[&["Host: a"], fields].concat());
    bytes.extend_from_slice(body.as_ref());
    bytes
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(contents());
    cases.extend(unread_bodies());
    cases.extend(too_large());
    cases.extend(malformed());
    cases
}

fn contents() -> Vec<Case> {
    vec![
        case("rate").send(head("GET /closed/x HTTP/1.1", &["Host: a"])).expect(all(vec![
            turned_away(&[503]),
            answer_field("x-floodgate-reason", "rate"),
            problem(),
            retry_after(),
            kept(),
        ])),
        case("no-route").send(head("GET /nowhere HTTP/1.1", &["Host: a"])).expect(all(vec![
            turned_away(&[404]),
            problem(),
            answer_lacks("retry-after"),
            kept(),
        ])),
        case("origin-down").send(head("GET /nobody/x HTTP/1.1", &["Host: a"])).expect(all(vec![
            status(502),
            answer_field("x-floodgate-reason", "upstream_error"),
            problem(),
            kept(),
        ])),
        case("refusal-has-a-length")
            .send(head("GET /closed/x HTTP/1.1", &["Host: a"]))
            .expect(all(vec![answer_has("content-length"), answer_lacks("transfer-encoding")])),
        case("refusal-has-a-date")
            .send(head("GET /closed/x HTTP/1.1", &["Host: a"]))
            .expect(answer_has("date")),
        case("refusal-repeats-nothing-of-the-request")
            .send(head("GET /closed/<script> HTTP/1.1", &["Host: a", "X-A: <script>"]))
            .expect(not_echoed("<script>")),
        case("refused-then-served")
            .send(head("GET /closed/x HTTP/1.1", &["Host: a"]))
            .step(Step::WaitAnswers(1))
            .send(get(&[]))
            .step(Step::WaitAnswers(2))
            .requests(2)
            .expect(all(vec![statuses(&[503, 200]), forwarded(1), kept()])),
        case("served-then-refused")
            .send(get(&[]))
            .step(Step::WaitAnswers(1))
            .send(head("GET /closed/x HTTP/1.1", &["Host: a"]))
            .step(Step::WaitAnswers(2))
            .requests(2)
            .expect(all(vec![statuses(&[200, 503]), forwarded(1), kept()])),
        case("absolute-form-is-refused-too")
            .send(head("GET http://a/closed/x HTTP/1.1", &["Host: a"]))
            .expect(all(vec![turned_away(&[503]), kept()])),
        case("query-is-refused-too")
            .send(head("GET /closed?x=y HTTP/1.1", &["Host: a"]))
            .expect(all(vec![turned_away(&[503]), kept()])),
    ]
}

/// The answer is not lost to a reset, and a kept connection is in step.
fn unread_bodies() -> Vec<Case> {
    let length = |n: usize| format!("Content-Length: {n}");
    vec![
        case("small-body-keeps-the-connection")
            .send(closed_route(&["Content-Length: 5"], "hello"))
            .expect(all(vec![turned_away(&[503]), kept()])),
        case("body-of-10000-keeps-or-closes")
            .send(closed_route(&[&length(10_000)], "b".repeat(10_000)))
            .expect(all(vec![turned_away(&[503]), problem(), kept_or_closed()])),
        case("body-of-a-megabyte-is-answered")
            .send(closed_route(&[&length(1_000_000)], "b".repeat(1_000_000)))
            .expect(all(vec![turned_away(&[503]), problem(), kept_or_closed()])),
        case("body-of-ten-megabytes-is-answered")
            .send(closed_route(&[&length(10_000_000)], "b".repeat(10_000_000)))
            .without_probe()
            .expect(all(vec![turned_away(&[413, 503]), problem()])),
        case("chunked-body-is-answered")
            .send(closed_route(&["Transfer-Encoding: chunked"], "5\r\nhello\r\n0\r\n\r\n"))
            .expect(all(vec![turned_away(&[503]), kept_or_closed()])),
        case("chunked-body-malformed-is-answered-and-closed")
            .send(closed_route(&["Transfer-Encoding: chunked"], "xx\r\nhello\r\n0\r\n\r\n"))
            .expect(all(vec![status_in(&[400, 503]), untouched(), closed()])),
        case("chunked-body-of-a-megabyte-is-answered")
            .send(closed_route(
                &["Transfer-Encoding: chunked"],
                format!("f4240\r\n{}\r\n0\r\n\r\n", "b".repeat(1_000_000)),
            ))
            .expect(all(vec![turned_away(&[503]), kept_or_closed()])),
        case("body-in-two-parts")
            .send(closed_route(&["Content-Length: 10"], "hello"))
            .step(Step::WaitAnswers(1))
            .send("world")
            .send(get(&[]))
            .step(Step::WaitAnswers(2))
            .requests(2)
            .expect(all(vec![statuses(&[503, 200]), forwarded(1), kept()])),
        case("body-sent-after-the-answer-is-no-request")
            .send(closed_route(&["Content-Length: 48"], ""))
            .step(Step::WaitAnswers(1))
            .send(SMUGGLED)
            .requests(1)
            .expect(all(vec![statuses(&[503]), any(vec![kept(), closed()])])),
        case("no-route-with-a-body")
            .send(
                [
                    head("POST /nowhere HTTP/1.1", &["Host: a", "Content-Length: 5"]),
                    b"hello".into(),
                ]
                .concat(),
            )
            .expect(all(vec![turned_away(&[404]), kept_or_closed()])),
        case("origin-down-with-a-body")
            .send(
                [
                    head("POST /nobody/x HTTP/1.1", &["Host: a", "Content-Length: 5"]),
                    b"hello".into(),
                ]
                .concat(),
            )
            .expect(all(vec![status(502), marked(), kept_or_closed()])),
        case("length-and-chunked-on-a-refused-route")
            .send(closed_route(&["Content-Length: 5", "Transfer-Encoding: chunked"], "0\r\n\r\n"))
            .expect(all(vec![status(400), untouched(), closed()])),
        case("lengths-different-on-a-refused-route")
            .send(closed_route(&["Content-Length: 5", "Content-Length: 6"], "hello"))
            .expect(all(vec![status(400), untouched(), closed()])),
        case("no-host-on-a-refused-route")
            .send(head("GET /closed/x HTTP/1.1", &[]))
            .expect(refused(&[400])),
        case("two-hosts-on-a-refused-route")
            .send(head("GET /closed/x HTTP/1.1", &["Host: a", "Host: a"]))
            .expect(refused(&[400])),
        case("fold-on-a-refused-route")
            .send("GET /closed/x HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n")
            .expect(any(vec![refused(&[400]), turned_away(&[503])])),
        case("chunked-in-1.0-on-a-refused-route")
            .send(
                [
                    head("POST /closed/x HTTP/1.0", &["Host: a", "Transfer-Encoding: chunked"]),
                    b"0\r\n\r\n".into(),
                ]
                .concat(),
            )
            .expect(all(vec![status_in(&[400, 501]), untouched(), closed()])),
    ]
}

fn too_large() -> Vec<Case> {
    let chunk = format!("400\r\n{}\r\n", "b".repeat(1024));
    vec![
        case("at-the-limit-is-served")
            .send(small_route(&["Content-Length: 1024"], "b".repeat(1024)))
            .expect(all(vec![served(), kept()])),
        case("too-large-by-length")
            .send(small_route(&["Content-Length: 1025"], "b".repeat(1025)))
            .expect(all(vec![turned_away(&[413]), problem()])),
        case("too-large-by-length-before-the-body")
            .send(small_route(&["Content-Length: 99999999"], ""))
            .without_probe()
            .expect(turned_away(&[413])),
        case("too-large-by-chunks")
            .send(small_route(
                &["Transfer-Encoding: chunked"],
                format!("{chunk}1\r\nb\r\n0\r\n\r\n"),
            ))
            .expect(all(vec![never_whole(), status(413), marked(), kept_or_closed()]))
            .returns_permits(),
        case("too-large-by-chunks-without-end")
            .send(small_route(&["Transfer-Encoding: chunked"], chunk.repeat(100)))
            .without_probe()
            .expect(all(vec![never_whole(), status(413), marked()]))
            .returns_permits(),
        case("at-the-limit-in-chunks-is-served")
            .send(small_route(&["Transfer-Encoding: chunked"], format!("{chunk}0\r\n\r\n")))
            .expect(all(vec![served(), kept()])),
        case("a-large-body-that-is-refused-can-be-read")
            .send(small_route(&["Content-Length: 900000"], "b".repeat(900_000)))
            .without_probe()
            .expect(turned_away(&[413])),
    ]
}

/// Every kind of malformed request gets the same kind of answer.
fn malformed() -> Vec<Case> {
    let row = |id: &str, bytes: Vec<u8>, statuses: &'static [u16]| {
        case(format!("problem-{id}")).send(bytes).expect(all(vec![
            refused(statuses),
            problem(),
            answer_lacks("retry-after"),
        ]))
    };
    vec![
        row("request-line", head("GET /c", &["Host: a"]), &[400]),
        row("version", head("GET /c HTTP/2.0", &["Host: a"]), &[400, 505]),
        row("target", head("GET c HTTP/1.1", &["Host: a"]), &[400]),
        row("host", head("GET /c HTTP/1.1", &[]), &[400]),
        row("field", get(&["X A: b"]), &[400]),
        row("field-value", get(&["X-A: b\0"]), &[400]),
        row("length", post(&["Content-Length: x"], ""), &[400]),
        row("coding", post(&["Transfer-Encoding: cow"], ""), &[400, 501]),
        row(
            "length-and-coding",
            post(&["Content-Length: 1", "Transfer-Encoding: chunked"], "0\r\n\r\n"),
            &[400],
        ),
        row(
            "target-too-long",
            head(&format!("GET /c/{} HTTP/1.1", "a".repeat(70_000)), &["Host: a"]),
            &[414, 431],
        ),
        row("too-many-fields", get(&vec!["X-A: b"; 200]), &[431]),
        row("head-too-large", get(&[&format!("X-A: {}", "b".repeat(50_000))]), &[431]),
        case("problem-chunk")
            .send(post(&["Transfer-Encoding: chunked"], "zz\r\n"))
            .expect(all(vec![never_whole(), status(400), marked(), problem(), closed()])),
        case("problem-connect")
            .send(head("CONNECT a:443 HTTP/1.1", &["Host: a:443"]))
            .expect(all(vec![turned_away(&[400, 405, 501]), problem()])),
    ]
}
