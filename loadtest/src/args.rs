//! What can be said on the command line.

use std::{net::SocketAddr, time::Duration};

use clap::{Parser, Subcommand};
use floodgate_loadtest::origin::ServiceTime;

/// Open-loop load tests, and an origin that counts what reaches it.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Offer load at a fixed rate, whatever the answers, and print what came of it.
    Load(LoadArgs),
    /// Run a stand-in checkout service until interrupted, then print what it saw.
    Origin(OriginArgs),
}

#[derive(Debug, Parser)]
pub(crate) struct LoadArgs {
    /// Where to: HOST:PORT.
    #[arg(long)]
    pub(crate) target: String,
    /// Arrivals per second.
    #[arg(long)]
    pub(crate) rate: f64,
    /// How long, at most 600.
    #[arg(long)]
    pub(crate) seconds: f64,
    /// What to ask for; several share the load evenly and are told apart in the tables.
    #[arg(long = "path", default_value = "/")]
    pub(crate) paths: Vec<String>,
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,
    /// NAME: VALUE; may be repeated.
    #[arg(long = "header", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    #[arg(long, default_value = "")]
    pub(crate) body: String,
    /// Random arrivals instead of evenly spaced ones.
    #[arg(long)]
    pub(crate) poisson: bool,
    /// Most connections at once.
    #[arg(long, default_value_t = 512)]
    pub(crate) connections: usize,
    /// Generator threads.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Patience, from the intended start to the last byte.
    #[arg(long, default_value = "10s")]
    pub(crate) timeout: humantime::Duration,
    /// Same seed, same schedule.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Allow a target that is not this machine.
    #[arg(long)]
    pub(crate) foreign_target: bool,
}

#[derive(Debug, Parser)]
pub(crate) struct OriginArgs {
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Requests at once above which a request counts as over the limit. Nothing is refused.
    #[arg(long)]
    pub(crate) limit: Option<usize>,
    /// 5ms, 2ms..8ms (evenly spread) or exp:5ms (exponential, by its mean).
    #[arg(long, default_value = "0ms")]
    pub(crate) service_time: ServiceTime,
    /// PREFIX=TIME for paths that begin so; may be repeated.
    #[arg(long = "service-time-for", value_parser = service_time_for)]
    pub(crate) service_times: Vec<(String, ServiceTime)>,
    #[arg(long, default_value_t = 16)]
    pub(crate) body_bytes: usize,
    /// NAME: VALUE on every answer; may be repeated.
    #[arg(long = "header", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// Hold every answer back once, for this long.
    #[arg(long)]
    pub(crate) freeze: Option<humantime::Duration>,
    /// How many requests come before the freeze.
    #[arg(long, default_value_t = 0)]
    pub(crate) freeze_after: u64,
    /// Seed of the random service times.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

// === impl LoadArgs ===

impl LoadArgs {
    /// What cannot be a duration becomes one that the plan refuses.
    pub(crate) fn duration(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or(Duration::MAX)
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn service_time_for(text: &str) -> Result<(String, ServiceTime), String> {
    let (prefix, time) = text.split_once('=').ok_or("write PREFIX=TIME")?;
    let time = time.parse::<ServiceTime>().map_err(|error| error.to_string())?;
    Ok((prefix.to_owned(), time))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn odd_durations_are_refused_by_the_plan_and_do_not_panic() {
        for seconds in ["-1", "nan", "1e300"] {
            let args = Args::parse_from([
                "x",
                "load",
                "--target=127.0.0.1:1",
                "--rate=1",
                &format!("--seconds={seconds}"),
            ]);
            let Command::Load(args) = args.command else { panic!("{args:?}") };
            assert_eq!(args.duration(), Duration::MAX);
        }
    }
}
