//! Objects in memory, with one revision counter.
//!
//! ```text
//!   Store ── revision (one counter for all collections)
//!     └─ Collection  "deployments.apps"
//!          ├─ objects  (namespace, name) → Arc<Object>
//!          └─ log      the last changes, each with the previous object
//! ```
//!
//! The log has three uses. A watch is a cursor in it: a slow reader needs no buffer and gets `Expired` once the log no
//! longer contains its revision. Later pages of a list undo the changes since the revision of the first page. And the
//! JSON text of an event is built once for all watches.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

mod collection;
mod log;
mod object;
mod snapshot;
mod weight;

pub(crate) use collection::{Collection, Expect};
pub(crate) use log::line;
pub use log::{Change, Event};
pub use object::{Key, Object};
pub(crate) use snapshot::SnapshotError;

/// All collections and their common revision counter.
#[derive(Debug)]
pub(crate) struct Store {
    revision: Arc<AtomicU64>,
    /// Revision at the start of the process; earlier changes are not in the logs.
    base: u64,
    collections: RwLock<HashMap<String, Arc<Collection>>>,
}

impl Store {
    /// Returns an empty store; the first write gets revision 2.
    pub(crate) fn new() -> Self {
        Self { revision: Arc::new(AtomicU64::new(1)), base: 0, collections: RwLock::default() }
    }

    /// Returns the revision of the last write.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::SeqCst)
    }

    /// Returns the collection of a resource (`pods`, `deployments.apps`), created on first use.
    pub(crate) fn collection(&self, resource: &str) -> Arc<Collection> {
        if let Some(found) = self.collections.read().unwrap_or_else(PoisonError::into_inner).get(resource) {
            return found.clone();
        }
        let mut collections = self.collections.write().unwrap_or_else(PoisonError::into_inner);
        let create = || Arc::new(Collection::new(self.revision.clone(), self.base));
        collections.entry(resource.to_owned()).or_insert_with(create).clone()
    }

    /// Returns the sorted names of the collections that contain objects.
    pub(crate) fn names(&self) -> Vec<String> {
        let collections = self.collections.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = collections
            .iter()
            .filter(|(_, collection)| collection.len() > 0)
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names
    }

    /// Forgets the changes of large objects, and all but the last changes of each collection.
    pub(crate) fn forget_peak(&self) {
        let collections = self.collections.read().unwrap_or_else(PoisonError::into_inner);
        collections.values().for_each(|collection| collection.forget_peak());
    }

    /// Returns all objects as one document for [`Store::restore`].
    pub(crate) fn snapshot(&self) -> Value {
        let collections: BTreeMap<String, Vec<Value>> = self
            .names()
            .into_iter()
            .map(|name| {
                let (objects, _) = self.collection(&name).list(None);
                (name, objects.iter().map(|object| object.value().clone()).collect())
            })
            .collect();
        snapshot::document(self.revision(), &collections)
    }

    /// Returns a store with the objects of a snapshot. Watches from an earlier revision get `Expired`.
    ///
    /// # Errors
    /// If the document is not a snapshot of the supported format.
    pub(crate) fn restore(document: Value) -> Result<Self, SnapshotError> {
        let (revision, collections) = snapshot::read(document)?;
        let store = Self {
            revision: Arc::new(AtomicU64::new(revision)),
            base: revision,
            collections: RwLock::default(),
        };
        for (name, objects) in collections {
            store.collection(&name).fill(objects);
        }
        Ok(store)
    }
}
