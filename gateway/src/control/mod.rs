//! Changing the configuration while it is live: one way in for every trigger, all or nothing.
//!
//! ```text
//! file, SIGHUP, API, rollback ──> text ──> check ──> compile ──> one swap ──> history, log, metric
//!                                           └─ problems: nothing changes but what is told
//! ```
//!
//! What is changed through the API lives until the file changes or the process ends; the file is
//! written only when asked for.

mod history;
mod text;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use floodgate_config::{Config, Problems};

use crate::access_log::AccessLog;
use crate::clock;
use crate::descriptors;
use crate::grant::keyring::Reload;
use crate::metrics::names;
use crate::open_keys::OpenKeys;
use crate::shadow::Shadow;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

pub use history::{Cause, Generation, History, Trigger};
pub use watch::Watch;

/// Sets the level of the log; given by whoever set the log up.
pub type SetLog = Box<dyn Fn(&str) + Send + Sync>;

/// The live configuration and the ways to change it.
pub struct Control {
    shared: Arc<Shared>,
    cores: usize,
    file: Option<PathBuf>,
    name: String,
    environment: Vec<(String, String)>,
    set_log: SetLog,
    state: Mutex<State>,
}

/// What the process was started with.
pub struct Start {
    /// The checked configuration.
    pub config: Config,
    /// The text it came from.
    pub text: String,
    /// The file it was read from, which is then watched.
    pub file: Option<PathBuf>,
    /// The environment that overrides keys of the file.
    pub environment: Vec<(String, String)>,
    /// Sets the level of the log.
    pub set_log: SetLog,
}

/// The live configuration, to be shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Number of the generation.
    pub generation: u64,
    /// Its text, without what the environment overrides.
    pub text: Arc<str>,
    /// Where the text came from.
    pub source: String,
    /// Keys whose values take effect at the next start.
    pub after_restart: Vec<&'static str>,
    /// Environment variables that override what the text says.
    pub overrides: Vec<String>,
    /// Until when the present generation has to be confirmed.
    pub confirm_by: Option<SystemTime>,
    /// The last text that was refused, if it came after the last that was applied.
    pub rejected: Option<Rejected>,
}

/// A text that was refused.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// When.
    pub at: SystemTime,
    /// Where it came from.
    pub cause: Cause,
    /// Why.
    pub problems: Problems,
}

/// What became of a text.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is live.
    Applied(Applied),
    /// It is wrong, and nothing has changed.
    Rejected(Problems),
    /// It means what is live already.
    Unchanged(u64),
}

/// What changed.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Number of the new generation.
    pub generation: u64,
    /// The difference, key by key.
    pub changes: Vec<String>,
    /// Keys whose new values take effect at the next start.
    pub after_restart: Vec<&'static str>,
    /// What is suspicious.
    pub warnings: Problems,
    /// Until when it has to be confirmed.
    pub confirm_by: Option<SystemTime>,
}

struct State {
    config: Config,
    text: Arc<str>,
    /// What the process was started with, for the keys that stay so.
    at_start: Config,
    history: History,
    rejected: Option<Rejected>,
    awaiting: Option<Awaiting>,
}

/// A change that is taken back unless it is confirmed.
struct Awaiting {
    until: Instant,
    confirm_by: SystemTime,
    back_to: Arc<str>,
}

// === impl Control ===

impl Control {
    /// In charge of `shared`, which runs what `start` says.
    pub(crate) fn new(shared: Arc<Shared>, cores: usize, start: Start) -> Arc<Self> {
        let Start { config, text, file, environment, set_log } = start;
        let text: Arc<str> = text.into();
        let name = file
            .as_ref()
            .map_or_else(|| "configuration".to_owned(), |file| file.display().to_string());
        let cause = Cause::new(Trigger::Start, &name, "");
        let history = History::new(Generation::new(1, cause, Vec::new(), Arc::clone(&text)));
        let state = State {
            at_start: config.clone(),
            config,
            text,
            history,
            rejected: None,
            awaiting: None,
        };
        Arc::new(Self { shared, cores, file, name, environment, set_log, state: Mutex::new(state) })
    }

    /// What is live.
    pub fn live(&self) -> Shown {
        let state = self.lock();
        Shown {
            generation: state.history.latest().number,
            text: Arc::clone(&state.text),
            source: self.name.clone(),
            overrides: self.overrides(),
            after_restart: state.at_start.needs_restart(&state.config),
            confirm_by: state.awaiting.as_ref().map(|awaiting| awaiting.confirm_by),
            rejected: state.rejected.clone(),
        }
    }

    /// The last generations, the newest first.
    pub fn history(&self) -> Vec<Generation> {
        self.lock().history.newest_first().cloned().collect()
    }

    /// Environment variables that override what any text says.
    pub fn overrides(&self) -> Vec<String> {
        self.environment.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The file that is watched, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Makes `text` live if it is good. With `confirm_within` it is taken back after that time unless
    /// [confirmed](Self::confirm); any later change ends the waiting.
    pub fn apply(&self, text: &str, cause: Cause, confirm_within: Option<Duration>) -> Outcome {
        let mut state = self.lock();
        self.apply_locked(&mut state, text, cause, confirm_within)
    }

    /// Writes `text` to the file. Not without having [applied](Self::apply) it.
    ///
    /// # Errors
    /// One sentence: there is no file, or it cannot be written.
    pub fn persist(&self, text: &str) -> Result<(), String> {
        let Some(file) = &self.file else {
            return Err("the gateway was not started from a file".to_owned());
        };
        text::write(file, text)
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))
    }

    /// Makes an earlier generation live again: `to`, or the one before the present one. `None` if it is
    /// not remembered.
    pub fn roll_back(&self, to: Option<u64>, who: &str, from: &str) -> Option<Outcome> {
        let mut state = self.lock();
        let text = match to {
            Some(number) => state.history.find(number),
            None => state.history.newest_first().nth(1),
        };
        // What came from no text cannot come back as one.
        let text =
            text.map(|generation| Arc::clone(&generation.text)).filter(|text| !text.is_empty())?;
        Some(self.apply_locked(&mut state, &text, Cause::new(Trigger::Rollback, who, from), None))
    }

    /// Keeps the change that awaits it. False if none does.
    pub fn confirm(&self, who: &str, from: &str) -> bool {
        let mut state = self.lock();
        let confirmed = state.awaiting.take().is_some();
        if confirmed {
            let generation = state.history.latest().number;
            tracing::info!(target: "audit", generation, who, from, "configuration confirmed");
        }
        confirmed
    }

    /// Evaluates `text` beside the live configuration from now on, in place of any other candidate.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn begin_shadow(&self, text: &str, who: &str, from: &str) -> Result<(), Problems> {
        let loaded = floodgate_config::check_with(&self.name, text, &self.environment)?;
        let live = self.shared.snapshot.load_full();
        let keys = self.open_keys(text, &loaded.config, None)?;
        let snapshot = Snapshot::compile(loaded.config, keys, None, self.cores, clock::now());
        self.shared.shadow.store(Some(Arc::new(Shadow::new(snapshot, text.into(), &live))));
        tracing::info!(target: "audit", who, from, "shadow configuration begun");
        Ok(())
    }

    /// Stops evaluating the candidate. False if there is none.
    pub fn end_shadow(&self, who: &str, from: &str) -> bool {
        let ended = self.shared.shadow.swap(None).is_some();
        if ended {
            tracing::info!(target: "audit", who, from, "shadow configuration ended");
        }
        ended
    }

    /// Makes the candidate live. `None` if there is none.
    pub fn promote_shadow(&self, who: &str, from: &str) -> Option<Outcome> {
        let shadow = self.shared.shadow.swap(None)?;
        Some(self.apply(&shadow.text, Cause::new(Trigger::Promotion, who, from), None))
    }

    /// Takes an unconfirmed change back when its time is over; says how long until the next look.
    fn expire(&self, now: Instant) -> Option<Duration> {
        let mut state = self.lock();
        let awaiting = state.awaiting.as_ref()?;
        if now < awaiting.until {
            return Some(awaiting.until - now);
        }
        let text = Arc::clone(&awaiting.back_to);
        self.apply_locked(&mut state, &text, Cause::new(Trigger::Unconfirmed, "", ""), None);
        None
    }

    fn apply_locked(
        &self,
        state: &mut State,
        text: &str,
        cause: Cause,
        confirm_within: Option<Duration>,
    ) -> Outcome {
        let loaded = match floodgate_config::check_with(&self.name, text, &self.environment) {
            Ok(loaded) => loaded,
            Err(problems) => {
                self.reject(state, cause, problems.clone());
                return Outcome::Rejected(problems);
            }
        };
        let previous = self.shared.snapshot.load_full();
        let keys = match self.open_keys(text, &loaded.config, Some(&previous)) {
            Ok(keys) => keys,
            Err(problems) => {
                self.reject(state, cause, problems.clone());
                return Outcome::Rejected(problems);
            }
        };
        state.rejected = None;
        if loaded.config == state.config {
            count("unchanged");
            state.text = text.into();
            return Outcome::Unchanged(state.history.latest().number);
        }
        let before = Arc::clone(&state.text);
        let changes = floodgate_config::changes(&state.config, &loaded.config);
        let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let generation = self.swap(&loaded.config, keys, &previous);
        count("applied");
        let after_restart = state.at_start.needs_restart(&loaded.config);
        tracing::info!(
            target: "audit", generation, trigger = cause.trigger.as_str(), who = cause.who, from = cause.from,
            changes = changes.join("; "), after_restart = after_restart.join(", "), "configuration applied"
        );
        state.awaiting = confirm_within.map(|within| Awaiting {
            until: Instant::now() + within,
            confirm_by: SystemTime::now() + within,
            back_to: before,
        });
        state.text = text.into();
        state.config = loaded.config;
        state.history.push(Generation::new(
            generation,
            cause,
            changes.clone(),
            Arc::clone(&state.text),
        ));
        let confirm_by = state.awaiting.as_ref().map(|awaiting| awaiting.confirm_by);
        Outcome::Applied(Applied {
            generation,
            changes,
            after_restart,
            warnings: loaded.warnings,
            confirm_by,
        })
    }

    /// Compiles beside the live generation and puts it in its place.
    fn swap(&self, config: &Config, keys: OpenKeys, previous: &Snapshot) -> u64 {
        let began = Instant::now();
        let now = clock::now();
        let snapshot = Snapshot::compile(config.clone(), keys, Some(previous), self.cores, now);
        let generation = snapshot.generation;
        tracing::debug!(generation, compiled = ?began.elapsed(), "configuration compiled");
        (self.set_log)(&config.server.log);
        let connections = descriptors::fit_connections(config)
            .unwrap_or_else(|_| self.shared.connections.limit());
        self.shared.connections.set_limits(connections, config.server.max_connections_per_client);
        self.shared.snapshot.store(Arc::new(snapshot));
        AccessLog::begin(&self.shared);
        generation
    }

    /// Takes over the keys of grants and those for tokens if they have changed where they come from.
    fn reload_keys(&self) {
        let snapshot = self.shared.snapshot.load_full();
        if let Some(jwt) = &snapshot.jwt {
            match jwt.keyring().reload() {
                Ok(Reload::Same) => {}
                Ok(Reload::Changed { warning }) => {
                    tracing::info!(target: "audit", warning, "other keys verify tokens");
                }
                Err(sentence) => tracing::error!("{sentence}; the last good keys stay"),
            }
        }
        for journey in &snapshot.journeys {
            let name = &journey.name;
            match journey.keyring().reload() {
                Ok(Reload::Same) => {}
                Ok(Reload::Changed { warning }) => {
                    tracing::info!(target: "audit", journey = name, warning, "the keys of grants have changed");
                }
                Err(sentence) => {
                    tracing::error!(journey = name, "{sentence}; the last good keys stay");
                }
            }
        }
    }

    /// The keys of `config`, which is what `text` means.
    fn open_keys(
        &self,
        text: &str,
        config: &Config,
        previous: Option<&Snapshot>,
    ) -> Result<OpenKeys, Problems> {
        OpenKeys::open(config, previous).map_err(|unusable| unusable.problems(&self.name, text))
    }

    fn reject(&self, state: &mut State, cause: Cause, problems: Problems) {
        count("rejected");
        tracing::error!(
            target: "audit", trigger = cause.trigger.as_str(), who = cause.who, from = cause.from,
            problems = %problems, "configuration rejected, the last good one stays"
        );
        state.rejected = Some(Rejected { at: SystemTime::now(), cause, problems });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic between two of its fields leaves each of them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("file", &self.file).finish_non_exhaustive()
    }
}

// === impl Start ===

impl Start {
    /// A configuration that comes from no file and is changed through the API only.
    pub fn of(config: Config) -> Self {
        Self {
            config,
            text: String::new(),
            file: None,
            environment: Vec::new(),
            set_log: Box::new(|_| {}),
        }
    }
}

fn count(result: &'static str) {
    metrics::counter!(names::CONFIG_RELOADS, "result" => result).increment(1);
}
