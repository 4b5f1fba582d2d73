//! The thread that writes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use floodgate_config::LogTarget;

use super::line::Line;
use crate::shared::Shared;

/// Between two looks into the channel.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// Between two while the log is off.
const LOOK_WHILE_OFF: Duration = Duration::from_secs(1);
/// Written at once.
const BATCH: usize = 64 * 1024;
/// How often a failure is told of.
const TELL: Duration = Duration::from_secs(60);
/// How long after a file could not be opened it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What is written to now.
struct Output {
    target: LogTarget,
    /// `None`: it could not be opened then.
    open: Result<Open, Instant>,
    /// The last line was not written to its end.
    is_torn: bool,
}

enum Open {
    File(File),
    Stdout,
}

/// Writes what comes until the process ends.
pub(super) fn run(shared: &Shared, lines: &Receiver<Line>) {
    let log = &shared.access_log;
    let mut output: Option<Output> = None;
    let mut batch = Vec::with_capacity(BATCH);
    let mut told: Option<Instant> = None;
    loop {
        // Looked at before the channel is: what was put there before that is written.
        let is_last = log.stop.load(Relaxed);
        let target = shared.snapshot.load().config.access_log.to.clone();
        let is_other = output.as_ref().map(|output| &output.target) != target.as_ref();
        if log.reopen.swap(false, Relaxed) || is_other {
            output = None;
        }
        loop {
            let count = take(lines, &mut batch);
            if count == 0 {
                break;
            }
            let Some(target) = &target else {
                // Switched off since.
                log.cannot_be_written(count);
                continue;
            };
            let output = output.get_or_insert_with(|| Output::of(target));
            match output.write(&batch) {
                Ok(()) => {
                    log.written.fetch_add(count, Relaxed);
                }
                Err(error) => {
                    log.cannot_be_written(count);
                    if told.is_none_or(|told| told.elapsed() >= TELL) {
                        told = Some(Instant::now());
                        tracing::error!(%error, to = %target, "the access log cannot be written; its lines are dropped and counted");
                    }
                }
            }
        }
        if is_last {
            return;
        }
        // Whoever changes something wakes it.
        std::thread::park_timeout(if target.is_some() { LOOK } else { LOOK_WHILE_OFF });
    }
}

/// Takes as many lines as are written at once; how many there were.
fn take(lines: &Receiver<Line>, batch: &mut Vec<u8>) -> u64 {
    batch.clear();
    let mut count = 0;
    while batch.len() < BATCH
        && let Ok(line) = lines.try_recv()
    {
        batch.extend_from_slice(line.as_bytes());
        count += 1;
    }
    count
}

// === impl Output ===

impl Output {
    fn of(target: &LogTarget) -> Self {
        // As if it had failed long ago: it is opened when it is written to.
        let long_ago = Instant::now().checked_sub(RETRY).unwrap_or_else(Instant::now);
        Self { target: target.clone(), open: Err(long_ago), is_torn: false }
    }

    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        if let Err(tried) = self.open {
            if tried.elapsed() < RETRY {
                return Err(io::ErrorKind::NotConnected.into());
            }
            self.open = Err(Instant::now());
            self.open = Ok(match &self.target {
                LogTarget::File(path) => Open::File(open(path)?),
                LogTarget::Stdout => Open::Stdout,
            });
        }
        let begin: &[u8] = if self.is_torn { b"\n" } else { b"" };
        let result = match &mut self.open {
            Ok(Open::File(file)) => file.write_all(begin).and_then(|()| file.write_all(batch)),
            Ok(Open::Stdout) => {
                let mut stdout = io::stdout().lock();
                let written = stdout.write_all(begin).and_then(|()| stdout.write_all(batch));
                written.and_then(|()| stdout.flush())
            }
            Err(_) => Err(io::ErrorKind::NotConnected.into()),
        };
        self.is_torn = result.is_err();
        result
    }
}

/// Opened to be written to at its end, readable by its owner and group: there may be addresses in it. A pipe that nobody
/// reads is an error, and keeps nobody waiting.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o640).custom_flags(libc::O_NONBLOCK);
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_behind_a_torn_one_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut output = Output::of(&LogTarget::File(path.clone()));
        output.write(b"{}\n").unwrap();
        output.is_torn = true;
        output.write(b"{}\n").unwrap();
        output.write(b"{}\n").unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "{}\n\n{}\n{}\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_cannot_be_written_is_an_error_and_what_cannot_be_opened_is_tried_again() {
        let mut full = Output::of(&LogTarget::File("/dev/full".into()));
        assert_eq!(full.write(b"{}\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(full.is_torn);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later").join("log");
        let mut missing = Output::of(&LogTarget::File(path.clone()));
        assert_eq!(missing.write(b"{}\n").unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        assert_eq!(missing.write(b"{}\n").unwrap_err().kind(), io::ErrorKind::NotConnected);
        missing.open = Err(Instant::now().checked_sub(RETRY).unwrap());
        missing.write(b"{}\n").unwrap();
    }
}
