//! An upstream that keeps every whole request it is sent, and answers by the target.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::message::{self, Head};

/// A running upstream. Its threads end with the process, as do the gateways that it serves.
pub(super) struct Upstream {
    pub addr: SocketAddr,
    seen: Seen,
    clients: AtomicU32,
}

/// What was seen, and whose it was.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

// === impl Upstream ===

impl Upstream {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Seen::default();
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || serve(&stream, &log));
            }
        });
        Self { addr, seen, clients: AtomicU32::new(2) }
    }

    /// An address that no client had so far, nor whoever comes from the usual one. It stays on its requests, so that what comes late, from a
    /// client that has left, is nobody else's.
    pub(super) fn new_client(&self) -> Ipv4Addr {
        let [_, a, b, c] = self.clients.fetch_add(1, Relaxed).to_be_bytes();
        Ipv4Addr::new(127, a, b, c)
    }

    /// What has come of this client.
    pub(super) fn take(&self, client: Ipv4Addr) -> Vec<String> {
        let client = client.to_string();
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        seen.into_iter().filter(|(whose, _)| *whose == client).map(|(_, told)| told).collect()
    }
}

fn serve(mut stream: &TcpStream, log: &Seen) {
    stream.set_nodelay(true).unwrap();
    let (mut came, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        while let Some((head, told, length)) = request(&came) {
            came.drain(..length);
            let whose = head.field("x-forwarded-for").unwrap_or_default().to_owned();
            log.lock().unwrap_or_else(PoisonError::into_inner).push((whose, told));
            let target = head.line.split(' ').nth(1).unwrap_or_default();
            let is_head = head.line.starts_with("HEAD ");
            let answer = answer(target, is_head);
            if stream.write_all(answer.as_bytes()).is_err() || target.contains("close") {
                return;
            }
        }
        match stream.read(&mut piece) {
            Ok(length @ 1..) => came.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
}

/// Head of a whole request, all of it for comparison, and its length.
fn request(came: &[u8]) -> Option<(Head, String, usize)> {
    let head = Head::read(came)?;
    let (data, length) = message::body(&head, &came[head.len..])?;
    let mut fields: Vec<String> = head
        .fields
        .iter()
        .map(|(name, value)| match name.as_str() {
            "x-request-deadline-ms" => format!("{name}: {}", value.parse::<u64>().is_ok()),
            "grpc-timeout" => format!("{name}: {}", value.ends_with(['u', 'm', 'S'])),
            "x-forwarded-for" => name.clone(),
            _ => format!("{name}: {value}"),
        })
        .collect();
    fields.sort();
    let told = format!("{}\n    {}\n    {}", head.line, fields.join("\n    "), data.escape_ascii());
    let length = head.len + length;
    Some((head, told, length))
}

fn answer(target: &str, is_head: bool) -> String {
    let whole = |status: &str, fields: &str, body: &str| {
        let length = body.len();
        let body = if is_head { "" } else { body };
        format!("HTTP/1.1 {status}\r\n{fields}content-length: {length}\r\n\r\n{body}")
    };
    match target {
        _ if target.contains("chunked") && !is_head => {
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
                .to_owned()
        }
        _ if target.ends_with("gone") => whole("200 OK", "x-stock-state: sold_out\r\n", ""),
        _ if target.contains("empty") => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        _ if target.contains("unmodified") => {
            "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n".to_owned()
        }
        _ if target.contains("error") => whole("500 Internal Server Error", "", "oh"),
        _ if target.contains("close") => whole("200 OK", "connection: close\r\n", "bye"),
        _ if target.contains("big") => whole("200 OK", "", &"b".repeat(70_000)),
        _ => whole("200 OK", "x-floodgate-reason: none\r\nx-served: yes\r\n", "ok"),
    }
}
