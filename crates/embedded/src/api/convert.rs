//! The conversion between the JSON objects of the API server and Rust types.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde_json::Value;

use super::error::ApiError;
use super::kinds::{Kind, Typed};
use crate::object::ObjectExt;

/// A stored revision of an object, as JSON.
pub(crate) type StoredObject = Arc<meshy_apiserver::Object>;

/// The metadata of an object of any kind, without managed fields.
#[derive(Clone, Debug)]
pub(crate) struct PartialObject {
    pub(crate) kind: Kind,
    metadata: ObjectMeta,
}

impl ObjectExt for PartialObject {
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
}

impl PartialObject {
    pub(super) fn read(kind: Kind, object: &Value) -> Result<Self, ApiError> {
        let metadata = metadata(object).map_err(|error| malformed("object", object, &error))?;
        Ok(Self { kind, metadata })
    }
}

/// Reads the metadata of an object, without managed fields.
pub(super) fn metadata(object: &Value) -> Result<ObjectMeta, serde_json::Error> {
    let fields = object.get("metadata").and_then(Value::as_object).into_iter().flatten();
    let fields = fields.filter(|(field, _)| *field != "managedFields");
    ObjectMeta::deserialize(MapDeserializer::new(fields.map(|(field, value)| (field.as_str(), value))))
}

/// Converts a JSON object to its type, without managed fields.
pub(crate) fn typed<K: Typed>(object: &Value) -> Result<K, ApiError> {
    let mut typed = K::deserialize(object).map_err(|error| malformed(K::KIND, object, &error))?;
    typed.metadata_mut().managed_fields = None;
    Ok(typed)
}

/// Converts a typed object to JSON.
pub(super) fn json<K: Typed>(object: &K) -> Result<Value, ApiError> {
    serde_json::to_value(object).map_err(|error| ApiError::Malformed {
        kind: K::KIND,
        name: object.name().to_owned(),
        reason: error.to_string(),
    })
}

/// Applies the difference between two values of a type to a JSON object.
///
/// Fields of the JSON object that the type does not have remain.
pub(crate) fn apply_changes<K: Typed>(old: &K, new: &K, object: &mut Value) -> Result<(), ApiError> {
    apply_difference(&json(old)?, &json(new)?, object);
    Ok(())
}

/// Changes the metadata of a JSON object and returns whether that changed it.
pub(super) fn change_metadata(
    object: &mut Value,
    change: impl Fn(&mut ObjectMeta),
) -> Result<bool, ApiError> {
    let error = |error| malformed("object", object, &error);
    let old = metadata(object).map_err(error)?;
    let mut new = old.clone();
    change(&mut new);
    if new == old {
        return Ok(false);
    }
    let json = |metadata: &ObjectMeta| serde_json::to_value(metadata).map_err(error);
    let (old, new) = (json(&old)?, json(&new)?);
    apply_difference(&old, &new, &mut object["metadata"]);
    Ok(true)
}

fn apply_difference(old: &Value, new: &Value, target: &mut Value) {
    let (Value::Object(old), Value::Object(new), Value::Object(target)) = (old, new, &mut *target) else {
        *target = new.clone();
        return;
    };
    for (key, value) in new {
        match (old.get(key), target.get_mut(key)) {
            (Some(before), _) if before == value => {}
            (Some(before), Some(place)) => apply_difference(before, value, place),
            (None, _) | (_, None) => drop(target.insert(key.clone(), value.clone())),
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        target.remove(key);
    }
}

fn malformed(kind: &'static str, object: &Value, error: &serde_json::Error) -> ApiError {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    ApiError::Malformed { kind, name: name.to_owned(), reason: error.to_string() }
}

/// The typed values of stored objects: each revision is converted once, not once for each reader.
#[derive(Default)]
pub(super) struct TypedCache(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    /// By uid.
    entries: HashMap<String, Entry>,
    /// The number of entries at which those of deleted objects are removed.
    sweep_at: usize,
}

struct Entry {
    revision: u64,
    /// Dead when the API server has dropped the revision.
    stored: Weak<meshy_apiserver::Object>,
    typed: Arc<dyn Any + Send + Sync>,
}

/// The smallest number of entries that is swept.
const SMALLEST_SWEEP: usize = 256;

impl TypedCache {
    /// Returns the typed value of a stored object.
    pub(super) fn get<K: Typed>(&self, object: &StoredObject) -> Result<Arc<K>, ApiError> {
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
        if let Some(entry) = self.lock().entries.get(uid)
            && entry.revision == object.revision()
            && let Ok(typed) = entry.typed.clone().downcast::<K>()
        {
            return Ok(typed);
        }
        let typed = Arc::new(typed::<K>(object)?);
        if !uid.is_empty() {
            self.lock().insert(uid, object, typed.clone());
        }
        Ok(typed)
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn insert(&mut self, uid: &str, object: &StoredObject, typed: Arc<dyn Any + Send + Sync>) {
        let revision = object.revision();
        // A slow reader of an older revision must not replace the current one.
        if self.entries.get(uid).is_some_and(|entry| entry.revision > revision) {
            return;
        }
        self.entries.insert(uid.to_owned(), Entry { revision, stored: Arc::downgrade(object), typed });
        if self.entries.len() >= self.sweep_at.max(SMALLEST_SWEEP) {
            self.entries.retain(|_, entry| entry.stored.strong_count() > 0);
            self.sweep_at = self.entries.len() * 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Pod, Service};
    use serde_json::json;

    use super::{apply_changes, typed};
    use crate::object::ObjectExt;

    #[test]
    fn fields_that_the_type_does_not_have_survive_a_change() {
        let mut object = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "web", "managedFields": [{ "manager": "kubectl" }], "labels": { "app": "web" } },
            "spec": { "fieldOfAFutureVersion": { "kept": true }, "ports": [{ "port": 80 }] },
        });
        let old: Service = typed(&object).expect("a Service");
        let mut new = old.clone();
        new.metadata.labels.as_mut().expect("labels").insert("tier".into(), "front".into());
        new.spec.as_mut().expect("a spec").cluster_ip = Some("10.96.0.9".into());
        apply_changes(&old, &new, &mut object).expect("changes");
        assert_eq!(object["spec"]["fieldOfAFutureVersion"]["kept"], true);
        assert_eq!(object["metadata"]["managedFields"][0]["manager"], "kubectl");
        assert_eq!(object["metadata"]["labels"], json!({ "app": "web", "tier": "front" }));
        assert_eq!(object["spec"]["clusterIP"], "10.96.0.9");
    }

    #[test]
    fn a_removed_field_is_removed_from_the_json_object() {
        let mut object = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "finalizers": ["a"] },
        });
        let old: Pod = typed(&object).expect("a Pod");
        let mut new = old.clone();
        new.metadata.finalizers = None;
        apply_changes(&old, &new, &mut object).expect("changes");
        assert_eq!(object["metadata"], json!({ "name": "web" }));
        assert_eq!(new.name(), "web");
    }

    #[test]
    fn an_object_of_another_shape_is_an_error_that_names_it() {
        let object = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web" }, "spec": 5 });
        let error = typed::<Pod>(&object).unwrap_err().to_string();
        assert!(error.starts_with("cannot read Pod `web`: "), "{error}");
    }
}
