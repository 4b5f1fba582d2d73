//! Expect: RFC 9110 §10.1.1.

use crate::{
    case::{Case, case, get, head, post},
    client::Step,
    expect::*,
    origin::{Act, Reply, When},
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

fn asking(path: &str, fields: &[&str]) -> Vec<u8> {
    head(&format!("POST {path} HTTP/1.1"), &[&["Host: a", "Expect: 100-continue"], fields].concat())
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        // Whether the gateway says 100 by itself or passes on the origin's, the body follows it.
        case("continue-then-body")
            .send(asking("/c", &["Content-Length: 5"]))
            .origin(Reply::acts(
                When::Head,
                vec![
                    Act::Write(CONTINUE.into()),
                    Act::ReadUntil(b"hello".to_vec()),
                    Act::Write(OK.into()),
                ],
            ))
            .step(Step::WaitBytes(b"100 Continue\r\n".to_vec()))
            .send("hello")
            .step(Step::WaitAnswers(1))
            .expect(all(vec![served(), sent_body("hello"), interim(&[100]), kept()])),
        case("continue-by-an-origin-that-says-nothing")
            .send(asking("/c", &["Content-Length: 5"]))
            .step(Step::WaitBytes(b"100 Continue\r\n".to_vec()))
            .send("hello")
            .step(Step::WaitAnswers(1))
            .expect(all(vec![served(), sent_body("hello"), interim(&[100]), kept()])),
        case("continue-chunked")
            .send(asking("/c", &["Transfer-Encoding: chunked"]))
            .step(Step::WaitBytes(b"100 Continue\r\n".to_vec()))
            .send("5\r\nhello\r\n0\r\n\r\n")
            .step(Step::WaitAnswers(1))
            .expect(all(vec![served(), sent_body("hello"), interim(&[100])])),
        case("body-without-waiting")
            .send([asking("/c", &["Content-Length: 5"]), b"hello".into()].concat())
            .expect(all(vec![served(), sent_body("hello"), kept()])),
        case("other-letter-case")
            .send(post(&["Expect: 100-CONTINUE", "Content-Length: 5"], ""))
            .step(Step::WaitBytes(b"100 Continue\r\n".to_vec()))
            .send("hello")
            .step(Step::WaitAnswers(1))
            .expect(all(vec![served(), sent_body("hello")])),
        case("refused-without-continue")
            .send(asking("/closed/x", &["Content-Length: 5"]))
            .expect(all(vec![turned_away(&[503]), interim(&[])])),
        case("refused-without-continue-for-a-large-body")
            .send(asking("/closed/x", &["Content-Length: 900000"]))
            .without_probe()
            .expect(all(vec![turned_away(&[503]), interim(&[])])),
        case("refused-without-continue-chunked")
            .send(asking("/closed/x", &["Transfer-Encoding: chunked"]))
            .without_probe()
            .expect(all(vec![turned_away(&[503]), interim(&[])])),
        case("too-large-without-continue")
            .send(asking("/small/x", &["Content-Length: 900000"]))
            .without_probe()
            .expect(all(vec![turned_away(&[413]), interim(&[])])),
        case("no-route-without-continue")
            .send(asking("/nowhere", &["Content-Length: 5"]))
            .without_probe()
            .expect(all(vec![turned_away(&[404]), interim(&[])])),
        case("malformed-without-continue")
            .send(post(&["Expect: 100-continue", "Content-Length: 5", "Content-Length: 6"], ""))
            .expect(all(vec![refused(&[400]), interim(&[])])),
        case("refused-by-the-origin")
            .send(asking("/c", &["Content-Length: 5"]))
            .origin(Reply::acts(
                When::Head,
                vec![Act::Write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec())],
            ))
            .without_probe()
            .expect(all(vec![status(403), body("no"), never_whole()])),
        case("unknown-expectation")
            .send(post(&["Expect: the-unexpected", "Content-Length: 5"], "hello"))
            .expect(any(vec![all(vec![served(), sent_body("hello")]), status(417)])),
        case("unknown-beside-continue")
            .send(post(&["Expect: 100-continue, x=y", "Content-Length: 5"], "hello"))
            .expect(any(vec![all(vec![served(), sent_body("hello")]), status(417)])),
        case("without-a-body")
            .send(get(&["Expect: 100-continue"]))
            .expect(all(vec![served(), kept()])),
        case("with-an-empty-body")
            .send(post(&["Expect: 100-continue", "Content-Length: 0"], ""))
            .expect(all(vec![served(), kept()])),
        case("ignored-in-1.0")
            .send(
                [
                    head(
                        "POST /c HTTP/1.0",
                        &["Host: a", "Expect: 100-continue", "Content-Length: 5"],
                    ),
                    b"hello".into(),
                ]
                .concat(),
            )
            .expect(all(vec![served(), sent_body("hello"), interim(&[])])),
        case("ignored-in-1.0-even-where-the-origin-continues")
            .send(
                [
                    head(
                        "POST /c HTTP/1.0",
                        &["Host: a", "Expect: 100-continue", "Content-Length: 5"],
                    ),
                    b"hello".into(),
                ]
                .concat(),
            )
            .reply(format!("{CONTINUE}{OK}"))
            .expect(all(vec![served(), interim(&[])])),
        case("next-request-behind-a-refused-body")
            .send(asking("/closed/x", &["Content-Length: 5"]))
            .step(Step::WaitAnswers(1))
            .expect(all(vec![turned_away(&[503]), interim(&[])]))
            // A client that was refused may leave the body out or send it; the connection must not
            // be kept in a state where that matters.
            .without_probe(),
    ]
}
