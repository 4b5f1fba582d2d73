//! HTTP/1.1 to the servers of an upstream, without a task, a channel or a second table of fields:
//! whoever holds a [`Connection`] polls it.
//!
//! ```text
//! Outgoing ──> bytes of the head, pieces of the body ──> Connection ──> server
//! ResponseBody <── BodyReader <── Answer (its head) <── Connection <── server
//! ```

mod answer;
mod body_reader;
mod connection;
mod outgoing;

pub(crate) use answer::{Answer, GrantWord, reuse};
pub(crate) use body_reader::BodyReader;
pub(crate) use connection::{Connection, NoAnswer};
pub(crate) use outgoing::{Outgoing, SendError};
