//! Interim responses: RFC 9110 §15.2.

use crate::{
    case::{Case, case, get, head},
    expect::*,
    origin::Reply,
    safety::POISON,
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

pub(crate) fn cases() -> Vec<Case> {
    let before = |id: &str, lines: &str| {
        case(id).send(get(&[])).reply(format!("{lines}{OK}")).expect(all(vec![
            status(200),
            body("ok"),
            kept(),
        ]))
    };
    vec![
        before("100-unasked", "HTTP/1.1 100 Continue\r\n\r\n"),
        before("102", "HTTP/1.1 102 Processing\r\n\r\n"),
        before("103", "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
        before("199", "HTTP/1.1 199 Whatever\r\n\r\n"),
        before("three", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"),
        before("with-fields", "HTTP/1.1 102 Processing\r\nX-A: b\r\nX-B: c\r\n\r\n"),
        case("103-forwarded")
            .send(get(&[]))
            .reply(format!("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n{OK}"))
            .expect(all(vec![status(200), interim(&[103])])),
        case("not-to-1.0")
            .send(head("GET /c HTTP/1.0", &["Host: a"]))
            .reply(format!("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n{OK}"))
            .expect(all(vec![status(200), body("ok"), interim(&[])])),
        case("101-unasked")
            .send(get(&[]))
            .reply(format!("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n{POISON}"))
            .expect(all(vec![status(502), interim(&[])])),
        case("101-unasked-without-upgrade")
            .send(get(&[]))
            .reply(format!("HTTP/1.1 101 Switching Protocols\r\n\r\n{OK}"))
            .expect(all(vec![status(502), interim(&[])])),
        case("102-then-nothing")
            .send(get(&[]))
            .origin(Reply::new("HTTP/1.1 102 Processing\r\n\r\n").close())
            .expect(all(vec![status(502), marked()])),
        case("endless")
            .send(get(&[]))
            .origin(Reply::new("HTTP/1.1 102 Processing\r\n\r\n".repeat(5_000)).close())
            .expect(status(502)),
        case("with-a-length")
            .send(get(&[]))
            .reply(format!("HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n{OK}"))
            .expect(any(vec![all(vec![status(200), body("ok")]), status(502)])),
        case("behind-the-final-answer")
            .send(get(&[]))
            .reply(format!("{OK}HTTP/1.1 103 Early Hints\r\nX-A: {POISON}\r\n\r\n"))
            .expect(all(vec![status(200), body("ok"), kept()])),
    ]
}
