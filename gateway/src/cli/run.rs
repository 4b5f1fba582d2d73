//! `floodgate run --config FILE`.

use std::path::Path;
use std::process::ExitCode;

use floodgate_config::{Config, KeySource, LoadError, Loaded};
use floodgate_gateway::control::{SetLog, Start};
use floodgate_gateway::gateway::Gateway;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

use super::{complain, say, signals};

/// What environment variables that override keys begin with.
const OVERRIDE: &str = "FLOODGATE__";

/// The others that mean something.
const KNOWN_VARIABLES: [&str; 2] = ["FLOODGATE_ADMIN_TOKEN", "FLOODGATE_VIEWER_TOKEN"];

/// Target of the lines that say who changed what: told at every level, unless the filter says otherwise.
const AUDIT: &str = "audit";

/// Runs the gateway until it is told to stop.
pub(super) fn run(file: &Path, shadow: Option<&Path>, print_addresses: bool) -> ExitCode {
    let environment = environment();
    let loaded = match load(file, &environment) {
        Ok(loaded) => loaded,
        Err(sentence) => return complain(&sentence),
    };
    let shadow = match shadow.map(|file| load(file, &environment)).transpose() {
        Ok(shadow) => shadow,
        Err(sentence) => return complain(&sentence),
    };
    let set_log = log_to_stderr(&loaded.config.server.log);
    for name in unknown_variables(&loaded.config) {
        tracing::warn!(
            name,
            "this environment variable means nothing; keys are FLOODGATE__SECTION__KEY, with two underscores"
        );
    }
    if !loaded.warnings.is_empty() {
        tracing::warn!(warnings = %loaded.warnings, "the configuration is probably not what was meant");
    }
    let Loaded { config, text, .. } = loaded;
    let started = Gateway::start_with(Start {
        config,
        text,
        file: Some(file.to_owned()),
        environment,
        set_log,
    });
    match started {
        Ok(gateway) => {
            if let Some(shadow) = shadow
                && let Err(problems) =
                    gateway.control().begin_shadow(&shadow.text, "command line", "")
            {
                return complain(&problems.to_string());
            }
            let addresses = format!("listening {} admin {}", gateway.listen(), gateway.admin());
            signals::wait(gateway, || {
                if print_addresses {
                    say(&addresses);
                }
            })
        }
        Err(sentence) => complain(&sentence),
    }
}

/// The environment's overrides.
pub(super) fn environment() -> Vec<(String, String)> {
    let text = |text: std::ffi::OsString| text.into_string().ok();
    let all = std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
    all.filter(|(name, _)| name.starts_with(OVERRIDE)).collect()
}

/// Variables that look as if they were meant for us and are not, and hold no keys of `config` either.
fn unknown_variables(config: &Config) -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let ours = names.filter(|name| name.starts_with("FLOODGATE_") && !name.starts_with(OVERRIDE));
    let holds_keys = |name: &str| {
        let named = |keys: &KeySource| matches!(keys, KeySource::Env(one) if one == name);
        config.journeys.iter().any(|journey| named(&journey.keys))
    };
    ours.filter(|name| !KNOWN_VARIABLES.contains(&name.as_str()) && !holds_keys(name)).collect()
}

fn load(file: &Path, environment: &[(String, String)]) -> Result<Loaded, String> {
    floodgate_config::load_with(file, environment).map_err(|error| match error {
        LoadError::Problems(problems) => {
            format!("{} cannot be used:\n\n{problems}", file.display())
        }
        error @ LoadError::Read { .. } => error.to_string(),
    })
}

/// One JSON object a line; the level can be changed later. A panic is a line, too.
fn log_to_stderr(filter: &str) -> SetLog {
    let (filter, handle) = tracing_subscriber::reload::Layer::new(parse(filter));
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, message, "panic; the request it happened in has ended");
    }));
    Box::new(move |filter| {
        if let Err(error) = handle.reload(parse(filter)) {
            tracing::error!(%error, "the level of the log cannot be changed");
        }
    })
}

fn parse(filter: &str) -> EnvFilter {
    let filter =
        if filter.contains(AUDIT) { filter.to_owned() } else { format!("{filter},{AUDIT}=info") };
    EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"))
}
