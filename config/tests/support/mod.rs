//! As much of JSON Schema as our own schema uses.

mod pattern;

use serde_json::Value;

/// Why `schema` refuses `value`, which stands at `path`; `None` if it accepts it.
pub(crate) fn refusal(schema: &Value, value: &Value, path: &str) -> Option<String> {
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices
            .iter()
            .all(|choice| refusal(choice, value, path).is_some())
            .then(|| format!("{path}: none of the choices"));
    }
    let typed = match schema["type"].as_str()? {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        other => panic!("{other} is not handled here"),
    };
    if !typed {
        return Some(format!("{path}: {value} is of the wrong type"));
    }
    let number = value.as_f64();
    if let (Some(number), Some(below)) = (number, schema["exclusiveMinimum"].as_f64())
        && number <= below
    {
        return Some(format!("{path}: {number} is out of range"));
    }
    let count = value.as_array().map(Vec::len).or(value.as_object().map(|it| it.len()));
    let count = count.map(|count| count as f64);
    for (measured, least, most) in [
        (number, "minimum", "maximum"),
        (count, "minItems", "maxItems"),
        (count, "minProperties", "maxProperties"),
    ] {
        let Some(measured) = measured else { continue };
        if schema[least].as_f64().is_some_and(|least| measured < least)
            || schema[most].as_f64().is_some_and(|most| measured > most)
        {
            return Some(format!("{path}: {measured} is out of range"));
        }
    }
    if let Some((pattern, text)) = schema["pattern"].as_str().zip(value.as_str())
        && !pattern::matches(pattern, text)
    {
        return Some(format!("{path}: {text:?} does not match {pattern}"));
    }
    if let Some(pattern) = schema["propertyNames"]["pattern"].as_str()
        && let mut names = value.as_object().into_iter().flatten().map(|(name, _)| name)
        && let Some(name) = names.find(|name| !pattern::matches(pattern, name))
    {
        return Some(format!("{path}: the name {name:?} does not match {pattern}"));
    }
    if let Some(missing) = (schema["required"].as_array().into_iter().flatten())
        .find(|key| value.get(key.as_str().unwrap_or_default()).is_none())
    {
        return Some(format!("{path}: {missing} is missing"));
    }
    let fields = value.as_object().into_iter().flatten().map(|(key, value)| {
        let property = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
        (property, key.clone(), value)
    });
    let items = value.as_array().into_iter().flatten().enumerate();
    let items = items.map(|(index, value)| (&schema["items"], index.to_string(), value));
    fields.chain(items).find_map(|(schema, key, value)| match schema {
        Value::Bool(false) => Some(format!("{path}.{key} is unknown")),
        schema => refusal(schema, value, &format!("{path}.{key}")),
    })
}
