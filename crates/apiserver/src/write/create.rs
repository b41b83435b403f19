//! New objects.

use std::sync::Arc;

use serde_json::Value;

use super::{Written, check_kind, decode, prepare, review};
use crate::core::Core;
use crate::error::{ApiError, Cause, Result};
use crate::kinds::Kind;
use crate::options::WriteOptions;
use crate::patch::apply::managed;
use crate::schema::decode::Decoder;
use crate::store::{Expect, Key, Object};
use crate::{Operation, validate};

/// An object of a kind in which nothing is set.
fn empty(kind: &Kind) -> Value {
    Decoder::default().object(&kind.ty, Value::Object(serde_json::Map::new())).unwrap_or_default()
}

impl Core {
    /// Creates an object in a namespace (empty for kinds without one).
    pub(crate) async fn create(
        &self,
        kind: &Kind,
        namespace: &str,
        value: Value,
        options: &WriteOptions,
    ) -> Result<Written> {
        check_kind(kind, &value)?;
        let mut warnings = Vec::new();
        let mut value = decode(kind, value, options, &mut warnings)?;
        prepare::place(kind, namespace, None, &mut value)?;
        if let Some(manager) = &options.manager {
            // Kubernetes compares with an object of that kind in which nothing is set.
            let nothing = if kind.is_custom() { Value::Null } else { empty(kind) };
            managed::written(kind, &nothing, &mut value, manager, "");
        }
        self.store_new(kind, namespace, value, options, warnings).await
    }

    /// Stores a new object whose owners are settled.
    pub(crate) async fn store_new(
        &self,
        kind: &Kind,
        namespace: &str,
        mut value: Value,
        options: &WriteOptions,
        mut warnings: Vec<String>,
    ) -> Result<Written> {
        if value["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
            return Err(ApiError::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        if kind.namespaced {
            self.namespace_takes(kind, namespace, &value)?;
        }
        let review = review(kind, Operation::Create, &value, options);
        self.mutate(kind, &review, &mut value).await?;
        prepare::new_object(kind, &mut value);
        let named = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if named.is_empty() {
            let why = "Required value: name or generateName is required".to_owned();
            let cause =
                Cause { reason: "FieldValueRequired", message: why, field: "metadata.name".to_owned() };
            return Err(ApiError::invalid(&kind.kind, &kind.group, "", &[cause]));
        }
        let resource = kind.resource();
        let collection = self.store.collection(&resource);
        let key = Key::new(namespace, &named);
        let causes = validate::object(kind, &value);
        if !causes.is_empty() {
            return Err(ApiError::invalid(&kind.kind, &kind.group, &named, &causes));
        }
        warnings.extend(validate::warnings(kind, &value));
        if collection.get(&key).is_some() {
            return Err(ApiError::already_exists(&resource, &named));
        }
        self.allocate(kind, None, &mut value, options.dry_run)?;
        if let Err(refusal) = self.admit(&review, &value).await {
            self.give_back(kind, &value, options);
            return Err(refusal);
        }
        if options.dry_run {
            return Ok(Written { object: Arc::new(Object::new(value, 0)), created: true, warnings });
        }
        let allocated = if kind.kind == "Service" { value["spec"].clone() } else { Value::Null };
        let Ok(object) = collection.put(key, Expect::Absent, value) else {
            self.give_back(kind, &serde_json::json!({"spec": allocated}), options);
            return Err(ApiError::already_exists(&resource, &named));
        };
        self.stored(kind, &object);
        Ok(Written { object, created: true, warnings })
    }

    /// What was allocated for an object that is not stored after all.
    fn give_back(&self, kind: &Kind, value: &Value, options: &WriteOptions) {
        if kind.kind == "Service" && !kind.is_custom() && !options.dry_run {
            self.release(value);
        }
    }

    /// A namespace takes new objects while it is there and not on its way out.
    fn namespace_takes(&self, kind: &Kind, namespace: &str, value: &Value) -> Result<()> {
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
