//! One part of the table.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::timestamp::Timestamp;

use super::{Ended, Heard};

/// No entry.
const NONE: u32 = u32::MAX;
/// Grants that are looked at for having expired whenever the table is used: more than one, so that it shrinks.
const EXPIRED_AT_ONCE: usize = 2;
/// Grants that are looked at for having gone silent then.
const SILENT_AT_ONCE: usize = 4;

/// What time it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// By the caller.
    pub(crate) now: Timestamp,
    /// The same less the times at which the upstream stood still: silence is measured with it.
    pub(crate) clock: Duration,
    /// After how long without a call a grant counts as silent.
    pub(crate) silence: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// In progress; in the list of those that were heard of, by when.
    Active,
    /// Was not heard of for long.
    Silent,
    /// Has come to what it was for.
    Finished,
    /// Is good for nothing any more.
    Ended,
}

#[derive(Debug)]
struct Grant {
    expires: Timestamp,
    /// By the clock that stands still with the upstream.
    seen: Duration,
    /// Calls that were asked for, the entry among them.
    calls: u32,
    /// Those of them that were not made: refused behind this table.
    unmade: u32,
    stage: Stage,
    /// Was begun here, so that its calls are all known.
    whole: bool,
    previous: u32,
    next: u32,
}

#[derive(Debug)]
pub(crate) struct Shard {
    index: HashMap<u64, u32>,
    slab: Vec<Grant>,
    free: Vec<u32>,
    /// Every grant once, by about when it expires; some that had to make room before.
    expiring: VecDeque<(Timestamp, u64)>,
    /// Those that have finished, in that order, and what has become of them since.
    done: VecDeque<u64>,
    /// Grants in the table that have finished or were ended.
    over: u64,
    /// Ends of the list of active grants.
    oldest: u32,
    newest: u32,
    active: u64,
    heard: Heard,
}

impl Shard {
    pub(super) fn new() -> Self {
        Self {
            index: HashMap::new(),
            slab: Vec::new(),
            free: Vec::new(),
            expiring: VecDeque::new(),
            done: VecDeque::new(),
            over: 0,
            oldest: NONE,
            newest: NONE,
            active: 0,
            heard: Heard::default(),
        }
    }

    pub(super) fn live(&self) -> u64 {
        self.index.len() as u64
    }

    /// Those that have finished, or were ended.
    pub(super) fn over(&self) -> u64 {
        self.over
    }

    pub(super) fn active(&self) -> u64 {
        self.active
    }

    pub(super) fn take_heard(&mut self) -> Heard {
        std::mem::take(&mut self.heard)
    }

    pub(super) fn begin(&mut self, nonce: u64, expires: Timestamp, has_room: bool, pace: Pace) {
        // A nonce that is known already goes on as it is.
        if !self.index.contains_key(&nonce) && has_room {
            self.insert(nonce, expires, true, pace);
        }
    }

    pub(super) fn call(
        &mut self,
        nonce: u64,
        expires: Timestamp,
        calls: u32,
        has_room: bool,
        pace: Pace,
    ) -> Result<(), Ended> {
        if expires <= pace.now {
            return Err(Ended::Over);
        }
        let at = match self.index.get(&nonce).copied() {
            Some(at) => at,
            None if !has_room => {
                self.heard.calls += 1;
                return Ok(());
            }
            None => self.insert(nonce, expires, false, pace),
        };
        let grant = &mut self.slab[at as usize];
        grant.expires = grant.expires.max(expires);
        match grant.stage {
            Stage::Ended => return Err(Ended::Over),
            _ if grant.calls - grant.unmade >= calls => return Err(Ended::Calls),
            Stage::Silent => {
                grant.stage = Stage::Active;
                if grant.whole {
                    self.heard.ended -= 1;
                    self.heard.ended_calls -= i64::from(grant.calls);
                }
                self.link(at);
            }
            Stage::Active => {
                self.unlink(at);
                self.link(at);
            }
            Stage::Finished if grant.whole => self.heard.ended_calls += 1,
            Stage::Finished => {}
        }
        let grant = &mut self.slab[at as usize];
        grant.calls = grant.calls.saturating_add(1);
        let gap = pace.clock.saturating_sub(grant.seen).as_secs_f64();
        grant.seen = grant.seen.max(pace.clock);
        self.heard.calls += 1;
        if grant.stage == Stage::Active && grant.whole {
            self.heard.gaps += 1;
            self.heard.gap_seconds += gap;
            self.heard.gap_squares += gap * gap;
        }
        Ok(())
    }

    pub(super) fn is_good(&self, nonce: u64, expires: Timestamp, calls: u32, pace: Pace) -> bool {
        let known = self.index.get(&nonce).map(|&at| &self.slab[at as usize]);
        expires > pace.now
            && known.is_none_or(|grant| {
                grant.stage != Stage::Ended && grant.calls - grant.unmade < calls
            })
    }

    /// A call that was let in was not made after all: it does not count against the budget. It goes on to count as asked
    /// for, since planning measures how many of those are served.
    pub(super) fn give_back(&mut self, nonce: u64) {
        if let Some(&at) = self.index.get(&nonce) {
            let grant = &mut self.slab[at as usize];
            // The entry was made, whatever else.
            grant.unmade = (grant.unmade + 1).min(grant.calls.saturating_sub(1));
        }
    }

    pub(super) fn finish(&mut self, nonce: u64) {
        if let Some(&at) = self.index.get(&nonce)
            && matches!(self.slab[at as usize].stage, Stage::Active | Stage::Silent)
        {
            self.heard.finished += 1;
            self.leave(at, Stage::Finished);
            self.done.push_back(nonce);
        }
    }

    pub(super) fn end(&mut self, nonce: u64, expires: Timestamp, has_room: bool, pace: Pace) {
        let at = match self.index.get(&nonce).copied() {
            Some(at) => at,
            None if !has_room => return,
            None => self.insert(nonce, expires, false, pace),
        };
        self.leave(at, Stage::Ended);
    }

    /// Takes away what has expired and what has gone silent: a few, in passing.
    pub(super) fn clear_up(&mut self, pace: Pace) {
        for _ in 0..EXPIRED_AT_ONCE {
            if !self.expire_one(pace) {
                break;
            }
        }
        for _ in 0..SILENT_AT_ONCE {
            if !self.silence_one(pace) {
                break;
            }
        }
    }

    /// The same for all of them; each grant goes silent once per call at most, and expires once.
    pub(super) fn sweep(&mut self, pace: Pace) {
        while self.expire_one(pace) {}
        while self.silence_one(pace) {}
    }

    fn expire_one(&mut self, pace: Pace) -> bool {
        let Some(&(due, nonce)) = self.expiring.front() else { return false };
        if due > pace.now {
            return false;
        }
        self.expiring.pop_front();
        let Some(&at) = self.index.get(&nonce) else { return true };
        let expires = self.slab[at as usize].expires;
        if expires > pace.now {
            // Was renewed.
            self.expiring.push_back((expires, nonce));
        } else {
            self.remove(nonce, at);
        }
        true
    }

    /// Forgets the grant that finished first: its holder has what it was for. Whether there was one.
    pub(super) fn make_room(&mut self) -> bool {
        while let Some(nonce) = self.done.pop_front() {
            if let Some(&at) = self.index.get(&nonce)
                && self.slab[at as usize].stage == Stage::Finished
            {
                self.remove(nonce, at);
                return true;
            }
        }
        false
    }

    fn remove(&mut self, nonce: u64, at: u32) {
        self.leave(at, Stage::Ended);
        self.over -= 1;
        self.index.remove(&nonce);
        self.free.push(at);
        // What is behind one that is still here goes with it.
        while self.done.front().is_some_and(|nonce| !self.index.contains_key(nonce)) {
            self.done.pop_front();
        }
    }

    fn silence_one(&mut self, pace: Pace) -> bool {
        let at = self.oldest;
        if at == NONE || pace.clock.saturating_sub(self.slab[at as usize].seen) <= pace.silence {
            return false;
        }
        self.leave(at, Stage::Silent);
        true
    }

    /// Takes a grant out of what is in progress, if it was.
    fn leave(&mut self, at: u32, stage: Stage) {
        let grant = &mut self.slab[at as usize];
        let was = std::mem::replace(&mut grant.stage, stage);
        let is_over = |stage| matches!(stage, Stage::Finished | Stage::Ended);
        self.over -= u64::from(is_over(was));
        self.over += u64::from(is_over(stage));
        let grant = &mut self.slab[at as usize];
        if was == Stage::Active {
            if grant.whole {
                self.heard.ended += 1;
                self.heard.ended_calls += i64::from(grant.calls);
            }
            self.unlink(at);
        }
    }

    fn insert(&mut self, nonce: u64, expires: Timestamp, whole: bool, pace: Pace) -> u32 {
        let grant = Grant {
            expires,
            seen: pace.clock,
            // The entry.
            calls: 1,
            unmade: 0,
            stage: Stage::Active,
            whole,
            previous: NONE,
            next: NONE,
        };
        let at = if let Some(at) = self.free.pop() {
            self.slab[at as usize] = grant;
            at
        } else {
            // The bound of the table is below 2^32.
            self.slab.push(grant);
            (self.slab.len() - 1) as u32
        };
        self.index.insert(nonce, at);
        self.expiring.push_back((expires, nonce));
        self.link(at);
        at
    }

    /// Puts a grant at the end of the list of active ones.
    fn link(&mut self, at: u32) {
        self.active += 1;
        let previous = std::mem::replace(&mut self.newest, at);
        let grant = &mut self.slab[at as usize];
        (grant.previous, grant.next) = (previous, NONE);
        match previous {
            NONE => self.oldest = at,
            previous => self.slab[previous as usize].next = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        self.active -= 1;
        let Grant { previous, next, .. } = self.slab[at as usize];
        match previous {
            NONE => self.oldest = next,
            previous => self.slab[previous as usize].next = next,
        }
        match next {
            NONE => self.newest = previous,
            next => self.slab[next as usize].previous = previous,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_has_expired_leaves_its_memory_to_the_next() {
        let mut shard = Shard::new();
        for nonce in 0..10_000 {
            let now = Timestamp::from_nanos(nonce);
            let pace = Pace { now, clock: Duration::ZERO, silence: Duration::MAX };
            shard.clear_up(pace);
            shard.begin(nonce, Timestamp::from_nanos(nonce + 10), true, pace);
        }
        assert!(shard.slab.len() <= 12, "{}", shard.slab.len());
        assert_eq!(shard.expiring.len() as u64, shard.live());
    }
}
