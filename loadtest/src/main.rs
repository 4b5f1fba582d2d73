//! `floodgate-loadtest`: the origin and the open-loop generator from the command line.

mod args;
mod judge;
mod repeat;
mod show;
mod summary;
mod table;

use std::{net::ToSocketAddrs as _, process::ExitCode, sync::atomic::AtomicBool};

use clap::Parser as _;
use floodgate_loadtest::{
    descriptors, floor,
    load::{self, Phase, Plan, Template, Verdict},
    origin::{Freeze, Origin, OriginConfig},
};

use args::{Args, Command, FloorArgs, LoadArgs, OriginArgs};
use summary::Summary;

fn main() -> ExitCode {
    let args = Args::parse();
    descriptors::prepare();
    let outcome = match args.command {
        Command::Floor(args) => run_floor(&args),
        Command::Load(args) => run_load(&args),
        Command::Origin(args) => run_origin(args),
        Command::Report(args) => show::run(&args),
        Command::Run(args) => judge::run(&args),
        Command::Sweep(args) => repeat::run(&args),
    };
    outcome.unwrap_or_else(|problem| {
        eprintln!("error: {problem}");
        ExitCode::from(2)
    })
}

/// Refuses until the process is killed.
fn run_floor(args: &FloorArgs) -> Result<ExitCode, String> {
    let unusable = |error| format!("the floor cannot run on {} ({error})", args.listen);
    let mut listeners =
        floor::listen_shared(args.listen, args.workers.into()).map_err(unusable)?.into_iter();
    let Some(first) = listeners.next() else { return Ok(ExitCode::SUCCESS) };
    println!("floor listens on {}", first.local_addr().map_err(unusable)?);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for listener in listeners {
            scope.spawn(|| floor::serve(listener, &stop));
        }
        floor::serve(first, &stop)
    })
    .map_err(unusable)?;
    Ok(ExitCode::SUCCESS)
}

/// Offers the load and prints the tables; a failure when the verdict is one.
fn run_load(args: &LoadArgs) -> Result<ExitCode, String> {
    let plan = plan_of(args)?;
    let target = plan.target;
    let mut run = load::start(plan).map_err(|error| error.to_string())?;
    if !args.json {
        println!("{}", table::SECOND_HEAD);
    }
    while let Some(second) = run.next_second() {
        if !args.json {
            print!("{}", table::second(&second));
        }
    }
    let report = run.finish();
    if args.json {
        let json = serde_json::to_string(&Summary::of(&report));
        println!("{}", json.map_err(|error| error.to_string())?);
    } else {
        print!("\n{}", table::report(&report, target));
    }
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
        let (method, target) = path.split_once(' ').unwrap_or((&args.method, path));
        let template = Template::new(path, method, target).body(args.body.as_str());
        plan = plan.template(
            args.headers
                .iter()
                .fold(template, |template, (name, value)| template.header(name, value)),
        );
    }
    for (name, duration) in [("warm-up", args.warm_up()), ("load", args.duration())] {
        if name == "warm-up" && duration.is_zero() {
            continue;
        }
        let phase = Phase::new(name, duration, args.rate, args.mix());
        plan = plan.phase(if args.poisson { phase.poisson() } else { phase });
    }
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
        faults: args.faults,
        idempotent: !args.not_idempotent,
        seed: args.seed,
        service_time: args.service_time,
        service_times: args.service_times,
        slowdown: args.slowdown,
        stock: args.stock,
        workers: args.workers,
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
