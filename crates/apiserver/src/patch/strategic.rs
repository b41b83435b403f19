//! Strategic merge patch: a merge patch that merges lists by a key.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::schema::{Strategy, Ty};

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList/";

/// The error of a strategic merge patch, with the messages of Kubernetes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An unknown value of `$patch`.
    #[error("unknown patch type: {0}")]
    UnknownDirective(String),
    /// A list item without the field that identifies it.
    #[error("map: {object} does not contain declared merge key: {key}")]
    MissingMergeKey { object: String, key: String },
}

/// Applies a strategic merge patch to an object of a type.
///
/// # Errors
/// If a list item has no merge key, or a directive is unknown.
pub(crate) fn apply(ty: &Ty, target: &mut Value, patch: &Value) -> Result<(), Error> {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    match patch.get(DIRECTIVE).map(|directive| directive.as_str().unwrap_or_default()) {
        Some("replace") => {
            let mut replacement = patch.clone();
            replacement.remove(DIRECTIVE);
            *target = Value::Object(replacement);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(Error::UnknownDirective(other.to_owned())),
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return Ok(()) };
    if let Some(retain) = patch.get(RETAIN) {
        let kept: HashSet<&str> = crate::value::items(retain).filter_map(Value::as_str).collect();
        map.retain(|key, _| kept.contains(key.as_str()));
    }
    for (key, value) in patch {
        if key == DIRECTIVE || key == RETAIN || key.starts_with(ORDER) {
            continue;
        }
        if let Some(list) = key.strip_prefix(DELETE_VALUES) {
            if let Some(items) = map.get_mut(list).and_then(Value::as_array_mut) {
                let deleted: HashSet<String> = crate::value::items(value).map(Value::to_string).collect();
                items.retain(|item| !deleted.contains(&item.to_string()));
            }
            continue;
        }
        if value.is_null() {
            map.remove(key);
            continue;
        }
        let inner = ty.field(key);
        let strategy = strategy(ty, key);
        match (value, inner) {
            (Value::Array(items), Some(Ty::List(list))) if strategy.merge => {
                let order = patch
                    .get(&format!("{ORDER}{key}"))
                    .map(|order| crate::value::items(order).cloned().collect());
                let target = map.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new()));
                merge_list(&list.item, &strategy.key, target, items, order)?;
            }
            (Value::Array(_), _) => {
                map.insert(key.clone(), value.clone());
            }
            (Value::Object(_), inner) => {
                let inner = inner.cloned().unwrap_or(Ty::Any { atomic: false });
                apply(&inner, map.entry(key.clone()).or_insert(Value::Null), value)?;
            }
            _ => {
                map.insert(key.clone(), value.clone());
            }
        }
    }
    // An order directive without the list only moves items.
    for (key, order) in patch.iter().filter_map(|(key, order)| Some((key.strip_prefix(ORDER)?, order))) {
        let strategy = strategy(ty, key);
        if let Some(items) = map.get_mut(key).and_then(Value::as_array_mut) {
            let existing = items.len();
            reorder(items, &strategy.key, &crate::value::items(order).cloned().collect::<Vec<_>>(), existing);
        }
    }
    Ok(())
}

fn strategy(ty: &Ty, field: &str) -> Strategy {
    match ty {
        Ty::Struct(found) => found.fields.get(field).map(|field| field.strategy.clone()).unwrap_or_default(),
        _ => Strategy::default(),
    }
}

fn merge_list(
    item: &Ty,
    key: &str,
    target: &mut Value,
    patch: &[Value],
    order: Option<Vec<Value>>,
) -> Result<(), Error> {
    if patch.iter().any(|item| item[DIRECTIVE] == "replace") {
        let kept = patch.iter().filter(|item| item.get(DIRECTIVE).is_none()).cloned().collect();
        *target = Value::Array(kept);
        return Ok(());
    }
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Value::Array(items) = target else { return Ok(()) };
    if key.is_empty() {
        let mut present: HashSet<String> = items.iter().map(Value::to_string).collect();
        items.extend(patch.iter().filter(|value| present.insert(value.to_string())).cloned());
        return Ok(());
    }
    let existing = merge_items(item, key, items, patch)?;
    reorder(items, key, order.as_deref().unwrap_or(patch), existing);
    Ok(())
}

/// Merges the items of a patch into a list by their key. Returns the number of items that were in the list before.
fn merge_items(item: &Ty, key: &str, items: &mut Vec<Value>, patch: &[Value]) -> Result<usize, Error> {
    let mut slots: Vec<Option<Value>> = items.drain(..).map(Some).collect();
    let mut existing = slots.len();
    let mut indices: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, slot) in slots.iter().enumerate() {
        let name = slot.as_ref().map_or(&Value::Null, |item| &item[key]).to_string();
        indices.entry(name).or_default().push(index);
    }
    let before = existing;
    for value in patch {
        let name = value
            .get(key)
            .ok_or_else(|| Error::MissingMergeKey { object: value.to_string(), key: key.to_owned() })?
            .to_string();
        if value[DIRECTIVE] == "delete" {
            for index in indices.remove(&name).unwrap_or_default() {
                slots[index] = None;
                existing -= usize::from(index < before);
            }
        } else if let Some(found) = indices.get(&name).and_then(|found| slots[found[0]].as_mut()) {
            apply(item, found, value)?;
        } else {
            let mut new = Value::Object(Map::new());
            apply(item, &mut new, value)?;
            indices.entry(name).or_default().push(slots.len());
            slots.push(Some(new));
        }
    }
    items.extend(slots.into_iter().flatten());
    Ok(existing)
}

/// Sorts the items that `order` contains into that order. Each other item stays before the ordered items that it preceded.
/// Items from index `existing` on are new and stay behind other items.
fn reorder(items: &mut Vec<Value>, key: &str, order: &[Value], existing: usize) {
    let name = |item: &Value| if key.is_empty() { item.to_string() } else { item[key].to_string() };
    let mut positions: HashMap<String, usize> = HashMap::new();
    for (index, item) in order.iter().enumerate() {
        positions.entry(name(item)).or_insert(index);
    }
    let position = |item: &Value| positions.get(&name(item)).copied();
    let (mut ordered, others): (Vec<_>, Vec<_>) =
        items.drain(..).enumerate().partition(|(_, item)| position(item).is_some());
    ordered.sort_by_cached_key(|(_, item)| position(item));
    let (mut ordered, mut others) = (ordered.into_iter().peekable(), others.into_iter().peekable());
    while let Some((index, _)) = ordered.peek() {
        match others.next_if(|(other, _)| other < index && *index < existing) {
            Some((_, item)) => items.push(item),
            None => items.extend(ordered.next().map(|(_, item)| item)),
        }
    }
    items.extend(others.map(|(_, item)| item));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::builtin;
    use serde_json::json;

    #[test]
    fn containers_are_merged_by_name_and_args_are_replaced() {
        let mut pod =
            json!({"spec": {"containers": [{"name": "a", "image": "x", "args": ["1"]}, {"name": "b"}]}});
        let patch = json!({"spec": {"containers": [{"name": "a", "args": ["2"]}, {"name": "b", "$patch": "delete"}]}});
        apply(&builtin("core.v1.Pod"), &mut pod, &patch).expect("applies");
        assert_eq!(pod, json!({"spec": {"containers": [{"name": "a", "image": "x", "args": ["2"]}]}}));
    }

    #[test]
    fn retain_keys_removes_other_keys() {
        let mut deployment =
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
        let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
        apply(&builtin("apps.v1.Deployment"), &mut deployment, &patch).expect("applies");
        assert_eq!(deployment, json!({"spec": {"strategy": {"type": "Recreate"}}}));
    }
}
