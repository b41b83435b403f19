//! What an object must hold to be stored, as far as users notice.

use serde_json::Value;

use crate::error::Cause;
use crate::kinds::Kind;

/// What is wrong with a new object.
pub(crate) fn object(kind: &Kind, value: &Value) -> Vec<Cause> {
    let _ = (kind, value);
    Vec::new()
}

/// What is wrong with a changed object.
pub(crate) fn update(kind: &Kind, old: &Value, value: &Value, subresource: &str) -> Vec<Cause> {
    let _ = (old, subresource);
    object(kind, value)
}
