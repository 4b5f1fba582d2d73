//! Persistent connections: RFC 9112 §9.3.

use crate::{
    case::{Case, case, get, head, post},
    client::Step,
    expect::*,
};

pub(crate) fn cases() -> Vec<Case> {
    let old = |id: &str, fields: &[&str]| {
        case(id).send(head("GET /c HTTP/1.0", &[&["Host: a"], fields].concat()))
    };
    vec![
        case("1.1-is-kept").send(get(&[])).expect(all(vec![served(), kept()])),
        case("1.1-close").send(get(&["Connection: close"])).expect(all(vec![
            served(),
            closed(),
            answer_field("connection", "close"),
        ])),
        case("1.1-close-in-capitals")
            .send(get(&["CONNECTION: CLOSE"]))
            .expect(all(vec![served(), closed()])),
        case("1.1-close-among-others")
            .send(get(&["Connection: x-a, close"]))
            .expect(all(vec![served(), closed()])),
        case("1.1-close-on-second-line")
            .send(get(&["Connection: x-a", "Connection: close"]))
            .expect(all(vec![served(), closed()])),
        case("1.1-close-beats-keep-alive")
            .send(get(&["Connection: keep-alive, close"]))
            .expect(all(vec![served(), closed()])),
        case("1.1-word-that-begins-with-close")
            .send(get(&["Connection: closed"]))
            .expect(all(vec![served(), kept()])),
        case("1.1-post-is-kept")
            .send(post(&["Content-Length: 5"], "hello"))
            .expect(all(vec![served(), kept()])),
        case("1.1-post-close")
            .send(post(&["Connection: close", "Content-Length: 5"], "hello"))
            .expect(all(vec![served(), sent_body("hello"), closed()])),
        old("1.0-is-closed", &[]).expect(all(vec![served(), closed()])),
        old("1.0-close", &["Connection: close"]).expect(all(vec![served(), closed()])),
        // Kept only where the answer says so, as the client would otherwise wait for the close.
        old("1.0-keep-alive", &["Connection: keep-alive"]).expect(any(vec![
            all(vec![served(), kept(), answer_field("connection", "keep-alive")]),
            all(vec![served(), closed()]),
        ])),
        old("1.0-keep-alive-in-capitals", &["Connection: Keep-Alive"])
            .expect(any(vec![all(vec![served(), kept()]), all(vec![served(), closed()])])),
        old("1.0-proxy-connection-is-no-keep-alive", &["Proxy-Connection: keep-alive"])
            .expect(all(vec![served(), closed()])),
        old("1.0-keep-alive-and-close", &["Connection: keep-alive, close"])
            .expect(all(vec![served(), closed()])),
        case("1.0-twice-with-keep-alive")
            .send(head("GET /c HTTP/1.0", &["Host: a", "Connection: keep-alive"]))
            .step(Step::WaitAnswers(1))
            .send(head("GET /c/second HTTP/1.0", &["Host: a"]))
            .step(Step::ReadToEnd)
            .requests(2)
            .expect(any(vec![
                all(vec![bodies(vec!["/c".into(), "/c/second".into()]), closed()]),
                all(vec![statuses(&[200]), gone()]),
            ])),
        case("1.0-refused-is-closed")
            .send(head("GET /closed/x HTTP/1.0", &["Host: a"]))
            .expect(all(vec![turned_away(&[503]), closed()])),
        case("1.0-refused-with-keep-alive")
            .send(head("GET /closed/x HTTP/1.0", &["Host: a", "Connection: keep-alive"]))
            .expect(any(vec![
                all(vec![turned_away(&[503]), kept(), answer_field("connection", "keep-alive")]),
                all(vec![turned_away(&[503]), closed()]),
            ])),
        case("1.1-refused-close")
            .send(head("GET /closed/x HTTP/1.1", &["Host: a", "Connection: close"]))
            .expect(all(vec![turned_away(&[503]), closed(), answer_field("connection", "close")])),
        case("many-one-after-the-other")
            .send(get(&[]))
            .step(Step::WaitAnswers(1))
            .send(get(&[]))
            .step(Step::WaitAnswers(2))
            .send(get(&[]))
            .step(Step::WaitAnswers(3))
            .send(get(&[]))
            .step(Step::WaitAnswers(4))
            .requests(4)
            .expect(all(vec![forwarded(4), statuses(&[200; 4]), kept()])),
        case("kept-after-404")
            .send(head("GET /nowhere HTTP/1.1", &["Host: a"]))
            .expect(all(vec![turned_away(&[404]), kept()])),
        case("kept-after-502")
            .send(head("GET /nobody/x HTTP/1.1", &["Host: a"]))
            .expect(all(vec![status(502), kept()])),
        case("opened-and-closed-without-a-byte")
            .step(Step::HalfClose)
            .step(Step::ReadToEnd)
            .expect(all(vec![unanswered(), untouched(), gone()])),
        case("one-byte-and-closed")
            .send("G")
            .step(Step::HalfClose)
            .step(Step::ReadToEnd)
            .expect(all(vec![untouched(), gone()])),
        case("half-a-head-and-closed")
            .send("GET /c HTTP/1.1\r\nHost: a\r\n")
            .step(Step::HalfClose)
            .step(Step::ReadToEnd)
            .expect(all(vec![untouched(), gone()])),
    ]
}
