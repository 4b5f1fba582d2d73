//! Fields that concern one connection only: RFC 9110 §7.6.1, in both directions.

use crate::{
    case::{Case, case, get, post},
    expect::*,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(removed_from_requests());
    cases.extend(nominated());
    cases.extend(nominations_of_what_matters());
    cases.extend(removed_from_responses());
    cases
}

fn removed_from_requests() -> Vec<Case> {
    [
        ("keep-alive", "Keep-Alive: timeout=5, max=100", "keep-alive"),
        ("proxy-connection", "Proxy-Connection: keep-alive", "proxy-connection"),
        ("proxy-connection-close", "Proxy-Connection: close", "proxy-connection"),
        ("te-gzip", "TE: gzip;q=0.5", "te"),
        ("upgrade-not-nominated", "Upgrade: websocket", "upgrade"),
        (
            "http2-settings-not-nominated",
            "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
            "http2-settings",
        ),
    ]
    .into_iter()
    .map(|(id, field, name)| {
        case(format!("request-{id}")).send(get(&[field])).expect(all(vec![
            served(),
            not_sent(name),
            kept(),
        ]))
    })
    .chain([
        case("request-te-trailers").send(get(&["Connection: TE", "TE: trailers"])).expect(served()),
        case("request-te-trailers-among-others")
            .send(get(&["Connection: TE", "TE: gzip, trailers;q=0.5, deflate"]))
            .expect(served()),
        case("request-te-not-nominated").send(get(&["TE: trailers"])).expect(served()),
        case("request-connection-close-is-ours")
            .send(get(&["Connection: close"]))
            .expect(all(vec![served(), closed()])),
        case("request-connection-keep-alive")
            .send(get(&["Connection: keep-alive"]))
            .expect(all(vec![served(), kept()])),
        case("request-connection-empty")
            .send(get(&["Connection:"]))
            .expect(all(vec![served(), kept()])),
        case("request-connection-commas")
            .send(get(&["Connection: , ,,"]))
            .expect(all(vec![served(), kept()])),
        case("request-proxy-authorization")
            .send(get(&["Proxy-Authorization: Basic eDp5"]))
            .expect(served()),
        // Names alike are other fields.
        case("request-names-alike-stay")
            .send(get(&["X-Keep-Alive: 1", "Upgrade-Insecure-Requests: 1", "Connection-Id: 7"]))
            .expect(all(vec![
                served(),
                sent("x-keep-alive", "1"),
                sent("upgrade-insecure-requests", "1"),
                sent("connection-id", "7"),
            ])),
    ])
    .collect()
}

/// What a Connection field nominates does not pass.
fn nominated() -> Vec<Case> {
    let row = |id: &str, fields: &[&str], gone: &[&'static str]| {
        let mut checks = vec![served(), sent("x-stays", "yes")];
        checks.extend(gone.iter().map(|name| not_sent(name)));
        case(format!("nominated-{id}"))
            .send(get(&[fields, &["X-Stays: yes"]].concat()))
            .expect(all(checks))
    };
    vec![
        row("one", &["Connection: X-A", "X-A: 1"], &["x-a"]),
        row("behind-the-field", &["X-A: 1", "Connection: X-A"], &["x-a"]),
        row("two", &["Connection: X-A, X-B", "X-A: 1", "X-B: 2"], &["x-a", "x-b"]),
        row(
            "two-lines",
            &["Connection: X-A", "X-A: 1", "Connection: X-B", "X-B: 2"],
            &["x-a", "x-b"],
        ),
        row("other-case", &["Connection: x-A", "X-a: 1"], &["x-a"]),
        row("no-space", &["Connection: keep-alive,X-A", "X-A: 1"], &["x-a"]),
        row("spaces-and-empty-members", &["Connection: ,  X-A  ,,", "X-A: 1"], &["x-a"]),
        row("tab", &["Connection: keep-alive,\tX-A", "X-A: 1"], &["x-a"]),
        row("with-close", &["Connection: close, X-A", "X-A: 1"], &["x-a"]),
        row("with-keep-alive", &["Connection: keep-alive, X-A", "X-A: 1"], &["x-a"]),
        row("all-lines-of-the-field", &["Connection: X-A", "X-A: 1", "X-A: 2"], &["x-a"]),
        row("field-absent", &["Connection: X-A"], &["x-a"]),
        row("itself", &["Connection: connection, X-A", "X-A: 1"], &["x-a"]),
        row("cookie", &["Connection: cookie", "Cookie: a=1"], &["cookie"]),
        row(
            "twenty-options",
            &[
                "Connection: a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, X-A",
                "X-A: 1",
            ],
            &["x-a"],
        ),
        case("nominated-not-a-token")
            .send(get(&["Connection: X A", "X-A: 1"]))
            .expect(any(vec![served(), turned_away(&[400])])),
    ]
}

/// Nomination never removes framing, Host or what we add: refused or ignored.
fn nominations_of_what_matters() -> Vec<Case> {
    let body = |fields: &[&str], body: &str| post(fields, body);
    let framed = || any(vec![all(vec![served(), sent_body("hello")]), turned_away(&[400])]);
    vec![
        case("nominated-content-length")
            .send(body(&["Connection: content-length", "Content-Length: 5"], "hello"))
            .expect(framed()),
        case("nominated-transfer-encoding")
            .send(body(
                &["Connection: transfer-encoding", "Transfer-Encoding: chunked"],
                "5\r\nhello\r\n0\r\n\r\n",
            ))
            .expect(framed()),
        case("nominated-host").send(get(&["Connection: host"])).expect(any(vec![
            all(vec![served(), sent("host", "shop.example")]),
            turned_away(&[400]),
        ])),
        case("nominated-x-forwarded-for").send(get(&["Connection: x-forwarded-for"])).expect(any(
            vec![
                all(vec![served(), sent_where("x-forwarded-for", |v| v.ends_with("127.0.0.1"))]),
                turned_away(&[400]),
            ],
        )),
        case("nominated-x-forwarded-proto")
            .send(get(&["Connection: x-forwarded-proto, x-forwarded-host"]))
            .expect(any(vec![
                all(vec![served(), sent("x-forwarded-proto", "http")]),
                turned_away(&[400]),
            ])),
        case("nominated-via").send(get(&["Connection: via"])).expect(any(vec![
            all(vec![served(), sent_where("via", |v| v.contains("floodgate"))]),
            turned_away(&[400]),
        ])),
        case("nominated-expect")
            .send(body(
                &["Connection: expect", "Expect: 100-continue", "Content-Length: 5"],
                "hello",
            ))
            .expect(any(vec![all(vec![served(), sent_body("hello")]), turned_away(&[400])])),
        case("nominated-content-type")
            .send(body(
                &["Connection: content-type", "Content-Type: a/b", "Content-Length: 5"],
                "hello",
            ))
            .expect(framed()),
    ]
}

fn removed_from_responses() -> Vec<Case> {
    let row = |id: &str, fields: &str, gone: &[&'static str]| {
        let mut checks = vec![status(200), body("ok"), answer_field("x-stays", "yes")];
        checks.extend(gone.iter().map(|name| answer_lacks(name)));
        case(format!("response-{id}"))
            .send(get(&[]))
            .reply(format!(
                "HTTP/1.1 200 OK\r\n{fields}\r\nX-Stays: yes\r\nContent-Length: 2\r\n\r\nok"
            ))
            .expect(all(checks))
    };
    vec![
        row("keep-alive", "Keep-Alive: timeout=5", &["keep-alive"]),
        row("proxy-connection", "Proxy-Connection: keep-alive", &["proxy-connection"]),
        row("upgrade", "Upgrade: h2c", &["upgrade"]),
        row("upgrade-nominated", "Connection: upgrade\r\nUpgrade: websocket", &["upgrade"]),
        row("te", "TE: trailers", &["te"]),
        row("nominated", "Connection: X-A\r\nX-A: 1", &["x-a"]),
        row("nominated-two-lines", "Connection: X-A\r\nX-A: 1\r\nConnection: X-B\r\nX-B: 2", &["x-a", "x-b"]),
        row("nominated-other-case", "connection: KEEP-ALIVE, x-A\r\nX-a: 1", &["x-a"]),
        row("nominated-behind-the-field", "X-A: 1\r\nConnection: X-A", &["x-a"]),
        // The origin closes its own connection; that says nothing about ours.
        case("response-close-is-not-passed-on")
            .send(get(&[]))
            .origin(crate::origin::Reply::new("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").close())
            .expect(all(vec![status(200), body("ok"), kept()])),
        case("response-nominates-its-length")
            .send(get(&[]))
            .reply("HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nok")
            .expect(any(vec![all(vec![status(200), body("ok")]), status(502)])),
        case("response-end-to-end-fields-stay")
            .send(get(&[]))
            .reply("HTTP/1.1 200 OK\r\nServer: o\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nETag: \"x\"\r\nContent-Length: 2\r\n\r\nok")
            .expect(all(vec![
                status(200),
                answer_field("set-cookie", "a=1, b=2"),
                answer_field("etag", "\"x\""),
                answer_field("server", "o"),
            ])),
        case("response-one-date")
            .send(get(&[]))
            .reply("HTTP/1.1 200 OK\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Length: 2\r\n\r\nok")
            .expect(answer_field("date", "Tue, 15 Nov 1994 08:12:31 GMT")),
    ]
}
