//! A queue of object keys; each key is in it at most once.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Namespace and name of the object to reconcile.
pub(crate) type Key = (String, String);

#[derive(Default)]
pub(super) struct Queue {
    keys: Mutex<Keys>,
    filled: Notify,
}

#[derive(Default)]
struct Keys {
    order: VecDeque<Key>,
    queued: HashSet<Key>,
}

impl Queue {
    /// Adds a key, unless it is queued already.
    pub(super) fn push(&self, key: Key) {
        let mut keys = self.lock();
        if keys.queued.insert(key.clone()) {
            keys.order.push_back(key);
            self.filled.notify_one();
        }
    }

    /// Removes and returns the oldest key; waits for one if the queue is empty.
    pub(super) async fn pop(&self) -> Key {
        loop {
            if let Some(key) = self.try_pop() {
                return key;
            }
            self.filled.notified().await;
        }
    }

    fn try_pop(&self) -> Option<Key> {
        let mut keys = self.lock();
        let key = keys.order.pop_front()?;
        keys.queued.remove(&key);
        Some(key)
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
