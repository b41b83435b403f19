//! Objects in memory, under one revision counter.
//!
//! ```text
//!   Store ── revision (one number for everything)
//!     └─ Collection  "deployments.apps"
//!          ├─ objects  (namespace, name) → Arc<Object>
//!          └─ log      the last changes, each with what was there before
//! ```
//!
//! The log serves three purposes. A watch is a cursor in it, so a reader that does not read costs nothing and is told
//! `Expired` once the log has moved past it. A list's later pages go back along it to the first page's revision. And
//! an event's bytes are made once for all watchers.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

mod collection;
mod log;
mod object;
mod snapshot;

pub(crate) use collection::{Collection, Expect};
pub(crate) use log::line;
pub use log::{Change, Event};
pub use object::{Key, Object};

/// Every collection, and the counter they share.
#[derive(Debug)]
pub(crate) struct Store {
    revision: Arc<AtomicU64>,
    /// Where this process began: changes before it are not known.
    base: u64,
    collections: RwLock<HashMap<String, Arc<Collection>>>,
}

impl Store {
    /// An empty store; the first write gets revision 2.
    pub(crate) fn new() -> Self {
        Self { revision: Arc::new(AtomicU64::new(1)), base: 0, collections: RwLock::default() }
    }

    /// The revision of the last write.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::SeqCst)
    }

    /// The collection of a resource (`pods`, `deployments.apps`), made on first use.
    pub(crate) fn collection(&self, resource: &str) -> Arc<Collection> {
        if let Some(found) = self.collections.read().unwrap_or_else(PoisonError::into_inner).get(resource) {
            return found.clone();
        }
        let mut collections = self.collections.write().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Collection::new(self.revision.clone(), self.base));
        collections.entry(resource.to_owned()).or_insert_with(make).clone()
    }

    /// The names of the collections that hold objects, in order.
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

    /// Everything as one document, for [`Store::restore`].
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

    /// A store with what a snapshot held; watches from before it are told `Expired`.
    pub(crate) fn restore(document: Value) -> Result<Self, String> {
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
