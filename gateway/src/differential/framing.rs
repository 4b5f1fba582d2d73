//! Where the requests of an input end: how many answers have to be awaited before its end is told.
//!
//! This is no judge. Were it wrong, an answer would be awaited that never comes, and the test would
//! fail by its bound.

use crate::http1::{Chunked, Framing, HeadLimits, read};

/// How a client has to go about an input.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// For each whole request whether its method is HEAD. Each is answered, unless the connection ends.
    pub heads: Vec<bool>,
    /// Where each of them ends.
    pub ends: Vec<usize>,
    /// What is behind the last of them.
    pub rest: Rest,
    /// A body was announced to a reader who may say no to it: whether the connection outlives that
    /// depends on when the body comes.
    pub expects: bool,
}

/// What is behind the last whole request of an input.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Rest {
    /// What no request can begin with, or go on with: the connection ends.
    Broken,
    /// The same, and so much of it that how it is refused depends on what of it has come.
    BrokenAndLong,
    /// Nothing: the connection may be asked whether it is still open.
    #[default]
    Nothing,
    /// The beginning of a request.
    Partial,
}

// === impl Plan ===

impl Plan {
    pub(super) fn of(wire: &[u8], limits: HeadLimits) -> Self {
        let mut plan = Self::default();
        plan.rest = plan.read(wire, limits);
        plan
    }

    fn read(&mut self, mut wire: &[u8], limits: HeadLimits) -> Rest {
        let len = wire.len();
        while !wire.is_empty() {
            let head = match read(wire, limits, |head, _| head) {
                Ok(Some(head)) => head,
                Ok(None) => return Rest::Partial,
                Err(_) if wire.len() > limits.bytes => return Rest::BrokenAndLong,
                Err(_) => return Rest::Broken,
            };
            let (text, body) = wire.split_at(head.len);
            let text = text.trim_ascii_start();
            self.expects |= head.framing != Framing::Length(0) && has_field(text, b"expect");
            match body_length(body, head.framing) {
                Ok(length) => wire = &body[length..],
                Err(rest) => return rest,
            }
            self.ends.push(len - wire.len());
            self.heads.push(text.starts_with(b"HEAD "));
        }
        Rest::Nothing
    }
}

fn has_field(head: &[u8], name: &[u8]) -> bool {
    head.split(|&b| b == b'\n').any(|line| {
        line.len() > name.len()
            && line[..name.len()].eq_ignore_ascii_case(name)
            && line[name.len()] == b':'
    })
}

fn body_length(bytes: &[u8], framing: Framing) -> Result<usize, Rest> {
    match framing {
        Framing::Length(length) => match usize::try_from(length) {
            Ok(length) if bytes.len() >= length => Ok(length),
            _ => Err(Rest::Partial),
        },
        Framing::Chunked => {
            let mut chunked = Chunked::default();
            let mut length = 0;
            loop {
                let step = chunked.read(&bytes[length..]).map_err(|_| Rest::Broken)?;
                length += step.pass;
                match step {
                    step if step.done => return Ok(length),
                    step if step.pass == 0 => return Err(Rest::Partial),
                    _ => {}
                }
            }
        }
    }
}
