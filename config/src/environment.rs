//! Overrides from the environment: `FLOODGATE__UPSTREAMS__CHECKOUT__BUFFER=2048`.
//!
//! They are put into the tree of the file before it is read, so that every rule holds for them as for the file.
//!
//! ```text
//! variable ── resolve ──> Target ── parse ──> value ── insert ──> tree of the file ──> Reader
//!  a name     by schema    a table                                 with spans in the
//!  and text   and names    and a key                               variable
//! ```

use std::collections::HashMap;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::effective::Section;
use crate::file::FileConfig;
use crate::load::MAX_FILE;
use crate::names::listed;
use crate::problem::Report;
use crate::source::{Span, quote};
use crate::suggest::nearest;
use crate::value::Value;

/// What the name of every override begins with, in any case. Secrets have one underscore and are none.
const PREFIX: &str = "FLOODGATE__";

/// Between the segments of a name.
const SEPARATOR: &str = "__";

/// Most overrides.
const MOST: usize = 1_000;

/// A variable that is an override.
struct Variable<'e> {
    name: &'e str,
    /// In lower case, without the prefix.
    rest: String,
    value: &'e str,
    name_span: Span,
    value_start: usize,
}

/// A key of a table, nested ones included: `watermarks`, `watermarks__high`.
struct Key {
    /// As it stands in a variable, in lower case.
    name: String,
    /// Whether it holds a string and nothing else.
    is_text: bool,
}

/// What a variable overrides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Target {
    section: Section,
    /// Which of the tables of the section.
    table: usize,
    key: String,
}

/// A table of the file.
struct TableName {
    name: String,
    /// As it stands in a variable, in lower case.
    normal: String,
}

/// The names of the tables of each section, and the keys that such a table may have.
struct Known {
    names: HashMap<Section, Vec<TableName>>,
    keys: HashMap<Section, Vec<Key>>,
}

/// Whether a variable is an override.
pub(crate) fn is_override(name: &str) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Puts the overrides of `environment` into the tree of the file, and reports those that are none.
pub(crate) fn apply<'t>(
    file: &mut DeTable<'t>,
    environment: &'t [(String, String)],
    report: &mut Report<'_>,
) {
    let mut overrides: Vec<_> = environment.iter().filter(|(name, _)| is_override(name)).collect();
    let size: usize = overrides.iter().map(|(name, value)| name.len() + value.len()).sum();
    if overrides.len() > MOST || size > MAX_FILE {
        let message = format!("too many {PREFIX} variables");
        let suggestion = format!("at most {MOST} and 4 MiB: write the others into the file");
        return report.error("", Span::default(), message, suggestion);
    }
    if overrides.is_empty() {
        return;
    }
    // The system knows no order.
    overrides.sort();
    let known = Known::of(file);
    let mut found: Vec<(Target, bool, Variable<'t>)> = Vec::new();
    for (name, value) in overrides {
        let (name_span, value_start) = report.source_mut().add_variable(name, value);
        let rest = name[PREFIX.len()..].to_ascii_lowercase();
        let variable = Variable { name, rest, value, name_span, value_start };
        if let Some((target, is_text)) = resolve(&variable, &known, report) {
            match found.iter().find(|(other, ..)| *other == target) {
                Some((_, _, other)) => report.collision(
                    "",
                    name_span,
                    other.name_span,
                    format!("{} overrides what {} does", quote(name), quote(other.name)),
                    "leave one of them out",
                ),
                None => found.push((target, is_text, variable)),
            }
        }
    }
    // A table as a whole before the keys in it.
    found.sort_by_key(|(target, ..)| target.key.len());
    for (target, is_text, variable) in found {
        if let Some(value) = parse(&variable, is_text, report) {
            insert(file, &target, value, variable.name_span);
        }
    }
}

// === impl TableName ===

impl TableName {
    /// What follows this table in the rest of a variable's name.
    fn below<'r>(&self, rest: &'r str) -> Option<&'r str> {
        match self.name.as_str() {
            "" => Some(rest),
            _ => rest.strip_prefix(&self.normal)?.strip_prefix(SEPARATOR),
        }
    }
}

// === impl Known ===

impl Known {
    fn of(file: &DeTable<'_>) -> Self {
        let schema = FileConfig::schema();
        let (mut names, mut keys) = (HashMap::new(), HashMap::new());
        for section in Section::ALL {
            let of_section = &schema["properties"][section.as_str()];
            let properties = match section {
                _ if section.is_named() => &of_section["additionalProperties"]["properties"],
                _ if section.is_single() => &of_section["properties"],
                _ => &of_section["items"]["properties"],
            };
            let mut of_table = Vec::new();
            add_keys("", properties, &mut of_table);
            keys.insert(section, of_table);
            let named = |name: String| TableName { normal: normal(&name), name };
            let of_section = table_names(section, file).into_iter().map(named);
            names.insert(section, of_section.collect());
        }
        Self { names, keys }
    }

    fn names(&self, section: Section) -> &[TableName] {
        self.names.get(&section).map_or(&[], Vec::as_slice)
    }

    fn keys(&self, section: Section) -> &[Key] {
        self.keys.get(&section).map_or(&[], Vec::as_slice)
    }
}

fn add_keys(prefix: &str, properties: &Json, keys: &mut Vec<Key>) {
    for (key, schema) in properties.as_object().into_iter().flatten() {
        // Everything else refers to a table by its name.
        if prefix.is_empty() && key == "name" {
            continue;
        }
        let name = format!("{prefix}{key}");
        add_keys(&format!("{name}{SEPARATOR}"), &schema["properties"], keys);
        for choice in schema["anyOf"].as_array().into_iter().flatten() {
            add_keys(&format!("{name}{SEPARATOR}"), &choice["properties"], keys);
        }
        keys.push(Key { name, is_text: schema["type"] == "string" });
    }
}

/// The names of the tables of a section, in the order of the file, those that are left out included.
fn table_names(section: Section, file: &DeTable<'_>) -> Vec<String> {
    let typed = file.get(section.as_str()).map(Spanned::get_ref);
    let array = typed.and_then(DeValue::as_array).filter(|array| !array.is_empty());
    match section {
        _ if section.is_single() => vec![String::new()],
        _ if section.is_named() => {
            let table = typed.and_then(DeValue::as_table);
            table.into_iter().flatten().map(|(name, _)| name.get_ref().to_string()).collect()
        }
        Section::Tiers if array.is_none() => vec!["l1".to_owned()],
        _ => {
            let name = |(index, table): (usize, &Spanned<DeValue<'_>>)| {
                let name = table.get_ref().get("name").and_then(|name| name.get_ref().as_str());
                match (name, section) {
                    (Some(name), _) => name.to_owned(),
                    (None, Section::Tiers) => format!("l{}", index + 1),
                    // A journey has to have a name: the reader will say so.
                    (None, Section::Journeys) => format!("journey-{}", index + 1),
                    (None, _) => format!("route-{}", index + 1),
                }
            };
            array.into_iter().flat_map(|array| array.iter()).enumerate().map(name).collect()
        }
    }
}

/// What `variable` overrides, and whether that is a string.
fn resolve(
    variable: &Variable<'_>,
    known: &Known,
    report: &mut Report<'_>,
) -> Option<(Target, bool)> {
    let (section, rest) = variable.rest.split_once(SEPARATOR).unwrap_or((&variable.rest, ""));
    let Some(section) = Section::ALL.into_iter().find(|one| one.as_str() == section) else {
        let sections = Section::ALL.map(Section::as_str);
        let suggestion = match nearest(section, sections) {
            Some(meant) => format!("did you mean `{}__…`?", typed(&[meant])),
            None => format!("known: {}", sections.map(|one| typed(&[one]) + "__…").join(", ")),
        };
        complain(variable, "", "there is nothing to override under", suggestion, report);
        return None;
    };
    let (names, keys) = (known.names(section), known.keys(section));
    let mut candidates = names.iter().enumerate().flat_map(|(table, name)| {
        let key = name.below(rest);
        let keys = keys.iter().filter(move |one| key == Some(one.name.as_str()));
        keys.map(move |key| (Target { section, table, key: key.name.clone() }, key.is_text))
    });
    match (candidates.next(), candidates.next()) {
        (Some(only), None) => Some(only),
        (Some((one, _)), Some((other, _))) => {
            let path = |target: &Target| {
                section.path(&names[target.table].name, &target.key.replace(SEPARATOR, "."))
            };
            let message = format!("could be `{}` or `{}`:", path(&one), path(&other));
            let suggestion = "change it in the file, or rename one of them".to_owned();
            complain(variable, section.as_str(), &message, suggestion, report);
            None
        }
        (None, _) => {
            let (message, suggestion) = nothing_known(section, rest, names, keys);
            complain(variable, section.as_str(), &message, suggestion, report);
            None
        }
    }
}

/// What is wrong with `rest`, which names no table or no key of it.
fn nothing_known(
    section: Section,
    rest: &str,
    names: &[TableName],
    keys: &[Key],
) -> (String, String) {
    let table = names.iter().find_map(|name| Some((&name.name, name.below(rest)?)));
    if let Some((name, key)) = table {
        let path: Vec<&str> = match name.as_str() {
            "" => vec![section.as_str()],
            name => vec![section.as_str(), name],
        };
        let suggestion = match nearest(key, keys.iter().map(|key| key.name.as_str())) {
            Some(meant) => format!("did you mean `{}`?", typed(&[&path[..], &[meant]].concat())),
            None => {
                let known: Vec<String> = keys.iter().map(|key| key.name.to_uppercase()).collect();
                format!("known here: {}", known.join(", "))
            }
        };
        return ("unknown key:".to_owned(), suggestion);
    }
    let typed_name = rest.split(SEPARATOR).next().unwrap_or_default();
    let what = section.as_str().trim_end_matches('s');
    let suggestion = match nearest(typed_name, names.iter().map(|name| name.normal.as_str())) {
        Some(meant) if meant != typed_name => {
            format!("did you mean `{}__…`?", typed(&[section.as_str(), meant]))
        }
        Some(meant) => format!("a key is missing, `{}__…`", typed(&[section.as_str(), meant])),
        None => {
            let names: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
            format!("defined in the file: {}", listed(&names))
        }
    };
    (format!("there is no {what} {}:", quote(typed_name)), suggestion)
}

fn complain(
    variable: &Variable<'_>,
    key: &str,
    message: &str,
    suggestion: String,
    report: &mut Report<'_>,
) {
    let message = format!("{message} {}", quote(variable.name));
    report.error(key, variable.name_span, message, suggestion);
}

/// A name as it stands in a variable, in lower case.
fn normal(name: &str) -> String {
    name.to_ascii_lowercase().replace(['-', '.'], "_")
}

/// The variable for a path.
fn typed(path: &[&str]) -> String {
    let path: Vec<String> = path.iter().map(|step| normal(step).to_uppercase()).collect();
    format!("{PREFIX}{}", path.join(SEPARATOR))
}

/// The value as it would stand in the file; the quotes of a string may be left out.
fn parse<'t>(
    variable: &Variable<'t>,
    is_text: bool,
    report: &mut Report<'_>,
) -> Option<Spanned<DeValue<'t>>> {
    let text = variable.value.trim();
    let leading = variable.value.len() - variable.value.trim_start().len();
    let start = variable.value_start + leading;
    let bare = || Spanned::new(start..start + text.len(), DeValue::String(text.into()));
    if is_text && !text.starts_with(['"', '\'']) {
        return Some(bare());
    }
    let (value, errors) = DeValue::parse_recoverable(text);
    let Some(error) = errors.first() else { return Some(moved(value, start)) };
    if !text.starts_with(['"', '\'', '[', '{']) {
        return Some(bare());
    }
    let message = format!("{} is not TOML: {}", quote(text), error.message());
    let span = Span { start, end: start + text.len() };
    report.error("", span, message, "lists and quotes as in the file, such as '[\"GET\"]'");
    None
}

/// `value` with every span `by` further on.
fn moved<'t>(value: Spanned<DeValue<'t>>, by: usize) -> Spanned<DeValue<'t>> {
    let span = value.span().start + by..value.span().end + by;
    let value = match value.into_inner() {
        DeValue::Array(array) => {
            DeValue::Array(array.into_iter().map(|item| moved(item, by)).collect())
        }
        DeValue::Table(table) => {
            let entry = |(key, value): (Spanned<_>, _)| {
                let span = key.span().start + by..key.span().end + by;
                (Spanned::new(span, key.into_inner()), moved(value, by))
            };
            DeValue::Table(table.into_iter().map(entry).collect())
        }
        scalar => scalar,
    };
    Spanned::new(span, value)
}

/// Puts `value` where `target` says, unless what is there is no table: then the reader will say so.
fn insert<'t>(file: &mut DeTable<'t>, target: &Target, value: Spanned<DeValue<'t>>, span: Span) {
    let section = match target.section {
        Section::Tiers => DeValue::Array(DeArray::new()),
        _ => DeValue::Table(DeTable::new()),
    };
    let section = entry(file, target.section.as_str(), section, span);
    let table = match section {
        DeValue::Table(table) if target.section.is_single() => Some(table),
        // Counted in the order in which the names were taken.
        DeValue::Table(tables) => tables.iter_mut().nth(target.table).and_then(|(_, it)| table(it)),
        DeValue::Array(tables) => {
            if tables.is_empty() {
                tables.push(Spanned::new(range(span), DeValue::Table(DeTable::new())));
            }
            tables.get_mut(target.table).and_then(table)
        }
        _ => None,
    };
    let Some(mut table) = table else { return };
    let mut key = target.key.as_str();
    while let Some((outer, inner)) = key.split_once(SEPARATOR) {
        let next = entry(table, outer, DeValue::Table(DeTable::new()), span);
        if next.is_integer() {
            // A number that may be a table too, and now is one.
            *next = DeValue::Table(DeTable::new());
        }
        let DeValue::Table(next) = next else { return };
        (table, key) = (next, inner);
    }
    table.insert(Spanned::new(range(span), key.to_owned().into()), value);
}

/// The value under `key`, which is `default` if it is missing.
fn entry<'m, 't>(
    table: &'m mut DeTable<'t>,
    key: &str,
    default: DeValue<'t>,
    span: Span,
) -> &'m mut DeValue<'t> {
    let value = table.entry(Spanned::new(range(span), key.to_owned().into()));
    value.or_insert(Spanned::new(range(span), default)).get_mut()
}

fn table<'m, 't>(value: &'m mut Spanned<DeValue<'t>>) -> Option<&'m mut DeTable<'t>> {
    match value.get_mut() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn range(span: Span) -> std::ops::Range<usize> {
    span.start..span.end
}
