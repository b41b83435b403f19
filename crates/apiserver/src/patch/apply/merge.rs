//! Merges an applied configuration into the live object.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::path_element;
use crate::schema::{List, Ty};

/// Merges `config` into `live`.
pub(crate) fn merge(ty: &Ty, live: &mut Value, config: &Value) {
    if config.is_null() || ty.is_atomic() {
        *live = config.clone();
        return;
    }
    match (ty, config) {
        (Ty::List(list), Value::Array(items)) => {
            if !live.is_array() {
                *live = Value::Array(Vec::new());
            }
            if let Value::Array(found) = live {
                *found = merge_items(list, std::mem::take(found), items);
            }
        }
        (_, Value::Object(entries)) => {
            if !live.is_object() {
                *live = Value::Object(Map::new());
            }
            let untyped = Ty::Any { atomic: false };
            if let Value::Object(map) = live {
                for (name, value) in entries {
                    let target = map.entry(name.clone()).or_insert(Value::Null);
                    merge(ty.field(name).unwrap_or(&untyped), target, value);
                }
            }
        }
        _ => *live = config.clone(),
    }
}

/// Merges the items of two lists: applied items in the applied order, other items in their place between them.
fn merge_items(list: &List, live: Vec<Value>, config: &[Value]) -> Vec<Value> {
    let elements: Vec<Option<String>> =
        config.iter().map(|value| path_element::of_item(list, value)).collect();
    let live: Vec<(Option<String>, Value)> =
        live.into_iter().map(|value| (path_element::of_item(list, &value), value)).collect();
    let applied: HashSet<&String> = elements.iter().flatten().collect();
    let mut live_items: HashMap<&String, &Value> = HashMap::new();
    for (element, value) in &live {
        if let Some(element) = element {
            live_items.entry(element).or_insert(value);
        }
    }
    let shared = elements.iter().flatten().filter(|element| live_items.contains_key(element));
    let mut shared = shared.peekable();
    let (mut left, mut right) = (0, 0);
    let mut out = Vec::with_capacity(live.len() + config.len());
    while left < live.len() || right < config.len() {
        if left < live.len() {
            let (element, value) = &live[left];
            if element.as_ref().is_none_or(|element| !applied.contains(element)) {
                out.push(value.clone());
                left += 1;
                continue;
            }
            // An item in another order than applied is merged at its applied position.
            if right >= config.len()
                || (elements[right] != *element && shared.peek().copied() != element.as_ref())
            {
                left += 1;
                continue;
            }
            if elements[right] == *element {
                left += 1;
            }
        }
        if right < config.len() {
            let found = elements[right].as_ref().and_then(|element| live_items.get(element));
            let mut value = found.map_or(Value::Null, |found| (*found).clone());
            merge(&list.item, &mut value, &config[right]);
            out.push(value);
            if shared.peek().copied() == elements[right].as_ref() {
                shared.next();
            }
            right += 1;
        }
    }
    out
}
