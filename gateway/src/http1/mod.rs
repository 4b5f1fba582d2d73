//! HTTP/1.1 as bytes: which heads and bodies are good enough to be passed on.
//!
//! hyper is a fine parser but not a gatekeeper: it forgives what an intermediary must not forward
//! (RFC 9112 §§2.2, 3.2, 6.1, 6.3, 7.1). Every byte from downstream is therefore checked here first,
//! by the [turnstile](crate::turnstile) and the [inlet](crate::inlet), before hyper sees it.

mod byte_set;
mod chunked;
mod head;
mod host;
mod list;

pub(crate) use chunked::Chunked;
pub(crate) use head::{Framing, Head, HeadLimits, read, skip_empty_lines};
pub(crate) use list::elements;
