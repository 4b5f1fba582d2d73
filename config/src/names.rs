//! Names that are declared once and referred to elsewhere.

use std::collections::HashMap;

use crate::problem::Report;
use crate::source::{Span, quote};
use crate::suggest::nearest;
use crate::value::{Name, Setting};

/// Names that must differ, with the places they were first used at.
pub(crate) struct Names {
    what: &'static str,
    first: HashMap<String, Span>,
}

// === impl Names ===

impl Names {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, first: HashMap::new() }
    }

    pub(crate) fn declare(&mut self, name: &str, span: Span, key: String, report: &mut Report<'_>) {
        if let Some(first) = self.first.get(name) {
            let message = format!("the {} {} is declared twice", self.what, quote(name));
            report.collision(key, span, *first, message, "give it another name");
        } else {
            self.first.insert(name.to_owned(), span);
        }
    }
}

/// The index of what `name` refers to.
pub(crate) fn refer(
    name: &Setting<Name>,
    what: &str,
    defined: &[&str],
    key: String,
    report: &mut Report<'_>,
) -> Option<usize> {
    let found = defined.iter().position(|one| *one == name.0);
    if found.is_none() && report.is_full() {
        // Looking for what was meant takes time, and nobody would see it.
        report.omit();
    } else if found.is_none() {
        let suggestion = match nearest(&name.0, defined.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`? defined: {}", listed(defined)),
            None => format!("defined: {}", listed(defined)),
        };
        let message = format!("there is no {what} {}", quote(&name.0));
        report.error(key, name.span.unwrap_or_default(), message, suggestion);
    }
    found
}

/// The first few of `names`.
pub(crate) fn listed(names: &[&str]) -> String {
    let more = if names.len() > 8 { ", …" } else { "" };
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().take(8).map(|name| quote(name)).collect::<Vec<_>>().join(", ") + more
}
