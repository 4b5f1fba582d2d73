//! Upgrade: RFC 9110 §7.8, and what intermediaries got wrong about it.

use crate::{
    case::{Case, SMUGGLED, case, get, head, post},
    client::Step,
    expect::*,
    origin::{Act, Reply, When},
};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const WEBSOCKET: &[&str] = &[
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: eA==",
];

fn write(bytes: &str) -> Act {
    Act::Write(bytes.as_bytes().to_vec())
}

fn until(bytes: &str) -> Act {
    Act::ReadUntil(bytes.as_bytes().to_vec())
}

/// A client that asks for a switch and an origin that agrees and then acts.
fn switched(id: &str, then: Vec<Act>) -> Case {
    let acts = [vec![write(SWITCH)], then].concat();
    case(id)
        .send(get(WEBSOCKET))
        .origin(Reply::acts(When::Head, acts))
        .step(Step::WaitBytes(b"101 Switching".to_vec()))
        .without_probe()
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        switched("bytes-both-ways", vec![until("ping"), write("pong"), until("more"), write("done"), Act::Close])
            .send("ping")
            .step(Step::WaitBytes(b"pong".to_vec()))
            .send("more")
            .step(Step::WaitBytes(b"done".to_vec()))
            .step(Step::ReadToEnd)
            .expect(all(vec![tunnelled("pongdone"), asks_to_switch()]))
            .returns_permits(),
        switched("bytes-right-behind-the-101", vec![write("hello"), Act::Hang])
            .step(Step::WaitBytes(b"hello".to_vec()))
            .expect(tunnelled("hello")),
        switched("client-closes", vec![Act::Hang])
            .step(Step::Close)
            .step(Step::WaitUpstreamEnd)
            .expect(interim(&[101]))
            .returns_permits(),
        switched("client-resets", vec![Act::Hang])
            .step(Step::Reset)
            .expect(interim(&[101]))
            .returns_permits(),
        switched("origin-closes", vec![Act::Close])
            .step(Step::ReadToEnd)
            .expect(all(vec![interim(&[101]), gone()]))
            .returns_permits(),
        switched("permit-is-back-at-the-switch", vec![Act::Hang])
            .expect(interim(&[101]))
            .returns_permits(),
        switched("bytes-that-look-like-a-request-stay-in-the-tunnel", vec![until("smuggled"), write("taken"), Act::Hang])
            .send(SMUGGLED)
            .step(Step::WaitBytes(b"taken".to_vec()))
            .expect(tunnelled("taken")),
        case("bytes-before-the-101-wait")
            .send(get(WEBSOCKET))
            .send(head("GET /c/second HTTP/1.1", &["Host: a"]))
            .requests(2)
            // The origin answers plainly: the bytes behind the request were never for a tunnel. They
            // are the next request, and forwarded as one, or dropped with the connection.
            .reply(OK)
            .expect(all(vec![status(200), all_went_through_us()])),
        case("refused-by-the-origin")
            .send(get(WEBSOCKET))
            .reply(OK)
            .expect(all(vec![status(200), body("ok"), interim(&[]), kept()])),
        case("refused-by-the-origin-with-426")
            .send(get(WEBSOCKET))
            .reply("HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: TLS/1.0\r\nContent-Length: 2\r\n\r\nno")
            .expect(all(vec![status(426), body("no")])),
        case("refused-by-the-gateway")
            .send(head("GET /closed/x HTTP/1.1", &[&["Host: a"], WEBSOCKET].concat()))
            .expect(all(vec![turned_away(&[503]), interim(&[]), kept()])),
        case("fields-reach-the-origin")
            .send(get(WEBSOCKET))
            .reply(OK)
            .expect(all(vec![
                sent("upgrade", "websocket"),
                sent("sec-websocket-key", "eA=="),
                sent("sec-websocket-version", "13"),
                asks_to_switch(),
            ])),
        case("h2c-is-dropped")
            .send(get(&["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"]))
            .expect(all(vec![served(), not_sent("upgrade"), not_sent("http2-settings"), interim(&[])])),
        case("h2c-in-capitals-is-dropped")
            .send(get(&["Connection: upgrade", "Upgrade: H2C"]))
            .expect(all(vec![served(), not_sent("upgrade")])),
        case("h2c-among-others-is-dropped")
            .send(get(&["Connection: Upgrade", "Upgrade: websocket, h2c"]))
            .reply(OK)
            .expect(status(200)),
        case("h2c-and-an-origin-that-switches")
            .send(get(&["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"]))
            .reply("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
            .expect(all(vec![status(502), interim(&[])])),
        case("not-nominated-is-dropped")
            .send(get(&["Upgrade: websocket"]))
            .expect(all(vec![served(), not_sent("upgrade")])),
        case("not-nominated-and-an-origin-that-switches")
            .send(get(&["Upgrade: websocket"]))
            .reply(SWITCH)
            .expect(all(vec![status(502), interim(&[])])),
        case("ignored-in-1.0")
            .send(head("GET /c HTTP/1.0", &[&["Host: a"], WEBSOCKET].concat()))
            .expect(all(vec![served(), not_sent("upgrade"), interim(&[])])),
        case("switch-in-1.0-is-an-error")
            .send(head("GET /c HTTP/1.0", &[&["Host: a"], WEBSOCKET].concat()))
            .reply(SWITCH)
            .expect(all(vec![status(502), interim(&[])])),
        case("with-a-body-first")
            .send(post(&["Connection: Upgrade", "Upgrade: websocket", "Content-Length: 5"], "hello"))
            .reply(OK)
            .expect(any(vec![all(vec![status(200), sent_body("hello")]), turned_away(&[400, 501])])),
        case("nomination-without-upgrade-field")
            .send(get(&["Connection: Upgrade"]))
            .expect(all(vec![served(), not_sent("upgrade")])),
        case("empty-upgrade-field")
            .send(get(&["Connection: Upgrade", "Upgrade:"]))
            .reply(OK)
            .expect(any(vec![status(200), turned_away(&[400])])),
    ]
}
