//! A case: what the client does, what the origin does, what must come of it.

use crate::{
    client::{End, Step},
    expect::Check,
    gateway::Setup,
    origin::{Connection, Reply},
    wire::{Answers, Message},
};

/// One row of a group.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) replies: Vec<Reply>,
    pub(crate) checks: Vec<Check>,
    pub(crate) setup: Setup,
    /// Requests the client sends; never more may be seen on either side.
    pub(crate) requests: usize,
    /// Whether the steps end with a question to the connection.
    pub(crate) conclude: bool,
    /// Whether the permits must be back at the end.
    pub(crate) returns_permits: bool,
}

/// All that was seen of a case, on both sides.
#[derive(Default)]
pub(crate) struct Seen {
    /// What the client was answered, without the answer to the probe.
    pub(crate) answers: Answers,
    pub(crate) received: Vec<u8>,
    pub(crate) end: End,
    pub(crate) overdue: Vec<String>,
    pub(crate) upstream: Vec<Connection>,
    /// The requests the origin got, whole or not, without the probe.
    pub(crate) requests: Vec<Message>,
    /// The first upstream bytes that are no request.
    pub(crate) upstream_fault: Option<String>,
    /// The permits did not come back.
    pub(crate) permits_missing: bool,
}

/// Begins a case.
pub(crate) fn case(id: impl Into<String>) -> Case {
    Case {
        id: id.into(),
        steps: Vec::new(),
        replies: Vec::new(),
        checks: Vec::new(),
        setup: Setup::Plain,
        requests: 1,
        conclude: true,
        returns_permits: false,
    }
}

// === impl Case ===

impl Case {
    /// Sends these bytes and, unless more steps follow, waits for the answer.
    pub(crate) fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Send(bytes.as_ref().to_vec()))
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The next request is answered so.
    pub(crate) fn origin(mut self, reply: Reply) -> Self {
        self.replies.push(reply);
        self
    }

    /// The next request is answered with these bytes.
    pub(crate) fn reply(self, bytes: impl AsRef<[u8]>) -> Self {
        self.origin(Reply::new(bytes))
    }

    pub(crate) fn expect(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    pub(crate) fn requests(mut self, count: usize) -> Self {
        self.requests = count;
        self
    }

    pub(crate) fn impatient(mut self) -> Self {
        self.setup = Setup::Impatient;
        self
    }

    /// Does not ask whether the connection is still usable.
    /// The client is a trusted proxy.
    pub(crate) fn trusted(mut self) -> Self {
        self.setup = Setup::Trusting;
        self
    }

    pub(crate) fn without_probe(mut self) -> Self {
        self.conclude = false;
        self
    }

    pub(crate) fn returns_permits(mut self) -> Self {
        self.returns_permits = true;
        self
    }

    /// The steps, with a wait for all answers where they end without waiting for anything.
    pub(crate) fn script(&self) -> Vec<Step> {
        let mut steps = self.steps.clone();
        if let Some(Step::Send(_) | Step::HalfClose | Step::Drip { .. }) = steps.last() {
            steps.push(Step::WaitAnswers(self.requests));
        }
        steps
    }

    pub(crate) fn starts_with_head(&self) -> bool {
        matches!(self.steps.first(), Some(Step::Send(bytes)) if bytes.starts_with(b"HEAD "))
    }
}

// === requests in bytes ===

/// `GET /c` with these field lines, given without their CRLF.
pub(crate) fn get(fields: &[&str]) -> Vec<u8> {
    head("GET /c HTTP/1.1", &[&["Host: shop.example"], fields].concat())
}

/// `POST /c` with these field lines and raw body bytes.
pub(crate) fn post(fields: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = head("POST /c HTTP/1.1", &[&["Host: shop.example"], fields].concat());
    bytes.extend_from_slice(body.as_ref());
    bytes
}

/// A start line and field lines, with all CRLF.
pub(crate) fn head(start: &str, fields: &[&str]) -> Vec<u8> {
    let mut bytes = format!("{start}\r\n").into_bytes();
    for field in fields {
        bytes.extend_from_slice(field.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// A second request that must never come out on the other side.
pub(crate) const SMUGGLED: &str = "GET /c/smuggled HTTP/1.1\r\nHost: shop.example\r\n\r\n";
