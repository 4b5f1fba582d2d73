//! `report`: draws what was recorded, anew or beside each other.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use floodgate_loadtest::{report, sweep::Sweep};

use crate::args::ReportArgs;

pub(crate) fn run(args: &ReportArgs) -> Result<ExitCode, String> {
    let unreadable = |path: &Path, error| {
        format!("{} cannot be read ({error}); use a report.json or sweep.json", path.display())
    };
    let unwritable = |error| format!("{} cannot be written ({error})", args.out.display());
    if let [path] = args.records.as_slice()
        && path.file_name().is_some_and(|name| name == "sweep.json")
    {
        let sweep = Sweep::read(path).map_err(|error| unreadable(path, error))?;
        sweep.write(path.parent().unwrap_or(Path::new("."))).map_err(unwritable)?;
        say(&sweep.markdown());
        return Ok(ExitCode::SUCCESS);
    }
    let mut records = Vec::new();
    for path in &args.records {
        records.push(report::read(path).map_err(|error| unreadable(path, error))?);
    }
    let (page, table) = match records.as_slice() {
        [one] => (report::page(one), report::table(one)),
        several => (report::comparison(several), String::new()),
    };
    fs::write(&args.out, page).map_err(unwritable)?;
    say(&format!("{table}{}\n", args.out.display()));
    Ok(ExitCode::SUCCESS)
}

/// A reader that has gone, as `head` does, is no failure.
pub(crate) fn say(text: &str) {
    drop(io::stdout().write_all(text.as_bytes()));
}
