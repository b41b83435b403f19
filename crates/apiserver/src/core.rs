//! The state that all parts of the server share.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::Value;

use crate::address::Addresses;
use crate::admission::Admission;
use crate::error::Result;
use crate::kinds::{Kind, KindRegistry};
use crate::pods::PodBackend;
use crate::store::{Object, Store};
use crate::{Options, Token};

/// The state behind a [`crate::Server`].
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) kinds: KindRegistry,
    pub(crate) version: String,
    pub(crate) token: Token,
    pub(crate) addresses: Mutex<Addresses>,
    pub(crate) openapi: crate::openapi::Cache,
    admission: RwLock<Vec<Arc<dyn Admission>>>,
    pods: RwLock<Option<Arc<dyn PodBackend>>>,
}

impl Core {
    pub(crate) fn new(options: Options, store: Store) -> Self {
        let core = Self {
            store,
            kinds: KindRegistry::new(),
            version: options.version,
            token: options.token,
            addresses: Mutex::new(Addresses::new()),
            openapi: crate::openapi::Cache::default(),
            admission: RwLock::new(options.admission),
            pods: RwLock::new(options.pods),
        };
        for definition in core.store.collection("customresourcedefinitions.apiextensions.k8s.io").list(None).0
        {
            core.kinds.add_definition(&definition);
        }
        core
    }

    pub(crate) fn hooks(&self) -> Vec<Arc<dyn Admission>> {
        self.admission.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn add_hook(&self, hook: Arc<dyn Admission>) {
        self.admission.write().unwrap_or_else(PoisonError::into_inner).push(hook);
    }

    pub(crate) fn pods(&self) -> Option<Arc<dyn PodBackend>> {
        self.pods.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_pods(&self, backend: Arc<dyn PodBackend>) {
        *self.pods.write().unwrap_or_else(PoisonError::into_inner) = Some(backend);
    }

    /// Applies the effects of a stored object on the server: a definition registers its kinds.
    pub(crate) fn after_store(&self, kind: &Kind, object: &Arc<Object>) {
        if kind.kind == "CustomResourceDefinition" && !kind.is_custom() {
            self.kinds.add_definition(object);
            self.openapi.clear();
        }
    }

    /// Applies the effects of a removed object on the server: a definition removes its kinds and their objects, a Service
    /// releases its address and node ports.
    pub(crate) fn after_remove(&self, kind: &Kind, object: &Arc<Object>) {
        match kind.kind.as_str() {
            _ if kind.is_custom() => {}
            "CustomResourceDefinition" => {
                self.remove_instances(object);
                self.kinds.remove_definition(object);
                self.openapi.clear();
            }
            "Service" => self.release(object),
            _ => {}
        }
    }

    /// Removes all objects of a definition's kind.
    fn remove_instances(&self, definition: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let spec = &definition["spec"];
        let resource = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
        let collection = self.store.collection(&resource);
        for object in collection.list(None).0 {
            // A concurrent write may leave an object behind; it cannot be read, because its kind is not served any more.
            let _ = collection.remove(&object.key(), object.revision(), None);
        }
    }

    /// Sets the fields that the server allocates: address and node ports of a Service, accepted names of a definition.
    pub(crate) fn allocate(
        &self,
        kind: &Kind,
        old: Option<&Value>,
        value: &mut Value,
        dry_run: bool,
    ) -> Result<()> {
        match kind.kind.as_str() {
            _ if kind.is_custom() => Ok(()),
            "Service" => self.allocate_service(old, value, dry_run),
            "CustomResourceDefinition" => {
                crate::defaults::definition::set_accepted(value);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
