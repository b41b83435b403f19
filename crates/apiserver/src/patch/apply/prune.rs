//! Removes fields that a manager no longer applies.

use serde_json::Value;

use super::field_set::FieldSet;
use super::path_element;
use crate::schema::Ty;

/// Removes the paths of a set from an object.
pub(crate) fn remove(ty: &Ty, value: &mut Value, removed: &FieldSet) {
    if removed.is_empty() || ty.is_atomic() {
        return;
    }
    match (ty, value) {
        (Ty::List(list), Value::Array(items)) => {
            items.retain_mut(|found| {
                let Some(item) = path_element::of_item(list, found) else { return true };
                let Some((member, below)) = removed.element(&item) else { return true };
                if !member {
                    remove(&list.item, found, below);
                }
                !member
            });
        }
        (ty, Value::Object(map)) => {
            let untyped = Ty::Any { atomic: false };
            for (element, member, below) in removed.elements() {
                let Some(name) = element.strip_prefix("f:") else { continue };
                if member {
                    map.remove(name);
                } else if let Some(found) = map.get_mut(name) {
                    remove(ty.field(name).unwrap_or(&untyped), found, below);
                }
            }
        }
        _ => {}
    }
}
