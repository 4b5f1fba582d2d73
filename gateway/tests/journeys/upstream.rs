//! An upstream that keeps every request it is sent, and answers as the test says, when the test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::SOON;

/// A running upstream. Dropping it stops it.
pub(crate) struct Upstream {
    pub(crate) addr: SocketAddr,
    inner: Arc<Inner>,
    accept: JoinHandle<()>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case, values byte for byte.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
}

/// What the upstream does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Says this at once.
    Says(String),
    /// Says this when it is let go on.
    Holds(String),
    /// Says this, which is the beginning of an answer, and no more until it is let go on.
    Begins(String),
}

type Rule = Arc<dyn Fn(&Asked) -> Does + Send + Sync>;

struct Inner {
    asked: Mutex<Vec<Asked>>,
    rule: Mutex<Rule>,
    /// How often it was let go on.
    rounds: watch::Sender<u64>,
}

/// A whole answer; `fields` end their lines.
pub(crate) fn whole(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
}

/// That all is well.
pub(crate) fn fine() -> String {
    whole("200 OK", "", "served")
}

/// Answers at once, but for targets with `hold` in them.
fn plain(asked: &Asked) -> Does {
    match asked.target.contains("hold") {
        true => Does::Holds(fine()),
        false => Does::Says(fine()),
    }
}

// === impl Upstream ===

impl Upstream {
    /// Answers 200, whatever has `hold` in its target only when it is let go on.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            asked: Mutex::default(),
            rule: Mutex::new(Arc::new(plain)),
            rounds: watch::Sender::new(0),
        });
        let shared = Arc::clone(&inner);
        let accept = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { addr, inner, accept }
    }

    /// Answers by this rule from now on.
    pub(crate) fn does(&self, rule: impl Fn(&Asked) -> Does + Send + Sync + 'static) {
        *lock(&self.inner.rule) = Arc::new(rule);
    }

    /// Answers everything so from now on.
    pub(crate) fn says(&self, answer: String) {
        self.does(move |_| Does::Says(answer.clone()));
    }

    /// Lets go on what is held now.
    pub(crate) fn goes_on(&self) {
        self.inner.rounds.send_modify(|rounds| *rounds += 1);
    }

    /// Everything that came.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        lock(&self.inner.asked).clone()
    }

    /// How many requests came whose target begins so.
    pub(crate) fn count(&self, target: &str) -> usize {
        self.asked().iter().filter(|asked| asked.target.starts_with(target)).count()
    }

    /// Waits until so many have come whose target begins so.
    pub(crate) async fn sees(&self, target: &str, count: usize) {
        let begin = Instant::now();
        while self.count(target) < count {
            assert!(begin.elapsed() < SOON, "never {count} of {target}: {:#?}", self.asked());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

// === impl Asked ===

impl Asked {
    /// The values of a field, in their order.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(one, _)| one == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }
}

async fn serve(mut stream: TcpStream, inner: Arc<Inner>) {
    let mut came = Vec::new();
    loop {
        let Some(asked) = read(&mut stream, &mut came).await else { return };
        let mut rounds = inner.rounds.subscribe();
        let rule = Arc::clone(&lock(&inner.rule));
        let does = rule(&asked);
        lock(&inner.asked).push(asked);
        let (now, later) = match does {
            Does::Says(answer) => (answer, None),
            Does::Holds(answer) => (String::new(), Some(answer)),
            Does::Begins(part) => (part, Some(String::new())),
        };
        if stream.write_all(now.as_bytes()).await.is_err() {
            return;
        }
        if let Some(later) = later
            && (rounds.changed().await.is_err()
                || stream.write_all(later.as_bytes()).await.is_err())
        {
            return;
        }
    }
}

/// The next request, whose body has a length if it has one at all.
async fn read(stream: &mut TcpStream, came: &mut Vec<u8>) -> Option<Asked> {
    let end = loop {
        if let Some(end) = came.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if !matches!(stream.read_buf(came).await, Ok(1..)) {
            return None;
        }
    };
    let head = String::from_utf8(came.drain(..end).collect()).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut words = lines.next()?.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    while came.len() < length {
        if !matches!(stream.read_buf(came).await, Ok(1..)) {
            return None;
        }
    }
    let body = came.drain(..length).collect();
    Some(Asked { method, target, headers, body, at: Instant::now() })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
