//! A page of metrics, read strictly (https://prometheus.io/docs/instrumenting/exposition_formats/).

use std::collections::{BTreeMap, BTreeSet};

/// Which labels each family has been seen with.
#[derive(Debug, Default)]
pub(crate) struct Families(pub(crate) BTreeMap<String, BTreeSet<String>>);

// === impl Families ===

impl Families {
    /// Those of a page, which must be without a fault.
    pub(crate) fn read(page: &str) -> Self {
        let (mut families, mut seen) = (Self::default(), BTreeSet::new());
        let (mut current, mut kind) = (String::new(), String::new());
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, its_kind) = rest.split_once(' ').unwrap();
                (current, kind) = (name.to_owned(), its_kind.to_owned());
                let before = families.0.insert(current.clone(), BTreeSet::new());
                assert!(before.is_none(), "{name} comes twice");
                assert!(["counter", "gauge", "histogram", "summary"].contains(&its_kind), "{line}");
                assert!(kind != "counter" || name.ends_with("_total"), "{line}");
                continue;
            }
            if line.is_empty() || line.starts_with("# HELP ") {
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
            assert!(seen.insert(series.to_owned()), "{series} comes twice");
            let (name, labels) = match series.split_once('{') {
                Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
                None => (series, ""),
            };
            let family = match kind.as_str() {
                "histogram" => ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| name.strip_suffix(end))
                    .unwrap_or_else(|| panic!("{line}")),
                _ => name,
            };
            assert_eq!(family, current, "{line} stands in another family");
            let known = families.0.get_mut(family).unwrap();
            known.extend(label_names(labels));
        }
        families
    }

    /// More of another page.
    pub(crate) fn add(&mut self, other: Self) {
        for (family, labels) in other.0 {
            self.0.entry(family).or_default().extend(labels);
        }
    }
}

/// The names in `a="b",c="d"`.
pub(crate) fn label_names(labels: &str) -> Vec<String> {
    let (mut names, mut rest) = (Vec::new(), labels.trim());
    while let Some((name, behind)) = rest.split_once('=') {
        names.push(name.trim().trim_end_matches('!').to_owned());
        let text = behind.trim_start_matches('~');
        let quoted = text.strip_prefix('"').unwrap_or_else(|| panic!("{labels}"));
        let mut end = None;
        let mut is_escaped = false;
        for (at, character) in quoted.char_indices() {
            match character {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        rest = quoted[end.unwrap() + 1..].trim_start_matches([',', ' ']);
    }
    names
}
