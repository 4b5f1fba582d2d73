//! What is played: how fast the origin is, and who comes when.

use std::net::SocketAddr;
use std::time::Duration;

use floodgate_loadtest::load::{Phase, Plan, Template};
use floodgate_loadtest::origin::ServiceTime;

/// Permits of the bundled example, and so what the origin is built for.
pub(super) const ORIGIN_LIMIT: u32 = 64;
/// Index of the phase with the storm.
pub(super) const STORM: usize = 2;
/// Load of the storm over capacity.
pub(super) const STORM_LOAD: f64 = 20.0;
/// Connections of the generator. More customers are never outstanding: the permits and the places of the
/// buffer, and a few that are being refused.
pub(super) const CONNECTIONS: usize = 1_200;

/// What a customer of each tier asks for, in order of priority, and the share of all requests in percent.
const REQUESTS: [(&str, &str, u32); 3] =
    [("POST", "/orders/1", 15), ("GET", "/recommendations/1", 70), ("POST", "/events/1", 15)];

/// What is played. The storm's first tier alone is three times what the origin can do.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Mean time that the origin works on a request.
    mean_service: Duration,
    /// Name, length and load over capacity of each phase.
    phases: [(&'static str, Duration, f64); 4],
}

// === impl Scenario ===

impl Scenario {
    /// Longest phase, in seconds.
    pub const MAX_SECONDS: u32 = 120;

    /// Calm, the full load, a storm of twenty times the capacity, calm again; `seconds` (1 to
    /// [`Self::MAX_SECONDS`]) each. The origin answers 400 requests a second, so the storm is 8,000:
    /// generator, gateway and origin then need about one core of a small machine together.
    #[must_use]
    pub fn new(seconds: u32) -> Self {
        Self::with(Duration::from_millis(160), [seconds; 4])
    }

    /// The same in five seconds and at two fifths of the rate, for tests and slow builds.
    #[must_use]
    pub fn short() -> Self {
        Self::with(Duration::from_millis(400), [1, 1, 2, 1])
    }

    fn with(mean_service: Duration, seconds: [u32; 4]) -> Self {
        let [before, full, storm, after] =
            seconds.map(|seconds| Duration::from_secs(u64::from(seconds.min(Self::MAX_SECONDS))));
        let phases = [
            ("calm", before, 0.5),
            ("full", full, 1.0),
            ("storm", storm, STORM_LOAD),
            ("calm again", after, 0.5),
        ];
        Self { mean_service, phases }
    }

    /// Requests per second that the origin can do: its limit over the mean service time (Little's law).
    pub(super) fn capacity(&self) -> f64 {
        f64::from(ORIGIN_LIMIT) / self.mean_service.as_secs_f64()
    }

    /// A fifth of the mean to either side, so that not all permits come back at once.
    pub(super) fn service_time(&self) -> ServiceTime {
        let fifth = self.mean_service / 5;
        ServiceTime::Uniform { min: self.mean_service - fifth, max: self.mean_service + fifth }
    }

    /// Name, length and load over capacity of each phase.
    pub(super) fn phases(&self) -> &[(&'static str, Duration, f64)] {
        &self.phases
    }

    /// Method, path and share in percent of each tier's requests, in order of priority.
    pub(super) const fn requests() -> &'static [(&'static str, &'static str, u32)] {
        &REQUESTS
    }

    /// What the generator does to `target`: a class per tier, named as in `tiers`.
    pub(super) fn plan(&self, target: SocketAddr, tiers: &[String]) -> Plan {
        let mut plan = Plan::new(target);
        plan.connections = CONNECTIONS;
        for (name, (method, path, _)) in tiers.iter().zip(REQUESTS) {
            plan = plan.template(Template::new(name, method, path));
        }
        for (name, duration, load) in &self.phases {
            let mix = REQUESTS.map(|(_, _, share)| share);
            plan = plan.phase(Phase::new(*name, *duration, load * self.capacity(), mix).poisson());
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage;
    use super::*;

    #[test]
    fn each_request_is_of_its_tier_and_below_every_ceiling() {
        let config = stage::example().unwrap();
        assert_eq!(config.tiers.len(), REQUESTS.len());
        for (tier, (method, path, _)) in REQUESTS.iter().enumerate() {
            let route = config.routes.iter().find(|route| route.matches(method, path)).unwrap();
            assert_eq!(route.tier.index(), tier, "{method} {path}");
            assert_eq!(route.rate, None);
        }
    }

    #[test]
    fn the_origin_is_built_for_the_permits_of_the_example() {
        let config = stage::example().unwrap();
        assert_eq!(config.upstreams[0].limits.max_in_flight(), ORIGIN_LIMIT);
    }

    #[test]
    fn in_the_storm_the_first_tier_alone_saturates_the_origin() {
        let scenario = Scenario::new(6);
        let plan = scenario.plan(SocketAddr::from(([127, 0, 0, 1], 1)), &["l1".into()]);
        let storm = &plan.phases[STORM];
        let first = storm.rate_per_s * f64::from(storm.mix[0]) / 100.0;
        assert!(first > 2.0 * scenario.capacity(), "{first}");
        assert!(plan.duration() < Duration::from_secs(30));
        assert!(Scenario::short().plan(plan.target, &[]).duration() < Duration::from_secs(6));
    }
}
