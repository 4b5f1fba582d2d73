//! A gateway as the binary, whose configuration is changed in every way there is.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use floodgate_loadtest::origin::{Origin, OriginHandle};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Admin, Answer, Client, SOON, Settings, reach};

/// A change is live within a second. Twice that for a machine that is busy with other tests, and still well below
/// the time between two looks at a file without events.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Between two looks of a test.
const LOOK: Duration = Duration::from_millis(2);

/// Starts a gateway.
pub(crate) struct Launch {
    command: Command,
    directory: TempDir,
    file: PathBuf,
}

/// A gateway that was started from a file. Dropping it kills it.
pub(crate) struct Live {
    child: Child,
    directory: TempDir,
    pub(crate) file: PathBuf,
    /// Where customers come in.
    pub(crate) listen: SocketAddr,
    admin: Admin,
    /// The bearer token that is sent, if any.
    pub(crate) token: Option<&'static str>,
}

/// An origin that answers at once.
pub(crate) fn origin() -> OriginHandle {
    Origin::builder().start().unwrap()
}

/// A configuration with these keys of its only upstream.
pub(crate) fn text(origin: &OriginHandle, upstream: &str) -> String {
    Settings::upstream(upstream).text(&[origin.addr()])
}

// === impl Launch ===

impl Launch {
    pub(crate) fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("floodgate.toml");
        std::fs::write(&file, text).unwrap();
        Self::from_file(directory, file)
    }

    /// From a file that is there already, below `directory`.
    pub(crate) fn from_file(directory: TempDir, file: PathBuf) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_floodgate"));
        command.args(["run", "--print-addresses", "--config"]).arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(File::create(directory.path().join("log")).unwrap());
        Self { command, directory, file }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn shadow(mut self, text: &str) -> Self {
        let file = self.directory.path().join("shadow.toml");
        std::fs::write(&file, text).unwrap();
        self.command.arg("--shadow").arg(file);
        self
    }

    pub(crate) fn start(mut self) -> Live {
        let mut child = self.command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["listening", listen, "admin", admin] = words[..] else {
            child.kill().ok();
            child.wait().ok();
            panic!("it did not start: {line}{}", log(&self.directory));
        };
        let (listen, admin) = (listen.parse().unwrap(), Admin(admin.parse().unwrap()));
        Live { child, directory: self.directory, file: self.file, listen, admin, token: None }
    }

    /// What it says on standard error when it does not start.
    pub(crate) async fn fails(mut self) -> String {
        let mut child = self.command.spawn().unwrap();
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begin.elapsed() > SOON {
                child.kill().ok();
                child.wait().ok();
                panic!("it runs");
            }
            tokio::time::sleep(LOOK).await;
        };
        assert_eq!(status.code(), Some(2));
        log(&self.directory)
    }
}

// === impl Live ===

impl Live {
    pub(crate) fn start(text: &str) -> Self {
        Launch::new(text).start()
    }

    /// Writes the file in place.
    pub(crate) fn write(&self, text: &str) {
        std::fs::write(&self.file, text).unwrap();
    }

    /// Sends it a SIGHUP, once it heeds signals: it tells its addresses a moment before.
    pub(crate) async fn hang_up(&self) {
        let begin = Instant::now();
        while !self.heeds_hangups() {
            assert!(begin.elapsed() < SOON, "it never heeds signals");
            tokio::time::sleep(LOOK).await;
        }
        self.signal("HUP");
    }

    /// Sends it a signal: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    fn heeds_hangups(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        // The lowest bit is the first signal, SIGHUP.
        u64::from_str_radix(caught.trim(), 16).unwrap() & 1 == 1
    }

    /// A path beside the file.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Everything that it has logged.
    pub(crate) fn log(&self) -> String {
        log(&self.directory)
    }

    /// The log's first line that has all these words, once there is one.
    pub(crate) async fn logged(&self, words: &[&str]) -> String {
        let begin = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) =
                log.lines().find(|line| words.iter().all(|word| line.contains(word)))
            {
                return line.to_owned();
            }
            assert!(begin.elapsed() < SOON, "{words:?} is not in: {log}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The answer of the admin listener to any request.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_as(self.token, method, path, body).await
    }

    /// The same, as the bearer of this token.
    pub(crate) async fn ask_as(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: admin\r\n{}content-length: {}\r\n\r\n",
            token.unwrap_or_default(),
            body.len()
        );
        let mut client = Client::connect(self.admin.0).await;
        client.send([head.as_bytes(), body.as_bytes()].concat()).await;
        client.answer_to(method).await
    }

    /// `PUT /api/config`
    pub(crate) async fn put(&self, text: &str) -> Answer {
        self.ask("PUT", "/api/config", text).await
    }

    /// `PUT /api/config`, which has to succeed; the new generation.
    pub(crate) async fn change(&self, text: &str) -> u64 {
        let answer = self.put(text).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["result"], "applied");
        answer.json()["generation"].as_u64().unwrap()
    }

    /// `/api/config`
    pub(crate) async fn config(&self) -> Value {
        self.ask("GET", "/api/config", "").await.json()
    }

    /// The generations of `/api/config/history`, the newest first.
    pub(crate) async fn history(&self) -> Vec<Value> {
        let mut json = self.ask("GET", "/api/config/history", "").await.json();
        serde_json::from_value(json["generations"].take()).unwrap()
    }

    pub(crate) async fn generation(&self) -> u64 {
        self.config().await["generation"].as_u64().unwrap()
    }

    /// Waits until this generation is live, which must be soon after the change.
    pub(crate) async fn becomes(&self, generation: u64) {
        self.becomes_within(AT_ONCE, generation).await;
    }

    pub(crate) async fn becomes_within(&self, time: Duration, generation: u64) {
        let begin = Instant::now();
        loop {
            let live = self.generation().await;
            if live == generation {
                return;
            }
            assert!(live < generation, "generation {live} instead of {generation}");
            assert!(begin.elapsed() < time, "generation {generation} never came: {}", self.log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How many texts had this result.
    pub(crate) async fn reloads(&self, result: &str) -> u64 {
        let label = format!("result=\"{result}\"");
        self.metrics().await.count("floodgate_config_reloads_total", &[&label])
    }

    /// Waits until so many texts had this result.
    pub(crate) async fn has_reloads(&self, result: &str, count: u64) {
        let begin = Instant::now();
        while self.reloads(result).await != count {
            assert!(begin.elapsed() < SOON, "never {count} {result}: {}", self.log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The live limit of the upstream.
    pub(crate) async fn limit(&self) -> u64 {
        self.checkout().await["limit"].as_u64().unwrap()
    }

    /// A new connection on which a GET of `path` has been sent.
    pub(crate) async fn asking(&self, path: &str) -> Client {
        let mut client = Client::connect(self.listen).await;
        client.get(path).await;
        client
    }

    /// The answer to a GET of `path`: status and reason.
    pub(crate) async fn verdict(&self, path: &str) -> (u16, String) {
        let answer = self.asking(path).await.answer().await;
        (answer.status, answer.reason().to_owned())
    }

    /// A new connection whose request waits in the buffer as number `place`.
    pub(crate) async fn waiting(&self, path: &str, place: u64) -> Client {
        let client = self.asking(path).await;
        self.queued(place).await;
        client
    }

    /// A new connection whose request is at the origin and stays there.
    pub(crate) async fn holding(&self, origin: &OriginHandle) -> Client {
        let before = origin.stats().requests;
        let client = self.asking("/l1?x-origin-behaviour=never-answer").await;
        reach(origin, |stats| stats.requests > before).await;
        client
    }
}

impl Deref for Live {
    type Target = Admin;

    fn deref(&self) -> &Admin {
        &self.admin
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn log(directory: &TempDir) -> String {
    std::fs::read_to_string(directory.path().join("log")).unwrap()
}

/// Renames a file with this text over `file`.
pub(crate) fn rename_over(file: &Path, text: &str) {
    let new = file.with_extension("swp");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}
