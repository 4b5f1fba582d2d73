//! A target that is started for one run and ended behind it.

use std::{
    io::{self, BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// How long a program may take to say where it listens.
const UP_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to end when it is asked, and when it is asked again.
const DOWN_WITHIN: Duration = Duration::from_secs(3);
/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// A running target. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) address: String,
    pub(super) admin: Option<SocketAddr>,
    child: Child,
}

// === impl Started ===

impl Started {
    /// Runs a command of the shell and waits for the line in which it says where it listens.
    pub(super) fn new(command: &str) -> io::Result<Self> {
        let mut child = Command::new("sh")
            // The program takes the shell's place, so that a signal to it reaches the program.
            .args(["-c", &format!("exec {command}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = child.stdout.take().map(BufReader::new);
        let mut started = Self { address: String::new(), admin: None, child };
        let (tell, told) = mpsc::channel();
        // It is read to its end, so that the program never waits for a reader.
        thread::spawn(move || {
            for line in lines.into_iter().flat_map(BufReader::lines).map_while(Result::ok) {
                if let Some(addresses) = addresses(&line) {
                    drop(tell.send(addresses));
                }
            }
        });
        let Ok((address, admin)) = told.recv_timeout(UP_WITHIN) else {
            return Err(io::Error::other(format!(
                "{command:?} ended or did not print \"listening HOST:PORT\""
            )));
        };
        (started.address, started.admin) = (address, admin);
        Ok(started)
    }

    /// Whether it has ended within a while.
    fn has_ended(&mut self) -> bool {
        let end = Instant::now() + DOWN_WITHIN;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            thread::park_timeout(LOOK);
        }
        false
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // A gateway that drains takes the second one as an order.
        for _ in 0..2 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            drop(Command::new("kill").arg(self.child.id().to_string()).status());
            if self.has_ended() {
                return;
            }
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `listening HOST:PORT`, or `listening HOST:PORT admin HOST:PORT`.
fn addresses(line: &str) -> Option<(String, Option<SocketAddr>)> {
    let mut words = line.strip_prefix("listening ")?.split_ascii_whitespace();
    let address: SocketAddr = words.next()?.parse().ok()?;
    let admin = match words.next() {
        Some("admin") => Some(words.next()?.parse().ok()?),
        _ => None,
    };
    Some((address.to_string(), admin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_says_where_it_listens_and_is_ended_when_it_is_not_needed_any_more() {
        let script =
            "sh -c 'echo hello; echo listening 127.0.0.1:80 admin 127.0.0.1:90; exec sleep 60'";
        let started = Started::new(script).unwrap();
        assert_eq!((started.address.as_str(), started.admin.unwrap().port()), ("127.0.0.1:80", 90));
        let process = format!("/proc/{}", started.child.id());
        assert!(std::path::Path::new(&process).exists());
        drop(started);
        assert!(!std::path::Path::new(&process).exists());
    }

    #[test]
    fn a_program_that_ends_at_once_is_told() {
        let problem = Started::new("true").unwrap_err().to_string();
        assert!(problem.contains("did not print"), "{problem}");
    }

    #[test]
    fn lines_without_addresses_are_passed_over() {
        for line in ["", "listening", "listening on all", "now listening 127.0.0.1:80"] {
            assert_eq!(addresses(line), None, "{line}");
        }
        assert_eq!(addresses("listening 127.0.0.1:80"), Some(("127.0.0.1:80".to_owned(), None)));
    }
}
