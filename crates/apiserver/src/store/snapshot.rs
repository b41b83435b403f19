//! The format of snapshots.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Version of the format, increased by incompatible changes.
const FORMAT: u64 = 1;

pub(super) fn document(revision: u64, collections: &BTreeMap<String, Vec<Value>>) -> Value {
    json!({"format": FORMAT, "revision": revision, "collections": collections})
}

pub(super) fn read(mut document: Value) -> Result<(u64, BTreeMap<String, Vec<Value>>), String> {
    match document["format"].as_u64() {
        Some(FORMAT) => {}
        Some(other) => return Err(format!("snapshot of format {other}, this program reads {FORMAT}")),
        None => return Err("not a snapshot".to_owned()),
    }
    let revision = document["revision"].as_u64().ok_or("snapshot without a revision")?;
    let collections = serde_json::from_value(document["collections"].take())
        .map_err(|error| format!("cannot read the snapshot's objects: {error}"))?;
    Ok((revision, collections))
}
