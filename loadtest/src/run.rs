//! A scenario, run: its origin, its customers and floods, what the gateway says meanwhile, and
//! whether what was expected held.
//!
//! ```text
//! Scenario ─scaled─> prepare: origin ─> go: journeys + floods + scraper ─> findings ─> Record
//! ```

mod findings;
mod measure;
mod process;
mod verdict;

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    journey::{self, JourneyRun},
    load::{self, Phase, Plan, Second, Template, board::Board},
    machine,
    origin::{Origin, OriginHandle},
    record::{Record, SecondRow, TierSecond},
    scenario::{Flood, Need, Scenario},
    scrape::Scraper,
};

use findings::Findings;

/// Until the first arrival: time for all threads to get up.
const LEAD: Duration = Duration::from_millis(100);
/// How long the target may take to accept its first connection.
const TARGET_WAIT: Duration = Duration::from_secs(5);

/// How a scenario is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is judged.
    pub target: SocketAddr,
    /// How it is called in reports.
    pub target_name: String,
    /// The gateway's admin listener, to see what it says of itself.
    pub admin: Option<SocketAddr>,
    /// Bearer token for it.
    pub admin_token: Option<String>,
    /// The factor on everything but times.
    pub scale: f64,
    /// The factor on offered load alone.
    pub overload: f64,
    /// Instead of the scenario's.
    pub seed: Option<u64>,
    /// Share of customers who honour Retry-After, instead of the scenario's.
    pub honour: Option<f64>,
    /// What the target is said to have.
    pub has: Vec<Need>,
    /// Where the origin listens, instead of the scenario's address; port 0 lets the system choose.
    pub origin: Option<SocketAddr>,
    /// The gateway's process, to see how hard it worked; looked up by its port without.
    pub gateway_pid: Option<u32>,
}

/// A run whose origin is up.
#[derive(Debug)]
pub struct Prepared {
    origin: OriginHandle,
    options: Options,
    /// Scaled.
    scenario: Scenario,
}

/// Everything that offers load.
struct Crowd {
    board: Arc<Board>,
    floods: Vec<load::Run>,
    journeys: Option<JourneyRun>,
    start: Instant,
}

// === impl Options ===

impl Options {
    /// At full scale against `target`.
    #[must_use]
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            target_name: target.to_string(),
            admin: None,
            admin_token: None,
            scale: 1.0,
            overload: 1.0,
            seed: None,
            honour: None,
            has: Vec::new(),
            origin: None,
            gateway_pid: None,
        }
    }
}

/// Why a scenario cannot be judged with these options; `None` when it can.
#[must_use]
pub fn skipped(scenario: &Scenario, options: &Options) -> Option<String> {
    let need = crate::scenario::missing(&scenario.needs, &options.has)?;
    let remedy = match need.is_of_target() {
        true => format!("; if it can, add --has {}", need.name()),
        false => String::new(),
    };
    Some(format!("{} is skipped: {}{remedy}", scenario.name, need.reason()))
}

/// Starts the origin of a scenario.
///
/// # Errors
/// A factor is of no use, or the origin's address is taken.
pub fn prepare(scenario: &Scenario, options: Options) -> Result<Prepared, String> {
    for (name, factor) in [("scale", options.scale), ("overload", options.overload)] {
        if !(1e-4..=1e4).contains(&factor) {
            return Err(format!("the {name} is {factor}; use 0.0001 to 10000"));
        }
    }
    let mut scenario = scenario.scaled(options.scale, options.overload);
    scenario.seed = options.seed.unwrap_or(scenario.seed);
    match (options.honour, &mut scenario.customers) {
        (Some(honour), _) if !(0.0..=1.0).contains(&honour) => {
            return Err(format!("{honour} is no share of customers; use 0 to 1"));
        }
        (Some(_), None) => return Err("nobody could honour anything: no customers".to_owned()),
        (Some(honour), Some(customers)) => customers.set_honour(honour),
        (None, _) => {}
    }
    let listen = options.origin.unwrap_or(scenario.origin.listen);
    let origin = Origin::builder()
        .listen(listen)
        .config(scenario.origin.config(scenario.seed))
        .start()
        .map_err(|error| {
            format!(
                "the origin cannot listen on {listen} ({error}); end what does, or use --origin ADDR"
            )
        })?;
    Ok(Prepared { origin, options, scenario })
}

// === impl Prepared ===

impl Prepared {
    /// Where the origin listens: what the gateway has to forward to.
    #[must_use]
    pub fn origin(&self) -> SocketAddr {
        self.origin.addr()
    }

    /// The same run without a gateway: customers talk to the origin.
    #[must_use]
    pub fn without_gateway(mut self) -> Self {
        self.options.target = self.origin.addr();
        self
    }

    /// Longest time the run can take.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.scenario.longest()
    }

    /// Runs to the end; `watch` is shown every second when it is over. Blocks.
    ///
    /// # Errors
    /// The target or its admin listener cannot be reached, or a thread cannot be started.
    pub fn go(self, watch: &mut dyn FnMut(&SecondRow)) -> Result<Record, String> {
        let Self { origin, options, scenario } = self;
        let started_at = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
        wait_for(options.target)?;
        let gateway = options.gateway_pid.or_else(|| process::listening_on(options.target));
        let gateway = gateway.filter(|pid| *pid != std::process::id());
        let before = process::Cpu::now(gateway);
        let start = Instant::now() + LEAD;
        let scraper = match options.admin {
            Some(admin) => {
                let scraper = Scraper::start(admin, options.admin_token.clone(), start);
                Some(scraper.map_err(|error| {
                    format!("{admin} does not show its metrics ({error}); check --admin")
                })?)
            }
            None => None,
        };
        let journeys = scenario.journeys(options.target, scenario.seed);
        let journey_tiers = journeys.map_or_else(Vec::new, |plan| plan.class_tiers());
        let crowd = Crowd::start(&scenario, options.target, start)?;
        // The scraper has looked once by now: what it counts begins with the first arrival.
        origin.begin_at(crowd.start);
        let mut seconds = Vec::new();
        while let Some(mut row) = crowd.next_row(&scenario, seconds.len()) {
            row.gateway = scraper.as_ref().and_then(|scraper| scraper.second(row.second));
            watch(&row);
            seconds.push(row);
        }
        let (floods, journeys) = crowd.finish();
        let wall = start.elapsed();
        let cpu = process::Cpu::now(gateway).since(&before);
        let scraped = scraper.map(Scraper::finish);
        let stats = origin.stats();
        let findings =
            Findings { scenario: &scenario, floods, journeys, journey_tiers, stats, wall, cpu };
        let mut record = findings.record(seconds);
        record.meta.started_at = started_at.to_string();
        record.meta.command = machine::command();
        record.meta.commit = machine::commit();
        record.meta.target.clone_from(&options.target_name);
        (record.meta.scale, record.meta.overload) = (options.scale, options.overload);
        if let Some(honour) = options.honour {
            let share = honour * 100.0;
            let note = format!("{share} % of customers honour Retry-After, not as the file says");
            record.meta.notes.push(note);
        }
        if let Some(scraped) = scraped {
            scraped.attach(&mut record);
        }
        verdict::judge(&mut record, &findings, &options);
        Ok(record)
    }
}

// === impl Crowd ===

impl Crowd {
    fn start(scenario: &Scenario, target: SocketAddr, start: Instant) -> Result<Self, String> {
        let workers = scenario.floods.iter().map(|flood| flood.threads).sum::<usize>();
        let names = scenario.tiers.iter().map(|tier| tier.name.clone()).collect();
        let plan = scenario.journeys(target, scenario.seed);
        let board = Arc::new(Board::shared(names, workers + usize::from(plan.is_some())));
        let mut crowd = Self { board, floods: Vec::new(), journeys: None, start };
        let mut first = 0;
        for (index, flood) in scenario.floods.iter().enumerate() {
            // Streams of their own: a flood more changes nothing about the others.
            let seed = scenario.seed.wrapping_add((index as u64 + 1) << 32);
            let plan = flood.plan(target, seed, scenario.duration);
            let run = load::run::start_at(plan, start, &crowd.board, first, Some(flood.tier));
            crowd.floods.push(run.map_err(|error| format!("{}: {error}", flood.name))?);
            first += flood.threads;
        }
        if let Some(plan) = plan {
            let seat = crowd.board.seat_at(workers, plan.class_tiers());
            let run = journey::run::start_at(plan, start, &crowd.board, seat);
            crowd.journeys = Some(run.map_err(|error| error.to_string())?);
        }
        Ok(crowd)
    }

    fn next_row(&self, scenario: &Scenario, index: usize) -> Option<SecondRow> {
        let second = self.board.second(index)?;
        let (started, completed) = self.board.journeys(index);
        Some(row(scenario, second, started, completed))
    }

    fn finish(self) -> (Vec<load::Report>, Option<journey::JourneyReport>) {
        let journeys = self.journeys.map(JourneyRun::finish);
        (self.floods.into_iter().map(load::Run::finish).collect(), journeys)
    }
}

fn row(scenario: &Scenario, second: Second, started: u64, completed: u64) -> SecondRow {
    let at = Duration::from_secs(u64::from(second.index));
    let phase = match at {
        at if at < scenario.begin => "before",
        at if at < scenario.duration => "sale",
        _ => "after",
    };
    let tier = |class: load::ClassSecond| TierSecond {
        counts: class.counts,
        refused_by_reason: class.refused_by_reason,
        failed_by_reason: class.failed_by_reason,
        success: class.success_latency.into(),
        refusal: class.refusal_latency.into(),
    };
    SecondRow {
        second: second.index,
        phase: phase.to_owned(),
        tiers: second.classes.into_iter().map(tier).collect(),
        started,
        completed,
        gateway: None,
    }
}

// === impl Flood ===

impl Flood {
    fn plan(&self, target: SocketAddr, seed: u64, duration: Duration) -> Plan {
        let body = vec![b'x'; self.body_bytes];
        let template = Template::new(&self.name, &self.method, &self.path).body(body);
        let with =
            |template: Template, (name, value): &(String, String)| template.header(name, value);
        let template = self.headers.iter().fold(template, with);
        let phase = Phase::new(&self.name, duration, self.rate_per_s, [1]);
        let phase = phase.curve(self.curve.clone());
        let phase = if self.poisson { phase.poisson() } else { phase };
        let mut plan = Plan::new(target).template(template).phase(phase);
        plan.seed = seed;
        plan.connections = self.connections;
        plan.waiting = self.connections * 8;
        plan.timeout = self.timeout;
        plan.threads = self.threads;
        plan.fresh_share = self.fresh_share;
        plan
    }
}

/// Waits until the target accepts a connection.
fn wait_for(target: SocketAddr) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        match TcpStream::connect_timeout(&target, Duration::from_secs(1)) {
            Ok(_) => return Ok(()),
            Err(error) if begin.elapsed() >= TARGET_WAIT || !is_passing(&error) => {
                return Err(format!("{target} cannot be reached ({error}); start it first"));
            }
            Err(_) => std::thread::park_timeout(Duration::from_millis(50)),
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}
