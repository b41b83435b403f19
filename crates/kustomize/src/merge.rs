//! Strategic merge: maps field by field, lists of the API by their merge keys, other lists as a whole.

mod keys;
mod list;

use serde_json::{Map, Value};

use crate::error::Error;

pub(crate) use keys::{Shape, shape};

/// The field of a patch with the directive for the map or list that contains it.
const DIRECTIVE: &str = "$patch";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

/// Merges `patch` into `target`; `None` when nothing is to remain of it. Null is what deletes a field.
///
/// # Errors
///
/// When the two are not both maps, both lists or both scalars, or a directive is unknown.
pub(crate) fn strategic(
    target: Value,
    patch: &Value,
    shape: Option<&'static Shape>,
) -> Result<Option<Value>, Error> {
    match (target, patch) {
        (_, Value::Null) => Ok(None),
        (Value::Null, patch) => cleaned(patch, shape),
        (Value::Object(target), Value::Object(patch)) => maps(target, patch, shape),
        (Value::Array(target), Value::Array(patch)) => match shape {
            Some(Shape::List { keys, element }) => list::merge(target, patch, keys, *element),
            _ => Ok(Some(Value::Array(patch.clone()))),
        },
        (Value::Object(_) | Value::Array(_), _) | (_, Value::Object(_) | Value::Array(_)) => {
            Err(Error::invalid(format!("a patch would change the shape of a field, to `{patch}`")))
        }
        (_, scalar) => Ok(Some(scalar.clone())),
    }
}

fn maps(
    mut target: Map<String, Value>,
    patch: &Map<String, Value>,
    shape: Option<&'static Shape>,
) -> Result<Option<Value>, Error> {
    match directive(patch)? {
        Directive::Delete => return Ok(None),
        Directive::Replace => target.clear(),
        Directive::Merge => {}
    }
    for (field, value) in patch.iter().filter(|(field, _)| *field != DIRECTIVE) {
        let inner = shape.and_then(|shape| shape.field(field));
        let merged = match target.remove(field) {
            Some(old) => strategic(old, value, inner),
            None => cleaned(value, inner),
        };
        if let Some(merged) = merged.map_err(|error| error.within(format!("field `{field}`")))? {
            target.insert(field.clone(), merged);
        }
    }
    Ok(Some(Value::Object(target)))
}

/// A patch where nothing is there to merge it into: without its directives, and without what it deletes.
fn cleaned(patch: &Value, shape: Option<&'static Shape>) -> Result<Option<Value>, Error> {
    match (patch, shape) {
        (Value::Null, _) => Ok(None),
        (Value::Object(patch), _) => maps(Map::new(), patch, shape),
        (Value::Array(patch), Some(Shape::List { keys, element })) => {
            list::merge(Vec::new(), patch, keys, *element)
        }
        (other, _) => Ok(Some(other.clone())),
    }
}

fn directive(patch: &Map<String, Value>) -> Result<Directive, Error> {
    match patch.get(DIRECTIVE) {
        None | Some(Value::Null) => Ok(Directive::Merge),
        Some(Value::String(word)) if word == "merge" => Ok(Directive::Merge),
        Some(Value::String(word)) if word == "replace" => Ok(Directive::Replace),
        Some(Value::String(word)) if word == "delete" => Ok(Directive::Delete),
        Some(other) => Err(Error::invalid(format!("`{DIRECTIVE}` is {other}, not merge, replace or delete"))),
    }
}
