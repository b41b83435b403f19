//! Namespaces that end: everything in them first, then they themselves.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Key, Outcome, Source, run};
use crate::api::{Api, ApiError, Change, Delete, EVENTS, NAMESPACES};
use crate::object::{is_deleting, list, name, namespace, uid};

/// The mark in `spec.finalizers` that this controller takes away last.
const FINALIZER: &str = "kubernetes";

pub(super) fn start(api: &Api, tasks: &mut JoinSet<()>) {
    let sources: Vec<Source> =
        vec![(NAMESPACES, |found| is_deleting(found).then(|| (String::new(), name(found).to_owned())))];
    let keys = run(api, tasks, "namespace", sources, |api, key| async move { reconcile(&api, &key).await });
    // The last object to go, not a clock, tells that a namespace is empty.
    let (mut changes, api) = (api.watch_all(), api.clone());
    tasks.spawn(async move {
        while let Some(change) = changes.next().await {
            let Change::Deleted(object) = change else { continue };
            let inside = namespace(&object);
            if !inside.is_empty() && api.get(NAMESPACES, "", inside).is_some_and(|found| is_deleting(&found))
            {
                keys.push(Some((String::new(), inside.to_owned())));
            }
        }
    });
}

async fn reconcile(api: &Api, key: &Key) -> Result<Outcome, ApiError> {
    let Some(found) = api.get(NAMESPACES, "", &key.1) else { return Ok(Outcome::Done) };
    if !is_deleting(&found) {
        return Ok(Outcome::Done);
    }
    let mut left = 0;
    for kind in api.kinds().into_iter().filter(|kind| kind.namespaced) {
        for object in api.list(kind.clone(), Some(&key.1)) {
            left += 1;
            if is_deleting(&object) {
                continue;
            }
            match api.delete(kind.clone(), &key.1, name(&object), Delete::of(uid(&object))).await {
                Ok(()) | Err(ApiError::NotFound | ApiError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }
    // What went at once is gone already; what has finalizers or a grace period tells of its end.
    if left > 0 && !is_empty(api, &key.1) {
        return Ok(Outcome::Done);
    }
    if list(&found, "/spec/finalizers").iter().any(|mark| mark == FINALIZER) {
        api.finalize_namespace(without_mark(&found)).await?;
    }
    Ok(Outcome::Done)
}

fn is_empty(api: &Api, inside: &str) -> bool {
    // Events may be written about the very end; they go with the namespace.
    api.kinds()
        .into_iter()
        .filter(|kind| kind.namespaced && *kind != EVENTS)
        .all(|kind| api.list(kind, Some(inside)).is_empty())
}

fn without_mark(found: &Value) -> Value {
    let marks: Vec<_> = list(found, "/spec/finalizers").iter().filter(|mark| **mark != FINALIZER).collect();
    let mut body = found.clone();
    body["spec"]["finalizers"] = json!(marks);
    body
}
