//! The shop behind the gateway: a page whose script walks through the checkout, and the services it calls.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const PAGE: &str = include_str!("page.html");
/// Upper bound of what is waited for: a browser takes seconds to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

/// A running shop. Every step but the first waits until it is [let on](Self::let_on). Dropping it stops it.
pub(crate) struct Shop {
    pub(crate) addr: SocketAddr,
    state: Arc<State>,
    accept: JoinHandle<()>,
}

struct State {
    requests: Mutex<Vec<Request>>,
    let_on: Semaphore,
}

#[derive(Clone, Debug)]
struct Request {
    /// Method and path.
    line: String,
    cookies: String,
    body: Vec<u8>,
}

// === impl Shop ===

impl Shop {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State { requests: Mutex::default(), let_on: Semaphore::new(0) });
        let shared = Arc::clone(&state);
        let accept = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { addr, state, accept }
    }

    /// The address of a page behind `gateway` that walks `steps`.
    pub(crate) fn page(&self, gateway: SocketAddr, name: &str, steps: &[&str]) -> String {
        let steps: String =
            steps.iter().map(|step| format!("&step={}", step.replace(' ', "+"))).collect();
        format!("http://{gateway}/shop?name={name}{steps}")
    }

    /// Waits until the step has come.
    pub(crate) async fn reached(&self, step: &str) {
        self.find(step).await;
    }

    /// Lets one more step be answered.
    pub(crate) fn let_on(&self) {
        self.state.let_on.add_permits(1);
    }

    /// What the page of that name has told in the end.
    pub(crate) async fn outcome(&self, name: &str) -> Value {
        let told = self.find(&format!("POST /outcomes/{name}")).await;
        serde_json::from_slice(&told.body).unwrap()
    }

    /// Method and path of all steps that came, each with its cookies.
    pub(crate) fn steps(&self) -> Vec<(String, String)> {
        let requests = self.state.requests.lock().unwrap();
        let steps = requests.iter().filter(|request| is_step(&request.line));
        steps.map(|request| (request.line.clone(), request.cookies.clone())).collect()
    }

    async fn find(&self, line: &str) -> Request {
        let begin = Instant::now();
        loop {
            let requests = self.state.requests.lock().unwrap().clone();
            if let Some(request) = requests.iter().find(|request| request.line == line) {
                return request.clone();
            }
            assert!(begin.elapsed() < PATIENCE, "{line} never came: {requests:#?}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

fn is_step(line: &str) -> bool {
    !["GET /shop", "GET /favicon.ico"].contains(&line) && !line.contains("/outcomes/")
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let mut came = Vec::new();
    while let Some((request, query)) = next(&mut stream, &mut came).await {
        let line = request.line.clone();
        state.requests.lock().unwrap().push(request);
        if is_step(&line)
            && line != "POST /cart"
            && let Ok(permit) = state.let_on.acquire().await
        {
            permit.forget();
        }
        let answer = match &*line {
            "GET /shop" => {
                let name = query.split(['=', '&']).nth(1).unwrap_or_default();
                let cookie = format!("set-cookie: session={name}; Path=/\r\n");
                answer(&format!("content-type: text/html\r\n{cookie}"), PAGE)
            }
            _ => answer("content-type: application/json\r\n", "{}"),
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn answer(fields: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{fields}content-length: {length}\r\n\r\n{body}")
}

/// The next request and its query; the gateway has checked the framing.
async fn next(stream: &mut TcpStream, came: &mut Vec<u8>) -> Option<(Request, String)> {
    let end = loop {
        if let Some(at) = came.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, came).await?;
    };
    let head = String::from_utf8_lossy(&came[..end]).into_owned();
    let field = |wanted: &str| {
        head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    let length = field("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    while came.len() < end + length {
        more(stream, came).await?;
    }
    let body = came[end..end + length].to_vec();
    came.drain(..end + length);

    let mut words = head.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let line = format!("{method} {path}");
    let cookies = field("cookie").unwrap_or_default();
    Some((Request { line, cookies, body }, query.to_owned()))
}

async fn more(stream: &mut TcpStream, came: &mut Vec<u8>) -> Option<()> {
    matches!(stream.read_buf(came).await, Ok(1..)).then_some(())
}
