//! What is known of circuits.

use floodgate_limiter::{CircuitState, CircuitStatus};

use super::{Page, names};
use crate::circuits::{Of, mode};
use crate::clock;
use crate::snapshot::Snapshot;

/// One circuit: its upstream, the label that tells whose it is, and what is known of it.
type Row<'s> = (&'s str, (&'static str, String), CircuitStatus);

pub(super) fn render(snapshot: &Snapshot, page: &mut Page<'_>) {
    let (mut tiers, mut servers) = (Vec::new(), Vec::new());
    for upstream in &snapshot.upstreams {
        for (of, circuit) in upstream.circuits.iter().flat_map(|circuits| circuits.all()) {
            let status = circuit.status(clock::now());
            match of {
                Of::Tier(name) => tiers.push((&*upstream.name, ("tier", name.to_owned()), status)),
                Of::Server(server) => {
                    servers.push((&*upstream.name, ("server", server.address.to_string()), status));
                }
            }
        }
    }
    of(
        &tiers,
        page,
        [names::CIRCUIT_STATE, names::CIRCUIT_TRANSITIONS, names::CIRCUIT_SHADOW_REFUSALS],
    );
    of(
        &servers,
        page,
        [
            names::SERVER_CIRCUIT_STATE,
            names::SERVER_CIRCUIT_TRANSITIONS,
            names::SERVER_CIRCUIT_SHADOW_REFUSALS,
        ],
    );
}

fn of(rows: &[Row<'_>], page: &mut Page<'_>, [state, transitions, would_refuse]: [&str; 3]) {
    if rows.is_empty() {
        return;
    }
    page.family(state, "gauge", "0 closed, 0.5 half-open, 1 open.");
    for (upstream, (label, name), status) in rows {
        let labels = [("upstream", *upstream), (label, name), ("mode", mode(status))];
        let value = match status.state {
            CircuitState::Closed => 0.0,
            CircuitState::HalfOpen => 0.5,
            CircuitState::Open => 1.0,
        };
        page.sample(state, &labels, value);
    }
    page.family(transitions, "counter", "Times that the circuit went to a state.");
    for (upstream, (label, name), status) in rows {
        let counts = status.transitions;
        for (to, count) in [
            (CircuitState::Open, counts.opened),
            (CircuitState::HalfOpen, counts.half_opened),
            (CircuitState::Closed, counts.closed),
        ] {
            let (to, mode) = (to.as_str(), mode(status));
            let labels = [("upstream", *upstream), (label, name), ("to", to), ("mode", mode)];
            page.sample(transitions, &labels, count);
        }
    }
    page.family(would_refuse, "counter", "Calls that it would have refused, were it no shadow.");
    for (upstream, (label, name), status) in rows {
        page.sample(would_refuse, &[("upstream", *upstream), (label, name)], status.would_refuse);
    }
}
