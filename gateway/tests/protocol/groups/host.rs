//! Host: RFC 9112 §3.2, RFC 9110 §7.2, with the host and port of RFC 3986.

use crate::{
    case::{Case, case, head},
    expect::*,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(invalid());
    cases.extend(valid());
    cases.extend(counts());
    cases
}

fn invalid() -> Vec<Case> {
    [
        ("space-inside", "a b"),
        ("tab-inside", "a\tb"),
        ("comma", "a,b"),
        ("comma-and-space", "a.example, b.example"),
        ("slash", "shop.example/c"),
        ("scheme", "http://shop.example"),
        ("userinfo", "user@shop.example"),
        ("question-mark", "shop.example?a"),
        ("fragment", "shop.example#a"),
        ("backslash", "shop\\example"),
        ("quote", "\"shop.example\""),
        ("angle-brackets", "<shop.example>"),
        ("semicolon-path", "shop.example;/c"),
        ("caret", "a^b"),
        ("brace", "{a}"),
        ("pipe", "a|b"),
        ("backtick", "a`b"),
        ("port-letters", "shop.example:http"),
        ("port-too-large", "shop.example:65536"),
        ("port-negative", "shop.example:-1"),
        ("port-sign", "shop.example:+80"),
        ("port-space", "shop.example: 80"),
        ("port-twice", "shop.example:80:80"),
        ("port-without-host", ":80"),
        ("ipv6-without-brackets", "::1"),
        ("ipv6-unclosed", "[::1"),
        ("ipv6-unopened", "::1]"),
        ("ipv6-empty", "[]"),
        ("ipv6-bad", "[::g]"),
        ("ipv6-two-elisions", "[1::2::3]"),
        ("ipv6-bytes-behind", "[::1]a"),
        ("ipv6-zone-raw", "[fe80::1%eth0]"),
        ("percent-malformed", "shop%zz.example"),
        ("percent-short", "shop%4"),
        ("control-byte", "shop\u{1}example"),
        ("nul", "shop\0.example"),
        ("delete-byte", "shop\u{7f}"),
        ("non-ascii", "sh\u{f6}p.example"),
    ]
    .into_iter()
    .map(|(id, host)| {
        let field = format!("Host: {host}");
        case(id).send(head("GET /c HTTP/1.1", &[&field])).expect(refused(&[400]))
    })
    .collect()
}

fn valid() -> Vec<Case> {
    [
        ("name", "shop.example"),
        ("name-and-port", "shop.example:8080"),
        ("name-upper-case", "SHOP.example"),
        ("name-root-dot", "shop.example."),
        ("name-underscore", "my_shop.example"),
        ("name-one-label", "shop"),
        ("ipv4", "192.0.2.1"),
        ("ipv4-and-port", "192.0.2.1:80"),
        ("ipv6", "[2001:db8::1]"),
        ("ipv6-and-port", "[2001:db8::1]:8080"),
        ("ipv6-with-ipv4", "[::ffff:192.0.2.1]"),
        ("port-highest", "shop.example:65535"),
        ("name-punycode", "xn--shp-sna.example"),
    ]
    .into_iter()
    .map(|(id, host)| {
        let field = format!("Host: {host}");
        case(format!("valid-{id}"))
            .send(head("GET /c HTTP/1.1", &[&field]))
            .expect(all(vec![served(), kept()]))
    })
    .chain([
        // RFC 3986 §3.2.2 and §3.2.3 allow these; refusing them is safe too.
        lenient("empty-port", "Host: shop.example:"),
        lenient("sub-delimiters", "Host: a!b$c"),
        lenient("percent-encoded", "Host: shop%2dx.example"),
        lenient("ip-of-the-future", "Host: [v1.a:b]"),
        // RFC 9112 §3.2: an empty value is for a target without authority; an http target has one.
        lenient("empty", "Host:"),
        lenient("only-whitespace", "Host:   "),
        lenient("port-with-zeros", "Host: shop.example:00080"),
    ])
    .collect()
}

fn lenient(id: &str, field: &str) -> Case {
    case(id).send(head("GET /c HTTP/1.1", &[field])).expect(any(vec![served(), refused(&[400])]))
}

fn counts() -> Vec<Case> {
    vec![
        case("missing").send(head("GET /c HTTP/1.1", &[])).expect(refused(&[400])),
        case("missing-with-other-fields")
            .send(head("GET /c HTTP/1.1", &["Accept: */*"]))
            .expect(refused(&[400])),
        case("twice-different")
            .send(head("GET /c HTTP/1.1", &["Host: a.example", "Host: b.example"]))
            .expect(refused(&[400])),
        case("twice-equal")
            .send(head("GET /c HTTP/1.1", &["Host: a.example", "Host: a.example"]))
            .expect(refused(&[400])),
        case("twice-apart")
            .send(head("GET /c HTTP/1.1", &["Host: a.example", "Accept: */*", "hOST: b.example"]))
            .expect(refused(&[400])),
        case("twice-one-empty")
            .send(head("GET /c HTTP/1.1", &["Host: a.example", "Host:"]))
            .expect(refused(&[400])),
        case("three-times")
            .send(head("GET /c HTTP/1.1", &["Host: a", "Host: a", "Host: a"]))
            .expect(refused(&[400])),
        case("missing-in-1.0")
            .send(head("GET /c HTTP/1.0", &[]))
            .expect(any(vec![served(), turned_away(&[400])])),
        case("invalid-in-1.0")
            .send(head("GET /c HTTP/1.0", &["Host: a b"]))
            .expect(refused(&[400])),
        case("twice-in-1.0")
            .send(head("GET /c HTTP/1.0", &["Host: a", "Host: b"]))
            .expect(refused(&[400])),
        case("space-before-colon")
            .send(head("GET /c HTTP/1.1", &["Host : shop.example"]))
            .expect(refused(&[400])),
        case("second-hidden-by-a-fold")
            .send(head("GET /c HTTP/1.1", &["Host: a.example", " b.example"]))
            .expect(refused(&[400])),
        case("valid-field-name-in-capitals")
            .send(head("GET /c HTTP/1.1", &["HOST: shop.example"]))
            .expect(all(vec![served(), sent_lines("host", &["shop.example"])])),
        case("valid-passed-on-with-its-port")
            .send(head("GET /c HTTP/1.1", &["Host: shop.example:8080"]))
            .expect(all(vec![served(), sent_lines("host", &["shop.example:8080"])])),
        case("valid-whitespace-around")
            .send(head("GET /c HTTP/1.1", &["Host:  \t shop.example \t "]))
            .expect(all(vec![served(), sent_lines("host", &["shop.example"])])),
    ]
}
