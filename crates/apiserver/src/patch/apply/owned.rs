//! Which fields an applied configuration speaks of.

use serde_json::Value;

use super::fields::Fields;
use super::item;
use crate::schema::{Merge, Ty};

/// The paths that a configuration sets.
pub(crate) fn fields(ty: &Ty, config: &Value) -> Fields {
    let mut fields = Fields::default();
    walk(ty, config, &mut Vec::new(), &mut fields);
    fields
}

fn walk(ty: &Ty, value: &Value, path: &mut Vec<String>, out: &mut Fields) {
    match (ty, value) {
        (ty, _) if ty.is_atomic() => out.insert(path),
        (Ty::List(list), Value::Array(items)) => {
            for value in items {
                let Some(step) = item::of(list, value) else { continue };
                path.push(step);
                walk(&list.item, value, path, out);
                out.insert(path);
                path.pop();
            }
        }
        (ty, Value::Object(map)) => {
            let untyped = Ty::Any { atomic: false };
            for (name, value) in map {
                path.push(item::field(name));
                walk(ty.field(name).unwrap_or(&untyped), value, path, out);
                let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
                if empty || matches!(ty, Ty::Map(_) | Ty::Any { .. }) {
                    out.insert(path);
                }
                path.pop();
            }
        }
        _ => out.insert(path),
    }
}

/// Refuses what the type cannot hold.
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
                let step = item::of(list, value);
                if list.merge != Merge::Atomic {
                    match &step {
                        Some(step) if !seen.insert(step.clone()) => {
                            errors.push(format!("{path}: duplicate entries for key {}", item::words(step)));
                        }
                        None => errors.push(format!("{path}: element {index}: associative list with keys has an element that omits key field")),
                        _ => {}
                    }
                }
                let at = step.map_or_else(
                    || format!("{path}[{index}]"),
                    |step| format!("{path}{}", item::words(&step)),
                );
                errors.extend(check(&list.item, value, &at).err());
            }
            join(errors)
        }
        (Ty::Struct(_) | Ty::Map(_), other) => {
            Err(format!("{path}: expected map, got &{{{}}}", plain(other)))
        }
        (Ty::List(_), other) => Err(format!("{path}: expected list, got &{{{}}}", plain(other))),
        (Ty::Bool, Value::Bool(_)) | (Ty::Double, Value::Number(_)) => Ok(()),
        (Ty::Int32 | Ty::Int64, Value::Number(number)) if number.is_i64() => Ok(()),
        (Ty::Int32 | Ty::Int64 | Ty::Double, other) => {
            Err(format!("{path}: expected numeric (int or float), got {}", word(other)))
        }
        (Ty::Bool, other) => Err(format!("{path}: expected boolean, got &{{{}}}", plain(other))),
        (Ty::Quantity | Ty::IntOrString, Value::Number(_) | Value::String(_)) => Ok(()),
        (Ty::String | Ty::Time | Ty::MicroTime | Ty::Bytes, Value::String(_)) => Ok(()),
        (_, other) => Err(format!("{path}: expected string, got &{{{}}}", plain(other))),
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

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn word(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Array(_) => "slice",
        _ => "map",
    }
}
