//! Lists whose elements have keys.

use serde_json::Value;

use super::{DIRECTIVE, Directive, Shape, directive, strategic};
use crate::error::Error;

/// Merges the elements of `patch` into those of `target` with the same keys. Without keys the lists are sets.
///
/// The patch's elements come first. Where one key tells elements apart that holds for the merged ones too; where it
/// takes several, merged ones keep their place. Both are kustomize's habit.
pub(super) fn merge(
    mut target: Vec<Value>,
    patch: &[Value],
    keys: &[&str],
    element: Option<&'static Shape>,
) -> Result<Option<Value>, Error> {
    let (about_the_list, patch): (Vec<&Value>, Vec<&Value>) =
        patch.iter().partition(|item| is_directive(item));
    if let Some(Value::Object(first)) = about_the_list.first() {
        match directive(first)? {
            Directive::Delete => return Ok(None),
            Directive::Replace => target.clear(),
            Directive::Merge => {}
        }
    }
    if keys.is_empty() {
        let mut set: Vec<Value> = Vec::new();
        for item in patch.into_iter().cloned().chain(target) {
            if !set.contains(&item) {
                set.push(item);
            }
        }
        return Ok(Some(Value::Array(set)));
    }
    let mut first: Vec<Value> = Vec::new();
    for item in patch {
        let Some(index) = target.iter().position(|old| same(old, item, keys)) else {
            let again = first.iter().position(|old| same(old, item, keys));
            let old = again.map_or(Value::Null, |index| first.remove(index));
            if let Some(new) = strategic(old, item, element)? {
                first.insert(again.unwrap_or(first.len()), new);
            }
            continue;
        };
        let mut merged = strategic(target[index].take(), item, element)?;
        if let (Some(Value::Object(fields)), Value::Object(item)) = (&mut merged, item) {
            for key in keys {
                if let Some(value) = item.get(*key) {
                    fields.entry(*key).or_insert_with(|| value.clone());
                }
            }
        }
        match merged {
            None => drop(target.remove(index)),
            Some(merged) if keys.len() > 1 => target[index] = merged,
            Some(merged) => {
                target.remove(index);
                first.push(merged);
            }
        }
    }
    first.extend(target);
    Ok(Some(Value::Array(first)))
}

/// Whether an element speaks about the list: it is a directive and nothing else.
fn is_directive(item: &Value) -> bool {
    item.as_object().is_some_and(|fields| fields.len() == 1 && fields.contains_key(DIRECTIVE))
}

/// Whether two elements are the same: no key tells them apart, and one they have in common. A key that one leaves out
/// (a port's protocol) tells nothing.
fn same(a: &Value, b: &Value, keys: &[&str]) -> bool {
    let pairs = || keys.iter().filter_map(|key| Some((a.get(*key)?, b.get(*key)?)));
    pairs().next().is_some() && pairs().all(|(a, b)| text(a) == text(b))
}

/// Keys are compared as written: a port as number equals the same port as text.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
