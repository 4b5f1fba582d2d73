//! The access log: a JSON object a line for a sample of the requests, and for those that failed.
//!
//! ```text
//! refused at the turnstile ─ picked? ─> line ─┐
//! let in, or with hyper ─> entry ─ picked? ─> line ─> bounded channel ─> writer ─> file, standard output
//! ```
//!
//! A worker puts a line into the channel or, if there is no room, counts it; it waits for nobody and allocates
//! nothing, since lines are of one size and lie in the channel itself. The writer is a thread of its own that looks
//! every [`writer::LOOK`], so that nobody has to wake it either. While the log is off there is neither.

mod entry;
mod line;
mod pick;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::shared::Shared;

pub(crate) use entry::{Ended, Entry, Outcome, picks_refusal, tell_refused};
use line::Line;
pub(crate) use pick::Picker;

/// Lines between the workers and the writer: 2 MiB, and 100,000 a second while the writer keeps up.
const ROOM: usize = 2_048;

/// What became of the lines.
#[derive(Debug, Default)]
pub(crate) struct AccessLog {
    /// The way to the writer, from when the log is first on.
    lines: OnceLock<SyncSender<Line>>,
    writer: Mutex<Option<Writer>>,
    /// Lines that were written.
    written: AtomicU64,
    /// Lines for which the channel had no room.
    no_room: AtomicU64,
    /// Lines that could not be written.
    unwritten: AtomicU64,
    /// The file is to be opened anew.
    reopen: AtomicBool,
    stop: AtomicBool,
}

/// The thread that writes.
#[derive(Debug)]
struct Writer {
    thread: JoinHandle<()>,
    ended: Receiver<()>,
}

/// What became of the lines so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Counts {
    /// Written.
    pub written: u64,
    /// Dropped since the channel was full.
    pub no_room: u64,
    /// Dropped since they could not be written.
    pub unwritten: u64,
}

// === impl AccessLog ===

impl AccessLog {
    /// Makes channel and writer if the log of `shared` is on and they are not there yet; if they are, the writer looks how the
    /// log is now.
    pub(crate) fn begin(shared: &Arc<Shared>) {
        let log = &shared.access_log;
        let mut writer = log.writer();
        if let Some(writer) = &*writer {
            return writer.wake();
        }
        let is_off = shared.snapshot.load().config.access_log.to.is_none();
        if is_off || log.stop.load(Relaxed) {
            return;
        }
        let (lines, queued) = sync_channel(ROOM);
        let (ends, ended) = channel();
        let told = Arc::clone(shared);
        let spawned = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            let _ends: Sender<()> = ends;
            writer::run(&told, &queued);
        });
        match spawned {
            Ok(thread) => {
                *writer = Some(Writer { thread, ended });
                // It is not there yet, or there would be a writer.
                let _fresh = log.lines.set(lines);
            }
            Err(error) => tracing::error!(%error, "no access log: its thread cannot be started"),
        }
    }

    /// Has the file opened anew: somebody may have moved it away.
    pub(crate) fn reopen(&self) {
        self.reopen.store(true, Relaxed);
        self.writer().as_ref().inspect(|writer| writer.wake());
    }

    /// What became of the lines so far.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            written: self.written.load(Relaxed),
            no_room: self.no_room.load(Relaxed),
            unwritten: self.unwritten.load(Relaxed),
        }
    }

    /// Has what is in the channel written, and waits for that no longer than `patience`: a pipe that nobody reads
    /// must not keep the process from its end.
    pub(crate) fn finish(&self, patience: Duration) {
        self.stop.store(true, Relaxed);
        let Some(writer) = self.writer().take() else { return };
        writer.wake();
        // Nothing is ever sent: it ends with the thread.
        let is_over = writer.ended.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected);
        if is_over && writer.thread.join().is_err() {
            tracing::error!("the thread of the access log had panicked");
        }
    }

    fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts lines that will not be written.
    fn cannot_be_written(&self, lines: u64) {
        self.unwritten.fetch_add(lines, Relaxed);
    }

    /// Takes a line, or counts that it has no room.
    fn put(&self, line: Line) {
        let is_taken = self.lines.get().is_some_and(|lines| lines.try_send(line).is_ok());
        if !is_taken {
            // Shared by the workers, and so dear; but only of those that are picked, when there are too many.
            self.no_room.fetch_add(1, Relaxed);
        }
    }
}

// === impl Writer ===

impl Writer {
    /// Has it look now.
    fn wake(&self) {
        self.thread.thread().unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_channel_has_no_room_for_is_dropped_and_counted_and_nobody_waits() {
        let log = AccessLog::default();
        let line = line::Pen::new().end().unwrap();
        log.put(line.clone());
        assert_eq!(log.counts().no_room, 1, "there is no channel yet");
        let (lines, queued) = sync_channel(ROOM);
        log.lines.set(lines).unwrap();
        for _ in 0..ROOM + 5 {
            log.put(line.clone());
        }
        assert_eq!(log.counts(), Counts { written: 0, no_room: 6, unwritten: 0 });
        assert_eq!(queued.try_iter().count(), ROOM);
        log.put(line);
        assert_eq!(log.counts().no_room, 6);
    }
}
