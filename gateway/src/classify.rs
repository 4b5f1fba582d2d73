//! Which route a request takes. Pure and total, and only by what cannot be claimed: method and path.

use std::net::IpAddr;

use crate::client_address::client_address;
use crate::fields::Fields;
use crate::jwt::Verified;
use crate::snapshot::Snapshot;

/// What a request is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// As it was sent.
    pub method: &'a str,
    /// Path without the query, byte for byte what will be forwarded, so that nobody is classified by
    /// one path and served by another.
    pub path: &'a str,
}

/// What decides about a request, as the turnstile reads it and as hyper does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadView<'a> {
    /// What it is for.
    pub line: Line<'a>,
    /// What follows the question mark; empty without one.
    pub query: &'a str,
    /// Its header fields.
    pub fields: Fields<'a>,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// Its token, if that is good and something goes by it.
    pub token: Option<&'a Verified>,
    /// Bytes that the body has at least.
    pub body: u64,
}

// === impl HeadView ===

impl HeadView<'_> {
    /// Where it comes from, as far as `snapshot` trusts those who say so.
    pub(crate) fn client(&self, snapshot: &Snapshot) -> IpAddr {
        client_address(self.peer, self.fields, |address| snapshot.trusts(address))
    }
}

/// Index of the first route that matches; `*`, which asks about the server, goes where `/` goes.
pub(crate) fn classify(snapshot: &Snapshot, line: Line<'_>) -> Option<usize> {
    let path = if line.path == "*" { "/" } else { line.path };
    snapshot.config.routes.iter().position(|route| route.matches(line.method, path))
}
