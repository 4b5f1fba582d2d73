//! Whether the keys of journeys can be used here, before anything is started.

use floodgate_config::{Config, Sticky};

use crate::grant::keyring::Loaded;

/// What an operator should know of the keys of `config`'s journeys, a sentence each.
pub(crate) fn check_keys(config: &Config) -> Vec<String> {
    let signing = config.journeys.iter().filter(|meant| meant.sticky == Sticky::Grant);
    let told = signing.filter_map(|meant| match Loaded::from_source(&meant.keys) {
        Ok(Loaded { warning, .. }) => warning,
        Err(sentence) => {
            Some(format!("it would not start here: the keys of journey {}: {sentence}", meant.name))
        }
    });
    told.collect()
}
