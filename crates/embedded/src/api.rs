//! The in-process client of the API server, with a Rust type for each known kind.
//!
//! The API server stores JSON. The conversion is here and only here: [`Typed`] kinds come from `k8s-openapi`; custom
//! resources stay JSON for the parsers of `meshy-linkerd`; what concerns all kinds uses their metadata.

mod convert;
mod error;
mod kinds;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use convert::{PartialObject, StoredObject, apply_changes, typed};
pub(crate) use error::ApiError;
pub(crate) use kinds::{
    AUTHORIZATION_POLICIES, CUSTOM_RESOURCE_DEFINITIONS, EGRESS_NETWORKS, EVENTS, GRPC_ROUTES,
    HTTP_LOCAL_RATE_LIMITS, HTTP_ROUTES, Kind, MESH_TLS_AUTHENTICATIONS, NETWORK_AUTHENTICATIONS,
    POLICY_HTTP_ROUTES, SERVER_AUTHORIZATIONS, SERVERS, SERVICE_PROFILES, Typed,
};
pub(crate) use watch::{Change, Changes};

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use meshy_apiserver::{DeleteOptions, LocalClient, Propagation, WriteOptions};
use serde_json::Value;

use crate::object::ObjectExt;
use convert::TypedCache;

/// How often an update is attempted when other writes interfere; each conflict means that another write succeeded.
const UPDATE_ATTEMPTS: usize = 32;

/// How an object is deleted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deletion(DeleteOptions);

impl Deletion {
    /// Deletes only the object with this uid; its dependents are deleted in the background.
    pub(crate) fn of(uid: &str) -> Self {
        Self(DeleteOptions {
            uid: Some(uid.to_owned()),
            propagation: Some(Propagation::Background),
            ..DeleteOptions::default()
        })
    }

    /// Skips the grace period of a pod.
    pub(crate) fn without_grace_period(mut self) -> Self {
        self.0.grace_seconds = Some(0);
        self
    }

    /// Deletes the dependents first.
    pub(crate) fn foreground(mut self) -> Self {
        self.0.propagation = Some(Propagation::Foreground);
        self
    }
}

/// Which part of an object an update writes.
#[derive(Clone, Copy)]
enum Part {
    Object,
    Status,
    Finalizers,
}

/// The API client. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    store: LocalClient,
    cache: Arc<TypedCache>,
    /// Kinds by apiVersion and kind.
    kinds: Arc<RwLock<HashMap<(String, String), Kind>>>,
}

impl Api {
    pub(crate) fn new(store: LocalClient) -> Self {
        Self { store, cache: Arc::default(), kinds: Arc::default() }
    }

    /// Returns an object; the namespace is empty for cluster-scoped kinds.
    ///
    /// An object that cannot be read is logged and counts as absent.
    pub(crate) fn get<K: Typed>(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let stored = self.store.get(&K::resource(), namespace, name)?;
        logged(self.cache.get(&stored))
    }

    /// Returns the objects of a namespace, or of all namespaces. Objects that cannot be read are logged and skipped.
    pub(crate) fn list<K: Typed>(&self, namespace: Option<&str>) -> Vec<Arc<K>> {
        let stored = self.store.list(&K::resource(), namespace.unwrap_or_default()).items;
        stored.iter().filter_map(|object| logged(self.cache.get(object))).collect()
    }

    /// Returns the metadata of an object of any kind.
    pub(crate) fn get_metadata(&self, kind: &Kind, namespace: &str, name: &str) -> Option<PartialObject> {
        let stored = self.store.get(&kind.resource, namespace, name)?;
        logged(PartialObject::read(kind.clone(), &stored))
    }

    /// Returns the metadata of the objects of any kind in a namespace.
    pub(crate) fn list_metadata(&self, kind: &Kind, namespace: &str) -> Vec<PartialObject> {
        let stored = self.store.list(&kind.resource, namespace).items;
        stored.iter().filter_map(|object| logged(PartialObject::read(kind.clone(), object))).collect()
    }

    /// Watches the objects of a type.
    pub(crate) fn watch<K: Typed>(&self) -> Changes<Arc<K>> {
        let (kind, cache) = (Kind { resource: K::resource(), namespaced: true }, self.cache.clone());
        Changes::of(&self.store, kind, move |_, object| logged(cache.get(object)))
    }

    /// Watches the objects of a custom resource, as JSON.
    pub(crate) fn watch_json(&self, kind: Kind) -> Changes<StoredObject> {
        Changes::of(&self.store, kind, |_, object| Some(object.clone()))
    }

    /// Watches the metadata of the objects of all kinds.
    pub(crate) fn watch_all(&self) -> Changes<PartialObject> {
        Changes::of_all(&self.store, |kind, object| logged(PartialObject::read(kind.clone(), object)))
    }

    /// Creates an object in the namespace of its metadata.
    pub(crate) async fn create<K: Typed>(&self, object: &K) -> Result<Arc<K>, ApiError> {
        self.cache.get(&self.post(object).await?)
    }

    /// Creates an object that is not read afterwards, so that its typed value is not cached.
    pub(crate) async fn create_unread<K: Typed>(&self, object: &K) -> Result<(), ApiError> {
        self.post(object).await.map(drop)
    }

    async fn post<K: Typed>(&self, object: &K) -> Result<StoredObject, ApiError> {
        let value = convert::json(object)?;
        let options = WriteOptions::default();
        let written = self.store.create(&K::resource(), object.namespace(), value, &options).await?;
        Ok(written.object)
    }

    /// Creates a cluster-scoped object of a kind without a Rust type.
    pub(crate) async fn create_json(&self, kind: &Kind, object: Value) -> Result<(), ApiError> {
        self.store.create(&kind.resource, "", object, &WriteOptions::default()).await?;
        Ok(())
    }

    /// Changes an object; writes nothing if `change` leaves it as it is.
    pub(crate) async fn modify<K: Typed>(
        &self,
        namespace: &str,
        name: &str,
        change: impl FnMut(&mut K),
    ) -> Result<Arc<K>, ApiError> {
        self.update(namespace, name, Part::Object, change).await
    }

    /// Changes the status of an object; writes nothing if `change` leaves it as it is.
    pub(crate) async fn modify_status<K: Typed>(
        &self,
        namespace: &str,
        name: &str,
        change: impl FnMut(&mut K),
    ) -> Result<Arc<K>, ApiError> {
        self.update(namespace, name, Part::Status, change).await
    }

    /// Changes the finalizers of a namespace's spec. The API server deletes a terminating namespace without finalizers.
    pub(crate) async fn finalize_namespace(
        &self,
        name: &str,
        change: impl FnMut(&mut Namespace),
    ) -> Result<(), ApiError> {
        match self.update("", name, Part::Finalizers, change).await {
            Ok(_) | Err(ApiError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn update<K: Typed>(
        &self,
        namespace: &str,
        name: &str,
        part: Part,
        mut change: impl FnMut(&mut K),
    ) -> Result<Arc<K>, ApiError> {
        let resource = K::resource();
        for _ in 0..UPDATE_ATTEMPTS {
            let stored = self.store.get(&resource, namespace, name).ok_or(ApiError::NotFound)?;
            let old = self.cache.get::<K>(&stored)?;
            let mut new = (*old).clone();
            change(&mut new);
            if new == *old {
                return Ok(old);
            }
            let mut object = stored.value().clone();
            apply_changes(&*old, &new, &mut object)?;
            match self.write(&resource, object, part).await {
                Ok(written) => return self.cache.get(&written),
                Err(ApiError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ApiError::Conflict)
    }

    async fn write(&self, resource: &str, object: Value, part: Part) -> Result<StoredObject, ApiError> {
        let options = WriteOptions::default();
        let written = match part {
            Part::Object => self.store.update(resource, object, &options).await?,
            Part::Status => self.store.update_status(resource, object, &options).await?,
            Part::Finalizers => self.store.finalize(object, &options).await?,
        };
        Ok(written.object)
    }

    /// Changes the metadata of an object of any kind; writes nothing if `change` leaves it as it is.
    pub(crate) async fn modify_metadata(
        &self,
        object: &PartialObject,
        change: impl Fn(&mut ObjectMeta),
    ) -> Result<(), ApiError> {
        let resource = &object.kind.resource;
        for _ in 0..UPDATE_ATTEMPTS {
            let stored = self.store.get(resource, object.namespace(), object.name());
            let stored = stored.ok_or(ApiError::NotFound)?;
            let mut value = stored.value().clone();
            if !convert::change_metadata(&mut value, &change)? {
                return Ok(());
            }
            match self.write(resource, value, Part::Object).await {
                Err(ApiError::Conflict) => {}
                other => return other.map(drop),
            }
        }
        Err(ApiError::Conflict)
    }

    /// Changes the status of an object of a kind without a Rust type; writes nothing if `change` leaves it as it is.
    pub(crate) async fn modify_status_json(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        change: impl Fn(&mut Value),
    ) -> Result<(), ApiError> {
        for _ in 0..UPDATE_ATTEMPTS {
            let stored = self.store.get(&kind.resource, namespace, name).ok_or(ApiError::NotFound)?;
            let mut value = stored.value().clone();
            change(&mut value);
            if value == *stored.value() {
                return Ok(());
            }
            match self.write(&kind.resource, value, Part::Status).await {
                Err(ApiError::Conflict) => {}
                other => return other.map(drop),
            }
        }
        Err(ApiError::Conflict)
    }

    /// Creates an object, or copies its content to the existing object with `copy`.
    pub(crate) async fn create_or_update<K: Typed>(
        &self,
        object: &K,
        copy: impl Fn(&K, &mut K),
    ) -> Result<(), ApiError> {
        match self.modify(object.namespace(), object.name(), |found| copy(object, found)).await {
            Err(ApiError::NotFound) => self.create(object).await.map(drop),
            other => other.map(drop),
        }
    }

    pub(crate) async fn delete<K: Typed>(
        &self,
        namespace: &str,
        name: &str,
        deletion: Deletion,
    ) -> Result<(), ApiError> {
        self.store.delete(&K::resource(), namespace, name, &deletion.0).await?;
        Ok(())
    }

    /// Deletes an object of any kind.
    pub(crate) async fn delete_any(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        deletion: Deletion,
    ) -> Result<(), ApiError> {
        self.store.delete(&kind.resource, namespace, name, &deletion.0).await?;
        Ok(())
    }

    /// Returns the kinds that are currently served.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        watch::served_kinds(&self.store)
    }

    /// Returns the kind of an owner.
    pub(crate) fn kind_of(&self, owner: &OwnerReference) -> Option<Kind> {
        let key = (owner.api_version.clone(), owner.kind.clone());
        if let Some(kind) = self.kinds.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Some(kind.clone());
        }
        let resource = self.store.resource_of(&key.0, &key.1)?;
        let kind = self.kinds().into_iter().find(|kind| kind.resource == resource)?;
        self.kinds.write().unwrap_or_else(PoisonError::into_inner).insert(key, kind.clone());
        Some(kind)
    }
}

/// Returns the value, or logs the error.
fn logged<T>(result: Result<T, ApiError>) -> Option<T> {
    result.inspect_err(|error| tracing::error!(%error, "stored object ignored")).ok()
}
