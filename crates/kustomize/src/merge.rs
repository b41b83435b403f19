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

/// What a walk merges into a value. kustomize treats a patch that meets no value as a value that is patched by itself.
#[derive(Clone, Copy)]
enum From<'a> {
    /// Nothing: the value stays, but its lists with keys are put in order.
    Nothing,
    /// The value itself: its directives are followed and its nulls go.
    Itself,
    /// A patch.
    Patch(&'a Value),
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
    walk(target, From::Patch(patch), shape)
}

fn walk(target: Value, from: From<'_>, shape: Option<&'static Shape>) -> Result<Option<Value>, Error> {
    match (target, from) {
        (_, From::Patch(Value::Null)) | (Value::Null, From::Itself) => Ok(None),
        (Value::Null, From::Patch(patch)) => added(patch, shape),
        (Value::Object(target), from) => match from {
            From::Patch(Value::Object(patch)) => maps(target, patch, shape),
            From::Patch(patch) => Err(other_shape(patch)),
            From::Itself | From::Nothing => alone(target, from, shape),
        },
        (Value::Array(target), from) => match (from, shape) {
            (From::Patch(Value::Array(patch)), Some(Shape::List { keys, element })) => {
                list::merge(target, patch, keys, *element)
            }
            (From::Itself, Some(Shape::List { keys, element })) => list::itself(target, keys, *element),
            (From::Nothing, Some(Shape::List { keys, element })) => list::unpatched(target, keys, *element),
            (From::Patch(Value::Array(patch)), _) => Ok(Some(Value::Array(patch.clone()))),
            (From::Patch(patch), _) => Err(other_shape(patch)),
            (From::Itself | From::Nothing, _) => Ok(Some(Value::Array(target))),
        },
        (_, From::Patch(patch @ (Value::Object(_) | Value::Array(_)))) => Err(other_shape(patch)),
        (_, From::Patch(scalar)) => Ok(Some(scalar.clone())),
        (scalar, From::Itself | From::Nothing) => Ok(Some(scalar)),
    }
}

fn other_shape(patch: &Value) -> Error {
    Error::invalid(format!("a patch would change the shape of a field, to `{patch}`"))
}

fn maps(
    mut target: Map<String, Value>,
    patch: &Map<String, Value>,
    shape: Option<&'static Shape>,
) -> Result<Option<Value>, Error> {
    match directive(patch)? {
        Directive::Delete => return Ok(None),
        Directive::Replace => return alone(patch.clone(), From::Itself, shape),
        Directive::Merge => {}
    }
    let mut merged = Map::new();
    for (field, value) in patch.iter().filter(|(field, _)| *field != DIRECTIVE) {
        let inner = shape.and_then(|shape| shape.field(field));
        let result = match target.remove(field) {
            Some(old) => walk(old, From::Patch(value), inner),
            None => added(value, inner),
        };
        if let Some(result) = result.map_err(|error| error.within(format!("field `{field}`")))? {
            merged.insert(field.clone(), result);
        }
    }
    for (field, value) in target {
        let inner = shape.and_then(|shape| shape.field(&field));
        if let Some(result) = walk(value, From::Nothing, inner)? {
            merged.insert(field, result);
        }
    }
    Ok(Some(Value::Object(merged)))
}

/// Walks a map that no patch meets. Merged with itself, it follows its own directive and loses it.
fn alone(
    mut map: Map<String, Value>,
    from: From<'_>,
    shape: Option<&'static Shape>,
) -> Result<Option<Value>, Error> {
    if matches!(from, From::Itself) {
        if directive(&map)? == Directive::Delete {
            return Ok(None);
        }
        map.remove(DIRECTIVE);
    }
    let mut merged = Map::new();
    for (field, value) in map {
        let inner = shape.and_then(|shape| shape.field(&field));
        let result = walk(value, from, inner).map_err(|error| error.within(format!("field `{field}`")))?;
        if let Some(result) = result {
            merged.insert(field, result);
        }
    }
    Ok(Some(Value::Object(merged)))
}

/// Returns a patch that meets no value: without its directives, and without what it deletes.
fn added(patch: &Value, shape: Option<&'static Shape>) -> Result<Option<Value>, Error> {
    match (patch, shape) {
        (Value::Array(patch), Some(Shape::List { keys, element })) => {
            list::added(patch.clone(), keys, *element)
        }
        _ => walk(patch.clone(), From::Itself, shape),
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
