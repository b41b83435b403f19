//! Lays an applied configuration over the live object.

use serde_json::{Map, Value};

use super::item;
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
                    let place = map.entry(name.clone()).or_insert(Value::Null);
                    merge(ty.field(name).unwrap_or(&untyped), place, value);
                }
            }
        }
        _ => *live = config.clone(),
    }
}

/// Items of both lists: those applied in the applied order, the others where they stood between them.
fn merge_items(list: &List, live: Vec<Value>, config: &[Value]) -> Vec<Value> {
    let steps: Vec<Option<String>> = config.iter().map(|value| item::of(list, value)).collect();
    let live: Vec<(Option<String>, Value)> =
        live.into_iter().map(|value| (item::of(list, &value), value)).collect();
    let shared: Vec<&String> =
        steps.iter().flatten().filter(|step| live.iter().any(|(s, _)| s.as_ref() == Some(*step))).collect();
    let mut shared = shared.into_iter().peekable();
    let (mut left, mut right) = (0, 0);
    let mut out = Vec::with_capacity(live.len() + config.len());
    while left < live.len() || right < config.len() {
        if left < live.len() {
            let (step, value) = &live[left];
            let applied = step.is_some() && steps.contains(step);
            if !applied {
                out.push(value.clone());
                left += 1;
                continue;
            }
            // An item that comes in another order than it is applied in is taken when its turn comes.
            if right >= config.len() || (steps[right] != *step && shared.peek().copied() != step.as_ref()) {
                left += 1;
                continue;
            }
            if steps[right] == *step {
                left += 1;
            }
        }
        if right < config.len() {
            let found = live.iter().find(|(step, _)| step.is_some() && *step == steps[right]);
            let mut value = found.map_or(Value::Null, |(_, value)| value.clone());
            merge(&list.item, &mut value, &config[right]);
            out.push(value);
            if shared.peek().copied() == steps[right].as_ref() {
                shared.next();
            }
            right += 1;
        }
    }
    out
}
