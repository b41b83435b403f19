//! Custom resources: the defaults of their schema.

use serde_json::Value;

/// Fills in what the schema has defaults for, from the outside in.
pub(super) fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                // A null is replaced where the schema does not allow it.
                let open = match map.get(name) {
                    None => true,
                    Some(Value::Null) => inner["nullable"] != true,
                    Some(_) => false,
                };
                if open {
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
                    fill(inner, found);
                }
            }
            if schema["additionalProperties"].is_object() {
                map.values_mut().for_each(|found| fill(&schema["additionalProperties"], found));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(&schema["items"], item)),
        _ => {}
    }
}
