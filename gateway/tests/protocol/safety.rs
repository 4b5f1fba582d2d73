//! What is unsafe in every case, whatever the case itself expects.

use crate::{
    case::{Case, Seen},
    wire::Message,
};

/// Response bytes that belong to nobody: the client must never see them.
pub(crate) const POISON: &str = "POISON";

/// Fields that concern one connection only and are never forwarded to an origin.
const HOP_BY_HOP: &[&str] = &["http2-settings", "keep-alive", "proxy-connection"];

/// Fields that steer framing, routing, authority or trust, and so are never taken from a trailer.
const NO_TRAILER: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "host",
    "transfer-encoding",
    "x-forwarded-for",
    "x-tier",
];

/// The first thing that either side must never see.
pub(crate) fn unsafe_outcome(case: &Case, seen: &Seen) -> Option<String> {
    if let Some(fault) = &seen.upstream_fault {
        return Some(format!("the origin got bytes that are no request: {fault}"));
    }
    if let Some(fault) = &seen.answers.fault {
        return Some(format!("the client got bytes that are no response: {fault}"));
    }
    if seen.requests.len() > case.requests {
        return Some(format!("{} requests became {}", case.requests, seen.requests.len()));
    }
    if seen.answers.finals.len() > case.requests {
        return Some(format!("{} requests, {} answers", case.requests, seen.answers.finals.len()));
    }
    if crate::wire::find(&seen.received, POISON.as_bytes()).is_some() {
        return Some("the client got bytes that belong to no response".into());
    }
    seen.requests.iter().find_map(unsafe_request)
}

fn unsafe_request(request: &Message) -> Option<String> {
    if request.target().contains("smuggled") {
        return Some(format!("a smuggled request: {}", request.start));
    }
    let hosts = request.all("host").len();
    if hosts != 1 {
        return Some(format!("{hosts} Host fields"));
    }
    if let Some(name) = HOP_BY_HOP.iter().find(|name| request.field(name).is_some()) {
        return Some(format!("hop-by-hop field {name}"));
    }
    if let Some((name, _)) = request.trailers.iter().find(|(n, _)| NO_TRAILER.contains(&n.as_str()))
    {
        return Some(format!("forbidden trailer {name}"));
    }
    let te = request.field("te").unwrap_or_default();
    if !te.is_empty() && !te.eq_ignore_ascii_case("trailers") {
        return Some(format!("hop-by-hop field te: {te}"));
    }
    let options = request.field("connection").unwrap_or_default();
    let own = ["close", "keep-alive", "te", "upgrade", ""];
    if let Some(option) = options
        .split(',')
        .map(|o| o.trim().to_ascii_lowercase())
        .find(|o| !own.contains(&o.as_str()))
    {
        return Some(format!("connection option {option:?}"));
    }
    let upgrade = request.field("upgrade").unwrap_or_default();
    if upgrade.to_ascii_lowercase().contains("h2c") {
        return Some("an upgrade to h2c".into());
    }
    (!upgrade.is_empty() && !request.lists("connection", "upgrade"))
        .then(|| "upgrade without its connection option".into())
}
