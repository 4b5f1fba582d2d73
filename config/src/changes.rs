//! What is different between two configurations, key by key.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::config::Config;
use crate::effective::{Section, Shown, Table};

/// Changes that are told one by one.
const TOLD: usize = 1_000;

/// The keys that take effect at the next start only.
const AT_START: [&str; 4] = ["server.listen", "server.admin", "server.workers", "server.backlog"];

/// One difference of the effective values of two configurations. `Display` renders it as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Path of the key by name, such as `upstreams.checkout.max_in_flight`; `tiers` or `routes` for their order.
    /// Where more was changed than is told, the last one says how much, without values.
    pub key: String,
    /// What it was; `None`: there was none.
    pub old: Option<String>,
    /// What it is; `None`: there is none any more.
    pub new: Option<String>,
}

/// The differences of the effective values of `old` and `new`, in the order of the file and of `new`; at most 1,000,
/// and one more that counts the others.
///
/// Upstreams, tiers, routes and journeys are the same if they have the same name. A place in the order is told of where it
/// means something: for tiers and routes, once for all of them, unless they were only removed or added at the end.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Changes { told: Vec::new(), omitted: 0 };
    for section in Section::ALL {
        let (old, new) = (section.tables(old), section.tables(new));
        if matches!(section, Section::Tiers | Section::Routes) {
            changes.order(section, &old, &new);
        }
        let mut before: HashMap<&str, &Table<'_>> =
            old.iter().map(|table| (table.name, table)).collect();
        for table in &new {
            changes.table(before.remove(table.name), Some(table));
        }
        for table in old.iter().filter(|table| before.contains_key(table.name)) {
            changes.table(Some(table), None);
        }
    }
    changes.finish()
}

impl Config {
    /// The keys that differ in `new` and take effect at the next start only.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let (old, new) = (&self.server, &new.server);
        let differ = [
            old.listen != new.listen,
            old.admin != new.admin,
            old.workers != new.workers,
            old.backlog != new.backlog,
        ];
        AT_START
            .into_iter()
            .zip(differ)
            .filter_map(|(key, differs)| differs.then_some(key))
            .collect()
    }
}

// === impl Change ===

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, old, new } = self;
        match (old, new) {
            (Some(old), Some(new)) => write!(f, "{key}: {old} -> {new}"),
            (Some(old), None) => write!(f, "- {key}: {old}"),
            (None, Some(new)) => write!(f, "+ {key}: {new}"),
            (None, None) => f.write_str(key),
        }
    }
}

/// Collects changes, a bounded number of them.
struct Changes {
    told: Vec<Change>,
    omitted: usize,
}

// === impl Changes ===

impl Changes {
    fn order(&mut self, section: Section, old: &[Table<'_>], new: &[Table<'_>]) {
        let names = |tables: &[Table<'_>]| -> Vec<String> {
            tables.iter().map(|table| table.name.to_owned()).collect()
        };
        let (old, new) = (names(old), names(new));
        let still: HashSet<&String> = new.iter().collect();
        let kept = old.iter().filter(|name| still.contains(name));
        if !kept.zip(&new).all(|(kept, new)| kept == new) {
            let (old, new) = (Shown::List(old), Shown::List(new));
            self.tell(section.as_str().to_owned(), Some(&old), Some(&new));
        }
    }

    /// The keys of a table, in the order of the file.
    fn table(&mut self, old: Option<&Table<'_>>, new: Option<&Table<'_>>) {
        let Some(shape) = new.or(old) else { return };
        let mut keys: Vec<&str> = shape.values.iter().map(|(key, _)| *key).collect();
        let gone = old.into_iter().flat_map(|old| old.values.iter().map(|(key, _)| *key));
        let gone: Vec<&str> = gone.filter(|key| !keys.contains(key)).collect();
        keys.extend(gone);
        for key in keys {
            let (old, new) =
                (old.and_then(|old| old.value(key)), new.and_then(|new| new.value(key)));
            if old != new {
                self.tell(shape.path(key), old, new);
            }
        }
    }

    fn tell(&mut self, key: String, old: Option<&Shown>, new: Option<&Shown>) {
        if self.told.len() >= TOLD {
            self.omitted += 1;
            return;
        }
        let beside = |one: Option<&Shown>, other: Option<&Shown>| match (one, other) {
            (Some(one), Some(other)) => Some(one.beside(other)),
            (one, _) => one.map(ToString::to_string),
        };
        self.told.push(Change { key, old: beside(old, new), new: beside(new, old) });
    }

    fn finish(mut self) -> Vec<Change> {
        if self.omitted > 0 {
            let key = format!("… and {} more", self.omitted);
            self.told.push(Change { key, old: None, new: None });
        }
        self.told
    }
}
