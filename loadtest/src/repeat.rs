//! `sweep`: scenarios at several overload factors.

use std::process::ExitCode;

use floodgate_loadtest::sweep::{self, Drive, FACTORS};

use crate::{args::SweepArgs, show::say};

pub(crate) fn run(args: &SweepArgs) -> Result<ExitCode, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("this program is not found ({error})"))?;
    let factors = if args.factors.is_empty() { FACTORS.to_vec() } else { args.factors.clone() };
    let drive = Drive {
        program,
        scenarios: args.scenarios.clone(),
        targets: args.targets.clone(),
        factors,
        folder: args.report.clone(),
        arguments: args.arguments.clone(),
    };
    let swept = sweep::run(&drive, |target, point| {
        say(&format!("{} at {}x done\n", target.name, point.overload));
    })
    .map_err(|error| format!("the sweep ended early ({error})"))?;
    let page = args.report.join("sweep.html");
    say(&format!("\n{}\n{}\n", swept.markdown(), page.display()));
    Ok(if swept.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
