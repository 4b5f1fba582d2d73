//! Runs the runs, one after the other.

use std::{
    io,
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

use super::{
    FORMAT, Point, Scene, Series, Sweep,
    started::Started,
    target::{Place, Target},
};

/// Between two runs: what the last one left behind may settle.
const PAUSE: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Clone, Debug)]
pub struct Drive {
    /// The program with a verb `run`; usually this one.
    pub program: PathBuf,
    /// The scenarios, as `run` takes them.
    pub scenarios: Vec<String>,
    /// Whom to judge.
    pub targets: Vec<Target>,
    /// Overload factors.
    pub factors: Vec<f64>,
    /// Where the reports go.
    pub folder: PathBuf,
    /// More for `run`, as it stands.
    pub arguments: Vec<String>,
}

/// Runs every factor of every scenario against every target, the targets taking turns, and tells
/// `seen` of each.
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
    if drive.targets.is_empty() || drive.scenarios.is_empty() {
        return Err(io::Error::other("there is no target or no scenario"));
    }
    let series = |target: &Target| Series { target: target.name.clone(), points: Vec::new() };
    let scene = |scenario: &String| Scene {
        scenario: scenario.clone(),
        series: drive.targets.iter().map(series).collect(),
        ..Scene::default()
    };
    let mut sweep = Sweep {
        format: FORMAT,
        command: machine::command(),
        commit: machine::commit(),
        started_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        machine: Machine::here(),
        scenes: drive.scenarios.iter().map(scene).collect(),
    };
    let mut is_first = true;
    for factor in factors {
        for (scenario, scene) in drive.scenarios.iter().zip(&mut sweep.scenes) {
            for (target, series) in drive.targets.iter().zip(&mut scene.series) {
                if !is_first {
                    pause();
                }
                is_first = false;
                let name = folder_name(scenario, &target.name, factor);
                let point = match one(drive, scenario, target, factor, &drive.folder.join(&name)) {
                    Ok(record) => {
                        scene.scenario.clone_from(&record.meta.scenario);
                        scene.about.clone_from(&record.meta.about);
                        Point::new(factor, &name, &record)
                    }
                    Err(problem) => Point::failed(factor, &name, problem.to_string()),
                };
                seen(target, &point);
                series.points.push(point);
            }
        }
        // What there is by now, if the sweep is ended early.
        sweep.write(&drive.folder)?;
    }
    Ok(sweep)
}

/// One run; that its verdict is a failure is no error here.
fn one(
    drive: &Drive,
    scenario: &str,
    target: &Target,
    factor: f64,
    folder: &Path,
) -> io::Result<Record> {
    // An earlier report must not be taken for this one's.
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let started;
    let (address, admin) = match &target.place {
        Place::At { address, admin } => (address, *admin),
        Place::Command(command) => {
            started = Started::new(command)?;
            (&started.address, started.admin)
        }
    };
    let status = Command::new(&drive.program)
        .arg("run")
        .arg(scenario)
        .args(["--target", address, "--name", &target.name])
        .args(["--overload", &factor.to_string()])
        .args(admin.iter().flat_map(|admin| ["--admin".to_owned(), admin.to_string()]))
        .arg("--report")
        .arg(folder)
        .args(&drive.arguments)
        .status()?;
    report::read(folder).map_err(|error| {
        io::Error::other(format!("the run ended with {status} and left no report ({error})"))
    })
}

/// `sweep-floodgate-x10`; only what is harmless in a path.
fn folder_name(scenario: &str, target: &str, factor: f64) -> String {
    let harmless = |char: char| if char.is_ascii_alphanumeric() { char } else { '-' };
    let part = |text: &str| text.chars().take(40).map(harmless).collect::<String>();
    let scenario = Path::new(scenario).file_stem().unwrap_or_default().to_string_lossy();
    format!("{}-{}-x{factor}", part(&scenario), part(target))
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
            scenarios: vec!["t1".to_owned()],
            targets: vec!["a=127.0.0.1:1".parse().unwrap()],
            factors: factors.to_vec(),
            folder,
            arguments: Vec::new(),
        }
    }

    #[test]
    fn folders_are_harmless() {
        assert_eq!(folder_name("a/sweep.toml", "../a:1", 2.5), "sweep----a-1-x2.5");
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
        let problem = sweep.scenes[0].series[0].points[0].problem.clone().unwrap();
        assert!(problem.contains("left no report"), "{problem}");
        assert_eq!(seen, 1);
        for name in ["sweep.json", "sweep.html", "sweep.svg"] {
            assert!(drive.folder.join(name).exists(), "{name}");
        }
        std::fs::remove_dir_all(&drive.folder).unwrap();
    }
}
