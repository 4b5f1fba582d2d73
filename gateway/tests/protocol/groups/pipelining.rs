//! Several requests in one go: RFC 9112 §9.3.2.

use crate::{
    case::{Case, SMUGGLED, case, get, head, post},
    client::Step,
    expect::*,
    origin::{Act, Reply, When},
};

fn numbered(count: usize) -> (Vec<u8>, Vec<String>) {
    let paths: Vec<String> = (0..count).map(|i| format!("/c/{i}")).collect();
    let bytes =
        paths.iter().flat_map(|p| head(&format!("GET {p} HTTP/1.1"), &["Host: a"])).collect();
    (bytes, paths)
}

fn in_order(id: &str, count: usize) -> Case {
    let (bytes, paths) = numbered(count);
    case(id).send(bytes).requests(count).expect(all(vec![forwarded(count), bodies(paths), kept()]))
}

pub(crate) fn cases() -> Vec<Case> {
    let upload = |path: &str, fields: &[&str], body: &str| {
        [head(&format!("POST {path} HTTP/1.1"), &[&["Host: a"], fields].concat()), body.into()]
            .concat()
    };
    let plain = |path: &str| head(&format!("GET {path} HTTP/1.1"), &["Host: a"]);
    let (five, five_paths) = numbered(5);
    vec![
        in_order("two", 2),
        in_order("three", 3),
        in_order("ten", 10),
        in_order("fifty", 50),
        case("slow-first-does-not-change-the-order")
            .send(numbered(3).0)
            .requests(3)
            .origin(Reply::acts(
                When::Body,
                vec![Act::Trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst".to_vec())],
            ))
            .expect(all(vec![bodies(vec!["first".into(), "/c/1".into(), "/c/2".into()]), kept()])),
        case("in-single-bytes")
            .step(Step::Drip { bytes: five, piece: 1, gap: std::time::Duration::from_micros(200) })
            .requests(5)
            .expect(all(vec![forwarded(5), bodies(five_paths), kept()])),
        case("with-bodies")
            .send(
                [
                    upload("/c/0", &["Content-Length: 5"], "hello"),
                    upload("/c/1", &["Transfer-Encoding: chunked"], "5\r\nworld\r\n0\r\n\r\n"),
                    plain("/c/2"),
                ]
                .concat(),
            )
            .requests(3)
            .expect(all(vec![
                forwarded(3),
                sent_body("hello"),
                bodies(vec!["/c/0".into(), "/c/1".into(), "/c/2".into()]),
                kept(),
            ])),
        case("body-that-looks-like-a-request")
            .send([upload("/c/0", &["Content-Length: 48"], SMUGGLED), plain("/c/1")].concat())
            .requests(2)
            .expect(all(vec![forwarded(2), bodies(vec!["/c/0".into(), "/c/1".into()]), kept()])),
        case("refused-between-forwarded")
            .send([plain("/c/0"), plain("/closed/1"), plain("/c/2")].concat())
            .requests(3)
            .expect(all(vec![forwarded(2), statuses(&[200, 503, 200]), kept()])),
        case("forwarded-between-refused")
            .send([plain("/closed/0"), plain("/c/1"), plain("/closed/2")].concat())
            .requests(3)
            .expect(all(vec![forwarded(1), statuses(&[503, 200, 503]), kept()])),
        case("ten-refused").send(plain("/closed/x").repeat(10)).requests(10).expect(all(vec![
            forwarded(0),
            statuses(&[503; 10]),
            kept(),
        ])),
        case("hundred-refused")
            .send(plain("/closed/x").repeat(100))
            .requests(100)
            .expect(all(vec![forwarded(0), statuses(&[503; 100]), kept()])),
        case("refused-with-bodies")
            .send(
                [
                    upload("/closed/0", &["Content-Length: 5"], "hello"),
                    upload("/closed/1", &["Transfer-Encoding: chunked"], "5\r\nworld\r\n0\r\n\r\n"),
                    plain("/c/2"),
                ]
                .concat(),
            )
            .requests(3)
            .expect(any(vec![
                all(vec![forwarded(1), statuses(&[503, 503, 200]), kept()]),
                all(vec![forwarded(0), statuses(&[503]), closed()]),
                all(vec![forwarded(0), statuses(&[503, 503]), closed()]),
            ]))
            .step(Step::WaitAnswers(3)),
        case("refused-body-that-looks-like-a-request")
            .send([upload("/closed/0", &["Content-Length: 48"], SMUGGLED), plain("/c/1")].concat())
            .requests(2)
            .expect(all(vec![forwarded(1), statuses(&[503, 200]), kept()])),
        case("no-route-between-forwarded")
            .send([plain("/c/0"), plain("/nowhere"), plain("/c/2")].concat())
            .requests(3)
            .expect(all(vec![forwarded(2), statuses(&[200, 404, 200]), kept()])),
        case("malformed-second-ends-the-connection")
            .send(
                [plain("/c/0"), head("GET /c/1 HTTP/1.1", &["Host: a", "Host: b"]), plain("/c/2")]
                    .concat(),
            )
            .requests(3)
            .step(Step::ReadToEnd)
            .expect(all(vec![forwarded(1), statuses(&[200, 400]), closed()])),
        case("malformed-first-ends-the-connection")
            .send([head("GET /c/0 HTTP/1.1", &["Host: a", "X A: b"]), plain("/c/1")].concat())
            .requests(2)
            .step(Step::ReadToEnd)
            .expect(all(vec![forwarded(0), statuses(&[400]), closed()])),
        case("nothing-behind-close")
            .send(
                [head("GET /c/0 HTTP/1.1", &["Host: a", "Connection: close"]), plain("/c/1")]
                    .concat(),
            )
            .requests(2)
            .step(Step::ReadToEnd)
            .expect(all(vec![forwarded(1), statuses(&[200]), closed()])),
        case("nothing-behind-close-of-a-refused")
            .send(
                [head("GET /closed/0 HTTP/1.1", &["Host: a", "Connection: close"]), plain("/c/1")]
                    .concat(),
            )
            .requests(2)
            .step(Step::ReadToEnd)
            .expect(all(vec![forwarded(0), statuses(&[503]), closed()])),
        case("upstream-failure-in-the-middle")
            .send(head("POST /c HTTP/1.1", &["Host: a", "Content-Length: 0"]).repeat(3))
            .requests(3)
            .origin(Reply::new("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
            .origin(Reply::acts(When::Body, vec![Act::Close]))
            .expect(all(vec![statuses(&[200, 502, 200]), kept()])),
        case("head-then-get")
            .send([head("HEAD /c/0 HTTP/1.1", &["Host: a"]), plain("/c/1")].concat())
            .requests(2)
            .expect(all(vec![forwarded(2), bodies(vec![String::new(), "/c/1".into()]), kept()])),
        case("crlf-between-requests")
            .send([plain("/c/0"), b"\r\n".to_vec(), plain("/c/1")].concat())
            .requests(2)
            .expect(any(vec![
                all(vec![forwarded(2), statuses(&[200, 200]), kept()]),
                all(vec![forwarded(1), statuses(&[200, 400]), closed()]),
            ])),
        case("half-closed-behind-the-last")
            .send(numbered(3).0)
            .step(Step::HalfClose)
            .requests(3)
            .step(Step::ReadToEnd)
            // A gateway may take the end for the client's leaving, but never mixes up answers.
            .expect(gone())
            .returns_permits(),
        case("post-and-get-alternating")
            .send([post(&["Content-Length: 5"], "hello"), get(&[])].concat().repeat(5))
            .requests(10)
            .expect(all(vec![forwarded(10), statuses(&[200; 10]), kept()])),
    ]
}
