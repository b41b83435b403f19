//! The garbage collector: deletes objects whose owners were deleted.
//!
//! Background deletion follows the watch: the owner is gone, its dependents are deleted. With foreground deletion and
//! orphaning the owner remains with a finalizer, which is removed here when the dependents are deleted or orphaned.

use std::collections::{HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use tokio::task::JoinSet;

use crate::api::{Api, ApiError, Change, Deletion, Kind, PartialObject};
use crate::object::ObjectExt;
use crate::task;

const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
const ORPHAN_FINALIZER: &str = "orphan";

/// An object of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ObjectKey {
    kind: Kind,
    namespace: String,
    name: String,
}

impl ObjectKey {
    fn of(object: &PartialObject) -> Self {
        Self {
            kind: object.kind.clone(),
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
        }
    }

    fn get(&self, api: &Api) -> Option<PartialObject> {
        api.get_metadata(&self.kind, &self.namespace, &self.name)
    }
}

/// Which objects depend on which owners.
#[derive(Default)]
struct DependencyGraph {
    /// By uid of the owner.
    dependents: HashMap<String, HashSet<ObjectKey>>,
}

pub(super) fn start(api: &Api, tasks: &mut JoinSet<()>) {
    let (mut changes, api) = (api.watch_all(), api.clone());
    task::start(tasks, async move {
        let mut graph = DependencyGraph::default();
        while let Some(change) = changes.next().await {
            let result = match change {
                Change::Applied(object) => graph.applied(&api, &object).await,
                Change::Deleted(object) => graph.deleted(&api, &object).await,
            };
            if let Err(error) = result {
                tracing::warn!(%error, "garbage collection failed");
            }
        }
    });
}

impl DependencyGraph {
    async fn applied(&mut self, api: &Api, object: &PartialObject) -> Result<(), ApiError> {
        for owner in object.owners() {
            self.dependents.entry(owner.uid.clone()).or_default().insert(ObjectKey::of(object));
        }
        if !object.is_deleting() {
            return collect(api, &ObjectKey::of(object)).await;
        }
        if has_finalizer(object, FOREGROUND_FINALIZER) {
            self.delete_in_foreground(api, object).await?;
        } else if has_finalizer(object, ORPHAN_FINALIZER) {
            for dependent in self.dependents_of(object.uid()) {
                if let Some(dependent) = dependent.get(api) {
                    remove_owner(api, &dependent, object.uid()).await?;
                }
            }
            remove_finalizer(api, object, ORPHAN_FINALIZER).await?;
        }
        Ok(())
    }

    async fn deleted(&mut self, api: &Api, object: &PartialObject) -> Result<(), ApiError> {
        for dependent in self.dependents.remove(object.uid()).into_iter().flatten() {
            collect(api, &dependent).await?;
        }
        for reference in object.owners() {
            if let Some(dependents) = self.dependents.get_mut(&reference.uid) {
                dependents.remove(&ObjectKey::of(object));
                if dependents.is_empty() {
                    self.dependents.remove(&reference.uid);
                }
            }
            // This can be the last dependent that a foreground deletion waits for.
            if let Some(owner) = owner(api, object.namespace(), reference)
                && owner.is_deleting()
                && has_finalizer(&owner, FOREGROUND_FINALIZER)
            {
                self.delete_in_foreground(api, &owner).await?;
            }
        }
        Ok(())
    }

    fn dependents_of(&self, uid: &str) -> Vec<ObjectKey> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    async fn delete_in_foreground(&self, api: &Api, owner: &PartialObject) -> Result<(), ApiError> {
        let mut blocked = false;
        for key in self.dependents_of(owner.uid()) {
            let Some(dependent) = key.get(api) else { continue };
            blocked |= dependent.owners().iter().any(|reference| {
                reference.uid == owner.uid() && reference.block_owner_deletion == Some(true)
            });
            if !dependent.is_deleting() {
                delete(api, &key, Deletion::of(dependent.uid()).foreground()).await?;
            }
        }
        // The watch reports the deletion of each blocking dependent, and this function runs again.
        if blocked { Ok(()) } else { remove_finalizer(api, owner, FOREGROUND_FINALIZER).await }
    }
}

/// Deletes an object if all its owners are deleted; otherwise removes the references to deleted owners.
async fn collect(api: &Api, key: &ObjectKey) -> Result<(), ApiError> {
    let Some(object) = key.get(api) else { return Ok(()) };
    let deleted: Vec<_> = object
        .owners()
        .iter()
        .filter(|reference| owner(api, object.namespace(), reference).is_none())
        .map(|reference| reference.uid.clone())
        .collect();
    if deleted.is_empty() || object.is_deleting() {
        return Ok(());
    }
    if deleted.len() == object.owners().len() {
        return delete(api, key, Deletion::of(object.uid())).await;
    }
    for uid in deleted {
        remove_owner(api, &object, &uid).await?;
    }
    Ok(())
}

async fn delete(api: &Api, key: &ObjectKey, deletion: Deletion) -> Result<(), ApiError> {
    match api.delete_any(&key.kind, &key.namespace, &key.name, deletion).await {
        Ok(()) | Err(ApiError::NotFound | ApiError::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn remove_owner(api: &Api, object: &PartialObject, uid: &str) -> Result<(), ApiError> {
    let removed = api.modify_metadata(object, |meta| {
        if let Some(owners) = &mut meta.owner_references {
            owners.retain(|owner| owner.uid != uid);
        }
    });
    ignore_not_found(removed.await)
}

async fn remove_finalizer(api: &Api, object: &PartialObject, finalizer: &str) -> Result<(), ApiError> {
    let removed = api.modify_metadata(object, |meta| {
        if let Some(finalizers) = &mut meta.finalizers {
            finalizers.retain(|found| found != finalizer);
        }
    });
    ignore_not_found(removed.await)
}

fn ignore_not_found(result: Result<(), ApiError>) -> Result<(), ApiError> {
    match result {
        Err(ApiError::NotFound) => Ok(()),
        other => other,
    }
}

fn has_finalizer(object: &PartialObject, finalizer: &str) -> bool {
    object.finalizers().iter().any(|found| found == finalizer)
}

/// Returns the owner of an object in `namespace`, unless it was deleted or replaced by another object of its name.
fn owner(api: &Api, namespace: &str, reference: &OwnerReference) -> Option<PartialObject> {
    let kind = api.kind_of(reference)?;
    let namespace = if kind.namespaced { namespace } else { "" };
    api.get_metadata(&kind, namespace, &reference.name).filter(|found| found.uid() == reference.uid)
}
