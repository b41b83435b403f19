//! The fields of an applied configuration.

use serde_json::Value;

use super::field_set::FieldSet;
use super::path_element;
use crate::schema::Ty;

/// Returns the paths that a configuration sets.
pub(crate) fn fields(ty: &Ty, config: &Value) -> FieldSet {
    let mut fields = FieldSet::default();
    walk(ty, config, &mut Vec::new(), &mut fields);
    fields
}

fn walk(ty: &Ty, value: &Value, path: &mut Vec<String>, out: &mut FieldSet) {
    match (ty, value) {
        (ty, _) if ty.is_atomic() => out.insert(path),
        (Ty::List(list), Value::Array(items)) => {
            for value in items {
                let Some(element) = path_element::of_item(list, value) else { continue };
                path.push(element);
                walk(&list.item, value, path, out);
                out.insert(path);
                path.pop();
            }
        }
        (ty, Value::Object(map)) => {
            let untyped = Ty::Any { atomic: false };
            for (name, value) in map {
                path.push(path_element::field(name));
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
