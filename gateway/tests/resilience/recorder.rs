//! A server that keeps every byte it is sent.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::SOON;

/// What it does with a request when it has no answer left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Then {
    /// Closes the connection.
    Close,
    /// Says nothing, and does not close even when the other side has.
    Silence,
}

/// A running server. Dropping it stops it.
pub(crate) struct Recorder {
    pub(crate) addr: SocketAddr,
    log: Arc<Log>,
    accept: JoinHandle<()>,
}

struct Log {
    answers: Mutex<VecDeque<&'static str>>,
    /// By connection: what came, and whether it has ended.
    connections: Mutex<Vec<(Vec<u8>, bool)>>,
    then: Then,
}

// === impl Recorder ===

impl Recorder {
    /// Answers the first requests, on whatever connection they come, with these. Bodies are not awaited.
    pub(crate) async fn start(answers: &[&'static str], then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let log = Arc::new(Log {
            answers: Mutex::new(answers.iter().copied().collect()),
            connections: Mutex::default(),
            then,
        });
        let kept = Arc::clone(&log);
        let accept = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let log = Arc::clone(&kept);
                let at = {
                    let mut connections = log.connections.lock().unwrap();
                    connections.push((Vec::new(), false));
                    connections.len() - 1
                };
                tokio::spawn(async move { log.record(at, stream).await });
            }
        });
        Self { addr, log, accept }
    }

    /// Everything that came, of all connections.
    pub(crate) fn text(&self) -> String {
        let connections = self.log.connections.lock().unwrap();
        connections.iter().map(|(came, _)| String::from_utf8_lossy(came)).collect()
    }

    /// How many requests came with this beginning.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.text().matches(line).count()
    }

    /// Waits until something with this in it has come.
    pub(crate) async fn sees(&self, what: &str) {
        self.until(what, |recorder| recorder.text().contains(what)).await;
    }

    /// Waits until all connections have ended.
    pub(crate) async fn left(&self) {
        let all_ended = |recorder: &Self| {
            recorder.log.connections.lock().unwrap().iter().all(|(_, ended)| *ended)
        };
        self.until("the end", all_ended).await;
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !wanted(self) {
            assert!(begin.elapsed() < SOON, "never {what}: {}", self.text());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

// === impl Log ===

impl Log {
    async fn record(&self, at: usize, mut stream: TcpStream) {
        let mut answered = 0;
        let mut came = Vec::new();
        loop {
            let read = stream.read_buf(&mut came).await;
            let ended = !matches!(read, Ok(1..));
            {
                let mut connections = self.connections.lock().unwrap();
                connections[at].0.clone_from(&came);
                connections[at].1 = ended;
            }
            if ended {
                match self.then {
                    Then::Close => return,
                    Then::Silence => return std::future::pending().await,
                }
            }
            let heads = came.windows(4).filter(|window| window == b"\r\n\r\n").count();
            while answered < heads {
                answered += 1;
                let answer = self.answers.lock().unwrap().pop_front();
                match answer {
                    Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                    None if self.then == Then::Close => return,
                    None => {}
                }
            }
        }
    }
}
