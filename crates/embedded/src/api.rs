//! The API as the controllers use it: in-process, by resource, with JSON objects.

mod events;
mod kinds;
mod watch;

pub(crate) use kinds::*;
pub(crate) use watch::{Change, Changes};

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError, RwLock};

use meshy_apiserver::{DeleteOptions, LocalClient, Propagation, WriteOptions};
use serde_json::Value;

use crate::object::{controller_uid, list, name, namespace, text, uid};
use events::{Book, Entry};

/// A stored object.
pub(crate) type Object = Arc<meshy_apiserver::Object>;

/// An event that is as it should be.
pub(crate) const EVENT_NORMAL: &str = "Normal";
/// An event that someone should look at.
pub(crate) const EVENT_WARNING: &str = "Warning";

/// How often a change is tried again when another write came between; each time some write succeeded.
const TRIES: usize = 32;

/// Why the API did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No such object.
    #[error("not found")]
    NotFound,
    /// An object of this name is there.
    #[error("already there")]
    Exists,
    /// The object is not as expected.
    #[error("changed by someone else")]
    Conflict,
    /// Anything else, in the API's words.
    #[error("{0}")]
    Other(String),
}

impl From<meshy_apiserver::ApiError> for ApiError {
    fn from(error: meshy_apiserver::ApiError) -> Self {
        match (error.code, error.reason) {
            (404, _) => Self::NotFound,
            (409, "AlreadyExists") => Self::Exists,
            (409, _) => Self::Conflict,
            _ => Self::Other(error.message),
        }
    }
}

/// How an object is deleted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delete(DeleteOptions);

impl Delete {
    /// Only the very object with this uid.
    pub(crate) fn of(uid: &str) -> Self {
        Self(DeleteOptions {
            uid: Some(uid.to_owned()),
            propagation: Some(Propagation::Background),
            ..DeleteOptions::default()
        })
    }

    /// Without a pod's grace period.
    pub(crate) fn now(mut self) -> Self {
        self.0.grace_seconds = Some(0);
        self
    }

    /// Dependents first.
    pub(crate) fn foreground(mut self) -> Self {
        self.0.propagation = Some(Propagation::Foreground);
        self
    }
}

/// The API. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    store: LocalClient,
    events: Arc<Book>,
    /// Kinds by the words of objects, found once.
    kinds: Arc<RwLock<HashMap<(String, String), Kind>>>,
}

impl Api {
    pub(crate) fn new(store: LocalClient) -> Self {
        Self { store, events: Arc::default(), kinds: Arc::default() }
    }

    /// An object as it is now; the namespace is empty for kinds without one.
    pub(crate) fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Object> {
        self.store.get(&kind.resource, namespace, name)
    }

    /// The objects of a namespace, or all.
    pub(crate) fn list(&self, kind: Kind, namespace: Option<&str>) -> Vec<Object> {
        self.store.list(&kind.resource, namespace.unwrap_or_default()).items
    }

    /// Everything there is of a kind as applied, then each change.
    pub(crate) fn watch(&self, kind: Kind) -> Changes {
        Changes::of(&self.store, kind)
    }

    /// The same of every kind there is or comes to be.
    pub(crate) fn watch_all(&self) -> Changes {
        Changes::of_all(self)
    }

    pub(crate) async fn create(
        &self,
        kind: Kind,
        namespace: &str,
        object: Value,
    ) -> Result<Object, ApiError> {
        Ok(self.store.create(&kind.resource, namespace, object, &WriteOptions::default()).await?.object)
    }

    /// Changes an object by a function that tells whether there is anything to write.
    pub(crate) async fn modify(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        change: impl FnMut(&mut Value) -> bool,
    ) -> Result<Object, ApiError> {
        self.change(kind, namespace, name, false, change).await
    }

    /// The same for an object's status.
    pub(crate) async fn modify_status(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        change: impl FnMut(&mut Value) -> bool,
    ) -> Result<Object, ApiError> {
        self.change(kind, namespace, name, true, change).await
    }

    async fn change(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        status: bool,
        mut change: impl FnMut(&mut Value) -> bool,
    ) -> Result<Object, ApiError> {
        for _ in 0..TRIES {
            let found = self.get(kind.clone(), namespace, name).ok_or(ApiError::NotFound)?;
            let mut object = found.value().clone();
            if !change(&mut object) {
                return Ok(found);
            }
            let options = WriteOptions::default();
            let written = if status {
                self.store.update_status(&kind.resource, object, &options).await
            } else {
                self.store.update(&kind.resource, object, &options).await
            };
            match written {
                Ok(written) => return Ok(written.object),
                Err(error) => match ApiError::from(error) {
                    ApiError::Conflict => {}
                    other => return Err(other),
                },
            }
        }
        Err(ApiError::Conflict)
    }

    /// Creates an object, or brings these fields of the one that is there up to it.
    pub(crate) async fn put(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        object: Value,
        fields: &[&str],
    ) -> Result<(), ApiError> {
        let bring = |found: &mut Value| {
            let mut changed = false;
            for field in fields {
                let fresh = object.get(*field).cloned().unwrap_or(Value::Null);
                if found.get(*field).unwrap_or(&Value::Null) != &fresh {
                    found[*field] = fresh;
                    changed = true;
                }
            }
            changed
        };
        match self.modify(kind.clone(), namespace, name, bring).await {
            Err(ApiError::NotFound) => self.create(kind, namespace, object).await.map(drop),
            other => other.map(drop),
        }
    }

    pub(crate) async fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        how: Delete,
    ) -> Result<(), ApiError> {
        self.store.delete(&kind.resource, namespace, name, &how.0).await?;
        Ok(())
    }

    pub(crate) async fn delete_if_there(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<(), ApiError> {
        match self.delete(kind, namespace, name, Delete::default()).await {
            Err(ApiError::NotFound) => Ok(()),
            other => other,
        }
    }

    /// Ends a namespace whose `spec.finalizers` have gone.
    pub(crate) async fn finalize_namespace(&self, object: Value) -> Result<(), ApiError> {
        match self.store.finalize(object, &WriteOptions::default()).await {
            Ok(_) => Ok(()),
            Err(error) => match ApiError::from(error) {
                ApiError::NotFound => Ok(()),
                other => Err(other),
            },
        }
    }

    /// Every kind served now.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.store
            .resources()
            .into_iter()
            .map(|(resource, namespaced)| Kind::named(resource, namespaced))
            .collect()
    }

    /// The kind an object or an owner reference names.
    pub(crate) fn kind_of(&self, api_version: &str, kind: &str) -> Option<Kind> {
        let words = (api_version.to_owned(), kind.to_owned());
        if let Some(found) = self.kinds.read().unwrap_or_else(PoisonError::into_inner).get(&words) {
            return Some(found.clone());
        }
        let resource = self.store.resource_of(api_version, kind)?;
        let found = self.kinds().into_iter().find(|kind| kind.resource == resource)?;
        self.kinds.write().unwrap_or_else(PoisonError::into_inner).insert(words, found.clone());
        Some(found)
    }

    /// Tells of something that happened to an object.
    #[expect(clippy::too_many_arguments, reason = "an event has that many parts")]
    pub(crate) async fn event(
        &self,
        about: &Value,
        kind: &str,
        api_version: &str,
        severity: &str,
        reason: &str,
        message: &str,
        component: &str,
    ) {
        let entry =
            Entry { about, kind, api_version, field: String::new(), severity, reason, message, component };
        self.events.write(self, entry).await;
    }

    /// Tells of something that happened to a pod's container.
    pub(crate) async fn pod_event(
        &self,
        pod: &Value,
        place: &str,
        container: &str,
        severity: &str,
        reason: &str,
        message: &str,
    ) {
        let field = format!("spec.{place}{{{container}}}");
        let (kind, api_version, component) = ("Pod", "v1", "kubelet");
        let entry = Entry { about: pod, kind, api_version, field, severity, reason, message, component };
        self.events.write(self, entry).await;
    }

    /// The Deployment behind a pod, by its ReplicaSet.
    pub(crate) fn owning_deployment(&self, inside: &str, pod: &Value) -> Option<Object> {
        let owned_by = |object: &Value, kind: &str| {
            let owners = list(object, "/metadata/ownerReferences");
            let owner = owners.iter().find(|owner| owner["controller"] == true && owner["kind"] == kind)?;
            Some(text(owner, "/name").to_owned())
        };
        let set = self.get(REPLICA_SETS, inside, &owned_by(pod, "ReplicaSet")?)?;
        let deployment = self.get(DEPLOYMENTS, inside, &owned_by(&set, "Deployment")?)?;
        (controller_uid(&set) == Some(uid(&deployment))).then_some(deployment)
    }

    /// The name of the Deployment behind a pod.
    pub(crate) fn deployment_of(&self, pod: &Value) -> Option<String> {
        self.owning_deployment(namespace(pod), pod).map(|deployment| name(&deployment).to_owned())
    }

    /// The pod with an address.
    pub(crate) fn pod_at(&self, address: Ipv4Addr) -> Option<Object> {
        let address = address.to_string();
        self.list(PODS, None).into_iter().find(|pod| text(pod, "/status/podIP") == address)
    }
}
