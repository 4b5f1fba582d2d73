//! A server that does on each connection exactly what it is told, request by request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running server. Dropping it stops it.
pub(crate) struct Scripted {
    pub(crate) addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    accept: JoinHandle<()>,
}

// === impl Scripted ===

impl Scripted {
    /// Answers the first request of a connection as `answers[0]`, the second as `answers[1]`; with
    /// none left the connection is closed once a further request has come. Bodies are not awaited.
    pub(crate) async fn start(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&heads);
        let accept = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers, Arc::clone(&seen)));
            }
        });
        Self { addr, heads, accept }
    }

    /// The request lines of everything that came.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn serve(mut stream: TcpStream, answers: &[&str], seen: Arc<Mutex<Vec<String>>>) {
    let mut answers = answers.iter();
    let mut came = Vec::new();
    loop {
        while !came.windows(4).any(|window| window == b"\r\n\r\n") {
            if !matches!(stream.read_buf(&mut came).await, Ok(1..)) {
                return;
            }
        }
        let line = String::from_utf8_lossy(&came).lines().next().unwrap_or_default().to_owned();
        seen.lock().unwrap().push(line);
        came.clear();
        let Some(answer) = answers.next() else { return };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
