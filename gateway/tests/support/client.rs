//! A client on a bare socket: what it sends is written by hand, what it gets is read strictly.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::soon;

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    came: Vec<u8>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The trailer section of a chunked body.
    pub(crate) trailers: String,
}

/// The answer to a GET on a connection of its own.
pub(crate) async fn ask(addr: SocketAddr, path: &str) -> Answer {
    let mut client = Client::connect(addr).await;
    client.get(path).await;
    client.answer().await
}

/// A POST with a body of known length.
pub(crate) fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: shop\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

// === impl Client ===

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = soon("connect", TcpStream::connect(addr)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, came: Vec::new() }
    }

    /// A connection, if somebody listens.
    pub(crate) async fn try_connect(addr: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(addr).await.ok()?;
        Some(Self { stream, came: Vec::new() })
    }

    /// With a receive buffer so small that little of an answer fits into it.
    pub(crate) async fn connect_narrow(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self { stream: socket.connect(addr).await.unwrap(), came: Vec::new() }
    }

    /// From this address of the machine; port 0 lets the system choose.
    pub(crate) async fn connect_from(from: SocketAddr, addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(from).unwrap();
        Self { stream: socket.connect(addr).await.unwrap(), came: Vec::new() }
    }

    pub(crate) async fn send(&mut self, wire: impl AsRef<[u8]>) {
        soon("send", self.stream.write_all(wire.as_ref())).await.unwrap();
    }

    pub(crate) async fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: shop\r\n\r\n")).await;
    }

    /// The next answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await
    }

    /// The next answer, to a request with this method.
    pub(crate) async fn answer_to(&mut self, method: &str) -> Answer {
        let mut answer = self.head().await;
        if method == "HEAD" || matches!(answer.status, 101 | 204 | 304) {
            return answer;
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            self.chunks(&mut answer).await;
        } else {
            let length = answer.header("content-length").expect("a length").parse().unwrap();
            answer.body = self.exactly(length).await;
        }
        answer
    }

    /// The next head; no byte of the body is taken.
    pub(crate) async fn head(&mut self) -> Answer {
        let text = String::from_utf8(self.until(b"\r\n\r\n").await).unwrap();
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Answer {
            status,
            headers: lines.map(header).collect(),
            body: Vec::new(),
            trailers: String::new(),
        }
    }

    /// So many bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.came.len() < length {
            assert!(self.more().await > 0, "ended after {} bytes of {length}", self.came.len());
        }
        self.came.drain(..length).collect()
    }

    /// Everything to the end of the connection; `Err` if it ends by a reset.
    pub(crate) async fn rest(mut self) -> std::io::Result<Vec<u8>> {
        soon("end of connection", self.stream.read_to_end(&mut self.came)).await?;
        Ok(self.came)
    }

    /// Leaves by a TCP reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Whether the connection ends without another byte.
    pub(crate) async fn ends(self) -> bool {
        self.rest().await.is_ok_and(|rest| rest.is_empty())
    }

    /// The next chunk of a chunked body; `None` before the trailers.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = String::from_utf8(self.until(b"\r\n").await).unwrap();
        let size = usize::from_str_radix(line.trim(), 16).unwrap();
        if size == 0 {
            return None;
        }
        let chunk = self.exactly(size).await;
        assert_eq!(self.exactly(2).await, b"\r\n");
        Some(chunk)
    }

    async fn chunks(&mut self, answer: &mut Answer) {
        while let Some(chunk) = self.chunk().await {
            answer.body.extend(chunk);
        }
        loop {
            let line = String::from_utf8(self.until(b"\r\n").await).unwrap();
            if line == "\r\n" {
                return;
            }
            answer.trailers += &line;
        }
    }

    async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.came.windows(end.len()).position(|window| window == end) {
                return self.came.drain(..at + end.len()).collect();
            }
            let so_far = String::from_utf8_lossy(&self.came).into_owned();
            assert!(self.more().await > 0, "ended within an answer: {so_far:?}");
        }
    }

    async fn more(&mut self) -> usize {
        soon("an answer", self.stream.read_buf(&mut self.came)).await.unwrap()
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// Why it was refused; empty if it was not.
    pub(crate) fn reason(&self) -> &str {
        self.header("x-floodgate-reason").unwrap_or_default()
    }

    /// Status and reason.
    pub(crate) fn verdict(&self) -> (u16, &str) {
        (self.status, self.reason())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value that the origin saw of a request header, from its echo.
    pub(crate) fn echoed(&self, name: &str) -> Option<String> {
        let json = self.json();
        let mut headers = json["headers"].as_array().unwrap().iter();
        let found =
            headers.find(|header| header[0].as_str().unwrap().eq_ignore_ascii_case(name))?;
        Some(found[1].as_str().unwrap().to_owned())
    }
}
