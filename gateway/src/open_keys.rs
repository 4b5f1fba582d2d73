//! The keys of a configuration: opened before anything of it is live, since after that nothing may fail.

use std::fmt;
use std::sync::Arc;

use floodgate_config::{Config, KeySource, Problems, Sticky};

use crate::grant;
use crate::grant::keyring::{Keyring, Loaded};
use crate::jwt::{self, TokenKeys};
use crate::snapshot::Snapshot;

/// All keys of a configuration.
#[derive(Debug, Default)]
pub(crate) struct OpenKeys {
    /// What the grants of each journey are signed with.
    pub journeys: Vec<Arc<Keyring>>,
    /// What tokens are verified with.
    pub tokens: Option<Arc<Keyring<TokenKeys>>>,
}

/// Keys that cannot be used.
#[derive(Debug)]
pub(crate) struct UnusableKeys {
    /// Whose they are.
    of: String,
    /// The path of the key that names them.
    path: String,
    source: KeySource,
    sentence: String,
    suggestion: &'static str,
}

// === impl OpenKeys ===

impl OpenKeys {
    /// Those of `config`: what `previous` has where they come from the same place.
    ///
    /// # Errors
    /// The first that are of no use.
    pub(crate) fn open(config: &Config, previous: Option<&Snapshot>) -> Result<Self, UnusableKeys> {
        let journeys = config.journeys.iter().map(|meant| of_journey(meant, previous));
        let old = previous.and_then(|previous| previous.jwt.as_ref());
        Ok(Self {
            journeys: journeys.collect::<Result<_, _>>()?,
            tokens: jwt::open_keys(config, old).map_err(UnusableKeys::of_tokens)?,
        })
    }

    /// What an operator should know of those of `config`, a sentence each, before anything is started.
    pub(crate) fn check(config: &Config) -> Vec<String> {
        let signing = config.journeys.iter().filter(|meant| meant.sticky == Sticky::Grant);
        let journeys = signing.filter_map(|meant| {
            match Loaded::<grant::keys::Keys>::from_source(&meant.keys) {
                Ok(Loaded { warning, .. }) => warning,
                Err(sentence) => Some(would_not_start(UnusableKeys::of_journey(meant, sentence))),
            }
        });
        let tokens = config.jwt.iter().filter_map(|meant| {
            match Loaded::<TokenKeys>::from_source(&meant.keys) {
                Ok(Loaded { keys, warning }) => warning.or_else(|| unused(meant, &keys)),
                Err(sentence) => {
                    Some(would_not_start(UnusableKeys::of_tokens((meant.keys.clone(), sentence))))
                }
            }
        });
        journeys.chain(tokens).collect()
    }
}

fn would_not_start(unusable: UnusableKeys) -> String {
    format!("it would not start here: {unusable}")
}

/// Keys that verify nothing that counts.
fn unused(meant: &floodgate_config::Jwt, keys: &TokenKeys) -> Option<String> {
    let allowed = |algorithm| meant.algorithms.is_empty() || meant.algorithms.contains(&algorithm);
    let missing = meant.algorithms.iter().find(|&&one| keys.algorithms().all(|own| own != one));
    if let Some(missing) = missing {
        return Some(format!(
            "`jwt.algorithms` has {missing}, and no key in {} is for it",
            meant.keys
        ));
    }
    let unused = keys.algorithms().find(|&algorithm| !allowed(algorithm))?;
    Some(format!("a key in {} is for {unused}, which `jwt.algorithms` has not", meant.keys))
}

fn of_journey(
    meant: &floodgate_config::Journey,
    previous: Option<&Snapshot>,
) -> Result<Arc<Keyring>, UnusableKeys> {
    // Only grants are signed.
    let source = match meant.sticky {
        Sticky::Grant => meant.keys.clone(),
        Sticky::Stage | Sticky::Off => KeySource::Random,
    };
    let old = previous.and_then(|p| p.journeys.iter().find(|old| old.name == meant.name));
    if let Some(old) = old.filter(|old| *old.keyring().source() == source) {
        return Ok(Arc::clone(old.keyring()));
    }
    let (keyring, warning) =
        Keyring::open(source).map_err(|sentence| UnusableKeys::of_journey(meant, sentence))?;
    if let Some(warning) = warning {
        tracing::warn!(journey = meant.name, "{warning}");
    }
    Ok(Arc::new(keyring))
}

// === impl UnusableKeys ===

impl UnusableKeys {
    fn of_journey(meant: &floodgate_config::Journey, sentence: String) -> Self {
        Self {
            of: format!("the keys of journey {}", meant.name),
            path: format!("journeys.{}.keys", meant.name),
            source: meant.keys.clone(),
            sentence,
            suggestion: "the keys that grants are signed with; `floodgate key` makes one",
        }
    }

    fn of_tokens((source, sentence): (KeySource, String)) -> Self {
        Self {
            of: "the keys for tokens".to_owned(),
            path: "jwt.keys".to_owned(),
            source,
            sentence,
            suggestion: "public keys as PEM, a JWK Set, or secrets, one a line",
        }
    }

    /// The same as a problem of the text that names them.
    pub(crate) fn problems(&self, file: &str, text: &str) -> Problems {
        let value = self.source.to_string();
        floodgate_config::unusable(
            file,
            text,
            (&self.path, &value),
            &self.sentence,
            self.suggestion,
        )
    }
}

impl fmt::Display for UnusableKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.of, self.sentence)
    }
}
