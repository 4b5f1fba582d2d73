//! `floodgate check FILE`.

use std::path::Path;
use std::process::ExitCode;

use floodgate_config::LoadError;

use super::{complain, say};

/// Prints what is wrong with `file`, and what is suspicious.
pub(super) fn check(file: &Path, json: bool) -> ExitCode {
    match floodgate_config::load(file) {
        Ok(loaded) if json => say(&format!("{:#}", loaded.warnings.to_json())),
        Ok(loaded) => {
            if !loaded.warnings.is_empty() {
                say(&loaded.warnings.to_string());
            }
            let config = loaded.config;
            let (upstreams, tiers, routes) =
                (config.upstreams.len(), config.tiers.len(), config.routes.len());
            say(&format!(
                "{}: good ({upstreams} upstreams, {tiers} tiers, {routes} routes)",
                file.display()
            ))
        }
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
