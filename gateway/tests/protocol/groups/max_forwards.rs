//! Max-Forwards and TRACE: RFC 9110 §7.6.2 and §9.3.8.

use crate::{
    case::{Case, case, get, head},
    expect::*,
};

pub(crate) fn cases() -> Vec<Case> {
    let options = |id: &str, value: &str| {
        let field = format!("Max-Forwards: {value}");
        case(format!("options-{id}")).send(head("OPTIONS /c HTTP/1.1", &["Host: a", &field]))
    };
    let trace = |id: &str, fields: &[&str]| {
        case(format!("trace-{id}"))
            .send(head("TRACE /c HTTP/1.1", &[&["Host: a"], fields].concat()))
    };
    let answered_here = || all(vec![status_in(&[200, 204]), untouched(), kept()]);
    vec![
        options("zero-is-answered-here", "0").expect(answered_here()),
        options("zeros-are-zero", "00").expect(any(vec![answered_here(), turned_away(&[400])])),
        options("one-becomes-zero", "1")
            .expect(all(vec![served(), sent_lines("max-forwards", &["0"])])),
        options("ten-becomes-nine", "10")
            .expect(all(vec![served(), sent_lines("max-forwards", &["9"])])),
        options("hundred-becomes-ninety-nine", "100")
            .expect(all(vec![served(), sent_lines("max-forwards", &["99"])])),
        options("huge-is-lowered-or-refused", "99999999999999999999999").expect(any(vec![
            all(vec![served(), sent_is_not("max-forwards", "99999999999999999999999")]),
            turned_away(&[400]),
        ])),
        options("nonsense", "many").expect(any(vec![served(), turned_away(&[400])])),
        options("negative", "-1").expect(any(vec![served(), turned_away(&[400])])),
        case("options-twice")
            .send(head("OPTIONS /c HTTP/1.1", &["Host: a", "Max-Forwards: 0", "Max-Forwards: 5"]))
            .expect(any(vec![turned_away(&[400]), answered_here()])),
        case("options-without")
            .send(head("OPTIONS /c HTTP/1.1", &["Host: a"]))
            .expect(all(vec![served(), not_sent("max-forwards")])),
        case("get-is-left-alone")
            .send(get(&["Max-Forwards: 0"]))
            .expect(all(vec![served(), sent("max-forwards", "0")])),
        case("get-is-not-lowered")
            .send(get(&["Max-Forwards: 7"]))
            .expect(all(vec![served(), sent("max-forwards", "7")])),
        case("options-asterisk-zero")
            .send(head("OPTIONS * HTTP/1.1", &["Host: a", "Max-Forwards: 0"]))
            .expect(all(vec![status_in(&[200, 204, 400, 404, 405, 501]), untouched()])),
        trace("plain", &[]).expect(all(vec![status_in(&[405, 501]), untouched()])),
        trace("zero", &["Max-Forwards: 0"])
            .expect(all(vec![status_in(&[200, 405, 501]), untouched()])),
        trace("one", &["Max-Forwards: 1"]).expect(any(vec![
            all(vec![status_in(&[405, 501]), untouched()]),
            all(vec![served(), sent("max-forwards", "0")]),
        ])),
        // What is echoed must not hold what the client's scripts can not see.
        trace("with-secrets", &["Cookie: secret", "Authorization: Basic secret"])
            .expect(all(vec![status_in(&[405, 501]), untouched(), not_echoed("secret")])),
        case("trace-with-a-body")
            .send(
                [head("TRACE /c HTTP/1.1", &["Host: a", "Content-Length: 5"]), b"hello".into()]
                    .concat(),
            )
            .expect(all(vec![status_in(&[400, 405, 501]), untouched()])),
    ]
}
