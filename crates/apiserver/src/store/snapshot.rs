//! The format of snapshots.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Version of the format, increased by incompatible changes.
const FORMAT: u64 = 1;

/// The error of a document that is not a snapshot of this format.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// The document has no format.
    #[error("not a snapshot")]
    NoFormat,
    /// Another format.
    #[error("unsupported snapshot format {0}, expected {FORMAT}")]
    UnsupportedFormat(u64),
    /// The document has no revision.
    #[error("the snapshot has no revision")]
    NoRevision,
    /// The collections cannot be decoded.
    #[error("cannot decode the objects of the snapshot: {0}")]
    Objects(#[from] serde_json::Error),
}

/// Returns the document of a revision and its collections.
pub(super) fn document(revision: u64, collections: &BTreeMap<String, Vec<Value>>) -> Value {
    json!({"format": FORMAT, "revision": revision, "collections": collections})
}

/// Returns the revision and the collections of a document.
pub(super) fn read(mut document: Value) -> Result<(u64, BTreeMap<String, Vec<Value>>), SnapshotError> {
    match document["format"].as_u64() {
        Some(FORMAT) => {}
        Some(other) => return Err(SnapshotError::UnsupportedFormat(other)),
        None => return Err(SnapshotError::NoFormat),
    }
    let revision = document["revision"].as_u64().ok_or(SnapshotError::NoRevision)?;
    Ok((revision, serde_json::from_value(document["collections"].take())?))
}
