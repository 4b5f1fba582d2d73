//! What the configuration was, when, and who changed it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

/// Generations that are remembered, text and all.
const REMEMBERED: usize = 20;

/// What set a change off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trigger {
    /// `PUT /api/config`.
    Api,
    /// The file changed.
    File,
    /// `POST /api/shadow/promote`.
    Promotion,
    /// `POST /api/config/rollback`.
    Rollback,
    /// SIGHUP.
    Signal,
    /// The start of the process.
    Start,
    /// Nobody confirmed the change before in time.
    Unconfirmed,
}

/// What set a change off, and who.
#[derive(Clone, Debug)]
pub struct Cause {
    /// What.
    pub trigger: Trigger,
    /// Whose token it was, or which file; empty for the gateway itself.
    pub who: String,
    /// Where the request came from; empty if there was none.
    pub from: String,
}

/// One configuration that was live.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// When it became live.
    pub at: SystemTime,
    /// Why.
    pub cause: Cause,
    /// The difference to the one before, key by key.
    pub changes: Vec<String>,
    /// Its text.
    pub text: Arc<str>,
}

/// The last generations; never empty.
#[derive(Debug)]
pub struct History {
    latest: Generation,
    /// The oldest first.
    earlier: VecDeque<Generation>,
}

// === impl Trigger ===

impl Trigger {
    /// As it stands in logs and in the history.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::File => "file",
            Self::Promotion => "promotion",
            Self::Rollback => "rollback",
            Self::Signal => "signal",
            Self::Start => "start",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

// === impl Cause ===

impl Cause {
    /// `trigger`, set off by `who` from the address `from`.
    pub fn new(trigger: Trigger, who: &str, from: &str) -> Self {
        Self { trigger, who: who.to_owned(), from: from.to_owned() }
    }
}

// === impl Generation ===

impl Generation {
    /// Live from now on.
    pub fn new(number: u64, cause: Cause, changes: Vec<String>, text: Arc<str>) -> Self {
        Self { number, at: SystemTime::now(), cause, changes, text }
    }
}

// === impl History ===

impl History {
    /// Begins with `first`.
    pub const fn new(first: Generation) -> Self {
        Self { latest: first, earlier: VecDeque::new() }
    }

    /// Adds a generation; the oldest is forgotten when there are too many.
    pub fn push(&mut self, generation: Generation) {
        self.earlier.push_back(std::mem::replace(&mut self.latest, generation));
        if self.earlier.len() >= REMEMBERED {
            self.earlier.pop_front();
        }
    }

    /// The live one.
    pub const fn latest(&self) -> &Generation {
        &self.latest
    }

    /// The live one and those before it.
    pub fn newest_first(&self) -> impl Iterator<Item = &Generation> {
        std::iter::once(&self.latest).chain(self.earlier.iter().rev())
    }

    /// The one with this number, if it is remembered.
    pub fn find(&self, number: u64) -> Option<&Generation> {
        self.newest_first().find(|generation| generation.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_twenty_are_remembered_newest_first() {
        let generation = |number| {
            Generation::new(number, Cause::new(Trigger::Api, "", ""), Vec::new(), "".into())
        };
        let mut history = History::new(generation(1));
        (2..=50).for_each(|number| history.push(generation(number)));
        let numbers: Vec<u64> =
            history.newest_first().map(|generation| generation.number).collect();
        assert_eq!(numbers, (31..=50).rev().collect::<Vec<_>>());
        assert!(history.find(30).is_none() && history.find(31).is_some());
    }
}
