//! Arguments and exit codes: 0 good, 1 the check or the demonstration failed, 2 it could not be done.

mod check;
mod demo;
mod run;
mod signals;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use floodgate_gateway::demo::Scenario;
use floodgate_gateway::gateway;

/// Floodgate: a flash-sale admission gateway.
///
/// It stands in front of checkout services and refuses, in microseconds, what they cannot serve,
/// the least important first.
#[derive(Debug, Parser)]
#[command(name = "floodgate", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration: exit 0 if it is good, 1 with all problems if it is not
    Check {
        /// The configuration
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print every value with where it came from, and what follows from it
        #[arg(long)]
        explain: bool,
        /// With --explain: how long the services take for a request, such as 50ms
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, requires = "explain")]
        service_time: Option<std::time::Duration>,
    },
    /// Show a flash sale: an origin, the gateway and a storm in this process; exit 1 if something failed
    Demo {
        /// Length of each of the four phases
        #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=i64::from(Scenario::MAX_SECONDS)))]
        seconds_per_phase: u32,
        /// Stay up afterwards until Ctrl-C
        #[arg(long)]
        serve: bool,
        /// Five seconds in all, at two fifths of the rate
        #[arg(long, hide = true, conflicts_with = "seconds_per_phase")]
        short: bool,
    },
    /// Print a new key, as a journey's `keys` names them
    ///
    /// Put it into a file that only the gateway's user can read:
    ///
    ///   (umask 077; floodgate key > grant.keys)
    ///
    /// A key file has a key a line. The first signs, what either of two has signed is good. Every gateway has the
    /// same file, and reads it again within a few seconds. To change the key without anybody losing a grant:
    ///
    ///   1. append a new one as the second line:    floodgate key >> grant.keys
    ///   2. when every gateway has read that, swap the two lines: the new one signs
    ///   3. after the journey's `ttl`, remove the old one
    ///
    /// Each gateway says on its log when the keys have changed, and tells in /api/status how many it has. Keys
    /// from the environment are read at the start only.
    #[command(verbatim_doc_comment)]
    Key,
    /// Run the gateway until it is told to stop (SIGTERM or SIGINT drain, a second one stops at once)
    Run {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// A second configuration that is evaluated beside it and decides nothing
        #[arg(long, value_name = "FILE")]
        shadow: Option<PathBuf>,
        /// Print "listening ADDRESS admin ADDRESS" to standard output once ready
        #[arg(long)]
        print_addresses: bool,
    },
    /// Print the JSON Schema of the configuration
    Schema,
}

// === impl Cli ===

impl Cli {
    pub(crate) fn run(self) -> ExitCode {
        match self.command {
            Command::Check { file, json, explain, service_time } => {
                check::check(&file, json, check::Explain { everything: explain, service_time })
            }
            Command::Demo { seconds_per_phase, serve, short } => {
                let scenario =
                    if short { Scenario::short() } else { Scenario::new(seconds_per_phase) };
                demo::demo(&scenario, serve)
            }
            Command::Key => match gateway::new_key() {
                Ok(key) => say(&key),
                Err(sentence) => complain(&sentence),
            },
            Command::Run { config, shadow, print_addresses } => {
                run::run(&config, shadow.as_deref(), print_addresses)
            }
            Command::Schema => say(&format!("{:#}", floodgate_config::schema())),
        }
    }
}

/// Prints a line to standard output. A reader that has gone away is no error of ours.
fn say(line: &str) -> ExitCode {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => complain(&error.to_string()),
        _ => ExitCode::SUCCESS,
    }
}

/// Prints one sentence to standard error; what was asked for cannot be done.
fn complain(sentence: &str) -> ExitCode {
    let _nobody_to_tell = writeln!(io::stderr().lock(), "floodgate: {sentence}");
    ExitCode::from(2)
}
