//! Steps of field paths.

use serde_json::{Map, Value};

use crate::schema::{List, Merge, Ty};

/// The step to a field.
pub(crate) fn field(name: &str) -> String {
    format!("f:{name}")
}

/// The step to an item of a list that is not atomic; `None` for an item without its keys.
pub(crate) fn of(list: &List, item: &Value) -> Option<String> {
    match &list.merge {
        Merge::Atomic => None,
        Merge::Set => Some(format!("v:{item}")),
        Merge::Keys(keys) => {
            let mut named = Map::new();
            for key in keys {
                let found = item.get(key).filter(|found| !found.is_null()).cloned();
                named.extend(found.or_else(|| default(list, key)).map(|value| (key.clone(), value)));
            }
            (!named.is_empty()).then(|| format!("k:{}", Value::Object(named)))
        }
    }
}

fn default(list: &List, key: &str) -> Option<Value> {
    match &list.item {
        Ty::Struct(item) => item.fields.get(key)?.default.clone(),
        _ => None,
    }
}

/// The type a step leads to.
pub(crate) fn step_ty<'a>(ty: &'a Ty, step: &str) -> Option<&'a Ty> {
    match ty {
        Ty::List(list) => Some(&list.item),
        ty => ty.field(step.strip_prefix("f:")?),
    }
}

/// A step in the words of a conflict.
pub(crate) fn words(step: &str) -> String {
    if let Some(name) = step.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(value) = step.strip_prefix("v:") {
        return format!("[={value}]");
    }
    let keys: Map<String, Value> =
        step.strip_prefix("k:").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("[{}]", keys.join(","))
}
