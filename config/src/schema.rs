//! The JSON Schema of the file, made of the same declarations that read it.

use serde_json::{Value as Json, json};

use crate::file::FileConfig;
use crate::value::Value;

/// The schema of the configuration file, JSON Schema draft 2020-12: every key with its description and default.
///
/// It knows each value on its own. What depends on several keys (references, `low` below `high`) only
/// [`check`](crate::check) can tell.
pub fn schema() -> Json {
    let mut schema = FileConfig::schema();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Floodgate configuration");
    schema
}
