//! The objects of one resource.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use serde_json::Value;
use tokio::sync::watch;

use super::log::Log;
use super::{Change, Event, Key, Object};

/// What a write expects to find.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// Nothing: the object is new.
    Absent,
    /// The object as it was at this revision.
    Revision(u64),
}

/// A write came too late: the object is not as expected.
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

    /// The objects of a namespace (or all) in order, and the revision they were all current at.
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

    /// The objects as they were at a revision; `None` when the changes since then are no longer all known.
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
                .filter(|(key, _)| namespace.is_none_or(|wanted| key.namespace == wanted))
                .map(|(_, object)| object)
                .collect(),
        )
    }

    /// Writes an object, which gets the next revision as its resourceVersion.
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

    /// Takes an object away; its last event carries `last` if given, else its state before.
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

    /// The changes after a revision; `Err` with the oldest usable revision when some are forgotten.
    pub(crate) fn changes(&self, after: u64, limit: usize) -> Result<Vec<Arc<Event>>, u64> {
        let state = self.read();
        match state.log.after(after) {
            Some(events) => Ok(events.take(limit).cloned().collect()),
            None => Err(state.log.forgotten()),
        }
    }

    /// Ticks at every change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The store's revision, if this collection has not changed since `seen`; else `seen`.
    pub(crate) fn settled_revision_if_idle(&self, seen: u64) -> u64 {
        let state = self.read();
        let idle = state.log.after(seen).is_some_and(|mut events| events.next().is_none());
        if idle { self.revision.load(Ordering::SeqCst) } else { seen }
    }

    /// Puts back what a snapshot held.
    pub(crate) fn fill(&self, objects: Vec<Value>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for value in objects {
            let written = value["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok());
            let object = Object::new(value, written.unwrap_or_default());
            state.objects.insert(object.key(), Arc::new(object));
        }
    }
}
