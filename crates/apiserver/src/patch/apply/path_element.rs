//! Elements of field paths.

use serde_json::{Map, Value};

use crate::schema::{List, Merge, Ty};

/// Returns the element of a field.
pub(crate) fn field(name: &str) -> String {
    format!("f:{name}")
}

/// Returns the element of an item of a list; `None` for atomic lists and for items without keys.
pub(crate) fn of_item(list: &List, item: &Value) -> Option<String> {
    match &list.merge {
        Merge::Atomic => None,
        Merge::Set => Some(format!("v:{item}")),
        Merge::Keys(keys) => {
            let mut values = Map::new();
            for key in keys {
                let found = item.get(key).filter(|found| !found.is_null()).cloned();
                values.extend(found.or_else(|| default(list, key)).map(|value| (key.clone(), value)));
            }
            (!values.is_empty()).then(|| format!("k:{}", Value::Object(values)))
        }
    }
}

fn default(list: &List, key: &str) -> Option<Value> {
    match &list.item {
        Ty::Struct(item) => item.fields.get(key)?.default.clone(),
        _ => None,
    }
}

/// Returns the type of the value at an element.
pub(crate) fn ty<'a>(ty: &'a Ty, element: &str) -> Option<&'a Ty> {
    match ty {
        Ty::List(list) => Some(&list.item),
        ty => ty.field(element.strip_prefix("f:")?),
    }
}

/// Returns an element as text for conflict messages.
pub(crate) fn to_text(element: &str) -> String {
    if let Some(name) = element.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(value) = element.strip_prefix("v:") {
        return format!("[={value}]");
    }
    let keys: Map<String, Value> =
        element.strip_prefix("k:").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("[{}]", keys.join(","))
}
