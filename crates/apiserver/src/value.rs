//! Small helpers on JSON values.

use serde_json::Value;

/// Removes the fields of an object that are null.
pub(crate) fn drop_nulls(value: &mut Value) {
    if let Some(map) = value.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
}

/// The value at a dotted path (`.spec.replicas`, `spec.replicas`).
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.trim_start_matches('.').split('.').fold(value, |value, name| &value[name])
}

/// Sets the value at a dotted path, making the objects on the way.
pub(crate) fn set_at(value: &mut Value, path: &str, new: Value) {
    let mut place = value;
    for name in path.trim_start_matches('.').split('.') {
        if !place.is_object() {
            *place = Value::Object(serde_json::Map::new());
        }
        place = &mut place[name];
    }
    *place = new;
}

/// Sets a field unless it is there.
pub(crate) fn default(value: &mut Value, name: &str, new: impl Into<Value>) {
    if value.get(name).is_none_or(Value::is_null) {
        value[name] = new.into();
    }
}

/// The items of a list, none when it is no list.
pub(crate) fn items(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// The items of a list for changing.
pub(crate) fn items_mut(value: &mut Value) -> std::slice::IterMut<'_, Value> {
    value.as_array_mut().map(Vec::as_mut_slice).unwrap_or_default().iter_mut()
}
