//! Content-Length: RFC 9110 §8.6, RFC 9112 §6.2 and §6.3.

use crate::{
    case::{Case, SMUGGLED, case, get, head, post},
    client::Step,
    expect::*,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(invalid());
    cases.extend(several());
    cases.extend(beside_transfer_encoding());
    cases.extend(bodies_in_full());
    cases
}

fn invalid() -> Vec<Case> {
    [
        ("plus-sign", "+5"),
        ("minus-sign", "-5"),
        ("negative-zero", "-0"),
        ("hexadecimal", "0x5"),
        ("hexadecimal-letters", "a"),
        ("decimal-point", "5.0"),
        ("exponent", "5e0"),
        ("underscore", "1_0"),
        ("comma-inside", "1,000"),
        ("space-inside", "1 0"),
        ("tab-inside", "1\t0"),
        ("letters-behind", "5a"),
        ("semicolon-behind", "5;a"),
        ("quotes", "\"5\""),
        ("empty", ""),
        ("only-whitespace", "  "),
        ("only-comma", ","),
        ("leading-comma", ",5"),
        ("list-different", "5, 6"),
        ("list-with-invalid", "5, x"),
        ("list-with-sign", "5, +5"),
        ("above-64-bits", "18446744073709551617"),
        ("wraps-to-5-in-64-bits", "18446744073709551621"),
        ("wraps-to-5-in-32-bits-and-more", "99999999999999999999999999999999999999"),
        ("full-width-digit", "\u{ff15}"),
        ("superscript-digit", "\u{b2}"),
        ("nul-behind", "5\0"),
        ("vertical-tab-before", "\u{b}5"),
    ]
    .into_iter()
    .map(|(id, value)| {
        let field = format!("Content-Length: {value}");
        let statuses: &[u16] = &[400, 413];
        case(id).send(post(&[&field], "hello")).expect(refused(statuses))
    })
    .chain([
        case("largest-63-bits")
            .send(post(&["Content-Length: 9223372036854775807"], "hello"))
            .expect(refused(&[400, 413])),
        case("wraps-and-smuggles")
            .send(post(&["Content-Length: 4294967296"], SMUGGLED))
            .requests(2)
            .step(Step::WaitAnswers(1))
            .expect(all(vec![status_in(&[400, 413]), never_whole(), closed()])),
        case("invalid-for-get").send(get(&["Content-Length: x"])).expect(refused(&[400])),
        case("space-before-colon")
            .send(post(&["Content-Length : 5"], "hello"))
            .expect(refused(&[400])),
        case("invalid-in-1.0")
            .send(head("POST /c HTTP/1.0", &["Host: a", "Content-Length: 5x"]))
            .expect(refused(&[400])),
    ])
    .collect()
}

fn several() -> Vec<Case> {
    // RFC 9112 §6.3: a list of one valid value may be taken for that value, or be refused.
    let folded = || {
        any(vec![
            refused(&[400]),
            all(vec![served(), sent_lines("content-length", &["5"]), sent_body("hello")]),
        ])
    };
    vec![
        case("twice-equal")
            .send(post(&["Content-Length: 5", "Content-Length: 5"], "hello"))
            .expect(folded()),
        case("list-equal").send(post(&["Content-Length: 5, 5"], "hello")).expect(folded()),
        case("list-equal-no-space").send(post(&["Content-Length: 5,5"], "hello")).expect(folded()),
        case("list-trailing-comma").send(post(&["Content-Length: 5,"], "hello")).expect(folded()),
        case("leading-zeros")
            .send(post(&["Content-Length: 0005"], "hello"))
            .expect(any(vec![refused(&[400]), all(vec![served(), sent_body("hello")])])),
        case("twice-different-larger-first")
            .send(post(&["Content-Length: 6", "Content-Length: 5"], "hello"))
            .expect(refused(&[400])),
        case("twice-different-smaller-first")
            .send(post(&["Content-Length: 5", "Content-Length: 6"], "hello"))
            .expect(refused(&[400])),
        case("twice-one-empty")
            .send(post(&["Content-Length: 5", "Content-Length:"], "hello"))
            .expect(refused(&[400])),
        case("twice-apart")
            .send(post(&["Content-Length: 5", "X-A: b", "content-LENGTH: 4"], "hello"))
            .expect(refused(&[400])),
        case("twice-zero-and-five")
            .send(post(&["Content-Length: 0", "Content-Length: 48"], SMUGGLED))
            .requests(2)
            .step(Step::WaitAnswers(1))
            .expect(refused(&[400])),
        case("twice-equal-text-different")
            .send(post(&["Content-Length: 5", "Content-Length: 05"], "hello"))
            .expect(any(vec![refused(&[400]), all(vec![served(), sent_body("hello")])])),
        case("whitespace-around")
            .send(post(&["Content-Length: \t5 \t"], "hello"))
            .expect(all(vec![served(), sent_lines("content-length", &["5"]), sent_body("hello")])),
    ]
}

/// Never both to the origin; refusing is recommended.
fn beside_transfer_encoding() -> Vec<Case> {
    let body = format!("0\r\n\r\n{SMUGGLED}");
    let length = format!("Content-Length: {}", body.len());
    let both = |id: &str, fields: &[&str]| {
        case(id).send(post(fields, &body)).requests(2).step(Step::WaitAnswers(1)).expect(all(vec![
            status_in(&[400, 501]),
            untouched(),
            closed(),
            marked(),
        ]))
    };
    vec![
        both("before-transfer-encoding", &[&length, "Transfer-Encoding: chunked"]),
        both("behind-transfer-encoding", &["Transfer-Encoding: chunked", &length]),
        both("zero-and-transfer-encoding", &["Content-Length: 0", "Transfer-Encoding: chunked"]),
        both("invalid-and-transfer-encoding", &["Content-Length: x", "Transfer-Encoding: chunked"]),
        both("and-transfer-encoding-identity", &[&length, "Transfer-Encoding: identity"]),
        both("and-transfer-encoding-capitals", &[&length, "TRANSFER-ENCODING: CHUNKED"]),
        both("and-transfer-encoding-empty", &[&length, "Transfer-Encoding:"]),
        both("twice-and-transfer-encoding", &[&length, &length, "Transfer-Encoding: chunked"]),
    ]
}

fn bodies_in_full() -> Vec<Case> {
    let large = "x".repeat(100_000);
    let mut with_rest = post(&["Content-Length: 5"], "hello");
    with_rest.extend_from_slice(b"GET /c/second HTTP/1.1\r\nHost: a\r\n\r\n");
    vec![
        case("zero").send(post(&["Content-Length: 0"], "")).expect(all(vec![
            served(),
            sent_body(""),
            kept(),
        ])),
        case("five").send(post(&["Content-Length: 5"], "hello")).expect(all(vec![
            served(),
            sent_lines("content-length", &["5"]),
            sent_body("hello"),
            kept(),
        ])),
        case("body-of-100000").send(post(&["Content-Length: 100000"], &large)).expect(all(vec![
            served(),
            sent_body(large),
            kept(),
        ])),
        case("body-of-all-bytes")
            .send(
                [
                    head("POST /c HTTP/1.1", &["Host: a", "Content-Length: 256"]),
                    (0..=255).collect(),
                ]
                .concat(),
            )
            .expect(all(vec![served(), kept()])),
        case("get-with-body")
            .send(get_with_body())
            .expect(any(vec![all(vec![served(), sent_body("hello")]), refused(&[400])])),
        case("delete-with-body")
            .send(
                [head("DELETE /c HTTP/1.1", &["Host: a", "Content-Length: 5"]), b"hello".into()]
                    .concat(),
            )
            .expect(all(vec![served(), sent_body("hello"), kept()])),
        case("options-with-body")
            .send(
                [head("OPTIONS /c HTTP/1.1", &["Host: a", "Content-Length: 5"]), b"hello".into()]
                    .concat(),
            )
            .expect(all(vec![served(), sent_body("hello"), kept()])),
        case("head-with-body")
            .send(
                [head("HEAD /c HTTP/1.1", &["Host: a", "Content-Length: 5"]), b"hello".into()]
                    .concat(),
            )
            .expect(any(vec![all(vec![served(), sent_body("hello"), kept()]), refused(&[400])])),
        case("post-without-any-length")
            .send(post(&[], ""))
            .expect(any(vec![all(vec![served(), kept()]), turned_away(&[411])])),
        case("bytes-behind-are-the-next-request").send(with_rest).requests(2).expect(all(vec![
            forwarded(2),
            bodies(vec!["/c".into(), "/c/second".into()]),
            kept(),
        ])),
        case("body-in-pieces")
            .send(post(&["Content-Length: 5"], "he"))
            .step(Step::WaitUpstream(b"he".to_vec()))
            .send("llo")
            .expect(all(vec![served(), sent_body("hello")])),
        case("end-before-the-body-is-whole")
            .send(post(&["Content-Length: 10"], "hello"))
            .step(Step::HalfClose)
            .step(Step::ReadToEnd)
            .expect(all(vec![never_whole(), never_completed(), gone()]))
            .returns_permits(),
        case("end-before-the-body-begins")
            .send(post(&["Content-Length: 10"], ""))
            .step(Step::HalfClose)
            .step(Step::ReadToEnd)
            .expect(all(vec![never_whole(), never_completed(), gone()]))
            .returns_permits(),
    ]
}

fn get_with_body() -> Vec<u8> {
    [get(&["Content-Length: 5"]), b"hello".to_vec()].concat()
}
