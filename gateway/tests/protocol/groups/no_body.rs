//! Responses that have no body whatever their fields say: RFC 9112 §6.3.

use crate::{
    case::{Case, case, get, head},
    expect::*,
    safety::POISON,
};

pub(crate) fn cases() -> Vec<Case> {
    let head_request = || head("HEAD /c HTTP/1.1", &["Host: a"]);
    let bodiless = |id: &str, request: Vec<u8>, reply: &str, code: u16| {
        case(id).send(request).reply(reply).expect(all(vec![status(code), body(""), kept()]))
    };
    vec![
        case("head-is-forwarded-as-head")
            .send(head_request())
            .reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            .expect(all(vec![status(200), request_line("HEAD /c HTTP/1.1"), answer_field("content-length", "5"), kept()])),
        bodiless("head-with-length", head_request(), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200),
        bodiless("head-with-chunked", head_request(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200),
        bodiless("head-without-framing", head_request(), "HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n", 200),
        bodiless("head-with-huge-length", head_request(), "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", 200),
        bodiless("head-404", head_request(), "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", 404),
        case("head-answered-with-a-body")
            .send(head_request())
            .reply(format!("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n{POISON}"))
            .expect(any(vec![all(vec![status(200), body("")]), status(502)])),
        case("head-refused-has-no-body")
            .send(head("HEAD /closed/x HTTP/1.1", &["Host: a"]))
            .expect(all(vec![turned_away(&[503]), body(""), kept()])),
        case("head-without-route-has-no-body")
            .send(head("HEAD /nowhere HTTP/1.1", &["Host: a"]))
            .expect(all(vec![turned_away(&[404]), body(""), kept()])),
        case("head-to-an-origin-that-is-down-has-no-body")
            .send(head("HEAD /nobody HTTP/1.1", &["Host: a"]))
            .expect(all(vec![status(502), body(""), kept()])),
        case("head-in-1.0")
            .send(head("HEAD /c HTTP/1.0", &["Host: a"]))
            .reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            .expect(all(vec![status(200), body(""), closed()])),
        bodiless("204", get(&[]), "HTTP/1.1 204 No Content\r\n\r\n", 204),
        case("204-with-length")
            .send(get(&[]))
            .reply("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
            .expect(all(vec![status(204), body(""), kept()])),
        case("204-with-length-of-a-body")
            .send(get(&[]))
            .reply(format!("HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\n{POISON}"))
            .expect(any(vec![all(vec![status(204), answer_lacks("content-length")]), status(502)])),
        case("204-with-chunked")
            .send(get(&[]))
            .reply(format!("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{POISON}\r\n0\r\n\r\n"))
            .expect(any(vec![all(vec![status(204), answer_lacks("transfer-encoding")]), status(502)])),
        bodiless("304", get(&["If-None-Match: \"a\""]), "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", 304),
        bodiless("304-with-length", get(&[]), "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", 304),
        case("304-with-chunked")
            .send(get(&[]))
            .reply("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n")
            .expect(any(vec![all(vec![status(304), body(""), kept()]), status(502)])),
        case("304-with-a-body")
            .send(get(&[]))
            .reply(format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n{POISON}"))
            .expect(any(vec![all(vec![status(304), body("")]), status(502)])),
        case("205-without-length")
            .send(get(&[]))
            .reply("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n")
            .expect(all(vec![status(205), body(""), kept()])),
        case("200-of-no-bytes")
            .send(get(&[]))
            .reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .expect(all(vec![status(200), body(""), kept()])),
        case("head-then-get-on-one-connection")
            .send([head_request(), get(&[])].concat())
            .requests(2)
            .reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            .reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            .expect(all(vec![forwarded(2), bodies(vec![String::new(), "hello".into()]), kept()])),
    ]
}
