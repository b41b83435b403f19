//! Type checks of an applied configuration.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::path_element;
use crate::schema::{List, Merge, Ty};

/// Maximum reported errors: a configuration has up to 3 MiB.
const MAX_ERRORS: usize = 100;

/// The errors of a configuration, with the messages of Kubernetes.
#[derive(Debug)]
pub(crate) struct TypeErrors(Vec<TypeError>);

impl std::error::Error for TypeErrors {}

impl fmt::Display for TypeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [error] => error.fmt(f),
            errors => {
                f.write_str("errors:")?;
                errors.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
        }
    }
}

/// The collected errors, at most [`MAX_ERRORS`].
#[derive(Debug, Default)]
struct Errors(Vec<TypeError>);

impl Errors {
    fn push(&mut self, error: TypeError) {
        if self.0.len() < MAX_ERRORS {
            self.0.push(error);
        }
    }
}

/// A value that does not match its type.
#[derive(Debug, thiserror::Error)]
enum TypeError {
    #[error("{0}: field not declared in schema")]
    UnknownField(String),
    #[error("{path}: duplicate entries for key {key}")]
    DuplicateKey { path: String, key: String },
    #[error("{path}: element {index}: associative list with keys has an element that omits key field")]
    MissingKey { path: String, index: usize },
    #[error("{path}: expected {expected}, got {found}")]
    Type { path: String, expected: &'static str, found: String },
}

/// Checks the values of a configuration against their types.
///
/// # Errors
/// All values that do not match.
pub(crate) fn check(ty: &Ty, config: &Value) -> Result<(), TypeErrors> {
    let mut errors = Errors::default();
    check_value(ty, config, String::new(), &mut errors);
    if errors.0.is_empty() { Ok(()) } else { Err(TypeErrors(errors.0)) }
}

fn check_value(ty: &Ty, value: &Value, path: String, errors: &mut Errors) {
    match (ty, value) {
        (_, Value::Null) | (Ty::Any { .. }, _) => {}
        (Ty::Struct(found), Value::Object(map)) => {
            for (name, value) in map {
                let path = format!("{path}.{name}");
                match found.fields.get(name) {
                    Some(field) => check_value(&field.ty, value, path, errors),
                    None if found.open => {}
                    None => errors.push(TypeError::UnknownField(path)),
                }
            }
        }
        (Ty::Map(map), Value::Object(entries)) => {
            for (key, value) in entries {
                check_value(&map.value, value, format!("{path}.{key}"), errors);
            }
        }
        (Ty::List(list), Value::Array(items)) => check_items(list, items, &path, errors),
        (ty, value) => scalar_error(ty, value, path).into_iter().for_each(|error| errors.push(error)),
    }
}

fn check_items(list: &List, items: &[Value], path: &str, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, value) in items.iter().enumerate() {
        let key = path_element::of_item(list, value).map(|element| path_element::to_text(&element));
        if list.merge != Merge::Atomic {
            let path = path.to_owned();
            match &key {
                Some(key) if !seen.insert(key.clone()) => {
                    errors.push(TypeError::DuplicateKey { path, key: key.clone() });
                }
                None => errors.push(TypeError::MissingKey { path, index }),
                _ => {}
            }
        }
        let path = match key {
            Some(key) => format!("{path}{key}"),
            None => format!("{path}[{index}]"),
        };
        check_value(&list.item, value, path, errors);
    }
}

/// Returns the error of a value that is not checked recursively, if it does not match its type.
fn scalar_error(ty: &Ty, value: &Value, path: String) -> Option<TypeError> {
    let expected = match (ty, value) {
        (Ty::Bool, Value::Bool(_)) | (Ty::Double, Value::Number(_)) => return None,
        (Ty::Int32 | Ty::Int64, Value::Number(number)) if number.is_i64() => return None,
        (Ty::Quantity | Ty::IntOrString, Value::Number(_) | Value::String(_)) => return None,
        (Ty::String | Ty::Time | Ty::MicroTime | Ty::Bytes, Value::String(_)) => return None,
        (Ty::Int32 | Ty::Int64 | Ty::Double, _) => {
            let found = type_name(value).to_owned();
            return Some(TypeError::Type { path, expected: "numeric (int or float)", found });
        }
        (Ty::Struct(_) | Ty::Map(_), _) => "map",
        (Ty::List(_), _) => "list",
        (Ty::Bool, _) => "boolean",
        _ => "string",
    };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Some(TypeError::Type { path, expected, found: format!("&{{{text}}}") })
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Array(_) => "slice",
        _ => "map",
    }
}
