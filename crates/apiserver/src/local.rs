//! The API by function calls, for controllers in the same process: no HTTP, no JSON text, the same rules.

use std::sync::Arc;

use serde_json::Value;

use crate::core::Core;
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::options::{DeleteOptions, ListOptions, WriteOptions};
use crate::selector::Selector;
use crate::store::{Key, Object};
use crate::watch::Watch;
use crate::write::{Deleted, Patch, Written};

/// Reads and writes by function calls. A resource is `pods` or `deployments.apps`; a namespace is empty for kinds
/// without one, and for all namespaces where many objects are meant.
#[derive(Clone)]
pub struct Local {
    core: Arc<Core>,
}

/// Objects and the revision they were all current at; a watch from there misses nothing.
#[derive(Clone, Debug)]
pub struct List {
    /// In the order of namespace and name.
    pub items: Vec<Arc<Object>>,
    /// The revision of the list.
    pub revision: u64,
}

impl Local {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    fn kind(&self, resource: &str) -> Result<Arc<Kind>> {
        self.core.kinds.now().by_resource(resource).cloned().ok_or_else(ApiError::no_such_path)
    }

    /// Whether a resource is served.
    pub fn serves(&self, resource: &str) -> bool {
        self.kind(resource).is_ok()
    }

    /// All resources served, as `plural` or `plural.group`, with whether they live in namespaces.
    pub fn resources(&self) -> Vec<(String, bool)> {
        let mut found: Vec<_> =
            self.core.kinds.now().iter().map(|kind| (kind.resource(), kind.namespaced)).collect();
        found.sort();
        found.dedup();
        found
    }

    /// The resource of an apiVersion and kind (an owner reference, say).
    pub fn resource_of(&self, api_version: &str, kind: &str) -> Option<String> {
        self.core
            .kinds
            .now()
            .iter()
            .find(|k| k.kind == kind && k.api_version() == api_version)
            .map(|k| k.resource())
    }

    /// One object, `None` when it is not there.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.core.store.collection(resource).get(&Key::new(namespace, name))
    }

    /// The objects of a namespace, or all.
    pub fn list(&self, resource: &str, namespace: &str) -> List {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        let (items, revision) = self.core.store.collection(resource).list(namespace);
        List { items, revision }
    }

    /// The objects that selectors pick.
    ///
    /// # Errors
    /// 400 for a selector that cannot be read, 404 for a resource that is not served.
    pub fn select(&self, resource: &str, namespace: &str, options: &ListOptions) -> Result<List> {
        let kind = self.kind(resource)?;
        let selector = Selector::parse(&kind, &options.labels, &options.fields)?;
        let mut list = self.list(resource, namespace);
        list.items.retain(|object| selector.matches(object));
        Ok(list)
    }

    /// The changes after a revision (a list's, for instance).
    pub fn watch(&self, resource: &str, namespace: &str, after: u64) -> Watch {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        Watch::new(self.core.store.collection(resource), namespace, Selector::default(), after)
    }

    /// Creates an object.
    ///
    /// # Errors
    /// As the API answers a POST.
    pub async fn create(
        &self,
        resource: &str,
        namespace: &str,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Written> {
        let kind = self.kind(resource)?;
        self.core.create(&kind, namespace, object, options).await
    }

    /// Replaces an object; with a resourceVersion in it only that version.
    ///
    /// # Errors
    /// As the API answers a PUT.
    pub async fn update(&self, resource: &str, object: Value, options: &WriteOptions) -> Result<Written> {
        self.replace(resource, "", object, options).await
    }

    /// Replaces an object's status.
    ///
    /// # Errors
    /// As the API answers a PUT of the status.
    pub async fn update_status(
        &self,
        resource: &str,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Written> {
        self.replace(resource, "status", object, options).await
    }

    /// Replaces a namespace's finalizers; one that is on its way out goes with the last of them.
    ///
    /// # Errors
    /// As the API answers a PUT of `finalize`.
    pub async fn finalize(&self, namespace: Value, options: &WriteOptions) -> Result<Written> {
        self.replace("namespaces", "finalize", namespace, options).await
    }

    async fn replace(
        &self,
        resource: &str,
        part: &str,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Written> {
        let kind = self.kind(resource)?;
        let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
        let key = Key::new(text("namespace"), text("name"));
        self.core.update(&kind, &key, part, object, options).await
    }

    /// Changes an object; `subresource` is `status`, `scale` or empty.
    ///
    /// # Errors
    /// As the API answers a PATCH.
    pub async fn patch(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Written> {
        let kind = self.kind(resource)?;
        self.core.patch(&kind, &Key::new(namespace, name), subresource, patch, options).await
    }

    /// Deletes an object, or marks it as on its way out.
    ///
    /// # Errors
    /// As the API answers a DELETE.
    pub async fn delete(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted> {
        let kind = self.kind(resource)?;
        self.core.delete(&kind, &Key::new(namespace, name), options).await
    }
}
