//! Where keys come from, and how others take their place while requests are served.
//!
//! To change a key nobody must notice: put the new one second, and when every gateway has read
//! it, first; take the old one out when what it has signed has ended.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use floodgate_config::KeySource;

use super::keys::Keys;

/// Longest key file: two keys and a good deal of comment.
const MAX_FILE: u64 = 64 * 1024;

/// Keys as they stand in a text.
pub(crate) trait KeyText: Sized + PartialEq {
    /// What to do where there is no file of them.
    const MISSING: &'static str;
    /// What anybody could do who has read those that are secret.
    const READABLE: &'static str;

    /// Those of a text.
    ///
    /// # Errors
    /// One sentence that says what to do and gives no key away.
    fn parse(text: &str) -> Result<Self, String>;

    /// Such as nobody else has.
    ///
    /// # Errors
    /// One sentence: there are none.
    fn random() -> Result<Self, String>;

    /// Whether nobody else may read them.
    fn is_secret(&self) -> bool;
}

/// Keys, and what an operator should know about where they stand.
#[derive(Debug)]
pub(crate) struct Loaded<K = Keys> {
    /// The keys.
    pub keys: K,
    /// One sentence.
    pub warning: Option<String>,
}

/// What reading keys again has changed.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Reload {
    /// Other keys are live.
    Changed {
        /// One sentence about where they stand.
        warning: Option<String>,
    },
    /// Nothing, or nothing that was not told before.
    Same,
}

/// The live keys of a source.
#[derive(Debug)]
pub(crate) struct Keyring<K = Keys> {
    source: KeySource,
    live: ArcSwap<K>,
    /// Of the live keys; no two of a process are the same.
    version: AtomicU64,
    /// The problem that was told last, while it lasts.
    told: Mutex<Option<String>>,
}

// === impl Loaded ===

impl<K: KeyText> Loaded<K> {
    /// The keys that stand in `source` now.
    ///
    /// # Errors
    /// One sentence: what is wrong, where, and what to do about it.
    pub(crate) fn from_source(source: &KeySource) -> Result<Self, String> {
        match source {
            KeySource::Env(name) => {
                let text = std::env::var(name)
                    .map_err(|_| format!("{name} is not set to a text: {}", K::MISSING))?;
                let keys = K::parse(&text).map_err(|problem| format!("{name}: {problem}"))?;
                Ok(Self { keys, warning: None })
            }
            KeySource::File(path) => {
                Self::from_file(path).map_err(|problem| format!("{}: {problem}", path.display()))
            }
            KeySource::Random => Ok(Self { keys: K::random()?, warning: None }),
        }
    }

    fn from_file(path: &Path) -> Result<Self, String> {
        let metadata = std::fs::metadata(path).map_err(|e| {
            format!("{e}: {}", K::MISSING.replace("FILE", &path.display().to_string()))
        })?;
        if !metadata.is_file() {
            return Err("a key file is a regular file".to_owned());
        }
        let mut text = String::new();
        let file = File::open(path).map_err(|e| format!("cannot be read: {e}"))?;
        file.take(MAX_FILE + 1)
            .read_to_string(&mut text)
            .map_err(|e| format!("cannot be read: {e}"))?;
        if text.len() as u64 > MAX_FILE {
            return Err(format!("is longer than {MAX_FILE} bytes and no key file"));
        }
        let keys = K::parse(&text)?;
        let warning = (keys.is_secret() && is_open_to_all(&metadata)).then(|| {
            let path = path.display();
            let harm = K::READABLE;
            format!("everybody on this machine can read {path} and {harm}: chmod 600 {path}")
        });
        Ok(Self { keys, warning })
    }
}

#[cfg(unix)]
fn is_open_to_all(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn is_open_to_all(_: &std::fs::Metadata) -> bool {
    false
}

// === impl Keyring ===

impl<K: KeyText> Keyring<K> {
    /// The keys of `source`, and what an operator should know about it.
    ///
    /// # Errors
    /// One sentence: what is wrong, where, and what to do about it.
    pub(crate) fn open(source: KeySource) -> Result<(Self, Option<String>), String> {
        let Loaded { keys, warning } = Loaded::<K>::from_source(&source)?;
        let live = ArcSwap::from_pointee(keys);
        let version = AtomicU64::new(next_version());
        Ok((Self { source, live, version, told: Mutex::default() }, warning))
    }

    /// Where they came from.
    pub(crate) fn source(&self) -> &KeySource {
        &self.source
    }

    /// What is wrong with them where they stand, if anything is, so that others are live: one sentence.
    pub(crate) fn problem(&self) -> Option<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The live ones.
    pub(crate) fn keys(&self) -> Guard<Arc<K>> {
        self.live.load()
    }

    /// Tells the live ones from any others by one load, where [`keys`](Self::keys) takes two exchanges. Whoever asks
    /// for this first and then for the keys has those, or newer ones.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Reads them again; cheap enough to be asked once a second. A drawn key stays, and so do the live
    /// ones when there is something wrong.
    ///
    /// # Errors
    /// One sentence, and each only once as long as it is true.
    pub(crate) fn reload(&self) -> Result<Reload, String> {
        if matches!(self.source, KeySource::Random) {
            return Ok(Reload::Same);
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match Loaded::<K>::from_source(&self.source) {
            Ok(Loaded { keys, warning }) => {
                *told = None;
                if keys == **self.live.load() {
                    return Ok(Reload::Same);
                }
                self.live.store(Arc::new(keys));
                self.version.store(next_version(), Ordering::Release);
                Ok(Reload::Changed { warning })
            }
            Err(problem) if told.as_ref() == Some(&problem) => Ok(Reload::Same),
            Err(problem) => {
                *told = Some(problem.clone());
                Err(problem)
            }
        }
    }
}

fn next_version() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::keys::generate;

    fn file(dir: &tempfile::TempDir, text: &str) -> KeySource {
        let path = dir.path().join("grant.keys");
        std::fs::write(&path, text).unwrap();
        KeySource::File(path)
    }

    #[test]
    fn what_is_wrong_with_a_source_is_said_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let says = |source: &KeySource, expected: &str| {
            let problem = Loaded::<Keys>::from_source(source).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        };
        says(&KeySource::File(dir.path().join("none")), "none: No such file or directory");
        says(&KeySource::File(dir.path().join("none")), "`(umask 077; floodgate key > ");
        says(&KeySource::File(dir.path().to_owned()), "regular file");
        says(&file(&dir, ""), "grant.keys: there is no key in it");
        says(&file(&dir, "abc"), "grant.keys: line 1: ");
        says(&file(&dir, &" ".repeat(70_000)), "longer than");
        says(
            &KeySource::Env("FLOODGATE_NO_SUCH_KEYS".to_owned()),
            "FLOODGATE_NO_SUCH_KEYS is not set",
        );
        // Something that is set everywhere and is no key.
        says(&KeySource::Env("PATH".to_owned()), "PATH: line 1: ");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_that_everybody_can_read_is_warned_of() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let source = file(&dir, &generate().unwrap());
        let KeySource::File(path) = &source else { unreachable!() };
        for (mode, is_warned) in [(0o644, true), (0o640, false), (0o600, false)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            let warning = Loaded::<Keys>::from_source(&source).unwrap().warning;
            assert_eq!(warning.is_some(), is_warned, "{mode:o}: {warning:?}");
        }
    }

    #[test]
    fn other_keys_are_live_as_soon_as_they_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (generate().unwrap(), generate().unwrap());
        let (ring, _) = Keyring::<Keys>::open(file(&dir, &old)).unwrap();
        assert_eq!(ring.reload(), Ok(Reload::Same));
        file(&dir, &format!("# the same\n{old}\n"));
        assert_eq!(ring.reload(), Ok(Reload::Same));
        file(&dir, &format!("{new}\n{old}\n"));
        let version = ring.version();
        assert!(matches!(ring.reload(), Ok(Reload::Changed { .. })));
        assert_ne!(ring.version(), version);
        assert_eq!(**ring.keys(), Keys::parse(&format!("{new}\n{old}")).unwrap());
        assert_eq!(ring.reload(), Ok(Reload::Same));
    }

    #[test]
    fn a_source_that_breaks_is_told_once_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let key = generate().unwrap();
        let (ring, _) = Keyring::<Keys>::open(file(&dir, &key)).unwrap();
        for broken in ["", "abc"] {
            file(&dir, broken);
            assert!(ring.reload().is_err());
            assert_eq!(ring.reload(), Ok(Reload::Same));
            assert_eq!(**ring.keys(), Keys::parse(&key).unwrap());
            assert!(ring.problem().unwrap().contains("grant.keys: "));
        }
        file(&dir, &key);
        assert_eq!(ring.reload(), Ok(Reload::Same));
        assert_eq!(ring.problem(), None);
        file(&dir, "abc");
        assert!(ring.reload().is_err(), "what is broken anew is told anew");
    }

    #[test]
    fn a_drawn_key_stays() {
        let (ring, warning) = Keyring::<Keys>::open(KeySource::Random).unwrap();
        let before = ring.keys().clone();
        assert_eq!(ring.reload(), Ok(Reload::Same));
        assert_eq!(**ring.keys(), *before);
        assert_eq!((ring.source(), warning), (&KeySource::Random, None));
    }
}
