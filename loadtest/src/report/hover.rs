//! The values behind the drawings, for the pointer (`page.js`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::chart::Mark;

/// Series of the drawings of one page, over the same columns.
#[derive(Debug, Default)]
pub(super) struct Hover {
    charts: BTreeMap<String, Vec<Value>>,
}

// === impl Hover ===

impl Hover {
    pub(super) fn add(&mut self, id: &str, name: &str, mark: &Mark, unit: &str, values: &[f64]) {
        let values: Vec<Value> = values.iter().map(|value| short(*value)).collect();
        self.charts.entry(id.to_owned()).or_default().push(json!([
            name,
            mark.colour,
            unit,
            values
        ]));
    }

    /// What the page carries; `at` names the columns.
    pub(super) fn finish(self, at: &[String]) -> Value {
        let charts: Map<String, Value> =
            self.charts.into_iter().map(|(id, series)| (id, Value::from(series))).collect();
        json!({ "at": at, "charts": charts })
    }
}

/// Four digits are enough to read.
fn short(value: f64) -> Value {
    if !value.is_finite() {
        return Value::Null;
    }
    let rounded = (value * 1e3).round() / 1e3;
    if rounded.fract() == 0.0 { json!(rounded as i64) } else { json!(rounded) }
}
