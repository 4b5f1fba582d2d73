//! The demonstration: an origin of known capacity, the gateway with the bundled example in front of
//! it, and a storm, all in this process and over real sockets.
//!
//! ```text
//! scenario ─> stage: origin, gateway ─> load ─> table, once a second
//!                        ├─ gate watch ──┐
//!                        ├─ books ───────┴────> judge ─> summary
//! ```

mod figures;
mod gate_watch;
mod judge;
mod paint;
mod scenario;
mod stage;
mod summary;
mod table;

use std::io::{self, Write};
use std::time::Duration;

use floodgate_loadtest::load;

use crate::gateway::Gateway;
use crate::metrics::Books;
use gate_watch::GateWatch;
use judge::{Evidence, judge};
use table::Table;

pub use paint::Paint;
pub use scenario::Scenario;
pub use stage::Stage;

/// How long the last requests may take to be written into the books.
const SETTLE: Duration = Duration::from_secs(2);

/// A demonstration that is over; the stage is still up.
#[derive(Debug)]
pub struct Demonstration {
    /// Whether everything held that has to hold.
    pub passed: bool,
    /// The origin and the gateway.
    pub stage: Stage,
}

/// Plays `scenario` and writes a table while it lasts and a summary at its end to `out`.
///
/// # Errors
/// One sentence that says what is in the way and what to do.
pub fn run(
    scenario: &Scenario,
    paint: Paint,
    out: &mut impl Write,
) -> Result<Demonstration, String> {
    let unwritable = |error: io::Error| format!("cannot write the table: {error}");
    let stage = Stage::set(scenario)?;
    let mut table = Table::new(scenario, &stage, paint);
    table.head(out).map_err(unwritable)?;

    let watch = GateWatch::start(&stage)?;
    let plan = scenario.plan(stage.gateway.listen(), &stage.tiers);
    let mut run = load::start(plan).map_err(|error| error.to_string())?;
    while let Some(second) = run.next_second() {
        table.second(&second, out).map_err(unwritable)?;
    }
    let report = run.finish();
    settle(&stage.gateway);
    let evidence = Evidence {
        books: Books::read(&stage.gateway.shared().snapshot.load()),
        gate: watch.finish(),
        origin: stage.origin.stats(),
        report,
    };
    let findings = judge(&evidence, &stage.tiers);
    summary::write(&evidence, &findings, scenario, &stage, paint, out).map_err(unwritable)?;
    Ok(Demonstration { passed: findings.iter().all(|finding| finding.holds), stage })
}

/// Waits until no request is between head and last byte any more.
fn settle(gateway: &Gateway) {
    let patience = std::time::Instant::now() + SETTLE;
    while gateway.shared().active() > 0 && std::time::Instant::now() < patience {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
