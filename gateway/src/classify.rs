//! Which route a request takes. Pure and total, and only by what cannot be claimed: method and path.

use crate::snapshot::Snapshot;

/// What decides about a request, as the turnstile reads it and as hyper does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadView<'a> {
    /// As it was sent.
    pub method: &'a str,
    /// Path without the query, byte for byte what will be forwarded, so that nobody is classified by
    /// one path and served by another.
    pub path: &'a str,
    /// Bytes that the body has at least.
    pub body: u64,
}

/// Index of the first route that matches; `*`, which asks about the server, goes where `/` goes.
pub(crate) fn classify(snapshot: &Snapshot, head: HeadView<'_>) -> Option<usize> {
    let path = if head.path == "*" { "/" } else { head.path };
    snapshot.config.routes.iter().position(|route| route.matches(head.method, path))
}
