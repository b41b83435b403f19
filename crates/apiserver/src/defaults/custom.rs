//! Defaults of custom resources.

use serde_json::Value;

/// Sets the defaults of a schema, outer objects first.
pub(super) fn set_defaults(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                // A null is replaced if the field is not nullable.
                let is_missing = match map.get(name) {
                    None => true,
                    Some(Value::Null) => inner["nullable"] != true,
                    Some(_) => false,
                };
                if is_missing {
                    match inner.get("default") {
                        Some(default) => {
                            map.insert(name.clone(), default.clone());
                        }
                        None => {
                            map.remove(name);
                        }
                    }
                }
                if let Some(found) = map.get_mut(name) {
                    set_defaults(inner, found);
                }
            }
            if schema["additionalProperties"].is_object() {
                map.values_mut().for_each(|found| set_defaults(&schema["additionalProperties"], found));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| set_defaults(&schema["items"], item)),
        _ => {}
    }
}
