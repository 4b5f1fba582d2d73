//! The cases, one file a group.

mod cancellation;
mod chunked;
mod content_length;
mod expectation;
mod forwarding;
mod header_syntax;
mod hop_by_hop;
mod host;
mod interim;
mod keep_alive;
mod max_forwards;
mod no_body;
mod pipelining;
mod refusal;
mod request_line;
mod response_framing;
mod response_head;
mod slow;
mod target;
mod transfer_encoding;
mod upgrade;

use crate::case::Case;

/// Every case with the name of its group.
pub(crate) fn all() -> Vec<(&'static str, Case)> {
    [
        ("cancellation", cancellation::cases()),
        ("chunked", chunked::cases()),
        ("content-length", content_length::cases()),
        ("expectation", expectation::cases()),
        ("forwarding", forwarding::cases()),
        ("header-syntax", header_syntax::cases()),
        ("hop-by-hop", hop_by_hop::cases()),
        ("host", host::cases()),
        ("interim", interim::cases()),
        ("keep-alive", keep_alive::cases()),
        ("max-forwards", max_forwards::cases()),
        ("no-body", no_body::cases()),
        ("pipelining", pipelining::cases()),
        ("refusal", refusal::cases()),
        ("request-line", request_line::cases()),
        ("response-framing", response_framing::cases()),
        ("response-head", response_head::cases()),
        ("slow", slow::cases()),
        ("target", target::cases()),
        ("transfer-encoding", transfer_encoding::cases()),
        ("upgrade", upgrade::cases()),
    ]
    .into_iter()
    .flat_map(|(group, cases)| cases.into_iter().map(move |case| (group, case)))
    .collect()
}
