//! Metadata, owners and labels of Kubernetes objects.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde_json::Value;

/// Accessors for the metadata of an object. Fields that are absent read as empty.
pub(crate) trait ObjectExt {
    fn meta(&self) -> &ObjectMeta;

    fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.meta().namespace.as_deref().unwrap_or_default()
    }

    fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.meta().annotations.as_ref()?.get(key).map(String::as_str)
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.meta().labels.as_ref()?.get(key).map(String::as_str)
    }

    /// Whether the object has a deletion timestamp.
    fn is_deleting(&self) -> bool {
        self.meta().deletion_timestamp.is_some()
    }

    fn owners(&self) -> &[OwnerReference] {
        self.meta().owner_references.as_deref().unwrap_or_default()
    }

    fn finalizers(&self) -> &[String] {
        self.meta().finalizers.as_deref().unwrap_or_default()
    }

    /// Returns the owner that manages the object.
    fn controller(&self) -> Option<&OwnerReference> {
        self.owners().iter().find(|owner| owner.controller == Some(true))
    }

    /// Whether the object is managed by the owner with this uid.
    fn is_controlled_by(&self, uid: &str) -> bool {
        self.controller().is_some_and(|owner| owner.uid == uid)
    }
}

impl<K: Metadata<Ty = ObjectMeta>> ObjectExt for K {
    fn meta(&self) -> &ObjectMeta {
        self.metadata()
    }
}

/// Returns the reference that makes `owner` the controller of an object.
pub(crate) fn controller_reference<K: Resource + ObjectExt>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::API_VERSION.to_owned(),
        kind: K::KIND.to_owned(),
        name: owner.name().to_owned(),
        uid: owner.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Sets an annotation.
pub(crate) fn set_annotation(meta: &mut ObjectMeta, key: &str, value: &str) {
    meta.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
}

/// Returns string pairs as a map of labels or annotations.
pub(crate) fn string_map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Whether the selector of a Service selects an object; an empty selector selects nothing.
pub(crate) fn selects(selector: Option<&BTreeMap<String, String>>, object: &impl ObjectExt) -> bool {
    selector.is_some_and(|labels| {
        !labels.is_empty() && labels.iter().all(|(key, value)| object.label(key) == Some(value))
    })
}

/// Returns the current time in whole seconds, the resolution of the API.
pub(crate) fn now() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

/// Returns a short text, safe in names, that is equal for equal JSON: the template hash of a Deployment, for example.
///
/// It contains no vowels, so that it cannot form a word.
pub(crate) fn short_hash(value: &impl Serialize) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    // FNV-1a over the canonical text: stable between runs and between versions of the standard library.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    // Serialization of API objects cannot fail: all their map keys are strings.
    let value = serde_json::to_value(value).unwrap_or_default();
    canonical(&value, &mut |byte| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut rest = hash;
    (0..10)
        .map(|_| {
            let letter = usize::try_from(rest % 27).unwrap_or_default();
            rest /= 27;
            char::from(LETTERS[letter])
        })
        .collect()
}

/// Writes the bytes of a value, with the members of objects in the order of their keys.
fn canonical(value: &Value, sink: &mut dyn FnMut(u8)) {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(key, _)| key.as_str());
            for (key, member) in sorted {
                key.bytes().chain([b':']).for_each(&mut *sink);
                canonical(member, sink);
                sink(b',');
            }
            sink(b'}');
        }
        Value::Array(items) => {
            for item in items {
                canonical(item, sink);
                sink(b',');
            }
            sink(b']');
        }
        leaf => leaf.to_string().bytes().for_each(sink),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::short_hash;

    #[test]
    fn a_hash_is_independent_of_the_order_of_members() {
        assert_eq!(short_hash(&json!({ "a": 1, "b": [2] })), short_hash(&json!({ "b": [2], "a": 1 })));
        assert_ne!(short_hash(&json!({ "a": 1 })), short_hash(&json!({ "a": 2 })));
    }
}
