//! What a run is to do, checked before it begins.

use std::{fmt, net::SocketAddr, time::Duration};

use super::{curve::Curve, schedule::Schedule};

/// What a run is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One after the other, without a gap.
    pub phases: Vec<Phase>,
    /// Same seed, same schedule.
    pub seed: u64,
    /// Where the requests go.
    pub target: SocketAddr,
    /// What is sent; the index is the class of an arrival.
    pub templates: Vec<Template>,
    /// Most connections at once, all threads together.
    pub connections: usize,
    /// Most arrivals that wait for a connection at once, all threads together; more are dropped.
    pub waiting: usize,
    /// From the intended start to the last byte of the answer, as a customer's patience.
    pub timeout: Duration,
    /// Generator threads.
    pub threads: usize,
    /// Share of requests, 0 to 1, after which the connection is closed, so that the next one is
    /// new.
    pub fresh_share: f64,
}

/// A stretch of the run with one rate and one mix.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Shown in tables.
    pub name: String,
    /// How long it lasts.
    pub duration: Duration,
    /// Arrivals per second, where the curve is 1.
    pub rate_per_s: f64,
    /// What the rate is multiplied with, from the begin of the phase on.
    pub curve: Curve,
    /// How the arrivals lie in time.
    pub arrivals: Arrivals,
    /// Weight per template, in their order.
    pub mix: Vec<u32>,
}

/// How the arrivals of a phase lie in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly spaced; exactly as many as the area under the rate, rounded.
    #[default]
    Constant,
    /// Independent of each other, as customers are; their number follows from the seed.
    Poisson,
}

/// One kind of request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Name of the class in tables.
    pub class: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers beside host and content-length; a `host` among them replaces ours.
    pub headers: Vec<(String, String)>,
    /// Sent with content-length when not empty.
    pub body: Vec<u8>,
}

/// Why a plan cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError(String);

// === impl Plan ===

impl Plan {
    /// Longest run, all phases together.
    pub const MAX_DURATION: Duration = Duration::from_secs(600);
    /// Highest rate of a phase, per second.
    pub const MAX_RATE: f64 = 1_000_000.0;
    /// Longest patience.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(120);
    const MAX_CELLS: usize = 128;
    const MAX_CONNECTIONS: usize = 65_536;
    const MAX_THREADS: usize = 64;
    const MAX_WAITING: usize = 1 << 20;

    /// A plan without phases and templates: 512 connections, as many waiting arrivals times
    /// eight, ten seconds of patience, one thread.
    #[must_use]
    pub fn new(target: SocketAddr) -> Self {
        Self {
            phases: Vec::new(),
            seed: 1,
            target,
            templates: Vec::new(),
            connections: 512,
            waiting: 4096,
            timeout: Duration::from_secs(10),
            threads: 1,
            fresh_share: 0.0,
        }
    }

    /// Adds a kind of request.
    #[must_use]
    pub fn template(mut self, template: Template) -> Self {
        self.templates.push(template);
        self
    }

    /// Adds a phase at the end.
    #[must_use]
    pub fn phase(mut self, phase: Phase) -> Self {
        self.phases.push(phase);
        self
    }

    /// Every arrival of the run, in order.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule::new(self)
    }

    /// All phases together.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.phases.iter().map(|phase| phase.duration).sum()
    }

    /// Refuses what cannot be run.
    ///
    /// # Errors
    /// The first thing that is wrong, with what to do.
    pub fn validate(&self) -> Result<(), PlanError> {
        let fail = |message: String| Err(PlanError(message));
        if self.phases.is_empty() || self.templates.is_empty() {
            return fail("the plan has no phase or no request; add at least one of each".into());
        }
        if self.phases.len() * self.templates.len() > Self::MAX_CELLS {
            return fail(format!(
                "phases times classes is {}; use at most {}",
                self.phases.len() * self.templates.len(),
                Self::MAX_CELLS
            ));
        }
        // Not the sum of durations, which may overflow before it is compared.
        let seconds: f64 = self.phases.iter().map(|phase| phase.duration.as_secs_f64()).sum();
        if seconds > Self::MAX_DURATION.as_secs_f64() {
            return fail(format!("the run takes {seconds:.0} s; use at most 600 s"));
        }
        for (what, value, max) in [
            ("connections", self.connections, Self::MAX_CONNECTIONS),
            ("threads", self.threads, Self::MAX_THREADS.min(self.connections)),
            ("waiting", self.waiting.max(1), Self::MAX_WAITING),
        ] {
            if value == 0 || value > max {
                return fail(format!("{what} is {value}; use 1 to {max}"));
            }
        }
        if self.timeout.is_zero() || self.timeout > Self::MAX_TIMEOUT {
            return fail(format!("the timeout is {:?}; use up to 120 s", self.timeout));
        }
        if !(0.0..=1.0).contains(&self.fresh_share) {
            return fail(format!("the fresh share is {}; use 0 to 1", self.fresh_share));
        }
        for phase in &self.phases {
            phase.validate(self.templates.len())?;
        }
        self.templates.iter().try_for_each(Template::validate)
    }
}

// === impl Phase ===

impl Phase {
    /// Evenly spaced arrivals.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        duration: Duration,
        rate_per_s: f64,
        mix: impl Into<Vec<u32>>,
    ) -> Self {
        let (name, mix) = (name.into(), mix.into());
        let (curve, arrivals) = (Curve::constant(), Arrivals::Constant);
        Self { name, duration, rate_per_s, curve, arrivals, mix }
    }

    /// The same phase with a rate that changes.
    #[must_use]
    pub fn curve(mut self, curve: Curve) -> Self {
        self.curve = curve;
        self
    }

    /// The same phase with Poisson arrivals.
    #[must_use]
    pub fn poisson(mut self) -> Self {
        self.arrivals = Arrivals::Poisson;
        self
    }

    fn validate(&self, templates: usize) -> Result<(), PlanError> {
        let name = &self.name;
        if !(0.0..=Plan::MAX_RATE).contains(&self.rate_per_s) {
            let rate = self.rate_per_s;
            return Err(PlanError(format!("phase {name}: the rate is {rate}; use 0 to 1000000")));
        }
        let peak = self.rate_per_s * self.curve.peak(self.duration);
        if peak > Plan::MAX_RATE {
            return Err(PlanError(format!("phase {name}: the peak is {peak}; use up to 1000000")));
        }
        let sum: u64 = self.mix.iter().map(|weight| u64::from(*weight)).sum();
        if self.mix.len() != templates || sum == 0 || sum > u64::from(u32::MAX) {
            return Err(PlanError(format!(
                "phase {name}: the mix needs {templates} weights that are not all 0"
            )));
        }
        Ok(())
    }
}

// === impl Template ===

impl Template {
    /// A request without headers and body; the class is also its name in tables.
    #[must_use]
    pub fn new(
        class: impl Into<String>,
        method: impl Into<String>,
        path: impl Into<String>,
    ) -> Self {
        let (class, method, path) = (class.into(), method.into(), path.into());
        Self { class, method, path, headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The bytes on the wire.
    pub(super) fn to_bytes(&self, target: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let has = |name: &str| self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !has("host") {
            head += &format!("host: {target}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let framed = has("content-length") || has("transfer-encoding");
        let expects_body = matches!(self.method.as_str(), "PATCH" | "POST" | "PUT");
        if !framed && (expects_body || !self.body.is_empty()) {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn validate(&self) -> Result<(), PlanError> {
        let line_end = |text: &str| text.contains(['\r', '\n', '\0']);
        let odd = self.method.is_empty()
            || !self.method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
            || !self.path.starts_with(['/', '*', 'h'])
            || self.path.contains(|char: char| char.is_ascii_whitespace())
            || self.headers.iter().any(|(name, value)| line_end(name) || line_end(value));
        if odd {
            let Self { class, method, path, .. } = self;
            return Err(PlanError(format!(
                "class {class}: {method} {path} is not a request; use METHOD /path"
            )));
        }
        Ok(())
    }
}

// === impl PlanError ===

impl PlanError {
    pub(crate) fn new(message: String) -> Self {
        Self(message)
    }

    pub(crate) fn no_thread(error: &std::io::Error) -> Self {
        Self(format!("a generator thread cannot be started ({error}); use fewer threads"))
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PlanError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan::new(SocketAddr::from(([127, 0, 0, 1], 1)))
            .template(Template::new("l1", "POST", "/orders").header("x-a", "1").body("{}"))
            .phase(Phase::new("calm", Duration::from_secs(1), 10.0, [1]))
    }

    #[test]
    fn a_template_becomes_one_complete_request() {
        let plan = plan();
        let bytes = plan.templates[0].to_bytes(plan.target);
        let expected = "POST /orders HTTP/1.1\r\nhost: 127.0.0.1:1\r\nx-a: 1\r\n\
                        content-length: 2\r\n\r\n{}";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        assert_eq!(plan().validate(), Ok(()));
        let broken: [fn(&mut Plan); 11] = [
            |plan| plan.phases.clear(),
            |plan| plan.phases[0].duration = Duration::MAX,
            |plan| plan.phases[0].rate_per_s = f64::NAN,
            |plan| plan.phases[0].curve = Curve::ramp(0.0, 1e6, Duration::from_secs(1)).unwrap(),
            |plan| plan.fresh_share = 1.5,
            |plan| plan.phases[0].mix = vec![0],
            |plan| plan.phases[0].mix = vec![1, 1],
            |plan| plan.connections = 0,
            |plan| plan.threads = 0,
            |plan| plan.timeout = Duration::ZERO,
            |plan| plan.templates[0].path = "/a b".into(),
        ];
        for (index, break_it) in broken.iter().enumerate() {
            let mut plan = plan();
            break_it(&mut plan);
            assert!(plan.validate().is_err(), "{index}");
        }
    }
}
