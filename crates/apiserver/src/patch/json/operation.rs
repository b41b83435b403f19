//! Decoding of operations.

use serde_json::Value;

use super::Error;

/// The fields of an operation.
const FIELDS: [&str; 4] = ["op", "path", "from", "value"];

/// An operation as received. Missing text fields are `None`, a missing value is null.
pub(super) struct Operation<'a> {
    pub(super) op: &'a str,
    path: Option<&'a str>,
    from: Option<&'a str>,
    pub(super) value: Value,
}

impl<'a> Operation<'a> {
    /// Returns the path.
    pub(super) fn path(&self) -> Result<&'a str, Error> {
        self.path.ok_or(Error::MissingPath("path"))
    }

    /// Returns the path of the source of a move or copy operation.
    pub(super) fn from(&self) -> Result<&'a str, Error> {
        self.from.ok_or(Error::MissingPath("from"))
    }

    fn decode(operation: &'a Value) -> Result<Self, Error> {
        if !operation.is_object() {
            let target = "value of type handlers.jsonPatchOp".to_owned();
            return Err(Error::Malformed { found: go_kind(operation), target });
        }
        let text = |field: &str| match &operation[field] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.as_str())),
            other => {
                let target = format!("struct field jsonPatchOp.{field} of type string");
                Err(Error::Malformed { found: go_kind(other), target })
            }
        };
        Ok(Self {
            op: text("op")?.unwrap_or_default(),
            path: text("path")?,
            from: text("from")?,
            value: operation["value"].clone(),
        })
    }
}

/// Decodes the operations of a patch.
///
/// # Errors
/// [`Error::Malformed`] if the patch is not a list of operations.
pub(super) fn decode(patch: &Value) -> Result<Vec<Operation<'_>>, Error> {
    let Some(operations) = patch.as_array() else {
        let target = "value of type jsonpatch.Patch".to_owned();
        return Err(Error::Malformed { found: go_kind(patch), target });
    };
    operations.iter().map(Operation::decode).collect()
}

/// Maximum number of reported unknown fields.
const MAX_UNKNOWN: usize = 100;

/// Returns the paths of unknown fields in the operations of a patch, at most [`MAX_UNKNOWN`].
pub(crate) fn unknown_fields(patch: &Value) -> Vec<String> {
    let operations = patch.as_array().into_iter().flatten().enumerate();
    let fields = operations.flat_map(|(index, operation)| {
        operation.as_object().into_iter().flatten().map(move |(field, _)| (index, field))
    });
    fields
        .filter(|(_, field)| !FIELDS.contains(&field.as_str()))
        .map(|(index, field)| format!("[{index}].{field}"))
        .take(MAX_UNKNOWN)
        .collect()
}

/// Returns the type of a value in the messages of Go's decoder.
fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
