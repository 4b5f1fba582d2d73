//! What is shown once a second. Lines are only ever added: they read the same in a terminal, a file and a log.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use floodgate_limiter::Status;
use floodgate_loadtest::load::{ClassSecond, Latency, Second};

use super::figures::{count, millis};
use super::paint::Paint;
use super::scenario::{ORIGIN_LIMIT, Scenario};
use super::stage::Stage;
use crate::clock;
use crate::metrics::Books;
use crate::shared::Shared;

const COLUMNS: [&str; 2] = [
    "                      requests            successes, ms       refusals, ms",
    "  tier breaker queued  offered admitted    p50   p99 p99.9    p50   p99 p99.9  refused",
];
/// Where the refusals stand, for those that need a further line.
const REFUSED_AT: usize = 78;

/// The table that grows by a block a second.
pub(super) struct Table<'a> {
    scenario: &'a Scenario,
    tiers: &'a [String],
    shared: Arc<Shared>,
    paint: Paint,
    /// Where the dashboard is.
    admin: SocketAddr,
    /// The gateway's counts at the end of the last second.
    before: Books,
    /// The phase that was shown last.
    phase: Option<usize>,
}

// === impl Table ===

impl<'a> Table<'a> {
    pub(super) fn new(scenario: &'a Scenario, stage: &'a Stage, paint: Paint) -> Self {
        let shared = Arc::clone(stage.gateway.shared());
        let before = Books::read(&shared.snapshot.load());
        let admin = stage.gateway.admin();
        Self { scenario, tiers: &stage.tiers, shared, paint, admin, before, phase: None }
    }

    /// What is about to be seen.
    pub(super) fn head(&self, out: &mut impl Write) -> io::Result<()> {
        let capacity = self.scenario.capacity();
        writeln!(
            out,
            "{}",
            self.paint.bold("Floodgate: a flash sale in front of a small service")
        )?;
        writeln!(out)?;
        writeln!(
            out,
            "  The service works on {ORIGIN_LIMIT} requests at once and so answers {} a second. In front of it",
            count(capacity as u64)
        )?;
        writeln!(
            out,
            "  stands the gateway, configured by the bundled example. The customers ask for"
        )?;
        writeln!(out)?;
        for (tier, (method, path, share)) in self.tiers.iter().zip(Scenario::requests()) {
            writeln!(out, "    {tier:<11} {share:>3} %   {method} {path}")?;
        }
        writeln!(out)?;
        writeln!(out, "  and come in four phases:")?;
        writeln!(out)?;
        for (name, duration, load) in self.scenario.phases() {
            writeln!(
                out,
                "    {name:<11} {:>3} s   {load:>4}x of capacity {:>7} requests/s",
                duration.as_secs(),
                count((load * capacity) as u64),
            )?;
        }
        writeln!(out)?;
        writeln!(
            out,
            "  Once a second: what was offered, admitted and refused in it, and how long it took, counted"
        )?;
        writeln!(
            out,
            "  from when the customer came; breaker, queue and requests in flight as they are at its end."
        )?;
        writeln!(out, "  The same as a picture while it lasts: http://{}/", self.admin)?;
        out.flush()
    }

    /// One more second.
    pub(super) fn second(&mut self, second: &Second, out: &mut impl Write) -> io::Result<()> {
        let phase = second.phase.min(self.scenario.phases().len() - 1);
        if self.phase != Some(phase) {
            self.phase = Some(phase);
            let (name, _, load) = self.scenario.phases()[phase];
            writeln!(out)?;
            writeln!(out, "{}", self.paint.bold(format_args!("{name}: {load}x of capacity")))?;
            for line in COLUMNS {
                writeln!(out, "{}", self.paint.dim(line))?;
            }
        }
        let books = Books::read(&self.shared.snapshot.load());
        let snapshot = self.shared.snapshot.load_full();
        let Some(upstream) = snapshot.upstreams.first() else { return Ok(()) };
        let status = upstream.limiter.status(clock::now());
        let ends = format!("{} s", second.index + 1);
        let Status { in_flight, limit, waiting, capacity, .. } = status;
        let line =
            format!("{ends:>5}   in flight {in_flight} of {limit}, buffer {waiting} of {capacity}");
        writeln!(out, "{}", self.paint.dim(line))?;
        for (tier, class) in second.classes.iter().enumerate() {
            let admitted = (books.tiers[tier] - self.before.tiers[tier]).admitted;
            self.row(tier, &status, class, admitted, out)?;
        }
        self.before = books;
        out.flush()
    }

    fn row(
        &self,
        tier: usize,
        status: &Status,
        class: &ClassSecond,
        admitted: u64,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let now = &status.tiers[tier];
        let breaker = match now.open {
            true => self.paint.yellow(format_args!("{:<7}", "open")),
            false => format!("{:<7}", "closed"),
        };
        write!(
            out,
            "  {:<4} {breaker} {:>6}",
            clip(&self.tiers[tier], 4),
            count(now.waiting.into())
        )?;
        write!(out, " {:>8} {:>8} ", count(class.counts.offered), count(admitted))?;
        write!(out, "{} {}  ", latency(&class.success_latency), latency(&class.refusal_latency))?;
        let endings = endings(&class.refused_by_reason, &class.failed_by_reason, class);
        let mut endings = endings.iter();
        writeln!(out, "{}", endings.next().map_or("-", String::as_str))?;
        endings.try_for_each(|ending| writeln!(out, "{:REFUSED_AT$}{ending}", ""))
    }
}

/// Whatever did not succeed, by reason.
fn endings(
    refused: &BTreeMap<String, u64>,
    failed: &BTreeMap<String, u64>,
    class: &ClassSecond,
) -> Vec<String> {
    let named = |(reason, number): (&String, &u64)| format!("{:>6} {reason}", count(*number));
    let mut lines: Vec<_> = refused.iter().map(named).collect();
    lines.extend(failed.iter().map(named).map(|line| line + ", failed"));
    for (number, what) in [(class.counts.timeout, "timed out"), (class.counts.dropped, "not sent")]
    {
        if number > 0 {
            lines.push(format!("{:>6} {what}", count(number)));
        }
    }
    lines
}

fn latency(latency: &Latency) -> String {
    let show = |time| if latency.count == 0 { "-".to_owned() } else { millis(time) };
    let [p50, p99, p999] = [latency.p50, latency.p99, latency.p999].map(show);
    format!("{p50:>6}{p99:>6}{p999:>6}")
}

fn clip(name: &str, chars: usize) -> String {
    name.chars().take(chars).collect()
}
