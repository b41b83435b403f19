//! Type checks of an applied configuration.

use serde_json::Value;

use super::path_element;
use crate::schema::{Merge, Ty};

/// Checks the values of a configuration against their types.
pub(crate) fn check(ty: &Ty, value: &Value, path: &str) -> Result<(), String> {
    match (ty, value) {
        (_, Value::Null) | (Ty::Any { .. }, _) => Ok(()),
        (Ty::Struct(found), Value::Object(map)) => {
            let mut errors = Vec::new();
            for (name, value) in map {
                let at = format!("{path}.{name}");
                match found.fields.get(name) {
                    Some(field) => errors.extend(check(&field.ty, value, &at).err()),
                    None if found.open => {}
                    None => errors.push(format!("{at}: field not declared in schema")),
                }
            }
            join(errors)
        }
        (Ty::Map(map), Value::Object(entries)) => join(
            entries
                .iter()
                .filter_map(|(key, value)| check(&map.value, value, &format!("{path}.{key}")).err())
                .collect(),
        ),
        (Ty::List(list), Value::Array(items)) => {
            let mut seen = std::collections::BTreeSet::new();
            let mut errors = Vec::new();
            for (index, value) in items.iter().enumerate() {
                let element = path_element::of_item(list, value);
                if list.merge != Merge::Atomic {
                    match &element {
                        Some(element) if !seen.insert(element.clone()) => {
                            errors.push(format!("{path}: duplicate entries for key {}", path_element::to_text(element)));
                        }
                        None => errors.push(format!("{path}: element {index}: associative list with keys has an element that omits key field")),
                        _ => {}
                    }
                }
                let at = element.map_or_else(
                    || format!("{path}[{index}]"),
                    |element| format!("{path}{}", path_element::to_text(&element)),
                );
                errors.extend(check(&list.item, value, &at).err());
            }
            join(errors)
        }
        (Ty::Struct(_) | Ty::Map(_), other) => {
            Err(format!("{path}: expected map, got &{{{}}}", to_text(other)))
        }
        (Ty::List(_), other) => Err(format!("{path}: expected list, got &{{{}}}", to_text(other))),
        (Ty::Bool, Value::Bool(_)) | (Ty::Double, Value::Number(_)) => Ok(()),
        (Ty::Int32 | Ty::Int64, Value::Number(number)) if number.is_i64() => Ok(()),
        (Ty::Int32 | Ty::Int64 | Ty::Double, other) => {
            Err(format!("{path}: expected numeric (int or float), got {}", type_name(other)))
        }
        (Ty::Bool, other) => Err(format!("{path}: expected boolean, got &{{{}}}", to_text(other))),
        (Ty::Quantity | Ty::IntOrString, Value::Number(_) | Value::String(_)) => Ok(()),
        (Ty::String | Ty::Time | Ty::MicroTime | Ty::Bytes, Value::String(_)) => Ok(()),
        (_, other) => Err(format!("{path}: expected string, got &{{{}}}", to_text(other))),
    }
}

fn join(errors: Vec<String>) -> Result<(), String> {
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => {
            Err(format!("errors:\n{}", many.iter().map(|e| format!("  {e}")).collect::<Vec<_>>().join("\n")))
        }
    }
}

fn to_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Array(_) => "slice",
        _ => "map",
    }
}
