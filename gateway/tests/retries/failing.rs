//! A server that answers, or fails as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::SOON;

/// What it does with a whole request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    /// Answers so, and takes the next one.
    Answer(&'static str),
    /// Sends this, then closes.
    Break(&'static str),
    /// Closes.
    Close,
    /// Closes, and from then on answers so.
    CloseOnce(&'static str),
    /// Closes after a while.
    CloseAfter(Duration),
    /// Sends this, and closes when it is told to do something else.
    Stall(&'static str),
    /// Nothing, for ever.
    Hang,
}

/// A running server. Dropping it stops it.
pub(crate) struct Failing {
    pub(crate) addr: SocketAddr,
    does: Arc<Mutex<Does>>,
    seen: Arc<Mutex<Vec<String>>>,
    accept: JoinHandle<()>,
}

// === impl Failing ===

impl Failing {
    pub(crate) async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (does, seen) = (Arc::new(Mutex::new(does)), Arc::<Mutex<Vec<String>>>::default());
        let told = (Arc::clone(&does), Arc::clone(&seen));
        let accept = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (does, seen) = told.clone();
                tokio::spawn(serve(stream, does, seen));
            }
        });
        Self { addr, does, seen, accept }
    }

    /// From the next request on.
    pub(crate) fn set(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    /// Every request that came whole, with its body.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Waits until so many have come.
    pub(crate) async fn gets(&self, count: usize) {
        let begin = Instant::now();
        while self.count() < count {
            assert!(begin.elapsed() < SOON, "only {:?}", self.seen());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn serve(mut stream: TcpStream, does: Arc<Mutex<Does>>, seen: Arc<Mutex<Vec<String>>>) {
    let mut came = Vec::new();
    loop {
        let request = loop {
            if let Some(request) = whole(&came) {
                break request;
            }
            if !matches!(stream.read_buf(&mut came).await, Ok(1..)) {
                return;
            }
        };
        came.drain(..request.len());
        seen.lock().unwrap().push(request);
        let now = *does.lock().unwrap();
        match now {
            Does::Answer(answer) => {
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Does::Break(beginning) => return drop(stream.write_all(beginning.as_bytes()).await),
            Does::Close => return,
            Does::CloseOnce(answer) => return *does.lock().unwrap() = Does::Answer(answer),
            Does::CloseAfter(pause) => return tokio::time::sleep(pause).await,
            Does::Stall(beginning) => {
                drop(stream.write_all(beginning.as_bytes()).await);
                while matches!(*does.lock().unwrap(), Does::Stall(_)) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                return;
            }
            Does::Hang => return std::future::pending().await,
        }
    }
}

/// The request at the beginning of `came`, if it is all there.
fn whole(came: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(came);
    let head = text.find("\r\n\r\n")? + 4;
    let length = text[..head].lines().find_map(|line| line.strip_prefix("content-length: "));
    let end = head + length.map_or(0, |length| length.parse::<usize>().unwrap());
    text.get(..end).map(str::to_owned)
}
