//! `floodgate-loadtest`: the origin and the open-loop generator from the command line.

mod args;
mod table;

use std::{net::ToSocketAddrs as _, process::ExitCode};

use clap::Parser as _;
use floodgate_loadtest::{
    load::{self, Phase, Plan, Template, Verdict},
    origin::{Freeze, Origin, OriginConfig},
};

use args::{Args, Command, LoadArgs, OriginArgs};

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Load(args) => run_load(&args),
        Command::Origin(args) => run_origin(args),
    };
    outcome.unwrap_or_else(|problem| {
        eprintln!("error: {problem}");
        ExitCode::from(2)
    })
}

/// Offers the load and prints the tables; a failure when the verdict is one.
fn run_load(args: &LoadArgs) -> Result<ExitCode, String> {
    let plan = plan_of(args)?;
    let target = plan.target;
    let mut run = load::start(plan).map_err(|error| error.to_string())?;
    println!("{}", table::SECOND_HEAD);
    while let Some(second) = run.next_second() {
        print!("{}", table::second(&second));
    }
    let report = run.finish();
    print!("\n{}", table::report(&report, target));
    Ok(if report.verdict() == Verdict::Pass { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan_of(args: &LoadArgs) -> Result<Plan, String> {
    let target = args.target.trim_start_matches("http://").trim_end_matches('/');
    let unusable = || format!("{:?} is no target; use HOST:PORT", args.target);
    let target = target.to_socket_addrs().map_err(|_| unusable())?.next().ok_or_else(unusable)?;
    if !target.ip().is_loopback() && !args.foreign_target {
        return Err(format!(
            "{target} is not this machine; add --foreign-target if it is yours to load"
        ));
    }
    let mut plan = Plan::new(target);
    for path in &args.paths {
        let template = Template::new(path, &args.method, path).body(args.body.as_str());
        plan = plan.template(
            args.headers
                .iter()
                .fold(template, |template, (name, value)| template.header(name, value)),
        );
    }
    let mut phase = Phase::new("load", args.duration(), args.rate, vec![1; args.paths.len()]);
    if args.poisson {
        phase = phase.poisson();
    }
    plan = plan.phase(phase);
    plan.connections = args.connections;
    plan.seed = args.seed;
    plan.threads = args.threads;
    plan.timeout = args.timeout.into();
    Ok(plan)
}

/// Runs an origin until it is interrupted, then prints what it saw.
fn run_origin(args: OriginArgs) -> Result<ExitCode, String> {
    let listen = args.listen;
    let config = OriginConfig {
        body_bytes: args.body_bytes,
        concurrency_limit: args.limit.unwrap_or(usize::MAX),
        freeze: args
            .freeze
            .map(|time| Freeze { after_requests: args.freeze_after, lasting: time.into() }),
        headers: args.headers,
        seed: args.seed,
        service_time: args.service_time,
        service_times: args.service_times,
    };
    let origin = Origin::builder().listen(listen).config(config).start().map_err(|error| {
        format!("the origin cannot run on {listen} ({error}); try --listen 127.0.0.1:0")
    })?;
    println!("origin listens on {}; counts at http://{0}/__origin/stats", origin.addr());
    wait_for_interrupt().map_err(|error| format!("signals cannot be waited for: {error}"))?;
    let stats = serde_json::to_string_pretty(&origin.stats()).map_err(|error| error.to_string())?;
    println!("{stats}");
    Ok(ExitCode::SUCCESS)
}

fn wait_for_interrupt() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    })
}
