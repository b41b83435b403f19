//! A stored object and its key.

use std::ops::Deref;
use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;

use super::weight::weight;

/// The key of an object in its collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace, empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

impl Key {
    /// Returns the key of a namespace and a name.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// An object at one revision. It is immutable; its JSON text is built on first use.
#[derive(Debug)]
pub struct Object {
    value: Value,
    revision: u64,
    json: OnceLock<Bytes>,
    weight: OnceLock<usize>,
}

impl Object {
    pub(crate) fn new(value: Value, revision: u64) -> Self {
        Self { value, revision, json: OnceLock::new(), weight: OnceLock::new() }
    }

    /// Returns the object as a JSON value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Returns the revision of the write, equal to `metadata.resourceVersion`.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the object as JSON text.
    pub fn json(&self) -> Bytes {
        self.json.get_or_init(|| Bytes::from(self.value.to_string())).clone()
    }

    /// Returns an estimate of the memory of the value in bytes. Its JSON text is not part of it: about a fifth of that.
    pub(super) fn weight(&self) -> usize {
        *self.weight.get_or_init(|| weight(&self.value))
    }

    /// Returns the key of the object.
    pub fn key(&self) -> Key {
        let text = |field: &str| self.value["metadata"][field].as_str().unwrap_or_default().to_owned();
        Key { namespace: text("namespace"), name: text("name") }
    }
}

impl Deref for Object {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}
