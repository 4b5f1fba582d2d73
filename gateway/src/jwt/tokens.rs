//! The tokens that a worker has seen, and the rules they go by.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use floodgate_config::{Config, KeySource};
use floodgate_limiter::Timestamp;

use super::budget::Budget;
use super::cache::Cache;
use super::digest::Seed;
use super::stats::TokenShard;
use super::verify::{Rules, Verified, verify};
use super::{InvalidToken, TokenKeys, TokenStats};
use crate::fields::Fields;
use crate::grant::keyring::Keyring;
use crate::reason::Reason;

/// Bad tokens that are remembered, apart from the good: however many of them come, they take the place of
/// each other.
const BAD: usize = 8_192;

/// How tokens are verified, live.
#[derive(Debug)]
pub(crate) struct Jwt {
    /// What they have to be like.
    rules: Arc<Rules>,
    /// What they are verified with.
    keyring: Arc<Keyring<TokenKeys>>,
    /// What is counted of them.
    stats: Arc<TokenStats>,
    /// Good ones that each worker remembers.
    cache: usize,
}

/// What one worker remembers of tokens; nothing until the first comes.
#[derive(Debug, Default)]
pub(crate) struct Tokens(RefCell<Option<Box<Memory>>>);

#[derive(Debug)]
struct Memory {
    seed: Seed,
    rules: Arc<Rules>,
    keys: Arc<TokenKeys>,
    /// Of the keys, as far as they are known.
    version: u64,
    capacity: usize,
    good: Cache<Good>,
    bad: Cache<Bad>,
    budget: Budget,
}

/// A token that was verified. When it is good stands beside what it says, which is read by those who ask for it.
#[derive(Debug)]
struct Good {
    begins_ms: u64,
    ends_ms: u64,
    verified: Rc<Verified>,
}

/// A token that is none.
#[derive(Clone, Copy, Debug)]
struct Bad {
    /// When to look again, in milliseconds since 1970.
    until_ms: u64,
}

// === impl Jwt ===

impl Jwt {
    /// As `config` has it, with the state that `old` has; `None` if no token is looked at.
    pub(crate) fn compile(
        config: &Config,
        keyring: Option<Arc<Keyring<TokenKeys>>>,
        old: Option<&Self>,
        cores: usize,
    ) -> Option<Self> {
        let (meant, keyring) = config.jwt.as_ref().zip(keyring)?;
        let rules = Rules::new(meant, &config.claims());
        // The same rules are the same object: what is remembered goes by it.
        let same = old.filter(|old| *old.rules == rules).map(|old| Arc::clone(&old.rules));
        Some(Self {
            rules: same.unwrap_or_else(|| Arc::new(rules)),
            keyring,
            stats: old
                .map_or_else(|| Arc::new(TokenStats::new(cores)), |old| Arc::clone(&old.stats)),
            cache: meant.cache,
        })
    }

    /// What they are verified with.
    pub(crate) const fn keyring(&self) -> &Arc<Keyring<TokenKeys>> {
        &self.keyring
    }

    /// What is counted of them.
    pub(crate) fn stats(&self) -> &TokenStats {
        &self.stats
    }
}

/// The keys for tokens of `config`: those of `old` where they come from the same place.
///
/// # Errors
/// Where they should come from, and one sentence: they are of no use.
pub(crate) fn open_keys(
    config: &Config,
    old: Option<&Jwt>,
) -> Result<Option<Arc<Keyring<TokenKeys>>>, (KeySource, String)> {
    let Some(meant) = &config.jwt else { return Ok(None) };
    if let Some(old) = old.filter(|old| *old.keyring.source() == meant.keys) {
        return Ok(Some(Arc::clone(&old.keyring)));
    }
    let (keyring, warning) =
        Keyring::open(meant.keys.clone()).map_err(|sentence| (meant.keys.clone(), sentence))?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok(Some(Arc::new(keyring)))
}

// === impl Tokens ===

impl Tokens {
    /// The good token of whoever sent `fields` to this `worker` at `now`, which is `now_ms` since 1970;
    /// `None` if there is none at all. Whoever has been seen costs a look into memory of this worker.
    ///
    /// # Errors
    /// The token is bad, or there were too many that are for now.
    pub(crate) fn check(
        &self,
        worker: usize,
        jwt: &Jwt,
        fields: Fields<'_>,
        now: Timestamp,
        now_ms: u64,
    ) -> Result<Option<Rc<Verified>>, Reason> {
        let token = match bearer(fields) {
            Ok(None) => return Ok(None),
            Ok(Some(token)) => token,
            Err(why) => return Err(refuse(jwt.stats.shard(worker), why)),
        };
        let mut memory = self.0.borrow_mut();
        if memory.is_none() {
            *memory = Memory::new(jwt).ok().map(Box::new);
        }
        // Without random numbers nobody can be told from anybody.
        let memory = memory.as_mut().ok_or(Reason::TokenUnchecked)?;
        memory.check(jwt, token, jwt.stats.shard(worker), now, now_ms).map(Some)
    }

    /// How many good and bad ones are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        self.0.borrow().as_ref().map_or((0, 0), |memory| (memory.good.len(), memory.bad.len()))
    }
}

/// The token of the only Authorization field, if that is of this scheme (RFC 6750 §2.1).
fn bearer(fields: Fields<'_>) -> Result<Option<&[u8]>, InvalidToken> {
    let credentials =
        fields.at_most_one("authorization").map_err(|_several| InvalidToken::Malformed)?;
    let Some((scheme, token)) = credentials.and_then(|it| it.split_at_checked(7)) else {
        return Ok(None);
    };
    Ok(scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii()))
}

fn refuse(shard: &TokenShard, why: InvalidToken) -> Reason {
    shard.bad[why.index()].increment();
    Reason::InvalidToken
}

// === impl Memory ===

impl Memory {
    fn new(jwt: &Jwt) -> Result<Self, String> {
        let version = jwt.keyring.version();
        Ok(Self {
            seed: Seed::random()?,
            rules: Arc::clone(&jwt.rules),
            version,
            keys: Arc::clone(&jwt.keyring.keys()),
            capacity: jwt.cache,
            good: Cache::new(jwt.cache),
            bad: Cache::new(BAD),
            budget: Budget::new(),
        })
    }

    fn check(
        &mut self,
        jwt: &Jwt,
        token: &[u8],
        shard: &TokenShard,
        now: Timestamp,
        now_ms: u64,
    ) -> Result<Rc<Verified>, Reason> {
        self.follow(jwt);
        let Some(digest) = self.seed.digest(token) else {
            return Err(refuse(shard, InvalidToken::Malformed));
        };
        match self.good.get(digest) {
            Some(good) if good.begins_ms <= now_ms && now_ms < good.ends_ms => {
                return Ok(Rc::clone(&good.verified));
            }
            // It ends once, and is then as bad as any.
            Some(_) => return Err(Reason::InvalidToken),
            None => {}
        }
        if self.bad.get(digest).is_some_and(|bad| now_ms < bad.until_ms) {
            return Err(Reason::InvalidToken);
        }
        if !self.budget.has_some(now) {
            shard.unchecked.increment();
            return Err(Reason::TokenUnchecked);
        }
        let finding = verify(token, &self.keys, &self.rules, now_ms);
        match finding.result {
            Ok(verified) => {
                shard.good.increment();
                let (begins_ms, ends_ms) = (verified.begins_ms, verified.ends_ms);
                let verified = Rc::new(verified);
                let good = Good { begins_ms, ends_ms, verified: Rc::clone(&verified) };
                self.good.put(digest, good);
                Ok(verified)
            }
            Err(why) => {
                if let Some(algorithm) = finding.algorithm {
                    self.budget.spend(algorithm, finding.tried);
                }
                let until_ms = match why {
                    InvalidToken::NotYet => finding.begins_ms,
                    _ => u64::MAX,
                };
                self.bad.put(digest, Bad { until_ms });
                Err(refuse(shard, why))
            }
        }
    }

    /// Forgets what goes by other rules, or by a key that is gone.
    fn follow(&mut self, jwt: &Jwt) {
        if !Arc::ptr_eq(&self.rules, &jwt.rules) || self.capacity != jwt.cache {
            self.rules = Arc::clone(&jwt.rules);
            self.capacity = jwt.cache;
            self.good = Cache::new(jwt.cache);
            self.bad = Cache::new(BAD);
        }
        let version = jwt.keyring.version();
        if self.version != version {
            self.version = version;
            self.keys = Arc::clone(&jwt.keyring.keys());
            let keys = &self.keys;
            self.good.retain(|good| keys.has(good.verified.key));
            // The new key may be the one that was missing.
            self.bad = Cache::new(BAD);
        }
    }
}

#[cfg(test)]
mod tests;
