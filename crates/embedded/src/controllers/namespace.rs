//! The namespace controller: deletes the content of a terminating namespace, then finalizes the namespace.

use k8s_openapi::api::core::v1::Namespace;
use tokio::task::JoinSet;

use super::controller::{Action, Context, Controller};
use super::queue::Key;
use crate::api::{Api, ApiError, Change, Deletion, EVENTS};
use crate::object::ObjectExt;
use crate::task;

/// The entry of `spec.finalizers` that this controller removes.
const FINALIZER: &str = "kubernetes";

pub(super) fn start(context: &Context, tasks: &mut JoinSet<()>) {
    let queue = Controller::new("namespace", context, tasks)
        .watch::<Namespace>(|found| found.is_deleting().then(|| key(found.name())))
        .start(|context, key| async move { reconcile(&context.api, &key).await });
    // The deletion of the last object in a namespace triggers the next reconciliation.
    let (mut changes, api) = (context.api.watch_all(), context.api.clone());
    task::start(tasks, async move {
        while let Some(change) = changes.next().await {
            let Change::Deleted(object) = change else { continue };
            let namespace = object.namespace();
            if !namespace.is_empty()
                && api.get::<Namespace>("", namespace).is_some_and(|found| found.is_deleting())
            {
                queue.push(key(namespace));
            }
        }
    });
}

fn key(name: &str) -> Key {
    (String::new(), name.to_owned())
}

async fn reconcile(api: &Api, key: &Key) -> Result<Action, ApiError> {
    let name = &key.1;
    let Some(namespace) = api.get::<Namespace>("", name).filter(|found| found.is_deleting()) else {
        return Ok(Action::AwaitChange);
    };
    let deleted = delete_content(api, name).await?;
    // Objects with finalizers or a grace period still exist; their deletion triggers the next reconciliation.
    if deleted > 0 && !is_empty(api, name) {
        return Ok(Action::AwaitChange);
    }
    if finalizers(&namespace).iter().any(|finalizer| finalizer == FINALIZER) {
        api.finalize_namespace(name, |namespace| {
            if let Some(spec) = &mut namespace.spec
                && let Some(finalizers) = &mut spec.finalizers
            {
                finalizers.retain(|finalizer| finalizer != FINALIZER);
            }
        })
        .await?;
    }
    Ok(Action::AwaitChange)
}

/// Deletes the objects of a namespace and returns how many there were.
async fn delete_content(api: &Api, namespace: &str) -> Result<usize, ApiError> {
    let mut count = 0;
    for kind in api.kinds().into_iter().filter(|kind| kind.namespaced) {
        for object in api.list_metadata(&kind, namespace) {
            count += 1;
            if object.is_deleting() {
                continue;
            }
            match api.delete_any(&kind, namespace, object.name(), Deletion::of(object.uid())).await {
                Ok(()) | Err(ApiError::NotFound | ApiError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(count)
}

fn is_empty(api: &Api, namespace: &str) -> bool {
    // The deletion itself can cause further events; they are deleted with the namespace.
    api.kinds()
        .into_iter()
        .filter(|kind| kind.namespaced && *kind != EVENTS)
        .all(|kind| api.list_metadata(&kind, namespace).is_empty())
}

fn finalizers(namespace: &Namespace) -> &[String] {
    namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_deref()).unwrap_or_default()
}
