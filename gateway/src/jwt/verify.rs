//! One token: whether it is good, and what it says.

use std::fmt;
use std::sync::Arc;

use floodgate_config::Algorithm;

use super::InvalidToken;
use super::json::Object;
use super::keys::{Fingerprint, TokenKeys};
use crate::base64url;

/// Longest token in bytes; what is longer is none.
pub(super) const MAX_TOKEN: usize = 8 * 1024;
/// Longest header of a token, as it is written: what an attacker says before anything is verified.
const MAX_HEADER: usize = 2 * 1024;
/// Longest claim that is kept, in bytes.
const MAX_CLAIM: usize = 256;
/// No token ends later, in milliseconds since 1970: beyond it a number of seconds is not exact.
const LAST_SECOND: f64 = 1e11;

/// What a token has to be like, and what is asked of it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Rules {
    /// Which algorithms count, by [`Algorithm::index`].
    algorithms: [bool; Algorithm::ALL.len()],
    issuer: Option<String>,
    audience: Vec<String>,
    leeway_ms: u64,
    /// The claims that are asked for.
    claims: Vec<String>,
}

/// What a good token says.
pub(crate) struct Verified {
    rules: Arc<Rules>,
    /// Of each claim that is asked for.
    claims: Box<[Option<Box<[u8]>>]>,
    /// Who has signed it.
    pub(super) key: Fingerprint,
    /// From when to when it is good, in milliseconds since 1970, leeway included.
    pub(super) begins_ms: u64,
    pub(super) ends_ms: u64,
}

/// What a token turned out to be.
pub(super) struct Finding {
    pub(super) result: Result<Verified, InvalidToken>,
    /// When it begins, if that is all that is wrong with it.
    pub(super) begins_ms: u64,
    /// Signatures that were computed, and of what kind.
    pub(super) tried: u32,
    pub(super) algorithm: Option<Algorithm>,
}

// === impl Rules ===

impl Rules {
    /// Those of `config`; claims that are asked for are there by name.
    pub(crate) fn new(jwt: &floodgate_config::Jwt, claims: &[&str]) -> Self {
        let counts = |algorithm| jwt.algorithms.is_empty() || jwt.algorithms.contains(&algorithm);
        Self {
            algorithms: Algorithm::ALL.map(counts),
            issuer: jwt.issuer.clone(),
            audience: jwt.audience.clone(),
            leeway_ms: u64::try_from(jwt.leeway.as_millis()).unwrap_or(u64::MAX),
            claims: claims.iter().map(|&claim| claim.to_owned()).collect(),
        }
    }

    /// Whether tokens of this kind count.
    pub(crate) const fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms[algorithm.index()]
    }
}

// === impl Verified ===

impl Verified {
    /// What it says of `claim`: a string, or a number as it was written, of 1 to 256 bytes. `None` too if
    /// nobody asks for it in the configuration.
    pub(crate) fn claim(&self, claim: &str) -> Option<&[u8]> {
        let at = self.rules.claims.iter().position(|name| name == claim)?;
        self.claims[at].as_deref()
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever it is, it is nobody's business on a log.
        f.write_str("Verified(..)")
    }
}

/// What `token` is at `now_ms`, milliseconds since 1970. The signature first: nothing is believed before.
pub(super) fn verify(token: &[u8], keys: &TokenKeys, rules: &Arc<Rules>, now_ms: u64) -> Finding {
    let mut finding =
        Finding { result: Err(InvalidToken::Malformed), begins_ms: 0, tried: 0, algorithm: None };
    finding.result = examine(token, keys, rules, now_ms, &mut finding);
    finding
}

fn examine(
    token: &[u8],
    keys: &TokenKeys,
    rules: &Arc<Rules>,
    now_ms: u64,
    finding: &mut Finding,
) -> Result<Verified, InvalidToken> {
    let malformed = InvalidToken::Malformed;
    if token.len() > MAX_TOKEN {
        return Err(malformed);
    }
    let mut parts = token.split(|&byte| byte == b'.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed);
    };
    let signed = &token[..header.len() + 1 + payload.len()];
    let header = (header.len() <= MAX_HEADER).then(|| decode(header)).flatten().ok_or(malformed)?;
    let header = Object::read(&header).ok_or(malformed)?;
    // Extensions that have to be understood (RFC 7515 §4.1.11): none is.
    if header.has("crit") {
        return Err(malformed);
    }
    let named = header.string("alg").ok_or(malformed)?;
    let named = |algorithm: &Algorithm| algorithm.as_str().as_bytes() == named;
    let algorithm = Algorithm::ALL.into_iter().find(named).filter(|it| rules.allows(*it));
    let algorithm = algorithm.ok_or(InvalidToken::Algorithm)?;
    if !keys.algorithms().any(|key| key == algorithm) {
        return Err(InvalidToken::Algorithm);
    }
    let kid = match header.has("kid") {
        true => Some(header.string("kid").ok_or(malformed)?),
        false => None,
    };
    let signature = decode(signature).ok_or(malformed)?;
    finding.algorithm = Some(algorithm);
    let mut why = InvalidToken::UnknownKey;
    let key = keys.candidates(algorithm, kid.as_deref()).find(|key| {
        finding.tried += 1;
        why = InvalidToken::Forged;
        key.has_signed(signed, &signature)
    });
    let key = key.ok_or(why)?;
    let payload = decode(payload).and_then(|payload| Claims::read(&payload, rules));
    let claims = payload.ok_or(malformed)?;
    finding.begins_ms = claims.begins_ms;
    claims.judge(now_ms)?;
    Ok(Verified {
        rules: Arc::clone(rules),
        claims: claims.asked,
        key: key.fingerprint,
        begins_ms: claims.begins_ms,
        ends_ms: claims.ends_ms,
    })
}

fn decode(part: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = vec![0; part.len()];
    let len = base64url::decode(part, &mut bytes)?;
    bytes.truncate(len);
    Some(bytes)
}

/// What a token says that somebody has signed.
struct Claims {
    asked: Box<[Option<Box<[u8]>>]>,
    begins_ms: u64,
    /// 0 if it does not say.
    ends_ms: u64,
    is_issuers: bool,
    is_for_us: bool,
}

// === impl Claims ===

impl Claims {
    /// `None` if it says nothing that can be understood.
    fn read(payload: &[u8], rules: &Rules) -> Option<Self> {
        let payload = Object::read(payload)?;
        let moment = |name: &str| match payload.has(name) {
            true => payload.number(name).map(Some),
            false => Some(None),
        };
        // RFC 7519 §4.1.4: on or after `exp` it is not to be taken; §4.1.5: nor before `nbf`.
        let (begins, ends) = (moment("nbf")?, moment("exp")?);
        let begins_ms = begins.map_or(0, |at| millis(at).saturating_sub(rules.leeway_ms));
        let ends_ms = ends.map_or(0, |at| millis(at).saturating_add(rules.leeway_ms));
        let issuer = payload.string("iss");
        let is_issuers = match &rules.issuer {
            Some(wanted) => issuer.is_some_and(|issuer| issuer == wanted.as_bytes()),
            None => true,
        };
        let ours = |one: &[u8]| rules.audience.iter().any(|wanted| wanted.as_bytes() == one);
        let is_for_us = rules.audience.is_empty() || payload.has_string("aud", ours);
        let asked = rules.claims.iter().map(|claim| {
            let text = payload.text(claim)?;
            (1..=MAX_CLAIM).contains(&text.len()).then(|| text.into())
        });
        Some(Self { asked: asked.collect(), begins_ms, ends_ms, is_issuers, is_for_us })
    }

    /// What can never be mended before what time mends.
    fn judge(&self, now_ms: u64) -> Result<(), InvalidToken> {
        if !self.is_issuers {
            Err(InvalidToken::Issuer)
        } else if !self.is_for_us {
            Err(InvalidToken::Audience)
        } else if now_ms >= self.ends_ms {
            Err(InvalidToken::Expired)
        } else if now_ms < self.begins_ms {
            Err(InvalidToken::NotYet)
        } else {
            Ok(())
        }
    }
}

/// Seconds since 1970, perhaps with a fraction, in milliseconds; what is before 1970 is 1970.
fn millis(seconds: f64) -> u64 {
    // A float becomes an integer by saturation.
    (seconds.min(LAST_SECOND) * 1e3) as u64
}

#[cfg(test)]
mod tests;
