//! The schema, the examples and the README say the same.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use floodgate_config::schema;
use serde_json::Value;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn example(name: &str) -> Value {
    let text = fs::read_to_string(file(&format!("examples/{name}"))).expect("the example is there");
    let table: toml::Table = text.parse().expect("the example is TOML");
    serde_json::to_value(table).expect("the example has no dates")
}

/// Every key that holds a value, with its schema: (`tiers[].watermarks.high`, schema, required).
fn keys() -> Vec<(String, Value, bool)> {
    fn walk(path: &str, schema: &Value, keys: &mut Vec<(String, Value, bool)>) {
        for (key, property) in schema["properties"].as_object().expect("a table") {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let required =
                schema["required"].as_array().expect("a list").contains(&Value::from(key.as_str()));
            if property["properties"].is_object() {
                walk(&path, property, keys);
            } else if property["additionalProperties"].is_object() {
                walk(&format!("{path}.NAME"), &property["additionalProperties"], keys);
            } else if property["items"]["properties"].is_object() {
                walk(&format!("{path}[]"), &property["items"], keys);
            } else {
                keys.push((path.clone(), property.clone(), required));
                // A key that holds a value or a table.
                for choice in property["anyOf"].as_array().into_iter().flatten() {
                    if choice["properties"].is_object() {
                        walk(&path, choice, keys);
                    }
                }
            }
        }
    }
    let mut keys = Vec::new();
    walk("", &schema(), &mut keys);
    keys
}

#[test]
fn the_schema_accepts_every_example() {
    for name in [
        "adaptive.toml",
        "checkout.toml",
        "circuits.toml",
        "full.toml",
        "journeys.toml",
        "limits.toml",
        "minimal.toml",
        "objectives.toml",
        "retries.toml",
        "shares.toml",
        "tenants.toml",
    ] {
        assert_eq!(support::refusal(&schema(), &example(name), ""), None, "{name}");
    }
}

#[test]
fn the_schema_refuses_what_is_not_a_configuration() {
    for text in [
        "{}",
        r#"{"upstreams":{}}"#,
        r#"{"upstreams":{"x":{}}}"#,
        r#"{"upstreams":{"x":{"servers":[]}}}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"],"buffer":-1}}}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"],"max_in_flight":"64"}}}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"],"max_in_flight":{"min":8}}}}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"],"max_in_flight":{"max":0}}}}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"]}},"queues":[]}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"]}},"tiers":[{"watermarks":{"high":1}}]}"#,
        r#"{"upstreams":{"x y":{"servers":["a:1"]}}}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"],"rate":"5/d"}}}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"],"idle_timeout":"5 s"}}}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"]}},"routes":[{"max_body":"64kiB"}]}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"]}},"routes":[{"path":"orders"}]}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"]}},"routes":[{"methods":["A/B"]}]}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"]}},"routes":[{"once":"true"}]}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"]}},"routes":[{"sku":"body:x"}]}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"]}},"latch":{"status":199}}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"]}},"journeys":[{"name":"a"}]}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"]}},"journeys":[{"name":"a","steps":[]}]}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"]}},"journeys":[{"name":"a","steps":["b"],"headroom":0}]}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"]}},"journeys":[{"name":"a","steps":["b"],"reserve":0.91}]}"#,
        r#"{"upstreams":{"x":{"servers":["a:1"]}},"journeys":[{"name":"a","steps":["b"],"sticky":"on"}]}"#,
    ] {
        let value: Value = serde_json::from_str(text).unwrap();
        assert!(support::refusal(&schema(), &value, "").is_some(), "{text}");
    }
}

#[test]
fn the_schema_accepts_every_form() {
    let value = serde_json::json!({
        "upstreams": { "a.b-C_1": { "servers": ["a:1"], "rate": "0/s", "idle_timeout": "250us" } },
        "routes": [
            { "max_body": "64KiB", "methods": ["M-SEARCH", "A^`|~"] },
            { "max_body": "10 MB", "rate": "99/h" },
            { "max_body": 0, "path": "/" },
            { "max_body": "0B" },
        ],
    });
    assert_eq!(support::refusal(&schema(), &value, ""), None);
}

#[test]
fn every_key_is_described() {
    assert_eq!(schema()["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for (key, schema, _) in keys() {
        assert!(schema["description"].as_str().is_some_and(|it| it.len() > 10), "{key}");
    }
}

#[test]
fn the_full_example_has_every_key_with_its_default() {
    let text = fs::read_to_string(file("examples/full.toml")).unwrap();
    let full = example("full.toml");
    for (key, schema, _) in keys() {
        let name = key.rsplit('.').next().unwrap();
        if key.contains("max_in_flight.") {
            // Shown beside the number that is the default.
            assert!(text.contains(&format!(" {name} = ")), "{key} is not in full.toml");
            continue;
        }
        let shown = text.lines().map(|line| line.trim_start_matches("# "));
        let shown = shown.filter(|line| line.split([' ', '=']).next() == Some(name)).count();
        assert!(shown > 0 || ["high", "low", "step"].contains(&name), "{key} is not in full.toml");
        let Some(default) = schema.get("default") else { continue };
        let place = key.replace("NAME", "checkout").replace("[]", ".0").replace('.', "/");
        assert_eq!(full.pointer(&format!("/{place}")), Some(default), "{key}");
    }
}

/// The table of the README is made of the schema. `UPDATE_EXPECTED=1` writes it.
#[test]
fn the_readme_has_every_key() {
    let mut table = "| key | default | meaning |\n|---|---|---|\n".to_owned();
    for (key, schema, required) in keys() {
        let default = match schema.get("default") {
            Some(default) => format!("`{default}`"),
            None if required => "required".to_owned(),
            None => "see there".to_owned(),
        };
        let meaning = schema["description"].as_str().unwrap();
        table.push_str(&format!("| `{key}` | {default} | {meaning} |\n"));
    }
    let (begin, end) = ("<!-- keys: made of the schema -->\n", "<!-- end of keys -->");
    let readme = fs::read_to_string(file("README.md")).unwrap();
    let start = readme.find(begin).unwrap() + begin.len();
    let stop = readme.find(end).unwrap();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        let written = format!("{}{table}{}", &readme[..start], &readme[stop..]);
        fs::write(file("README.md"), written).unwrap();
        return;
    }
    assert_eq!(&readme[start..stop], table, "UPDATE_EXPECTED=1 writes the table");
}
