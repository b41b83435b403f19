//! Takes away what its manager applied before and no longer does.

use serde_json::Value;

use super::fields::Fields;
use super::item;
use crate::schema::Ty;

/// Removes the paths of a set from an object.
pub(crate) fn remove(ty: &Ty, value: &mut Value, gone: &Fields) {
    if gone.is_empty() || ty.is_atomic() {
        return;
    }
    match (ty, value) {
        (Ty::List(list), Value::Array(items)) => {
            items.retain_mut(|found| {
                let Some(step) = item::of(list, found) else { return true };
                let Some((_, member, below)) = gone.steps().find(|(known, ..)| *known == step) else {
                    return true;
                };
                if !member {
                    remove(&list.item, found, below);
                }
                !member
            });
        }
        (ty, Value::Object(map)) => {
            let untyped = Ty::Any { atomic: false };
            for (step, member, below) in gone.steps() {
                let Some(name) = step.strip_prefix("f:") else { continue };
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
