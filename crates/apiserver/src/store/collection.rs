//! The objects of one resource.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use serde_json::Value;
use tokio::sync::watch;

use super::log::Log;
use super::{Change, Event, Key, Object};

/// The stored state that a write expects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// No object with this key.
    Absent,
    /// The object at this revision.
    Revision(u64),
}

/// The error of a write whose expectation is not met.
#[derive(Debug)]
pub(crate) struct Stale;

/// The objects of one resource and their last changes.
#[derive(Debug)]
pub(crate) struct Collection {
    revision: Arc<AtomicU64>,
    state: RwLock<State>,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    objects: BTreeMap<Key, Arc<Object>>,
    log: Log,
}

impl Collection {
    pub(crate) fn new(revision: Arc<AtomicU64>, base: u64) -> Self {
        let state = State { objects: BTreeMap::new(), log: Log::starting_at(base) };
        Self { revision, state: RwLock::new(state), changed: watch::channel(0).0 }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.read().objects.len()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.read().objects.get(key).cloned()
    }

    /// Returns the sorted objects of a namespace (or all), and the revision of the store.
    pub(crate) fn list(&self, namespace: Option<&str>) -> (Vec<Arc<Object>>, u64) {
        let state = self.read();
        let revision = self.revision.load(Ordering::SeqCst);
        let objects = match namespace {
            None => state.objects.values().cloned().collect(),
            Some(namespace) => {
                let from = Key::new(namespace, "");
                let range = state.objects.range((Bound::Included(from), Bound::Unbounded));
                range
                    .take_while(|(key, _)| key.namespace == namespace)
                    .map(|(_, object)| object.clone())
                    .collect()
            }
        };
        (objects, revision)
    }

    /// Returns the objects at an earlier revision, or `None` if the log no longer contains all changes since then.
    pub(crate) fn list_at(&self, namespace: Option<&str>, revision: u64) -> Option<Vec<Arc<Object>>> {
        let state = self.read();
        let mut objects = state.objects.clone();
        for event in state.log.after(revision)?.rev() {
            match &event.before {
                Some(before) => objects.insert(event.object.key(), before.clone()),
                None => objects.remove(&event.object.key()),
            };
        }
        Some(
            objects
                .into_iter()
                .filter(|(key, _)| namespace.is_none_or(|namespace| key.namespace == namespace))
                .map(|(_, object)| object)
                .collect(),
        )
    }

    /// Stores an object with the next revision as its resourceVersion.
    pub(crate) fn put(&self, key: Key, expect: Expect, mut value: Value) -> Result<Arc<Object>, Stale> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let before = state.objects.get(&key).cloned();
        match (expect, &before) {
            (Expect::Absent, None) => {}
            (Expect::Revision(revision), Some(found)) if found.revision() == revision => {}
            _ => return Err(Stale),
        }
        let revision = self.revision.fetch_add(1, Ordering::SeqCst) + 1;
        value["metadata"]["resourceVersion"] = revision.to_string().into();
        let object = Arc::new(Object::new(value, revision));
        state.objects.insert(key, object.clone());
        let change = if before.is_some() { Change::Modified } else { Change::Added };
        state.log.push(Arc::new(Event::new(change, object.clone(), before)));
        drop(state);
        self.changed.send_replace(revision);
        Ok(object)
    }

    /// Removes an object. The event contains `last` if given, else the stored object.
    pub(crate) fn remove(&self, key: &Key, expect: u64, last: Option<Value>) -> Result<Arc<Object>, Stale> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let before = match state.objects.get(key) {
            Some(found) if found.revision() == expect => found.clone(),
            _ => return Err(Stale),
        };
        let revision = self.revision.fetch_add(1, Ordering::SeqCst) + 1;
        let mut value = last.unwrap_or_else(|| before.value().clone());
        value["metadata"]["resourceVersion"] = revision.to_string().into();
        let object = Arc::new(Object::new(value, revision));
        state.objects.remove(key);
        state.log.push(Arc::new(Event::new(Change::Deleted, object.clone(), Some(before))));
        drop(state);
        self.changed.send_replace(revision);
        Ok(object)
    }

    /// Returns at most `limit` changes after a revision, or as `Err` the oldest usable revision if the log is compacted.
    pub(crate) fn changes(&self, after: u64, limit: usize) -> Result<Vec<Arc<Event>>, u64> {
        let state = self.read();
        match state.log.after(after) {
            Some(events) => Ok(events.take(limit).cloned().collect()),
            None => Err(state.log.compacted()),
        }
    }

    /// Forgets the changes of large objects, and all but the last changes ([`Log::forget_peak`]).
    pub(crate) fn forget_peak(&self) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).log.forget_peak();
    }

    /// Returns a receiver that is notified of every change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Returns the revision of the store if this collection has not changed since `revision`, else `revision`.
    pub(crate) fn latest_revision_without_change(&self, revision: u64) -> u64 {
        let state = self.read();
        let unchanged = state.log.after(revision).is_some_and(|mut events| events.next().is_none());
        if unchanged { self.revision.load(Ordering::SeqCst) } else { revision }
    }

    /// Inserts the objects of a snapshot.
    pub(crate) fn fill(&self, objects: Vec<Value>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for value in objects {
            let revision = value["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok());
            let object = Object::new(value, revision.unwrap_or_default());
            state.objects.insert(object.key(), Arc::new(object));
        }
    }
}
