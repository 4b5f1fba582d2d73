//! What can be said on the command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use floodgate_loadtest::{
    origin::{Fault, ServiceTime},
    scenario::Need,
    sweep::Target,
};

/// Open-loop load tests, and an origin that counts what reaches it.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Refuse every request with the least effort possible, to compare gateways with; until killed.
    Floor(FloorArgs),
    /// Offer load at a fixed rate, whatever the answers, and print what came of it.
    Load(LoadArgs),
    /// Run a stand-in checkout service until interrupted, then print what it saw.
    Origin(OriginArgs),
    /// Draw what was recorded: one report.json or sweep.json again, or several reports beside each
    /// other.
    Report(ReportArgs),
    /// Run a scenario: its origin, its customers, and whether what it expects holds.
    Run(RunArgs),
    /// Run scenarios at several overload factors and draw what is left of the goodput.
    Sweep(SweepArgs),
}

#[derive(Debug, Parser)]
pub(crate) struct RunArgs {
    /// A scenario file, or the name of one that is built in.
    pub(crate) scenario: String,
    /// What is judged: HOST:PORT, or `origin` to see how it is without a gateway.
    #[arg(long)]
    pub(crate) target: String,
    /// The gateway's admin listener, to see what it says of itself; FLOODGATE_ADMIN_TOKEN is sent.
    #[arg(long)]
    pub(crate) admin: Option<SocketAddr>,
    /// Folder for report.json and report.html.
    #[arg(long)]
    pub(crate) report: Option<PathBuf>,
    /// The factor on rates, people, connections, stock and capacity; times stay as they are.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) scale: f64,
    /// The factor on offered load alone.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) overload: f64,
    /// Instead of the scenario's: same seed, same schedule.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Share of customers, 0 to 1, who come back when Retry-After says so, instead of the scenario's.
    #[arg(long)]
    pub(crate) honour: Option<f64>,
    /// What the target can do, so that what needs it is judged: durable, grants, latch, once, tenants.
    #[arg(long, value_delimiter = ',')]
    pub(crate) has: Vec<Need>,
    /// Where the origin listens instead of the scenario's address; port 0 lets the system choose.
    #[arg(long)]
    pub(crate) origin: Option<SocketAddr>,
    /// The gateway's process, to see how hard it worked; found by its port without.
    #[arg(long)]
    pub(crate) gateway_pid: Option<u32>,
    /// How the target is called in reports.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Allow a target that is not this machine.
    #[arg(long)]
    pub(crate) foreign_target: bool,
}

#[derive(Debug, Parser)]
pub(crate) struct SweepArgs {
    /// The scenarios, as `run` takes them.
    #[arg(required = true)]
    pub(crate) scenarios: Vec<String>,
    /// NAME=HOST:PORT or HOST:PORT; several take turns. `,admin=HOST:PORT` behind it names the
    /// gateway's admin listener, as `run --admin` does. NAME=exec:COMMAND is started for each run and
    /// ended behind it; it has to print `listening HOST:PORT`, and ` admin HOST:PORT` if it has one.
    #[arg(long = "target", required = true)]
    pub(crate) targets: Vec<Target>,
    /// Factors on offered load, separated by commas; without it 1,2,5,10,20,50.
    #[arg(long, value_delimiter = ',')]
    pub(crate) factors: Vec<f64>,
    /// Folder of the reports.
    #[arg(long, default_value = "sweep")]
    pub(crate) report: PathBuf,
    /// After `--`: more for `run`, as it stands.
    #[arg(last = true)]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Parser)]
pub(crate) struct ReportArgs {
    /// Files report.json, or the folders they are in; or one sweep.json.
    #[arg(required = true)]
    pub(crate) records: Vec<PathBuf>,
    /// The page to write; a sweep's files are written beside its sweep.json.
    #[arg(long, default_value = "report.html")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Parser)]
pub(crate) struct FloorArgs {
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Threads that refuse, each with a listener of its own, up to 64.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) workers: u8,
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
    /// What to ask for, as /PATH or "METHOD /PATH"; several share the load and are told apart in
    /// the tables.
    #[arg(long = "path", default_value = "/")]
    pub(crate) paths: Vec<String>,
    /// Share of the path in the same place; once per path. Without it all shares are equal.
    #[arg(long = "weight")]
    pub(crate) weights: Vec<u32>,
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,
    /// NAME: VALUE; may be repeated.
    #[arg(long = "header", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    #[arg(long, default_value = "")]
    pub(crate) body: String,
    /// Seconds of the same load before those that --json reports.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) warm_up: f64,
    /// Print one JSON object at the end instead of the tables; latencies in microseconds.
    #[arg(long)]
    pub(crate) json: bool,
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
    /// Requests worked on at once; the others wait in line.
    #[arg(long)]
    pub(crate) workers: Option<usize>,
    /// By how much a service time grows for each `workers` requests that wait.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) slowdown: f64,
    /// SKU=UNITS: trade, with stock that falls; may be repeated.
    #[arg(long, value_parser = stock)]
    pub(crate) stock: Vec<(String, u64)>,
    /// Take repeated orders and payments for new ones, whatever their idempotency key says.
    #[arg(long)]
    pub(crate) not_idempotent: bool,
    /// AT+LASTING=KIND[@SHARE], such as 5s+3s=freeze, 1s+2s=down or 1s+10s=503@0.2.
    #[arg(long = "fault")]
    pub(crate) faults: Vec<Fault>,
    /// Seed of the random service times and faults.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

// === impl LoadArgs ===

impl LoadArgs {
    pub(crate) fn duration(&self) -> Duration {
        duration(self.seconds)
    }

    pub(crate) fn warm_up(&self) -> Duration {
        duration(self.warm_up)
    }

    /// One weight per path.
    pub(crate) fn mix(&self) -> Vec<u32> {
        if self.weights.is_empty() { vec![1; self.paths.len()] } else { self.weights.clone() }
    }
}

/// What cannot be a duration becomes one that the plan refuses.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn stock(text: &str) -> Result<(String, u64), String> {
    let (sku, units) = text.split_once('=').ok_or("write SKU=UNITS")?;
    Ok((sku.to_owned(), units.parse().map_err(|_| "write SKU=UNITS")?))
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
