//! Functions on JSON values.

use serde_json::Value;

/// Removes the null fields of an object.
pub(crate) fn drop_nulls(value: &mut Value) {
    if let Some(map) = value.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
}

/// Returns the value at a dotted path (`.spec.replicas`, `spec.replicas`), or null.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.trim_start_matches('.').split('.').fold(value, |value, name| &value[name])
}

/// Sets the value at a dotted path and creates missing objects in the path.
pub(crate) fn set_at(value: &mut Value, path: &str, new: Value) {
    let mut target = value;
    for name in path.trim_start_matches('.').split('.') {
        if !target.is_object() {
            *target = Value::Object(serde_json::Map::new());
        }
        target = &mut target[name];
    }
    *target = new;
}

/// Sets a field if it is missing or null.
pub(crate) fn default(value: &mut Value, name: &str, new: impl Into<Value>) {
    if value.get(name).is_none_or(Value::is_null) {
        value[name] = new.into();
    }
}

/// Returns the items of a list, or none if the value is not a list.
pub(crate) fn items(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// Returns the items of a list as mutable references, or none if the value is not a list.
pub(crate) fn items_mut(value: &mut Value) -> std::slice::IterMut<'_, Value> {
    value.as_array_mut().map(Vec::as_mut_slice).unwrap_or_default().iter_mut()
}
