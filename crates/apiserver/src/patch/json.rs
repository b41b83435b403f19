//! JSON patch (RFC 6902) and JSON merge patch (RFC 7396).
//!
//! The crate `json-patch` applies the operations. This module decodes them, limits their number and size, and translates
//! what the library of Kubernetes does differently from RFC 6902:
//!
//! - `replace` adds a missing key.
//! - `test` of a missing key succeeds for null, and `copy` of a missing key copies null.
//! - A negative list index counts from the end.
//! - `add` does not replace the whole document.

use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation};
use serde_json::Value;

pub(crate) use json_patch::merge;

mod operation;
mod path;

use operation::Operation;
pub(crate) use operation::unknown_fields;
use path::Location;

/// Maximum operations of a patch, as in Kubernetes.
const MAX_OPERATIONS: usize = 10_000;

/// Maximum bytes of JSON that the copy operations of a patch add in total, as in Kubernetes. Without it, each operation
/// could double the size of the object.
const MAX_COPIED_BYTES: usize = 3 << 20;

/// The error of a JSON patch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The document is not a list of operations. The message is that of Kubernetes.
    #[error("json: cannot unmarshal {found} into Go {target}")]
    Malformed { found: &'static str, target: String },
    /// Too many operations. The message is that of Kubernetes.
    #[error("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {0}")]
    TooManyOperations(usize),
    /// An unknown operation.
    #[error("unknown operation {0:?}")]
    UnknownOperation(String),
    /// An operation without `path` or `from`.
    #[error("the operation has no {0}")]
    MissingPath(&'static str),
    /// A path that is not a JSON pointer, or not allowed in this operation.
    #[error("invalid path {0:?}")]
    InvalidPath(String),
    /// The value to copy does not exist.
    #[error("nothing to copy at {0:?}")]
    NothingToCopy(String),
    /// The copies are too large.
    #[error("copies of {0} bytes exceed the limit of {MAX_COPIED_BYTES}")]
    CopiesTooLarge(usize),
    /// The operation does not apply to the object.
    #[error(transparent)]
    Operation(#[from] json_patch::PatchError),
}

/// Applies all operations in order; on an error `target` is unchanged.
pub(crate) fn apply(target: &mut Value, patch: &Value) -> Result<(), Error> {
    let operations = operation::decode(patch)?;
    if operations.len() > MAX_OPERATIONS {
        return Err(Error::TooManyOperations(operations.len()));
    }
    let mut result = target.clone();
    let mut copied = 0;
    for operation in operations {
        apply_operation(&mut result, operation, &mut copied)?;
    }
    *target = result;
    Ok(())
}

/// Applies one operation; `copied` is the number of bytes copied by the previous ones.
fn apply_operation(document: &mut Value, operation: Operation<'_>, copied: &mut usize) -> Result<(), Error> {
    let path = operation.path()?;
    match operation.op {
        "add" => add(document, path, operation.value),
        "remove" => remove(document, path),
        "replace" => {
            let Location { path, is_missing_key } = Location::find(document, path, false)?;
            if is_missing_key {
                return run(document, PatchOperation::Add(AddOperation { path, value: operation.value }));
            }
            run(document, PatchOperation::Replace(ReplaceOperation { path, value: operation.value }))
        }
        "test" => {
            let Location { path, is_missing_key } = Location::find(document, path, false)?;
            if is_missing_key && operation.value.is_null() {
                return Ok(());
            }
            run(document, PatchOperation::Test(TestOperation { path, value: operation.value }))
        }
        "move" => {
            let value = read(document, operation.from()?)?;
            remove(document, operation.from()?)?;
            add(document, path, value)
        }
        "copy" => {
            let value = read(document, operation.from()?)?;
            *copied += value.to_string().len();
            if *copied > MAX_COPIED_BYTES {
                return Err(Error::CopiesTooLarge(*copied));
            }
            add(document, path, value)
        }
        other => Err(Error::UnknownOperation(other.to_owned())),
    }
}

/// Returns the value at a path; null for a missing key of an object.
fn read(document: &Value, path: &str) -> Result<Value, Error> {
    let Location { path: pointer, is_missing_key } = Location::find(document, path, false)?;
    match document.pointer(pointer.as_str()) {
        Some(value) => Ok(value.clone()),
        None if is_missing_key => Ok(Value::Null),
        None => Err(Error::NothingToCopy(path.to_owned())),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), Error> {
    if path.is_empty() {
        return Err(Error::InvalidPath(path.to_owned()));
    }
    let path = Location::find(document, path, true)?.path;
    run(document, PatchOperation::Add(AddOperation { path, value }))
}

fn remove(document: &mut Value, path: &str) -> Result<(), Error> {
    let path = Location::find(document, path, false)?.path;
    run(document, PatchOperation::Remove(RemoveOperation { path }))
}

fn run(document: &mut Value, operation: PatchOperation) -> Result<(), Error> {
    Ok(json_patch::patch_unsafe(document, std::slice::from_ref(&operation))?)
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
        assert!(matches!(apply(&mut target, &Value::Array(patch)), Err(Error::CopiesTooLarge(_))));
        assert_eq!(target, json!({"a": {"b": "c"}}));
    }

    #[test]
    fn number_of_operations_is_limited() {
        let operation = json!({"op": "test", "path": "", "value": {}});
        let patch = |count: usize| Value::Array(vec![operation.clone(); count]);
        assert!(apply(&mut json!({}), &patch(MAX_OPERATIONS)).is_ok());
        let error = apply(&mut json!({}), &patch(MAX_OPERATIONS + 1));
        assert!(matches!(error, Err(Error::TooManyOperations(_))));
    }

    #[test]
    fn negative_index_counts_from_the_end() {
        let mut target = json!({"a": [1, 2, 3]});
        apply(&mut target, &json!([{"op": "replace", "path": "/a/-1", "value": 4}])).expect("applies");
        apply(&mut target, &json!([{"op": "add", "path": "/a/-1", "value": 5}])).expect("applies");
        apply(&mut target, &json!([{"op": "remove", "path": "/a/-4"}])).expect("applies");
        assert_eq!(target, json!({"a": [2, 4, 5]}));
        assert!(apply(&mut target, &json!([{"op": "remove", "path": "/a/-4"}])).is_err());
    }

    #[test]
    fn merge_patch_removes_null_fields_and_merges_objects() {
        let mut target = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut target, &json!({"a": {"b": null, "e": {"f": null, "g": 1}}, "d": [2]}));
        assert_eq!(target, json!({"a": {"c": 2, "e": {"g": 1}}, "d": [2]}));
    }
}
