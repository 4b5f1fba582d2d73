//! Transfer-Encoding: RFC 9112 §6.1, §6.3 and §7.

use crate::{
    case::{Case, SMUGGLED, case, get, head, post},
    client::Step,
    expect::*,
};

const BODY: &str = "5\r\nhello\r\n0\r\n\r\n";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(invalid());
    cases.extend(obfuscated());
    cases.extend(several_lines());
    cases.extend(valid());
    cases
}

/// Anything but one `chunked` is refused: the origin might read it differently.
fn invalid() -> Vec<Case> {
    [
        ("chunked-twice", "chunked, chunked"),
        ("chunked-thrice", "chunked,chunked,chunked"),
        ("chunked-not-final", "chunked, gzip"),
        ("chunked-then-identity", "chunked, identity"),
        ("identity", "identity"),
        ("identity-then-chunked", "identity, chunked"),
        ("unknown", "cow"),
        ("unknown-then-chunked", "cow, chunked"),
        ("gzip", "gzip"),
        ("gzip-then-chunked", "gzip, chunked"),
        ("empty", ""),
        ("only-comma", ","),
        ("leading-comma", ", chunked"),
        ("trailing-comma", "chunked,"),
        ("parameter", "chunked;a=b"),
        ("parameter-empty", "chunked;"),
        ("parameter-quoted", "chunked;foo=\",chunked\""),
    ]
    .into_iter()
    .map(|(id, value)| {
        let field = format!("Transfer-Encoding: {value}");
        let statuses: &[u16] = &[400, 501];
        case(id).send(post(&[&field], BODY)).expect(refused(statuses))
    })
    .collect()
}

fn obfuscated() -> Vec<Case> {
    [
        ("prefix", "Transfer-Encoding: xchunked"),
        ("suffix", "Transfer-Encoding: chunkedx"),
        ("cut-short", "Transfer-Encoding: chunke"),
        ("quotes", "Transfer-Encoding: \"chunked\""),
        ("single-quotes", "Transfer-Encoding: 'chunked'"),
        ("vertical-tab-before", "Transfer-Encoding: \u{b}chunked"),
        ("vertical-tab-behind", "Transfer-Encoding: chunked\u{b}"),
        ("form-feed-before", "Transfer-Encoding: \u{c}chunked"),
        ("nul-behind", "Transfer-Encoding: chunked\0"),
        ("nul-inside", "Transfer-Encoding: chu\0nked"),
        ("no-break-space", "Transfer-Encoding: \u{a0}chunked"),
        ("bare-cr-behind", "Transfer-Encoding: chunked\rX: y"),
        ("bare-cr-before", "Transfer-Encoding: \rchunked"),
        ("space-inside", "Transfer-Encoding: chunk ed"),
        ("space-separated", "Transfer-Encoding: identity chunked"),
        ("space-before-colon", "Transfer-Encoding : chunked"),
        ("tab-before-colon", "Transfer-Encoding\t: chunked"),
        ("equals-sign", "Transfer-Encoding:=chunked"),
        ("colon-twice", "Transfer-Encoding:: chunked"),
        ("dotted-capital", "Transfer-Encoding: chun\u{212a}ed"),
        ("leading-space-in-name", " Transfer-Encoding: chunked"),
    ]
    .into_iter()
    .map(|(id, field)| {
        let statuses: &[u16] = &[400, 501];
        case(format!("obfuscated-{id}")).send(post(&[field], BODY)).expect(refused(statuses))
    })
    .chain([
        // A field with another name is another field; it must not turn the body into chunks.
        case("obfuscated-underscore-in-name")
            .send(post(&["Transfer_Encoding: chunked", "Content-Length: 5"], "hello"))
            .expect(any(vec![refused(&[400]), all(vec![served(), sent_body("hello")])])),
        case("obfuscated-other-name")
            .send(post(&["X-Transfer-Encoding: chunked", "Content-Length: 5"], "hello"))
            .expect(all(vec![served(), sent_body("hello")])),
        case("obfuscated-fold")
            .send(post(&["Transfer-Encoding: identity,", " chunked"], BODY))
            .expect(refused(&[400, 501])),
    ])
    .collect()
}

fn several_lines() -> Vec<Case> {
    let lines = |id: &str, fields: &[&str]| {
        let statuses: &[u16] = &[400, 501];
        case(id).send(post(fields, BODY)).expect(refused(statuses))
    };
    vec![
        lines("two-lines-equal", &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]),
        lines(
            "two-lines-identity-last",
            &["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        ),
        lines(
            "two-lines-identity-first",
            &["Transfer-Encoding: identity", "Transfer-Encoding: chunked"],
        ),
        lines("two-lines-one-unknown", &["Transfer-Encoding: chunked", "Transfer-encoding: cow"]),
        lines("two-lines-one-empty", &["Transfer-Encoding:", "Transfer-Encoding: chunked"]),
        lines("two-lines-apart", &["Transfer-Encoding: chunked", "X-A: b", "transfer-encoding: x"]),
        lines(
            "three-lines",
            &["Transfer-Encoding: x", "Transfer-Encoding: y", "Transfer-Encoding: chunked"],
        ),
        case("identity-hides-a-request")
            .send(post(&["Transfer-Encoding: identity"], SMUGGLED))
            .requests(2)
            .step(Step::WaitAnswers(1))
            .expect(refused(&[400, 501])),
    ]
}

fn valid() -> Vec<Case> {
    let chunked = || all(vec![served(), sent_body("hello"), kept()]);
    let old = |id: &str, fields: &[&str]| {
        // RFC 9112 §6.1: framing of an HTTP/1.0 message with Transfer-Encoding is faulty.
        let bytes = [head("POST /c HTTP/1.0", fields), BODY.into()].concat();
        case(id).send(bytes).expect(refused(&[400, 501]))
    };
    vec![
        case("chunked").send(post(&["Transfer-Encoding: chunked"], BODY)).expect(chunked()),
        case("chunked-capitals")
            .send(post(&["TRANSFER-ENCODING: CHUNKED"], BODY))
            .expect(chunked()),
        case("chunked-mixed-case")
            .send(post(&["Transfer-Encoding: cHuNkEd"], BODY))
            .expect(chunked()),
        case("chunked-whitespace-around")
            .send(post(&["Transfer-Encoding: \t chunked \t"], BODY))
            .expect(any(vec![chunked(), refused(&[400, 501])])),
        case("chunked-for-get")
            .send([get(&["Transfer-Encoding: chunked"]), BODY.into()].concat())
            .expect(any(vec![all(vec![served(), sent_body("hello")]), refused(&[400])])),
        case("chunked-empty-body")
            .send(post(&["Transfer-Encoding: chunked"], "0\r\n\r\n"))
            .expect(all(vec![served(), sent_body(""), kept()])),
        case("chunked-then-next-request")
            .send(post(
                &["Transfer-Encoding: chunked"],
                format!("{BODY}GET /c/second HTTP/1.1\r\nHost: a\r\n\r\n"),
            ))
            .requests(2)
            .expect(all(vec![forwarded(2), bodies(vec!["/c".into(), "/c/second".into()])])),
        old("in-1.0", &["Host: a", "Transfer-Encoding: chunked"]),
        old(
            "in-1.0-with-keep-alive",
            &["Host: a", "Connection: keep-alive", "Transfer-Encoding: chunked"],
        ),
        old("in-1.0-with-length", &["Host: a", "Content-Length: 15", "Transfer-Encoding: chunked"]),
    ]
}
