//! The API as function calls, for controllers in the same process: the rules of the HTTP API without HTTP and JSON text.

use std::sync::Arc;

use serde_json::Value;

use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::options::{DeleteOptions, ListOptions, WriteOptions};
use crate::selector::Selector;
use crate::state::ServerState;
use crate::store::{Key, Object};
use crate::watch::Watch;
use crate::write::{DeleteResult, Patch, WriteResult};

/// An in-process client. A resource is `pods` or `deployments.apps`. A namespace is empty for cluster-scoped kinds, and
/// for all namespaces in lists and watches.
#[derive(Clone)]
pub struct LocalClient {
    state: Arc<ServerState>,
}

/// A consistent list of objects and its revision, from which a watch receives all later changes.
#[derive(Clone, Debug)]
pub struct List {
    /// The objects in the order of namespace and name.
    pub items: Vec<Arc<Object>>,
    /// Revision of the store when the list was read.
    pub revision: u64,
}

impl LocalClient {
    pub(crate) fn new(state: Arc<ServerState>) -> Self {
        Self { state }
    }

    fn kind(&self, resource: &str) -> Result<Arc<Kind>> {
        self.state.kinds.current().by_resource(resource).cloned().ok_or_else(ApiError::no_such_path)
    }

    /// Returns all stored resources as `plural` or `plural.group`, each with whether it is namespaced.
    pub fn resources(&self) -> Vec<(String, bool)> {
        let kinds = self.state.kinds.current();
        let mut found: Vec<_> = kinds
            .iter()
            .filter(|kind| kind.is_stored())
            .map(|kind| (kind.resource(), kind.namespaced))
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// Returns the resource of an apiVersion and kind, for example of an owner reference.
    pub fn resource_of(&self, api_version: &str, kind: &str) -> Option<String> {
        self.state
            .kinds
            .current()
            .iter()
            .find(|k| k.kind == kind && k.api_version() == api_version)
            .map(|k| k.resource())
    }

    /// Frees memory after a peak of writes: forgets changes of objects over 256 KiB, and of each kind all but the last 16 MiB of
    /// changes. A watch from an earlier revision gets `Expired`, as after a compaction of etcd.
    pub fn forget_peak(&self) {
        self.state.store.forget_peak();
    }

    /// Returns an object, or `None` if it does not exist.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.state.store.collection(resource).get(&Key::new(namespace, name))
    }

    /// Returns the objects of a namespace, or of all namespaces.
    pub fn list(&self, resource: &str, namespace: &str) -> List {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        let (items, revision) = self.state.store.collection(resource).list(namespace);
        List { items, revision }
    }

    /// Returns the objects that match selectors.
    ///
    /// # Errors
    /// 400 for an invalid selector, 404 for a resource that is not served.
    pub fn select(&self, resource: &str, namespace: &str, options: &ListOptions) -> Result<List> {
        let kind = self.kind(resource)?;
        let selector = Selector::parse(&kind, &options.labels, &options.fields)?;
        let mut list = self.list(resource, namespace);
        list.items.retain(|object| selector.matches(object));
        Ok(list)
    }

    /// Watches the changes after a revision, for example that of a list.
    pub fn watch(&self, resource: &str, namespace: &str, after: u64) -> Watch {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        Watch::new(self.state.store.collection(resource), namespace, Selector::default(), after)
    }

    /// Creates an object.
    ///
    /// # Errors
    /// Those of a POST request.
    pub async fn create(
        &self,
        resource: &str,
        namespace: &str,
        object: Value,
        options: &WriteOptions,
    ) -> Result<WriteResult> {
        let kind = self.kind(resource)?;
        self.state.writer().create(&kind, namespace, object, options).await
    }

    /// Replaces an object. If it has a resourceVersion, only that version is replaced.
    ///
    /// # Errors
    /// Those of a PUT request.
    pub async fn update(&self, resource: &str, object: Value, options: &WriteOptions) -> Result<WriteResult> {
        self.replace(resource, "", object, options).await
    }

    /// Replaces the status of an object.
    ///
    /// # Errors
    /// Those of a PUT request for the subresource `status`.
    pub async fn update_status(
        &self,
        resource: &str,
        object: Value,
        options: &WriteOptions,
    ) -> Result<WriteResult> {
        self.replace(resource, "status", object, options).await
    }

    /// Replaces the finalizers of a namespace. A terminating namespace without finalizers is removed.
    ///
    /// # Errors
    /// Those of a PUT request for the subresource `finalize`.
    pub async fn finalize(&self, namespace: Value, options: &WriteOptions) -> Result<WriteResult> {
        self.replace("namespaces", "finalize", namespace, options).await
    }

    async fn replace(
        &self,
        resource: &str,
        subresource: &str,
        object: Value,
        options: &WriteOptions,
    ) -> Result<WriteResult> {
        let kind = self.kind(resource)?;
        let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
        let key = Key::new(text("namespace"), text("name"));
        self.state.writer().update(&kind, &key, subresource, object, options).await
    }

    /// Patches an object; `subresource` is `status`, `scale` or empty.
    ///
    /// # Errors
    /// Those of a PATCH request.
    pub async fn patch(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<WriteResult> {
        let kind = self.kind(resource)?;
        self.state.writer().patch(&kind, &Key::new(namespace, name), subresource, patch, options).await
    }

    /// Deletes an object, or sets its deletion timestamp if finalizers or a grace period delay the removal.
    ///
    /// # Errors
    /// Those of a DELETE request.
    pub async fn delete(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<DeleteResult> {
        let kind = self.kind(resource)?;
        self.state.writer().delete(&kind, &Key::new(namespace, name), options).await
    }
}
