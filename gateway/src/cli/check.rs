//! `floodgate check FILE`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use floodgate_config::{LoadError, Loaded};
use floodgate_gateway::gateway::{check_admin, check_keys};

use super::run::environment;
use super::{complain, say};

/// What to say of a good file, beside that it is good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Explain {
    /// Every value with where it came from, and what follows from it.
    pub(super) everything: bool,
    /// How long the services take for a request.
    pub(super) service_time: Option<Duration>,
}

/// Prints what is wrong with `file` as the environment overrides it, and what is suspicious.
pub(super) fn check(file: &Path, json: bool, explain: Explain) -> ExitCode {
    match floodgate_config::load_with(file, &environment()) {
        Ok(loaded) => good(file, &loaded, json, explain),
        Err(LoadError::Problems(problems)) => {
            say(&if json { format!("{:#}", problems.to_json()) } else { problems.to_string() });
            ExitCode::from(1)
        }
        Err(error @ LoadError::Read { .. }) => {
            complain(&error.to_string());
            ExitCode::from(1)
        }
    }
}

fn good(file: &Path, loaded: &Loaded, json: bool, explain: Explain) -> ExitCode {
    if explain.everything {
        let explanation = floodgate_config::explain(loaded, explain.service_time);
        return say(&if json {
            format!("{:#}", explanation.to_json())
        } else {
            explanation.to_string()
        });
    }
    if json {
        return say(&format!("{:#}", loaded.warnings.to_json()));
    }
    if !loaded.warnings.is_empty() {
        say(&loaded.warnings.to_string());
    }
    if let Err(sentence) = check_admin(loaded.config.server.admin) {
        say(&format!("warning: it would not start here: {sentence}\n"));
    }
    let config = &loaded.config;
    for sentence in check_keys(config) {
        say(&format!("warning: {sentence}\n"));
    }
    let (upstreams, tiers, routes, journeys) =
        (config.upstreams.len(), config.tiers.len(), config.routes.len(), config.journeys.len());
    say(&format!(
        "{}: good ({upstreams} upstreams, {tiers} tiers, {routes} routes, {journeys} journeys)",
        file.display()
    ))
}
