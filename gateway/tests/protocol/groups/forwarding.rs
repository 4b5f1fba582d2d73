//! What an intermediary adds and replaces: Via (RFC 9110 §7.6.3), X-Forwarded-* and Forwarded
//! (RFC 7239 §8.1), and what nobody may claim for himself.

use crate::{
    case::{Case, case, get, head, post},
    expect::*,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(via());
    cases.extend(client_address());
    cases.extend(trusted_proxy());
    cases.extend(claims());
    cases.extend(untouched_fields());
    cases
}

fn via() -> Vec<Case> {
    vec![
        case("via-added").send(get(&[])).expect(all(vec![served(), sent("via", "1.1 floodgate")])),
        case("via-of-1.0")
            .send(head("GET /c HTTP/1.0", &["Host: a"]))
            .expect(all(vec![served(), sent("via", "1.0 floodgate")])),
        case("via-appended")
            .send(get(&["Via: 1.0 fred, 1.1 p.example"]))
            .expect(all(vec![served(), sent("via", "1.0 fred, 1.1 p.example, 1.1 floodgate")])),
        case("via-appended-to-two-lines")
            .send(get(&["Via: 1.0 fred", "Via: 1.1 p.example"]))
            .expect(all(vec![served(), sent("via", "1.0 fred, 1.1 p.example, 1.1 floodgate")])),
        case("via-on-posts")
            .send(post(&["Content-Length: 5"], "hello"))
            .expect(all(vec![served(), sent("via", "1.1 floodgate")])),
        case("via-of-the-response-stays")
            .send(get(&[]))
            .reply("HTTP/1.1 200 OK\r\nVia: 1.1 inner\r\nContent-Length: 2\r\n\r\nok")
            .expect(all(vec![status(200), body("ok"), answer_via_begins("1.1 inner")])),
    ]
}

/// The peer is no trusted proxy: what it says about who sent it is not believed.
fn client_address() -> Vec<Case> {
    let ours = || sent_lines("x-forwarded-for", &["127.0.0.1"]);
    vec![
        case("x-forwarded-for-added").send(get(&[])).expect(all(vec![served(), ours()])),
        case("x-forwarded-for-replaced")
            .send(get(&["X-Forwarded-For: 203.0.113.9"]))
            .expect(all(vec![served(), ours()])),
        case("x-forwarded-for-two-lines-replaced")
            .send(get(&["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.0.0.1"]))
            .expect(all(vec![served(), ours()])),
        case("x-forwarded-for-nonsense-replaced")
            .send(get(&["X-Forwarded-For: \"; drop"]))
            .expect(all(vec![served(), ours()])),
        case("x-forwarded-proto-added")
            .send(get(&[]))
            .expect(all(vec![served(), sent_lines("x-forwarded-proto", &["http"])])),
        case("x-forwarded-proto-replaced")
            .send(get(&["X-Forwarded-Proto: https"]))
            .expect(all(vec![served(), sent_lines("x-forwarded-proto", &["http"])])),
        case("x-forwarded-host-is-the-host")
            .send(get(&[]))
            .expect(all(vec![served(), sent_lines("x-forwarded-host", &["shop.example"])])),
        case("x-forwarded-host-replaced")
            .send(get(&["X-Forwarded-Host: evil.example"]))
            .expect(all(vec![served(), sent_lines("x-forwarded-host", &["shop.example"])])),
        case("forwarded-replaced")
            .send(get(&["Forwarded: for=203.0.113.9;proto=https"]))
            .expect(all(vec![served(), bytes_not_sent("203.0.113.9")])),
        case("forwarded-two-lines-replaced")
            .send(get(&["Forwarded: for=203.0.113.9", "Forwarded: for=203.0.113.10"]))
            .expect(all(vec![
                served(),
                bytes_not_sent("203.0.113.9"),
                bytes_not_sent("203.0.113.10"),
            ])),
        case("underscore-is-no-way-round")
            .send(get(&["X_Forwarded_For: 203.0.113.9"]))
            .expect(any(vec![all(vec![served(), ours()]), turned_away(&[400])])),
    ]
}

/// A proxy that is trusted by configuration: its word is passed on and our peer appended.
fn trusted_proxy() -> Vec<Case> {
    let row = |id: &str, fields: &[&str]| case(format!("trusted-{id}")).send(get(fields)).trusted();
    vec![
        row("x-forwarded-for-appended", &["X-Forwarded-For: 203.0.113.9"])
            .expect(all(vec![served(), sent("x-forwarded-for", "203.0.113.9, 127.0.0.1")])),
        row(
            "x-forwarded-for-two-lines",
            &["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.0.0.1"],
        )
        .expect(all(vec![served(), sent("x-forwarded-for", "203.0.113.9, 10.0.0.1, 127.0.0.1")])),
        row("x-forwarded-for-absent", &[])
            .expect(all(vec![served(), sent("x-forwarded-for", "127.0.0.1")])),
        row("x-forwarded-proto-kept", &["X-Forwarded-Proto: https"])
            .expect(all(vec![served(), sent_lines("x-forwarded-proto", &["https"])])),
        row("x-forwarded-host-kept", &["X-Forwarded-Host: public.example"])
            .expect(all(vec![served(), sent_lines("x-forwarded-host", &["public.example"])])),
        row("forwarded-kept", &["Forwarded: for=203.0.113.9;proto=https"]).expect(all(vec![
            served(),
            sent_where("forwarded", |v| v.starts_with("for=203.0.113.9;proto=https")),
        ])),
        row(
            "nominated-by-the-proxy",
            &["Connection: x-forwarded-for", "X-Forwarded-For: 203.0.113.9"],
        )
        .expect(any(vec![
            all(vec![served(), sent_where("x-forwarded-for", |v| v.ends_with("127.0.0.1"))]),
            turned_away(&[400]),
        ])),
        // Trust in an address is no trust in a tier.
        row("claim-of-a-tier", &["X-Tier: l1", "X-Floodgate-Tier: l1"]).expect(all(vec![
            served(),
            not_sent("x-tier"),
            not_sent("x-floodgate-tier"),
        ])),
    ]
}

/// Tier and priority come from routes, never from a header that anybody can send.
fn claims() -> Vec<Case> {
    [
        ("x-tier", "X-Tier: l1"),
        ("x-priority", "X-Priority: 0"),
        ("x-floodgate-tier", "X-Floodgate-Tier: l1"),
        ("x-floodgate-reason", "X-Floodgate-Reason: none"),
        ("x-floodgate-anything", "x-FLOODGATE-Anything: 1"),
    ]
    .into_iter()
    .map(|(name, field)| {
        case(format!("claim-{name}"))
            .send(get(&[field]))
            .expect(all(vec![served(), not_sent(name)]))
    })
    .chain([
        case("claim-of-a-deadline")
            .send(get(&["X-Request-Deadline-Ms: 999999999"]))
            .expect(all(vec![served(), bytes_not_sent("999999999")])),
        case("claim-twice").send(get(&["X-Tier: l1", "X-A: 1", "X-Tier: l3"])).expect(all(vec![
            served(),
            not_sent("x-tier"),
            sent("x-a", "1"),
        ])),
        case("deadline-is-sent-on").send(get(&[])).expect(all(vec![
            served(),
            sent_where("x-request-deadline-ms", |v| {
                v.parse().is_ok_and(|ms: u64| (1..=10_000).contains(&ms))
            }),
        ])),
    ])
    .collect()
}

fn untouched_fields() -> Vec<Case> {
    vec![
        case("accept-encoding-stays")
            .send(get(&["Accept-Encoding: gzip;q=0.5, br"]))
            .expect(all(vec![served(), sent("accept-encoding", "gzip;q=0.5, br")])),
        case("range-stays")
            .send(get(&["Range: bytes=0-1"]))
            .expect(all(vec![served(), sent("range", "bytes=0-1")])),
        case("conditional-stays")
            .send(get(&["If-None-Match: \"a\", W/\"b\""]))
            .expect(all(vec![served(), sent("if-none-match", "\"a\", W/\"b\"")])),
        case("content-fields-stay")
            .send(post(
                &["Content-Type: a/b; c=d", "Content-Encoding: gzip", "Content-Length: 5"],
                "hello",
            ))
            .expect(all(vec![
                served(),
                sent("content-type", "a/b; c=d"),
                sent("content-encoding", "gzip"),
                sent_body("hello"),
            ])),
        case("no-user-agent-invented")
            .send(get(&[]))
            .expect(all(vec![served(), not_sent("user-agent")])),
        case("no-content-length-invented-for-get").send(get(&[])).expect(all(vec![
            served(),
            not_sent("content-length"),
            not_sent("transfer-encoding"),
        ])),
        case("idempotency-key-stays")
            .send(post(&["Idempotency-Key: \"8e03978e\"", "Content-Length: 0"], ""))
            .expect(all(vec![served(), sent("idempotency-key", "\"8e03978e\"")])),
        case("trace-context-stays")
            .send(get(&["traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]))
            .expect(all(vec![
                served(),
                sent_where("traceparent", |v| v.contains("0af7651916cd43dd8448eb211c80319c")),
            ])),
    ]
}
