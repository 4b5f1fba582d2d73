//! The gateway under test: the real binary, started with a configuration for these cases.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

/// Longest time from the start of the process to its being ready.
const START: Duration = Duration::from_secs(15);

/// How the gateway is configured for a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Setup {
    /// Time-outs of fractions of a second, for the cases about slow clients.
    Impatient,
    /// Defaults: no case ends by a time-out.
    #[default]
    Plain,
    /// The client is a trusted proxy.
    Trusting,
}

pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    child: Child,
    directory: TempDir,
    /// A port that is taken but where nobody listens: connecting to it is refused.
    _unreachable: Socket,
}

// === impl Gateway ===

impl Gateway {
    /// Starts a gateway in front of `origin` and waits until it is ready.
    pub(crate) fn start(origin: SocketAddr, setup: Setup) -> Self {
        let unreachable = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        unreachable.bind(&any.into()).expect("a port where nobody listens");
        let nobody = unreachable.local_addr().ok().and_then(|a| a.as_socket()).unwrap_or(any);

        let directory = tempfile::tempdir().expect("a directory for the configuration");
        let file = directory.path().join("protocol.toml");
        fs::write(&file, configuration(origin, nobody, setup)).expect("write configuration");
        let log = fs::File::create(directory.path().join("log")).expect("a file for the log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_floodgate"))
            .args(["run", "--print-addresses", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("start the gateway");
        let stdout = child.stdout.take().expect("the gateway's stdout");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                sender.send(line).ok();
            }
        });
        let addresses = addresses(&lines);
        let (address, admin) = addresses.unwrap_or_else(|| {
            child.kill().ok();
            let log = fs::read_to_string(directory.path().join("log")).unwrap_or_default();
            panic!("the gateway did not become ready; its log:\n{log}");
        });
        Self { address, admin, child, directory, _unreachable: unreachable }
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The last lines of the log.
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Asks the admin listener until nothing is in flight and nothing waits.
    pub(crate) fn wait_until_idle(&self, bound: Duration) -> bool {
        let until = Instant::now() + bound;
        while Instant::now() < until {
            // Where nobody listens, nobody will answer later.
            let Ok(stream) = TcpStream::connect(self.admin) else { return false };
            if let Some(status) = status(stream) {
                let (mut found, mut sum) = (false, 0);
                sum_counts(&status, &mut found, &mut sum);
                if found && sum == 0 {
                    return true;
                }
            }
            thread::park_timeout(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn status(mut stream: TcpStream) -> Option<serde_json::Value> {
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let head = "GET /api/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answers = crate::wire::answers(&answer, false, true);
    serde_json::from_slice(&answers.finals.first()?.body).ok()
}

/// Sums every `in_flight` and `queued` in the status, wherever they stand.
fn sum_counts(value: &serde_json::Value, found: &mut bool, sum: &mut u64) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|v| sum_counts(v, found, sum)),
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                match value.as_u64() {
                    Some(count) if key == "in_flight" || key == "queued" => {
                        *found |= key == "in_flight";
                        *sum += count;
                    }
                    _ => sum_counts(value, found, sum),
                }
            }
        }
        _ => {}
    }
}

fn addresses(lines: &mpsc::Receiver<String>) -> Option<(SocketAddr, SocketAddr)> {
    let until = Instant::now() + START;
    loop {
        let line = lines.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["listening", address, "admin", admin] = words[..] {
            return Some((address.parse().ok()?, admin.parse().ok()?));
        }
    }
}

/// Routes of the cases: `/c` is plain, every other first segment has one peculiarity. No circuits: the cases ask upstreams to fail, one
/// after the other.
fn configuration(origin: SocketAddr, nobody: SocketAddr, setup: Setup) -> String {
    let server = match setup {
        Setup::Impatient => {
            "header_timeout = \"500ms\"\nidle_timeout = \"700ms\"\nbody_timeout = \"600ms\"\n"
        }
        Setup::Plain => "",
        Setup::Trusting => "trusted_proxies = [\"127.0.0.0/8\"]\n",
    };
    format!(
        r#"[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
workers = 1
{server}
[upstreams.plain]
servers = ["{origin}"]
max_in_flight = 64
buffer = 64
circuit = false

[upstreams.single]
servers = ["{origin}"]
max_in_flight = 1
buffer = 8
circuit = false

[upstreams.nobody]
servers = ["{nobody}"]
circuit = false

[[tiers]]
name = "l1"
max_wait = "5s"
deadline = "10s"

[[tiers]]
name = "hasty"
max_wait = "300ms"
deadline = "400ms"

[[routes]]
name = "plain"
path = "/c/{{*rest}}"
tier = "l1"
upstream = "plain"

[[routes]]
name = "closed"
path = "/closed/{{*rest}}"
tier = "l1"
upstream = "plain"
rate = "0/s"

[[routes]]
name = "hasty"
path = "/hasty/{{*rest}}"
tier = "hasty"
upstream = "plain"

[[routes]]
name = "single"
path = "/single/{{*rest}}"
tier = "l1"
upstream = "single"

[[routes]]
name = "waiting"
path = "/waiting/{{*rest}}"
tier = "hasty"
upstream = "single"

[[routes]]
name = "small"
path = "/small/{{*rest}}"
tier = "l1"
upstream = "plain"
max_body = 1024

[[routes]]
name = "nobody"
path = "/nobody/{{*rest}}"
tier = "l1"
upstream = "nobody"
"#
    )
}
