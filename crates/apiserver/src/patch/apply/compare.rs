//! Differences of two objects as sets of field paths.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::field_set::FieldSet;
use super::path_element;
use crate::schema::{List, Ty};

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
                let (left, right) = (by_element(list, old), by_element(list, new));
                let elements: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
                for element in elements {
                    path.push(element.clone());
                    let (left, right) = (left.get(element).copied(), right.get(element).copied());
                    walk(&list.item, left, right, path, out);
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

/// Returns the items of a list by their path element, the first one if several have the same.
fn by_element<'a>(list: &List, value: Option<&'a Value>) -> BTreeMap<String, &'a Value> {
    let mut found = BTreeMap::new();
    for item in value.and_then(Value::as_array).into_iter().flatten() {
        if let Some(element) = path_element::of_item(list, item) {
            found.entry(element).or_insert(item);
        }
    }
    found
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
