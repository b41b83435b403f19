//! Create requests.

use std::sync::Arc;

use serde_json::Value;

use super::decode::{check_kind, decode};
use super::{WriteResult, Writer, admission_request, prepare};
use crate::admission::Operation;
use crate::error::{ApiError, Cause, Result};
use crate::kinds::Kind;
use crate::options::WriteOptions;
use crate::patch::apply::managed;
use crate::schema::decode::Decoder;
use crate::store::{Expect, Key, Object};
use crate::validate;

/// Returns an object of a kind without any field set.
fn empty(kind: &Kind) -> Value {
    Decoder::default().object(&kind.ty, Value::Object(serde_json::Map::new())).unwrap_or_default()
}

impl Writer<'_> {
    /// Creates an object in a namespace (empty for cluster-scoped kinds).
    pub(crate) async fn create(
        &self,
        kind: &Kind,
        namespace: &str,
        value: Value,
        options: &WriteOptions,
    ) -> Result<WriteResult> {
        check_kind(kind, &value)?;
        let mut warnings = Vec::new();
        let mut value =
            decode(kind, value, options, &mut warnings).map_err(|error| error.bad_request(kind))?;
        prepare::place(kind, namespace, None, &mut value)?;
        if let Some(manager) = &options.manager {
            // Kubernetes compares with an object of that kind without any field set.
            let before = if kind.is_custom() { Value::Null } else { empty(kind) };
            managed::track_update(kind, &before, &mut value, manager, "");
        }
        self.store_new(kind, namespace, value, options, warnings).await
    }

    /// Stores a new object whose `managedFields` are complete.
    pub(crate) async fn store_new(
        &self,
        kind: &Kind,
        namespace: &str,
        mut value: Value,
        options: &WriteOptions,
        mut warnings: Vec<String>,
    ) -> Result<WriteResult> {
        if value["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
            return Err(ApiError::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        if kind.namespaced {
            self.check_namespace(kind, namespace, &value)?;
        }
        let request = admission_request(kind, Operation::Create, &value, options);
        self.mutate(kind, &request, &mut value).await?;
        prepare::new_object(kind, &mut value);
        let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() {
            let why = "Required value: name or generateName is required".to_owned();
            let cause =
                Cause { reason: "FieldValueRequired", message: why, field: "metadata.name".to_owned() };
            return Err(ApiError::invalid(&kind.kind, &kind.group, "", &[cause]));
        }
        let resource = kind.resource();
        let collection = self.store.collection(&kind.collection());
        let key = Key::new(namespace, &name);
        let causes = validate::new_object(kind, &value);
        if !causes.is_empty() {
            // Events are validated in the form of the core group.
            let group = if kind.is_new_event() { "" } else { &kind.group };
            return Err(causes.into_error(&kind.kind, group, &name));
        }
        warnings.extend(validate::warnings(kind, &value));
        if collection.get(&key).is_some() {
            return Err(ApiError::already_exists(&resource, &name));
        }
        self.allocate(kind, None, &mut value, options.dry_run)?;
        if let Err(error) = self.admit(&request, &value).await {
            self.undo_allocate(kind, None, &value, options.dry_run);
            return Err(error);
        }
        if options.dry_run {
            let object = Arc::new(Object::new(kind.to_stored(value), 0));
            return Ok(WriteResult { object, created: true, warnings });
        }
        let allocated = if kind.kind == "Service" { value["spec"].clone() } else { Value::Null };
        let Ok(object) = collection.put(key, Expect::Absent, kind.to_stored(value)) else {
            self.undo_allocate(kind, None, &serde_json::json!({"spec": allocated}), options.dry_run);
            return Err(ApiError::already_exists(&resource, &name));
        };
        self.after_store(kind, &object);
        Ok(WriteResult { object, created: true, warnings })
    }

    /// Checks that a namespace exists and is not being terminated.
    fn check_namespace(&self, kind: &Kind, namespace: &str, value: &Value) -> Result<()> {
        let Some(found) = self.store.collection("namespaces").get(&Key::new("", namespace)) else {
            return Err(ApiError::not_found("namespaces", namespace));
        };
        if found["status"]["phase"] == "Terminating" {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            let name = value["metadata"]["name"].as_str().unwrap_or_default();
            return Err(ApiError::forbidden(&kind.resource(), name, &why));
        }
        Ok(())
    }
}
