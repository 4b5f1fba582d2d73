//! Configurations of the tests: one upstream, ports from the system.

use std::net::SocketAddr;

/// l1 to l3, each with a route of its name. So patient that nothing ends by time.
pub(crate) const THREE_TIERS: &str = r#"
[[tiers]]
name = "l1"
max_wait = "20s"
deadline = "30s"
watermarks = { high = 1.0, low = 0.9 }
[[tiers]]
name = "l2"
max_wait = "20s"
deadline = "30s"
watermarks = { high = 1.0, low = 0.9 }
[[tiers]]
name = "l3"
max_wait = "20s"
deadline = "30s"
watermarks = { high = 1.0, low = 0.9 }
[[routes]]
name = "one"
path = "/l1/{*rest}"
tier = "l1"
[[routes]]
name = "two"
path = "/l2/{*rest}"
tier = "l2"
[[routes]]
name = "three"
path = "/l3/{*rest}"
tier = "l3"
"#;

/// The parts of a configuration that differ between tests, as text.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Keys of `[server]`.
    pub(crate) server: String,
    /// Keys of the only upstream, `checkout`, apart from its servers.
    pub(crate) upstream: String,
    /// Tiers and routes.
    pub(crate) rest: String,
}

// === impl Settings ===

impl Settings {
    /// One worker, these keys of the upstream, three patient tiers.
    pub(crate) fn upstream(keys: &str) -> Self {
        Self { server: String::new(), upstream: keys.to_owned(), rest: THREE_TIERS.to_owned() }
    }

    /// Other tiers and routes.
    pub(crate) fn rest(self, rest: impl Into<String>) -> Self {
        Self { rest: rest.into(), ..self }
    }

    /// More keys of `[server]`.
    pub(crate) fn server(self, keys: &str) -> Self {
        Self { server: keys.to_owned(), ..self }
    }

    /// The file.
    pub(crate) fn text(&self, servers: &[SocketAddr]) -> String {
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        let workers = if self.server.contains("workers") { "" } else { "workers = 1" };
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nlog = \"warn\"\n{workers}\n{}\n\
             [upstreams.checkout]\nservers = {servers:?}\n{}\n{}\n",
            self.server, self.upstream, self.rest
        )
    }
}

/// A journey of this name through these routes, with these keys.
pub(crate) fn journey(name: &str, steps: &[&str], keys: &str) -> String {
    format!("[[journeys]]\nname = \"{name}\"\nsteps = {steps:?}\n{keys}\n")
}

/// A single tier with these keys; everything belongs to it.
pub(crate) fn one_tier(keys: &str) -> String {
    format!(
        "[[tiers]]\nname = \"l1\"\n{keys}\n[[routes]]\nname = \"one\"\ntier = \"l1\"\nmax_body = \"32MiB\"\n"
    )
}
