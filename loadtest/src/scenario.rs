//! Scenario files: who comes, what serves them, what goes wrong, and what must hold.
//!
//! ```text
//! file ─> toml with places ─> Reader (all mistakes at once) ─> Scenario ─> scaled ─> run
//! ```
//!
//! One factor scales a scenario: rates, customers, bots, connections, stock and capacity together,
//! times not at all. So the ratios that make a sale what it is stay as they are.

mod built_in;
mod customers;
mod expect;
mod need;
mod read;
mod reader;
mod suggest;

pub use customers::{BotPlan, Customers, Nuisances};
pub use expect::{Bound, Expect, Measure};
pub use need::Need;
pub(crate) use need::missing;
pub use reader::Problem;

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    load::Curve,
    origin::{Fault, OriginConfig, ServiceTime},
};

/// Largest scenario file, and largest recorded curve.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A scenario as it is meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The name of its file.
    pub name: String,
    /// What it is to show, in a sentence.
    pub about: String,
    /// What it cannot be run without.
    pub needs: Vec<Need>,
    /// Same seed, same schedule.
    pub seed: u64,
    /// How long load is offered.
    pub duration: Duration,
    /// How long customers may go on after it.
    pub tail: Duration,
    /// When the sale begins: measures count from here.
    pub begin: Duration,
    /// In order of priority.
    pub tiers: Vec<Tier>,
    /// What serves.
    pub origin: OriginSide,
    /// Who buys.
    pub customers: Option<Customers>,
    /// Who goes straight to the order.
    pub bots: Option<BotPlan>,
    /// Connections that behave badly.
    pub nuisances: Nuisances,
    /// Single requests, open loop.
    pub floods: Vec<Flood>,
    /// What must hold.
    pub expects: Vec<Expect>,
}

/// A class of service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// `l1`, `l2`, `l3`.
    pub name: String,
    /// What counts as in time, from the intended start; without one every success does.
    pub deadline: Option<Duration>,
}

/// The origin of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct OriginSide {
    /// Where the gateway's configuration expects it.
    pub listen: SocketAddr,
    /// Calls per second that it can serve (C).
    pub rate_per_s: f64,
    /// Calls that it works on at once.
    pub workers: usize,
    /// How service times vary around their mean.
    pub spread: Spread,
    /// See [`OriginConfig::slowdown`].
    pub slowdown: f64,
    /// See [`OriginConfig::idempotent`].
    pub idempotent: bool,
    /// Bytes of a plain answer.
    pub body_bytes: usize,
    /// Units by SKU.
    pub stock: Vec<(String, u64)>,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
}

/// How service times vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Exponential.
    Exponential,
    /// Not at all.
    Fixed,
    /// Evenly, from half to one and a half times the mean.
    Uniform,
}

/// Single requests at a rate of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Flood {
    /// Name in reports.
    pub name: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Index of the tier it is expected to be of.
    pub tier: usize,
    /// Requests per second, where the curve is 1.
    pub rate_per_s: f64,
    /// What the rate is multiplied with.
    pub curve: Curve,
    /// Random arrivals instead of evenly spaced ones.
    pub poisson: bool,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// Patience for an answer.
    pub timeout: Duration,
    /// Most connections.
    pub connections: usize,
    /// Share of requests, 0 to 1, after which the connection is closed.
    pub fresh_share: f64,
    /// Generator threads.
    pub threads: usize,
}

/// Why there is no scenario.
#[derive(Debug)]
pub enum ScenarioError {
    /// It was read and is wrong.
    Problems {
        /// The file.
        path: PathBuf,
        /// All that is wrong, in the order of the file.
        problems: Vec<Problem>,
    },
    /// It could not be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

// === impl Scenario ===

impl Scenario {
    /// Reads and checks a file; recorded curves are looked for beside it.
    ///
    /// # Errors
    /// It cannot be read, or all its mistakes.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let unreadable = |source| ScenarioError::Read { path: path.to_owned(), source };
        let text = read_text(path).map_err(unreadable)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&name, &text, folder)
            .map_err(|problems| ScenarioError::Problems { path: path.to_owned(), problems })
    }

    /// Reads and checks a text; recorded curves are looked for in `folder`.
    ///
    /// # Errors
    /// All its mistakes, in the order of the text.
    pub fn parse(name: &str, text: &str, folder: &Path) -> Result<Self, Vec<Problem>> {
        read::scenario(name, text, folder)
    }

    /// The same scenario with rates, people, connections, stock and capacity times `scale`, and
    /// offered load times `overload` on top. Times stay.
    #[must_use]
    pub fn scaled(&self, scale: f64, overload: f64) -> Self {
        let mut scaled = self.clone();
        let count = |number: usize| scale_count(number, scale);
        scaled.origin.rate_per_s *= scale;
        scaled.origin.workers = count(self.origin.workers).max(1);
        for (_, units) in &mut scaled.origin.stock {
            *units = (*units as f64 * scale).round().max(1.0) as u64;
        }
        if let Some(customers) = &mut scaled.customers {
            customers.rate_per_s *= scale * overload;
            customers.max_live = count(customers.max_live).max(64);
        }
        if let Some(bots) = &mut scaled.bots {
            bots.count = count(bots.count).max(1);
        }
        scaled.nuisances.slow_readers = count(self.nuisances.slow_readers);
        scaled.nuisances.unfinished_heads = count(self.nuisances.unfinished_heads);
        for flood in &mut scaled.floods {
            flood.rate_per_s *= scale * overload;
            flood.connections = count(flood.connections).max(flood.threads.max(8));
        }
        scaled
    }

    /// Longest time a run can take.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let floods = self.floods.iter().map(|flood| flood.timeout).max().unwrap_or_default();
        self.duration + if self.customers.is_some() { self.tail.max(floods) } else { floods }
    }
}

fn scale_count(count: usize, scale: f64) -> usize {
    (count as f64 * scale).round() as usize
}

// === impl OriginSide ===

impl OriginSide {
    /// The mean service time: what gives `rate_per_s` with all workers busy.
    #[must_use]
    pub fn service_time(&self) -> Duration {
        Duration::from_secs_f64((self.workers as f64 / self.rate_per_s).min(60.0))
    }

    /// The origin that this describes.
    #[must_use]
    pub fn config(&self, seed: u64) -> OriginConfig {
        let mean = self.service_time();
        let service_time = match self.spread {
            Spread::Exponential => ServiceTime::Exponential { mean },
            Spread::Fixed => ServiceTime::Fixed(mean),
            Spread::Uniform => ServiceTime::Uniform { min: mean / 2, max: mean * 3 / 2 },
        };
        OriginConfig {
            body_bytes: self.body_bytes,
            concurrency_limit: self.workers,
            faults: self.faults.clone(),
            idempotent: self.idempotent,
            seed,
            service_time,
            slowdown: self.slowdown,
            stock: self.stock.clone(),
            workers: Some(self.workers),
            ..OriginConfig::default()
        }
    }

    /// All units together.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.stock.iter().map(|(_, units)| units).sum()
    }
}

// === impl ScenarioError ===

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problems { path, problems } => {
                for problem in problems {
                    writeln!(f, "{}:{problem}", path.display())?;
                }
                let (count, s) = (problems.len(), if problems.len() == 1 { "" } else { "s" });
                write!(f, "{count} problem{s} in {}", path.display())
            }
            Self::Read { path, source } => {
                write!(
                    f,
                    "{} cannot be read ({source}); give the path of a scenario file",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for ScenarioError {}

/// A text of bounded size.
fn read_text(path: &Path) -> io::Result<String> {
    let bytes = std::fs::metadata(path)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("{bytes} bytes are too many")));
    }
    std::fs::read_to_string(path)
}
