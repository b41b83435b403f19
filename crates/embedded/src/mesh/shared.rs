//! What the indexes of the mesh share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::StoredObject;

/// Returns the namespace and the name of an object.
pub(super) fn key(object: &StoredObject) -> (String, String) {
    let key = object.key();
    (key.namespace, key.name)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
