//! Differences of two objects as sets of field paths.

use serde_json::{Map, Value};

use super::field_set::FieldSet;
use super::path_element;
use crate::schema::Ty;

/// The differences from one object to another.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// Added and changed fields.
    pub(crate) changed: FieldSet,
    /// Removed fields.
    pub(crate) removed: FieldSet,
}

/// Compares two objects of a type; null means no object.
pub(crate) fn compare(ty: &Ty, old: &Value, new: &Value) -> Difference {
    let mut difference = Difference::default();
    walk(ty, present(old), present(new), &mut Vec::new(), &mut difference);
    difference
}

fn present(value: &Value) -> Option<&Value> {
    if value.is_null() { None } else { Some(value) }
}

fn walk(ty: &Ty, old: Option<&Value>, new: Option<&Value>, path: &mut Vec<String>, out: &mut Difference) {
    if old == new {
        return;
    }
    let sample = old.filter(|old| !old.is_null()).or(new).unwrap_or(&Value::Null);
    let same_type = match (old, new) {
        // Null is compared like a value of the other's type.
        (Some(Value::Null), Some(_)) | (Some(_), Some(Value::Null)) => true,
        (Some(old), Some(new)) => std::mem::discriminant(old) == std::mem::discriminant(new),
        _ => true,
    };
    let leaf = ty.is_atomic() || !same_type || (size(old) == 0 && size(new) == 0);
    match sample {
        Value::Object(_) if !leaf => {
            let empty = Map::new();
            let (left, right) = (map(old).unwrap_or(&empty), map(new).unwrap_or(&empty));
            let untyped = Ty::Any { atomic: false };
            for name in left.keys().chain(right.keys().filter(|name| !left.contains_key(*name))) {
                path.push(path_element::field(name));
                let ty = ty.field(name).unwrap_or(&untyped);
                walk(ty, left.get(name), right.get(name), path, out);
                path.pop();
            }
        }
        Value::Array(_) if !leaf => {
            if let Ty::List(list) = ty {
                let keyed = |value: Option<&'_ Value>| -> Vec<(String, Value)> {
                    let items = value.and_then(Value::as_array).into_iter().flatten();
                    items
                        .filter_map(|value| Some((path_element::of_item(list, value)?, value.clone())))
                        .collect()
                };
                let (left, right) = (keyed(old), keyed(new));
                let find = |items: &[(String, Value)], element: &str| {
                    items.iter().find(|(e, _)| e == element).map(|(_, v)| v.clone())
                };
                let mut elements: Vec<&String> =
                    left.iter().chain(&right).map(|(element, _)| element).collect();
                elements.sort();
                elements.dedup();
                for element in elements {
                    path.push(element.clone());
                    walk(
                        &list.item,
                        find(&left, element).as_ref(),
                        find(&right, element).as_ref(),
                        path,
                        out,
                    );
                    path.pop();
                }
            } else if old.is_some() && new.is_some() {
                // A list without a type is atomic.
                out.changed.insert(path);
            }
        }
        _ if old.is_some() && new.is_some() => out.changed.insert(path),
        _ => {}
    }
    if old.is_none() {
        out.changed.insert(path);
    } else if new.is_none() {
        out.removed.insert(path);
    }
}

fn map(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

fn size(value: Option<&Value>) -> usize {
    match value {
        Some(Value::Object(map)) => map.len(),
        Some(Value::Array(items)) => items.len(),
        _ => 0,
    }
}
