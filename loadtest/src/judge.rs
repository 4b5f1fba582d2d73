//! `run`: one scenario against one target, judged.

use std::{net::ToSocketAddrs as _, path::Path, process::ExitCode};

use floodgate_loadtest::{
    report,
    run::{self, Options},
    scenario::Scenario,
};

use crate::args::RunArgs;

/// Where the token of the admin listener is looked for.
const TOKEN: &str = "FLOODGATE_ADMIN_TOKEN";

/// The target that means: no gateway.
const ORIGIN: &str = "origin";

pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, String> {
    let scenario = find(&args.scenario)?;
    let options = options(args)?;
    if let Some(reason) = run::skipped(&scenario, &options) {
        println!("{reason}");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}: {}", scenario.name, scenario.about);
    let mut prepared = run::prepare(&scenario, options)?;
    if args.target == ORIGIN {
        prepared = prepared.without_gateway();
    }
    println!("origin listens on {}; {} has to forward to it", prepared.origin(), args.target);
    let mut progress =
        report::Progress::stdout(prepared.longest()).with_gateway(args.admin.is_some());
    let record = prepared.go(&mut |row| progress.second(row))?;
    progress.end();
    print!("{}", report::table(&record));
    if let Some(folder) = &args.report {
        let written = report::write(&record, folder);
        let [json, html] = written.map_err(|error| {
            format!("the report cannot be written to {} ({error})", folder.display())
        })?;
        println!("\n{}\n{}", json.display(), html.display());
    }
    Ok(if record.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A file, or one of the scenarios that are built in.
fn find(name: &str) -> Result<Scenario, String> {
    let path = Path::new(name);
    if !path.exists() && path.components().count() == 1 {
        let built_in = Scenario::built_in(name.trim_end_matches(".toml"));
        return built_in.ok_or_else(|| {
            let names: Vec<_> = Scenario::NAMES.to_vec();
            format!("{name} is no file; the built-in scenarios are {}", names.join(", "))
        });
    }
    Scenario::load(path).map_err(|error| error.to_string())
}

fn options(args: &RunArgs) -> Result<Options, String> {
    let no_gateway = if args.target == ORIGIN { Some("127.0.0.1:0") } else { None };
    let target = args.target.trim_start_matches("http://").trim_end_matches('/');
    let unusable = || format!("{:?} is no target; use HOST:PORT", args.target);
    let address = no_gateway
        .unwrap_or(target)
        .to_socket_addrs()
        .map_err(|_| unusable())?
        .next()
        .ok_or_else(unusable)?;
    if !address.ip().is_loopback() && !args.foreign_target {
        return Err(format!(
            "{address} is not this machine; add --foreign-target if it is yours to load"
        ));
    }
    Ok(Options {
        target_name: args.name.clone().unwrap_or_else(|| target.to_owned()),
        admin: args.admin,
        admin_token: std::env::var(TOKEN).ok(),
        scale: args.scale,
        overload: args.overload,
        seed: args.seed,
        honour: args.honour,
        has: args.has.clone(),
        origin: args.origin,
        gateway_pid: args.gateway_pid,
        ..Options::new(address)
    })
}
