//! JSON patch (RFC 6902).

use serde_json::Value;

/// How many operations one patch may hold, as in Kubernetes.
const MOST_OPERATIONS: usize = 10_000;

/// Bytes of JSON that all copies of one patch may add together, as in Kubernetes: a few that copy each other's results
/// would double the object each time.
const MOST_COPIED: usize = 3 << 20;

/// Why a JSON patch does not apply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is no patch.
    Malformed(String),
    /// There are too many operations.
    TooLong(usize),
    /// It does not fit the object.
    Unfit(String),
}

/// Applies the operations in order, all or none.
pub(crate) fn apply(target: &mut Value, patch: &Value) -> Result<(), Failure> {
    let operations = patch.as_array().ok_or_else(|| {
        let what = if patch.is_object() { "object" } else { "value" };
        Failure::Malformed(format!("json: cannot unmarshal {what} into Go value of type jsonpatch.Patch"))
    })?;
    if operations.len() > MOST_OPERATIONS {
        return Err(Failure::TooLong(operations.len()));
    }
    let mut result = target.clone();
    let mut copied = 0;
    for operation in operations {
        step(&mut result, operation, &mut copied).map_err(Failure::Unfit)?;
    }
    *target = result;
    Ok(())
}

/// Does one operation; `copied` is the sum over those before it.
fn step(target: &mut Value, operation: &Value, copied: &mut usize) -> Result<(), String> {
    let text = |field: &str| operation[field].as_str();
    let path = text("path").ok_or("missing path")?;
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    let missing = |what: &str, path: &str| {
        format!("{what} operation does not apply: doc is missing path: \"{path}\": missing value")
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
            let (above, last) = parent(path).ok_or_else(missing)?;
            match target.pointer_mut(above).ok_or_else(missing)? {
                // The library of Kubernetes lets a replacement make a key, though the RFC does not.
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
            let wanted = value();
            if found == Some(&wanted) || (found.is_none() && wanted.is_null()) {
                Ok(())
            } else {
                Err(format!("testing value {path} failed: test failed"))
            }
        }
        Some(word @ ("move" | "copy")) => {
            let from = text("from").ok_or("missing from")?;
            let found = if word == "move" {
                remove(target, from)
            } else {
                let found = target.pointer(from);
                *copied += found.map_or(0, |found| found.to_string().len());
                if *copied > MOST_COPIED {
                    return Err(format!("copies of {copied} bytes exceed the limit of {MOST_COPIED}"));
                }
                found.cloned()
            };
            let found = found.ok_or_else(|| missing(word, from))?;
            insert(target, path, found).ok_or_else(|| missing(word, path))
        }
        other => Err(format!("Unexpected kind: {}", other.unwrap_or("unknown"))),
    }
}

fn parent(path: &str) -> Option<(&str, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn insert(target: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    let (above, last) = parent(path)?;
    match target.pointer_mut(above)? {
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
    let (above, last) = parent(path)?;
    match target.pointer_mut(above)? {
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
    fn a_failed_operation_leaves_everything_as_it_was() {
        let mut target = json!({"a": [1, 2]});
        let patch =
            json!([{"op": "add", "path": "/a/-", "value": 3}, {"op": "test", "path": "/a/0", "value": 9}]);
        assert!(apply(&mut target, &patch).is_err());
        assert_eq!(target, json!({"a": [1, 2]}));
    }

    #[test]
    fn copies_that_double_the_object_end() {
        let mut target = json!({"a": {"b": "c"}});
        let copy = |key: &str| json!({"op": "copy", "from": "/a", "path": format!("/a/{key}")});
        let patch: Vec<Value> = ["x", "y"].iter().cycle().take(64).map(|key| copy(key)).collect();
        assert!(matches!(apply(&mut target, &Value::Array(patch)), Err(Failure::Unfit(_))));
        assert_eq!(target, json!({"a": {"b": "c"}}));
    }

    #[test]
    fn escaped_keys_are_found() {
        let mut target = json!({"a": {"x/y": 1}});
        apply(&mut target, &json!([{"op": "remove", "path": "/a/x~1y"}])).expect("applies");
        assert_eq!(target, json!({"a": {}}));
    }
}
