//! Request targets: RFC 9112 §3.2, RFC 9110 §4 and §7.7.

use crate::{
    case::{Case, case, head},
    expect::*,
};

fn request(id: &str, line: &str) -> Case {
    case(id).send(head(line, &["Host: shop.example"]))
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(unchanged());
    cases.extend(invalid());
    cases.extend(absolute_form());
    cases.extend(other_forms());
    cases.extend(lengths());
    cases
}

/// Path and query reach the origin byte for byte.
fn unchanged() -> Vec<Case> {
    [
        ("query", "/c?a=1&b=2"),
        ("empty-query", "/c?"),
        ("two-question-marks", "/c?a?b"),
        ("double-slash-inside", "/c//x"),
        ("trailing-slash", "/c/"),
        ("percent-encoded-slash", "/c/%2f"),
        ("percent-encoding-case", "/c/%2F%c3%A9"),
        ("percent-encoded-nul", "/c/%00"),
        ("percent-encoded-crlf", "/c/%0d%0aX:%20y"),
        ("percent-malformed", "/c/100%"),
        ("dot-segments-encoded", "/c/%2e%2e/x"),
        ("semicolon-parameters", "/c;a=1/b;c=2"),
        ("plus-and-tilde", "/c/~a+b"),
        ("sub-delimiters", "/c/!$&'()*+,;=:@"),
        ("colon-in-path", "/c/http://x/y"),
        ("query-with-slash", "/c?/../x"),
    ]
    .into_iter()
    .map(|(id, target)| {
        let line = format!("GET {target} HTTP/1.1");
        request(&format!("unchanged-{id}"), &line)
            // Not every one of these is on the route; where refused, nothing may be forwarded.
            .expect(any(vec![all(vec![served(), request_line(line)]), turned_away(&[400, 404])]))
    })
    .chain([
        // The route is decided on exactly the bytes that are forwarded.
        request("dot-segments-do-not-change-the-route", "GET /c/../closed/x HTTP/1.1").expect(any(
            vec![
                all(vec![served(), request_line("GET /c/../closed/x HTTP/1.1")]),
                turned_away(&[400, 404, 503]),
            ],
        )),
        request("encoded-route-is-another-path", "GET /%63/x HTTP/1.1").expect(turned_away(&[404])),
        request("route-is-case-sensitive", "GET /C HTTP/1.1").expect(turned_away(&[404])),
        request("double-slash-at-start", "GET //c HTTP/1.1")
            .expect(any(vec![turned_away(&[400, 404]), request_line("GET //c HTTP/1.1")])),
    ])
    .collect()
}

fn invalid() -> Vec<Case> {
    [
        ("fragment", "GET /c#top HTTP/1.1"),
        ("fragment-behind-query", "GET /c?a#b HTTP/1.1"),
        ("space-inside", "GET /c d HTTP/1.1"),
        ("no-leading-slash", "GET c HTTP/1.1"),
        ("query-only", "GET ?a=b HTTP/1.1"),
        ("nul", "GET /c\0 HTTP/1.1"),
        ("delete-byte", "GET /c\u{7f} HTTP/1.1"),
        ("control-byte", "GET /c\u{1} HTTP/1.1"),
        ("tab-inside", "GET /c\td HTTP/1.1"),
        ("backslash-first", "GET \\c HTTP/1.1"),
        ("asterisk-for-get", "GET * HTTP/1.1"),
        ("asterisk-for-post", "POST * HTTP/1.1"),
        ("asterisk-and-path", "OPTIONS */c HTTP/1.1"),
        ("authority-form-for-get", "GET shop.example:80 HTTP/1.1"),
        ("host-only-for-get", "GET shop.example HTTP/1.1"),
        ("userinfo", "GET http://user:secret@shop.example/c HTTP/1.1"),
        ("userinfo-empty", "GET http://@shop.example/c HTTP/1.1"),
        ("absolute-without-host", "GET http:///c HTTP/1.1"),
        ("absolute-with-fragment", "GET http://shop.example/c#x HTTP/1.1"),
        ("absolute-bad-port", "GET http://shop.example:port/c HTTP/1.1"),
        ("absolute-port-too-large", "GET http://shop.example:99999/c HTTP/1.1"),
        ("absolute-unclosed-bracket", "GET http://[::1/c HTTP/1.1"),
        ("absolute-with-space", "GET http://shop .example/c HTTP/1.1"),
        ("scheme-without-authority", "GET http:/c HTTP/1.1"),
        ("scheme-of-files", "GET file:///etc/passwd HTTP/1.1"),
    ]
    .into_iter()
    .map(|(id, line)| {
        let statuses: &[u16] = &[400, 404, 421, 501, 505];
        request(id, line).expect(refused(statuses))
    })
    .chain([
        // Bytes above ASCII are no part of a URI; where passed on, they are not changed.
        request("non-ascii", "GET /c/\u{e9} HTTP/1.1").expect(refused(&[400])),
        case("non-utf-8")
            .send(b"GET /c/\xff\xfe HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            .expect(refused(&[400])),
        request("brackets-and-quotes", "GET /c/<\"{|}\"> HTTP/1.1")
            .expect(any(vec![refused(&[400]), request_line("GET /c/<\"{|}\"> HTTP/1.1")])),
    ])
    .collect()
}

/// RFC 9112 §3.2.2: accepted, its authority replaces Host, the origin gets the origin-form.
fn absolute_form() -> Vec<Case> {
    let absolute = |id: &str, line: &str, host: &'static str, sent_line: &'static str| {
        request(id, line).expect(all(vec![
            served(),
            request_line(sent_line),
            sent_lines(
                "host",
                match host {
                    "other" => &["other.example"],
                    "port" => &["other.example:8080"],
                    "ipv6" => &["[::1]:8080"],
                    _ => &["shop.example"],
                },
            ),
        ]))
    };
    vec![
        absolute("absolute", "GET http://shop.example/c HTTP/1.1", "", "GET /c HTTP/1.1"),
        absolute(
            "absolute-query",
            "GET http://shop.example/c?a=b HTTP/1.1",
            "",
            "GET /c?a=b HTTP/1.1",
        ),
        absolute(
            "absolute-replaces-host",
            "GET http://other.example/c HTTP/1.1",
            "other",
            "GET /c HTTP/1.1",
        ),
        absolute(
            "absolute-port",
            "GET http://other.example:8080/c HTTP/1.1",
            "port",
            "GET /c HTTP/1.1",
        ),
        absolute("absolute-ipv6", "GET http://[::1]:8080/c HTTP/1.1", "ipv6", "GET /c HTTP/1.1"),
        absolute(
            "absolute-scheme-upper-case",
            "GET HTTP://shop.example/c HTTP/1.1",
            "",
            "GET /c HTTP/1.1",
        ),
        request("absolute-https", "GET https://shop.example/c HTTP/1.1").expect(any(vec![
            all(vec![served(), request_line("GET /c HTTP/1.1")]),
            turned_away(&[400, 421]),
        ])),
        // An empty path is sent on as "/", which is on no route here.
        request("absolute-empty-path", "GET http://shop.example HTTP/1.1")
            .expect(turned_away(&[404])),
        request("absolute-query-without-path", "GET http://shop.example?a HTTP/1.1")
            .expect(turned_away(&[400, 404])),
        case("absolute-without-host-field")
            .send(head("GET http://shop.example/c HTTP/1.1", &[]))
            .expect(refused(&[400])),
        case("absolute-with-invalid-host-field")
            .send(head("GET http://shop.example/c HTTP/1.1", &["Host: a b"]))
            .expect(refused(&[400])),
        case("absolute-with-two-host-fields")
            .send(head("GET http://shop.example/c HTTP/1.1", &["Host: a", "Host: b"]))
            .expect(refused(&[400])),
        case("absolute-in-1.0-without-host")
            .send(head("GET http://other.example/c HTTP/1.0", &[]))
            .expect(any(vec![
                all(vec![served(), sent_lines("host", &["other.example"])]),
                turned_away(&[400]),
            ])),
    ]
}

fn other_forms() -> Vec<Case> {
    let never = |id: &str, line: &str| {
        let statuses: &[u16] = &[400, 405, 501];
        request(id, line).expect(turned_away(statuses))
    };
    vec![
        never("connect-authority", "CONNECT shop.example:443 HTTP/1.1"),
        never("connect-without-port", "CONNECT shop.example HTTP/1.1"),
        never("connect-path", "CONNECT /c HTTP/1.1"),
        never("connect-absolute", "CONNECT http://shop.example/c HTTP/1.1"),
        never("connect-asterisk", "CONNECT * HTTP/1.1"),
        case("connect-then-bytes")
            .send(head("CONNECT shop.example:443 HTTP/1.1", &["Host: shop.example:443"]))
            .send(crate::case::SMUGGLED)
            .requests(2)
            .expect(all(vec![status_in(&[400, 405, 501]), untouched(), closed()])),
        request("asterisk-for-options", "OPTIONS * HTTP/1.1").expect(any(vec![
            request_line("OPTIONS * HTTP/1.1"),
            all(vec![status_in(&[200, 204, 400, 404, 405, 501]), untouched()]),
        ])),
        request("options-path-is-forwarded", "OPTIONS /c HTTP/1.1")
            .expect(all(vec![served(), request_line("OPTIONS /c HTTP/1.1")])),
        request("options-absolute-without-path", "OPTIONS http://shop.example HTTP/1.1").expect(
            any(vec![
                request_line("OPTIONS * HTTP/1.1"),
                all(vec![status_in(&[200, 204, 400, 404, 405, 501]), untouched()]),
            ]),
        ),
    ]
}

fn lengths() -> Vec<Case> {
    let of = |length: usize| format!("GET /c/{} HTTP/1.1", "a".repeat(length - 3));
    vec![
        request("8000-bytes", &of(8_000)).expect(all(vec![served(), request_line(of(8_000))])),
        request("8000-bytes-of-query", &format!("GET /c?{} HTTP/1.1", "q".repeat(8_000)))
            .expect(served()),
        request("too-long", &of(70_000)).expect(refused(&[414, 431])),
        request("too-long-query", &format!("GET /c?{} HTTP/1.1", "q".repeat(70_000)))
            .expect(refused(&[414, 431])),
        case("too-long-without-end")
            .send(format!("GET /c/{}", "a".repeat(200_000)))
            .expect(refused(&[414, 431])),
    ]
}
