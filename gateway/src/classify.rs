//! Which route a request takes. Pure and total, and only by what cannot be claimed: method and path.

use http::Method;

use crate::snapshot::Snapshot;

/// Index of the first route that matches; `*`, which asks about the server, goes where `/` goes. `path` is what will be forwarded, byte for byte, so that
/// nobody is classified by one path and served by another.
pub(crate) fn classify(snapshot: &Snapshot, method: &Method, path: &str) -> Option<usize> {
    let path = if path == "*" { "/" } else { path };
    snapshot.config.routes.iter().position(|route| route.matches(method.as_str(), path))
}
