//! What all parts of the server share.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::Value;

use crate::address::Addresses;
use crate::admission::Admission;
use crate::error::Result;
use crate::kinds::{Kind, Kinds};
use crate::pods::PodBackend;
use crate::store::{Object, Store};
use crate::{Options, Token};

/// The state behind a [`crate::Server`].
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) kinds: Kinds,
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
            kinds: Kinds::new(),
            version: options.version,
            token: options.token,
            addresses: Mutex::new(Addresses::new()),
            openapi: crate::openapi::Cache::default(),
            admission: RwLock::new(options.admission),
            pods: RwLock::new(options.pods),
        };
        for definition in core.store.collection("customresourcedefinitions.apiextensions.k8s.io").list(None).0
        {
            core.kinds.define(&definition);
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

    /// What a stored object changes here: a definition serves its kinds from now on.
    pub(crate) fn stored(&self, kind: &Kind, object: &Arc<Object>) {
        if kind.kind == "CustomResourceDefinition" && !kind.is_custom() {
            self.kinds.define(object);
            self.openapi.forget();
        }
    }

    /// What a removed object changes here.
    pub(crate) fn removed(&self, kind: &Kind, object: &Arc<Object>) {
        match kind.kind.as_str() {
            _ if kind.is_custom() => {}
            "CustomResourceDefinition" => {
                self.remove_all_of(object);
                self.kinds.undefine(object);
                self.openapi.forget();
            }
            "Service" => self.release(object),
            _ => {}
        }
    }

    /// A definition that goes takes its objects with it.
    fn remove_all_of(&self, definition: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let spec = &definition["spec"];
        let resource = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
        let collection = self.store.collection(&resource);
        for object in collection.list(None).0 {
            // A write that comes between leaves an object of a kind that is no longer served; it is gone with it.
            let _ = collection.remove(&object.key(), object.revision(), None);
        }
    }

    /// Gives a new or changed object what the server hands out: a Service's addresses and node ports, a definition's
    /// accepted names.
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
                crate::defaults::definition::accept(value);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
