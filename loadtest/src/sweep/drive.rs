//! Runs the runs, one after the other.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    machine,
    record::{Machine, Record},
    report,
};

use super::{FORMAT, Point, Series, Sweep};

/// Between two runs: what the last one left behind may settle.
const PAUSE: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Clone, Debug)]
pub struct Drive {
    /// The program with a verb `run`; usually this one.
    pub program: PathBuf,
    /// The scenario, as `run` takes it.
    pub scenario: String,
    /// Whom to judge.
    pub targets: Vec<Target>,
    /// Overload factors.
    pub factors: Vec<f64>,
    /// Where the reports go.
    pub folder: PathBuf,
    /// More for `run`, as it stands.
    pub arguments: Vec<String>,
}

/// One of those to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it stands in tables and folders.
    pub name: String,
    /// HOST:PORT.
    pub address: String,
    /// Its admin listener, so that its own counts are compared with ours.
    pub admin: Option<SocketAddr>,
}

// === impl Target ===

impl std::str::FromStr for Target {
    type Err = String;

    /// `NAME=HOST:PORT`, or `HOST:PORT` alone; then `,admin=HOST:PORT` if it has one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (text, admin) = match text.split_once(",admin=") {
            Some((text, admin)) => {
                let unusable = |_| format!("{admin:?} is no address; write admin=127.0.0.1:9090");
                (text, Some(admin.parse().map_err(unusable)?))
            }
            None => (text, None),
        };
        let (name, address) = text.split_once('=').unwrap_or((text, text));
        let name = name.trim_start_matches("http://");
        if name.is_empty() || address.is_empty() {
            return Err("write NAME=HOST:PORT or HOST:PORT, then ,admin=HOST:PORT".to_owned());
        }
        Ok(Self { name: name.to_owned(), address: address.to_owned(), admin })
    }
}

/// Runs every factor against every target, the targets taking turns, and tells `seen` of each.
///
/// # Errors
/// A factor is not positive, a target is missing, or the reports cannot be written. A run that
/// fails is a [`Point`] with a problem.
pub fn run(drive: &Drive, mut seen: impl FnMut(&Target, &Point)) -> io::Result<Sweep> {
    let mut factors = drive.factors.clone();
    factors.sort_by(f64::total_cmp);
    factors.dedup();
    if factors.is_empty() || !factors.iter().all(|factor| factor.is_finite() && *factor > 0.0) {
        return Err(io::Error::other("factors are positive numbers; at least one is needed"));
    }
    if drive.targets.is_empty() {
        return Err(io::Error::other("there is no target"));
    }
    let series = |target: &Target| Series { target: target.name.clone(), points: Vec::new() };
    let mut sweep = Sweep {
        format: FORMAT,
        scenario: drive.scenario.clone(),
        command: machine::command(),
        commit: machine::commit(),
        started_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        machine: Machine::here(),
        series: drive.targets.iter().map(series).collect(),
        ..Sweep::default()
    };
    let mut is_first = true;
    for factor in factors {
        for (target, series) in drive.targets.iter().zip(&mut sweep.series) {
            if !is_first {
                pause();
            }
            is_first = false;
            let name = folder_name(&target.name, factor);
            let point = match one(drive, target, factor, &drive.folder.join(&name)) {
                Ok(record) => {
                    sweep.scenario.clone_from(&record.meta.scenario);
                    sweep.about.clone_from(&record.meta.about);
                    Point::new(factor, &name, &record)
                }
                Err(problem) => Point::failed(factor, &name, problem.to_string()),
            };
            seen(target, &point);
            series.points.push(point);
        }
    }
    sweep.write(&drive.folder)?;
    Ok(sweep)
}

/// One run; that its verdict is a failure is no error here.
fn one(drive: &Drive, target: &Target, factor: f64, folder: &Path) -> io::Result<Record> {
    // An earlier report must not be taken for this one's.
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let status = Command::new(&drive.program)
        .arg("run")
        .arg(&drive.scenario)
        .args(["--target", &target.address, "--name", &target.name])
        .args(["--overload", &factor.to_string()])
        .args(target.admin.iter().flat_map(|admin| ["--admin".to_owned(), admin.to_string()]))
        .arg("--report")
        .arg(folder)
        .args(&drive.arguments)
        .status()?;
    report::read(folder).map_err(|error| {
        io::Error::other(format!("the run ended with {status} and left no report ({error})"))
    })
}

/// `floodgate-x10`; only what is harmless in a path.
fn folder_name(target: &str, factor: f64) -> String {
    let harmless = |char: char| if char.is_ascii_alphanumeric() { char } else { '-' };
    format!("{}-x{factor}", target.chars().take(40).map(harmless).collect::<String>())
}

fn pause() {
    let end = Instant::now() + PAUSE;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|it| !it.is_zero()) {
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive(program: &str, factors: &[f64]) -> Drive {
        let folder = std::env::temp_dir().join(format!("floodgate-sweep-{}", std::process::id()));
        Drive {
            program: program.into(),
            scenario: "t1".to_owned(),
            targets: vec!["a=127.0.0.1:1".parse().unwrap()],
            factors: factors.to_vec(),
            folder,
            arguments: Vec::new(),
        }
    }

    #[test]
    fn targets_have_names() {
        let target: Target = "nginx=127.0.0.1:80".parse().unwrap();
        assert_eq!((target.name.as_str(), target.address.as_str()), ("nginx", "127.0.0.1:80"));
        let target: Target = "http://127.0.0.1:80".parse().unwrap();
        assert_eq!(target.name, "127.0.0.1:80");
        assert_eq!(target.admin, None);
        let target: Target = "a=127.0.0.1:80,admin=127.0.0.1:90".parse().unwrap();
        assert_eq!((target.address.as_str(), target.admin.unwrap().port()), ("127.0.0.1:80", 90));
        for odd in ["=x", "a=127.0.0.1:80,admin=", "a=127.0.0.1:80,admin=9090"] {
            assert!(odd.parse::<Target>().is_err(), "{odd}");
        }
        assert_eq!(folder_name("../a:1", 2.5), "---a-1-x2.5");
    }

    #[test]
    fn odd_factors_are_refused() {
        for factors in [&[][..], &[0.0], &[-1.0], &[f64::NAN], &[f64::INFINITY]] {
            assert!(run(&drive("true", factors), |_, _| {}).is_err(), "{factors:?}");
        }
    }

    #[test]
    fn a_run_that_leaves_no_report_is_a_point_with_a_problem() {
        let drive = drive("true", &[1.0]);
        let mut seen = 0;
        let sweep = run(&drive, |_, _| seen += 1).unwrap();
        let problem = sweep.series[0].points[0].problem.clone().unwrap();
        assert!(problem.contains("left no report"), "{problem}");
        assert_eq!(seen, 1);
        for name in ["sweep.json", "sweep.html", "sweep.svg"] {
            assert!(drive.folder.join(name).exists(), "{name}");
        }
        std::fs::remove_dir_all(&drive.folder).unwrap();
    }
}
