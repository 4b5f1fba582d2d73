//! `floodgate run --config FILE`.

use std::path::Path;
use std::process::ExitCode;

use floodgate_config::LoadError;
use floodgate_gateway::gateway::Gateway;
use tracing_subscriber::EnvFilter;

use super::{complain, say, signals};

/// Runs the gateway until it is told to stop.
pub(super) fn run(file: &Path, print_addresses: bool) -> ExitCode {
    let loaded = match floodgate_config::load(file) {
        Ok(loaded) => loaded,
        Err(LoadError::Problems(problems)) => {
            return complain(&format!("{} cannot be used:\n\n{problems}", file.display()));
        }
        Err(error) => return complain(&error.to_string()),
    };
    log_to_stderr(&loaded.config.server.log);
    if !loaded.warnings.is_empty() {
        tracing::warn!(warnings = %loaded.warnings, "the configuration is probably not what was meant");
    }
    match Gateway::start(loaded.config) {
        Ok(gateway) => {
            if print_addresses {
                say(&format!("listening {} admin {}", gateway.listen(), gateway.admin()));
            }
            signals::wait(gateway)
        }
        Err(sentence) => complain(&sentence),
    }
}

/// One JSON object a line. A panic is a line, too.
fn log_to_stderr(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, message, "panic; the request it happened in has ended");
    }));
}
