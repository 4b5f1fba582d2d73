//! The scenarios that come with the program: those in `scenarios/`.

use std::path::Path;

use super::Scenario;

/// Name and text.
const FILES: [(&str, &str); 19] = [
    ("smoke", include_str!("../../scenarios/smoke.toml")),
    ("sla", include_str!("../../scenarios/sla.toml")),
    ("storm", include_str!("../../scenarios/storm.toml")),
    ("clicks", include_str!("../../scenarios/clicks.toml")),
    ("neighbour", include_str!("../../scenarios/neighbour.toml")),
    ("hot-key", include_str!("../../scenarios/hot-key.toml")),
    ("sweep", include_str!("../../scenarios/sweep.toml")),
    ("sweep-bots", include_str!("../../scenarios/sweep-bots.toml")),
    ("t1-step", include_str!("../../scenarios/t1-step.toml")),
    ("t2-hype", include_str!("../../scenarios/t2-hype.toml")),
    ("t3-retry-storm", include_str!("../../scenarios/t3-retry-storm.toml")),
    ("t4-mid-journey", include_str!("../../scenarios/t4-mid-journey.toml")),
    ("t5-sold-out-tail", include_str!("../../scenarios/t5-sold-out-tail.toml")),
    ("t6-mixed-catalogue", include_str!("../../scenarios/t6-mixed-catalogue.toml")),
    ("t7-tier-shed", include_str!("../../scenarios/t7-tier-shed.toml")),
    ("t8-cold-start", include_str!("../../scenarios/t8-cold-start.toml")),
    ("t9-handshakes", include_str!("../../scenarios/t9-handshakes.toml")),
    ("t10-tenant-noise", include_str!("../../scenarios/t10-tenant-noise.toml")),
    ("t11-node-loss", include_str!("../../scenarios/t11-node-loss.toml")),
];

impl Scenario {
    /// Their names.
    pub const NAMES: [&str; 19] = {
        let mut names = [""; FILES.len()];
        let mut index = 0;
        while index < FILES.len() {
            names[index] = FILES[index].0;
            index += 1;
        }
        names
    };

    /// One of them by its name.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let (name, text) = FILES.iter().find(|(known, _)| *known == name)?;
        Self::parse(name, text, Path::new("")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_is_good_and_none_is_forgotten() {
        for (name, text) in FILES {
            if let Err(problems) = Scenario::parse(name, text, Path::new("")) {
                panic!("{name}: {problems:#?}");
            }
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let files = std::fs::read_dir(folder).unwrap().flatten();
        let files = files.filter(|file| file.path().extension().is_some_and(|e| e == "toml"));
        assert_eq!(files.count(), FILES.len());
    }

    #[test]
    fn what_cannot_be_judged_yet_says_why() {
        for name in ["t8-cold-start", "t9-handshakes", "t11-node-loss"] {
            let scenario = Scenario::built_in(name).unwrap();
            assert!(scenario.needs.iter().all(|need| !need.reason().is_empty()), "{name}");
            assert!(!scenario.needs.is_empty(), "{name}");
        }
    }
}
