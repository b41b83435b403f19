//! JSON patch (RFC 6902).

use serde_json::Value;

/// Maximum operations of a patch, as in Kubernetes.
const MAX_OPERATIONS: usize = 10_000;

/// Maximum bytes of JSON that the copy operations of a patch add in total, as in Kubernetes. Without it, each operation
/// could double the size of the object.
const MAX_COPIED_BYTES: usize = 3 << 20;

/// The error of a JSON patch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The document is not a patch.
    Malformed(String),
    /// Too many operations.
    TooManyOperations(usize),
    /// An operation does not apply to the object.
    DoesNotApply(String),
}

/// Applies all operations in order; on an error `target` is unchanged.
pub(crate) fn apply(target: &mut Value, patch: &Value) -> Result<(), Failure> {
    let operations = patch.as_array().ok_or_else(|| {
        let found = if patch.is_object() { "object" } else { "value" };
        Failure::Malformed(format!("json: cannot unmarshal {found} into Go value of type jsonpatch.Patch"))
    })?;
    if operations.len() > MAX_OPERATIONS {
        return Err(Failure::TooManyOperations(operations.len()));
    }
    let mut result = target.clone();
    let mut copied = 0;
    for operation in operations {
        apply_operation(&mut result, operation, &mut copied).map_err(Failure::DoesNotApply)?;
    }
    *target = result;
    Ok(())
}

/// Applies one operation; `copied` is the number of bytes copied by the previous ones.
fn apply_operation(target: &mut Value, operation: &Value, copied: &mut usize) -> Result<(), String> {
    let text = |field: &str| operation[field].as_str();
    let path = text("path").ok_or("missing path")?;
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    let missing = |op: &str, path: &str| {
        format!("{op} operation does not apply: doc is missing path: \"{path}\": missing value")
    };
    match text("op") {
        Some("add") => insert(target, path, value()).ok_or_else(|| missing("add", path)),
        Some("remove") => remove(target, path).map(drop).ok_or_else(|| {
            format!("remove operation does not apply: doc is missing path: \"{path}\": missing value")
        }),
        Some("replace") => {
            let missing =
                || format!("replace operation does not apply: doc is missing key: {path}: missing value");
            if path.is_empty() {
                *target = value();
                return Ok(());
            }
            let (parent, last) = split_last(path).ok_or_else(missing)?;
            match target.pointer_mut(parent).ok_or_else(missing)? {
                // Unlike RFC 6902, the library of Kubernetes adds a missing key.
                Value::Object(map) => drop(map.insert(last, value())),
                Value::Array(items) => {
                    let index = last.parse::<usize>().ok().filter(|index| *index < items.len());
                    items[index.ok_or_else(missing)?] = value();
                }
                _ => return Err(missing()),
            }
            Ok(())
        }
        Some("test") => {
            let found = target.pointer(path);
            let expected = value();
            if found == Some(&expected) || (found.is_none() && expected.is_null()) {
                Ok(())
            } else {
                Err(format!("testing value {path} failed: test failed"))
            }
        }
        Some(op @ ("move" | "copy")) => {
            let from = text("from").ok_or("missing from")?;
            let found = if op == "move" {
                remove(target, from)
            } else {
                let found = target.pointer(from);
                *copied += found.map_or(0, |found| found.to_string().len());
                if *copied > MAX_COPIED_BYTES {
                    return Err(format!("copies of {copied} bytes exceed the limit of {MAX_COPIED_BYTES}"));
                }
                found.cloned()
            };
            let found = found.ok_or_else(|| missing(op, from))?;
            insert(target, path, found).ok_or_else(|| missing(op, path))
        }
        other => Err(format!("Unexpected kind: {}", other.unwrap_or("unknown"))),
    }
}

fn split_last(path: &str) -> Option<(&str, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn insert(target: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    let (parent, last) = split_last(path)?;
    match target.pointer_mut(parent)? {
        Value::Object(map) => {
            map.insert(last, value);
        }
        Value::Array(items) => {
            let index = if last == "-" { items.len() } else { last.parse().ok()? };
            if index > items.len() {
                return None;
            }
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(target: &mut Value, path: &str) -> Option<Value> {
    let (parent, last) = split_last(path)?;
    match target.pointer_mut(parent)? {
        Value::Object(map) => map.remove(&last),
        Value::Array(items) => {
            let index: usize = last.parse().ok()?;
            (index < items.len()).then(|| items.remove(index))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn failed_patch_leaves_the_object_unchanged() {
        let mut target = json!({"a": [1, 2]});
        let patch =
            json!([{"op": "add", "path": "/a/-", "value": 3}, {"op": "test", "path": "/a/0", "value": 9}]);
        assert!(apply(&mut target, &patch).is_err());
        assert_eq!(target, json!({"a": [1, 2]}));
    }

    #[test]
    fn copies_are_limited_in_total() {
        let mut target = json!({"a": {"b": "c"}});
        let copy = |key: &str| json!({"op": "copy", "from": "/a", "path": format!("/a/{key}")});
        let patch: Vec<Value> = ["x", "y"].iter().cycle().take(64).map(|key| copy(key)).collect();
        assert!(matches!(apply(&mut target, &Value::Array(patch)), Err(Failure::DoesNotApply(_))));
        assert_eq!(target, json!({"a": {"b": "c"}}));
    }

    #[test]
    fn escaped_keys_are_decoded() {
        let mut target = json!({"a": {"x/y": 1}});
        apply(&mut target, &json!([{"op": "remove", "path": "/a/x~1y"}])).expect("applies");
        assert_eq!(target, json!({"a": {}}));
    }
}
