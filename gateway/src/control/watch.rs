//! Watching the configuration file.
//!
//! The directory is watched, not the file: editors rename over it, Kubernetes swaps a symbolic link
//! beside it. An event is only a hint to look; what counts are the contents. And since events get
//! lost (network file systems, queues that overflow), it is looked at every few seconds anyway.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::{Cause, Control, Outcome, Trigger, text};

/// Longest time between two looks.
const POLL: Duration = Duration::from_secs(5);
/// A change is read when nothing has happened for so long: writes come in pieces.
const QUIET: Duration = Duration::from_millis(100);
/// But no later than this after its first event.
const LONGEST_WAIT: Duration = Duration::from_millis(400);
/// Hints that are kept: one would do, since a look answers all.
const HINTS: usize = 16;

/// Gives hints to the thread that watches.
#[derive(Clone, Debug)]
pub struct Watch(SyncSender<Hint>);

#[derive(Clone, Copy, Debug)]
enum Hint {
    /// Something happened in the directory.
    Directory,
    /// A signal asks to read the file, changed or not.
    Reload,
    Stop,
    /// There is a new time to look.
    Wake,
}

/// How the waiting for a pause ended.
#[derive(Clone, Copy, Debug)]
enum Quiet {
    /// There is one, or it took too long.
    Reached,
    /// A signal asks to read the file.
    Reload,
    Stop,
}

/// What the watching thread knows.
struct Watching {
    control: Arc<Control>,
    hints: Receiver<Hint>,
    /// Contents at the last look.
    seen: Option<String>,
    /// It could not be read at the last look, and that was said.
    unreadable: bool,
}

// === impl Watch ===

impl Watch {
    /// A thread's work, and the way to give it hints.
    pub fn new(control: Arc<Control>, seen: String) -> (Self, impl FnOnce() + Send + 'static) {
        let (sender, hints) = sync_channel(HINTS);
        let watch = Self(sender);
        let events = watch.clone();
        let work = move || {
            let _watcher = control.file().and_then(|file| events.watch_directory_of(file));
            Watching { control, hints, seen: Some(seen), unreadable: false }.run();
        };
        (watch, work)
    }

    /// Read the file, changed or not.
    pub fn reload(&self) {
        self.hint(Hint::Reload);
    }

    /// Look when a change has to be confirmed.
    pub fn wake(&self) {
        self.hint(Hint::Wake);
    }

    /// End.
    pub fn stop(&self) {
        // This one must arrive; an error says that the thread is gone already.
        let _gone = self.0.send(Hint::Stop);
    }

    fn hint(&self, hint: Hint) {
        // Full: a look is about to come anyway. Gone: nobody looks any more.
        let _full_or_gone = self.0.try_send(hint);
    }

    fn watch_directory_of(self, file: &Path) -> Option<RecommendedWatcher> {
        let directory = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let told = move |event: notify::Result<Event>| {
            if may_be_a_change(&event) {
                self.hint(Hint::Directory);
            }
        };
        let watcher = notify::recommended_watcher(told).and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        watcher
            .inspect_err(|error| {
                tracing::warn!(%error, directory = %directory.display(), "no events: the file is read every {POLL:?}");
            })
            .ok()
    }
}

// === impl Watching ===

impl Watching {
    fn run(mut self) {
        // What was written between the first reading and the first event was told by nobody.
        self.look(Trigger::File);
        loop {
            let until_confirmed = self.control.expire(Instant::now()).unwrap_or(POLL);
            match self.hints.recv_timeout(until_confirmed.min(POLL)) {
                Ok(Hint::Directory) => match self.wait_until_quiet() {
                    Quiet::Reached => self.look(Trigger::File),
                    Quiet::Reload => self.reload(),
                    Quiet::Stop => return,
                },
                Ok(Hint::Reload) => self.reload(),
                Ok(Hint::Wake) => {}
                Ok(Hint::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => self.look(Trigger::File),
            }
        }
    }

    /// Swallows events until a pause comes, or something that does not wait for one.
    fn wait_until_quiet(&self) -> Quiet {
        let latest = Instant::now() + LONGEST_WAIT;
        loop {
            let left = latest.saturating_duration_since(Instant::now());
            match self.hints.recv_timeout(QUIET.min(left)) {
                Ok(Hint::Stop) | Err(RecvTimeoutError::Disconnected) => return Quiet::Stop,
                Ok(Hint::Reload) => return Quiet::Reload,
                Ok(_) if left.is_zero() => return Quiet::Reached,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Quiet::Reached,
            }
        }
    }

    /// Applies the file's contents, whatever they were at the last look.
    fn reload(&mut self) {
        self.seen = None;
        self.look(Trigger::Signal);
    }

    /// Applies the file's contents if they are not those of the last look, and so with keys.
    fn look(&mut self, trigger: Trigger) {
        self.control.reload_keys();
        let Some(file) = self.control.file() else { return };
        let name = file.display().to_string();
        let text = match text::read(file) {
            Ok(text) => text,
            Err(error) => {
                let was_said = std::mem::replace(&mut self.unreadable, true);
                if !was_said || trigger == Trigger::Signal {
                    tracing::error!(%error, file = name, "the configuration cannot be read, the last good one stays");
                }
                return;
            }
        };
        self.unreadable = false;
        if self.seen.as_ref() == Some(&text) {
            return;
        }
        let outcome = self.control.apply(&text, Cause::new(trigger, &name, ""), None);
        if let (Outcome::Unchanged(generation), Trigger::Signal) = (&outcome, trigger) {
            tracing::info!(generation, file = name, "the configuration means what is live already");
        }
        self.seen = Some(text);
    }
}

/// Whether the contents of a file may be others now. That somebody reads is no such event: our own looks would
/// follow one another for ever.
fn may_be_a_change(event: &notify::Result<Event>) -> bool {
    match event {
        Ok(Event { kind: EventKind::Access(access), .. }) => {
            *access == AccessKind::Close(AccessMode::Write)
        }
        // An error may stand for events that were lost.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_no_change_and_what_is_not_understood_may_be_one() {
        let told = |kind| may_be_a_change(&Ok(Event::new(kind)));
        for mode in [AccessMode::Any, AccessMode::Read, AccessMode::Execute] {
            assert!(!told(EventKind::Access(AccessKind::Open(mode))));
            assert!(!told(EventKind::Access(AccessKind::Close(mode))));
        }
        assert!(told(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(told(EventKind::Any) && told(EventKind::Other));
        assert!(may_be_a_change(&Err(notify::Error::generic("lost"))));
    }
}
