//! The binary: started, signalled, and awaited.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::{Admin, Client, SOON};

/// `floodgate run` as a process of its own. Dropping it kills it.
pub(crate) struct Binary {
    child: Child,
    _directory: TempDir,
    /// Where customers come in.
    pub(crate) listen: SocketAddr,
    pub(crate) admin: Admin,
}

/// Runs `floodgate` with these arguments to its end.
pub(crate) fn floodgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_floodgate")).args(arguments).output().unwrap()
}

// === impl Binary ===

impl Binary {
    /// Starts it with this configuration and waits until it listens.
    pub(crate) fn start(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("floodgate.toml");
        std::fs::write(&file, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_floodgate"))
            .args(["run", "--print-addresses", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["listening", listen, "admin", admin] = words[..] else {
            let mut errors = String::new();
            child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            panic!("it did not start: {line}{errors}");
        };
        let (listen, admin) = (listen.parse().unwrap(), Admin(admin.parse().unwrap()));
        Self { child, _directory: directory, listen, admin }
    }

    /// A new connection on which a GET of `path` has been sent.
    pub(crate) async fn asking(&self, path: &str) -> Client {
        let mut client = Client::connect(self.listen).await;
        client.get(path).await;
        client
    }

    /// Sends it a signal: `TERM`, `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    /// Waits until its status tells that it drains.
    pub(crate) async fn draining(&self) {
        let begin = Instant::now();
        while self.admin.status().await["draining"] != true {
            assert!(begin.elapsed() < SOON, "it never drained");
        }
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < SOON, "it never ended");
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
