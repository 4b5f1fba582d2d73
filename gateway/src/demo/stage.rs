//! Who plays: the origin, and the gateway in front of it.

use std::net::{Ipv4Addr, SocketAddr};

use floodgate_config::{Config, ServerAddress};
use floodgate_loadtest::origin::{Origin, OriginHandle};

use super::scenario::{CONNECTIONS, ORIGIN_LIMIT, Scenario};
use crate::descriptors;
use crate::gateway::Gateway;

/// The bundled example.
const EXAMPLE: &str = include_str!("../../../config/examples/checkout.toml");
/// Not the generator's: with the same numbers on both sides, the tier would foretell the service time.
const ORIGIN_SEED: u64 = 20;
/// Both ends of the generator's connections, the origin's, and some to spare for visitors.
const DESCRIPTORS: u32 = 2 * (CONNECTIONS as u32 + ORIGIN_LIMIT) + 200;

/// The origin and the gateway, running.
#[derive(Debug)]
pub struct Stage {
    /// In front.
    pub gateway: Gateway,
    /// Names of the tiers, in order of priority.
    pub(super) tiers: Vec<String>,
    /// Behind; it stops when the stage is dropped.
    pub origin: OriginHandle,
}

// === impl Stage ===

impl Stage {
    /// Starts both, on loopback ports from the system.
    ///
    /// # Errors
    /// One sentence that says what is in the way and what to do.
    pub(super) fn set(scenario: &Scenario) -> Result<Self, String> {
        let mut config = example()?;
        config.server.max_connections = DESCRIPTORS;
        let fits = descriptors::fit_connections(&config)?;
        if fits < DESCRIPTORS as usize {
            return Err(format!(
                "the demonstration needs {DESCRIPTORS} connections and the limit of open files leaves room for {fits}; \
                 raise it (ulimit -n 4096)"
            ));
        }
        let origin = Origin::builder()
            .concurrency_limit(ORIGIN_LIMIT as usize)
            .service_time(scenario.service_time())
            .seed(ORIGIN_SEED)
            .start()
            .map_err(|error| format!("the origin cannot listen on a loopback port: {error}"))?;
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        (config.server.listen, config.server.admin) = (any_port, any_port);
        for upstream in &mut config.upstreams {
            upstream.servers = vec![ServerAddress::Socket(origin.addr())];
        }
        let tiers = config.tiers.iter().map(|tier| tier.name.clone()).collect();
        Ok(Self { gateway: Gateway::start(config)?, tiers, origin })
    }
}

/// The bundled example as it stands.
///
/// # Errors
/// It is wrong, which the tests rule out.
pub(super) fn example() -> Result<Config, String> {
    floodgate_config::parse("checkout.toml", EXAMPLE)
        .map_err(|problems| format!("the bundled example cannot be used:\n\n{problems}"))
}
