//! Connections that have left HTTP, and one side that ends.

use std::time::Duration;

use floodgate_loadtest::origin::Origin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::patient;
use crate::recorder::{Recorder, Then};
use crate::support::{Binary, Client, Running, reach, soon};

const SWITCH: &str = "GET /?x-origin-behaviour=switch-101 HTTP/1.1\r\nhost: a\r\n\
                      connection: upgrade\r\nupgrade: websocket\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// A tunnel through `gateway`, whose upgraded connections are counted.
async fn tunnel(gateway: &Running) -> Client {
    let mut client = gateway.client().await;
    client.send(SWITCH).await;
    assert_eq!(client.answer().await.status, 101);
    gateway.reach("switched", |status| status["upgraded"] == 1).await;
    client
}

#[tokio::test]
async fn the_end_of_one_side_is_told_to_the_other_and_what_it_still_says_arrives() {
    let origin = Origin::builder().start().unwrap();
    let gateway = Running::start(&patient("", "").text(&[origin.addr()]));
    let mut stream = soon("connect", TcpStream::connect(gateway.listen)).await.unwrap();
    stream.write_all(SWITCH.as_bytes()).await.unwrap();
    gateway.reach("switched", |status| status["upgraded"] == 1).await;
    stream.write_all(b"last words").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut came = String::new();
    soon("the end", stream.read_to_string(&mut came)).await.unwrap();
    assert!(came.starts_with("HTTP/1.1 101 ") && came.ends_with("\r\n\r\nlast words"), "{came:?}");
    gateway.reach("all closed", |status| status["upgraded"] == 0).await;
}

#[tokio::test]
async fn a_server_that_speaks_to_nobody_gives_the_place_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let gateway = Running::start(&patient("max_upgraded = 1", "").text(&[addr]));
    let mut client = gateway.client().await;
    client.send(SWITCH).await;
    let (mut server, _) = soon("a connection", listener.accept()).await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert!(soon("a request", server.read_buf(&mut request)).await.unwrap() > 0);
    }
    server.write_all(SWITCHED.as_bytes()).await.unwrap();
    assert_eq!(client.answer().await.status, 101);
    gateway.reach("switched", |status| status["upgraded"] == 1).await;
    drop(client);
    // The gateway learns by writing that nobody is there.
    gateway
        .reach("closed", |status| {
            let _gone = server.try_write(b"hello?");
            status["upgraded"] == 0
        })
        .await;
}

#[tokio::test]
#[ignore = "takes a minute: the gateway's own time limit"]
async fn a_side_that_neither_speaks_nor_ends_is_waited_for_a_minute_at_most() {
    let server = Recorder::start(&[SWITCHED], Then::Silence).await;
    let gateway = Running::start(&patient("max_upgraded = 1", "").text(&[server.addr]));
    drop(tunnel(&gateway).await);
    server.left().await;
    assert_eq!(gateway.checkout().await["upgraded"], 1);
    tokio::time::sleep(Duration::from_secs(56)).await;
    assert_eq!(gateway.checkout().await["upgraded"], 1);
    gateway.reach("given up", |status| status["upgraded"] == 0).await;
}

/// Whether the kernel asks after a silent peer on each of our sockets between these ports.
#[cfg(target_os = "linux")]
fn has_keepalive(local: Option<u16>, remote: Option<u16>) -> bool {
    const ESTABLISHED: &str = "01";
    const KEEPALIVE: &str = "02";
    let port =
        |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut sockets = table.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ours = local.is_none_or(|wanted| port(words[1]) == wanted)
            && remote.is_none_or(|wanted| port(words[2]) == wanted)
            && words[3] == ESTABLISHED;
        ours.then(|| words[5].starts_with(KEEPALIVE))
    });
    sockets.next().is_some_and(|first| first && sockets.all(|other| other))
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_peer_that_vanishes_is_noticed() {
    let server = Recorder::start(&[SWITCHED], Then::Silence).await;
    let gateway = Running::start(&patient("", "").text(&[server.addr]));
    let mut client = tunnel(&gateway).await;
    client.send("said when both sides are joined").await;
    server.sees("joined").await;
    assert!(has_keepalive(Some(gateway.listen.port()), None), "of the client");
    assert!(has_keepalive(None, Some(server.addr.port())), "of the server");
}

#[tokio::test]
async fn a_switch_during_a_drain_is_still_a_switch() {
    let origin = Origin::builder().start().unwrap();
    let mut gateway = Binary::start(&patient("", "drain = \"5s\"").text(&[origin.addr()]));
    origin.hold();
    let mut client = Client::connect(gateway.listen).await;
    client.send(SWITCH).await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    gateway.signal("TERM");
    gateway.draining().await;
    origin.release();
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (101, Some("upgrade")));
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(gateway.ended().await.code(), Some(0));
}
