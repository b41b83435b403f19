//! Garbage: what is owned goes when its owners are gone.
//!
//! Background deletion is the owner's end seen in the watch. Foreground and orphaning deletion leave the owner in place
//! with a finalizer, which is taken away here when the dependents are gone or set free.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::{Api, ApiError, Change, Delete, Kind};
use crate::object::{is_deleting, list, name, namespace, text, uid};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    kind: Kind,
    namespace: String,
    name: String,
}

#[derive(Default)]
struct Graph {
    /// By the owner's uid.
    dependents: HashMap<String, HashSet<Place>>,
}

pub(super) fn start(api: &Api, tasks: &mut JoinSet<()>) {
    let (mut changes, api) = (api.watch_all(), api.clone());
    tasks.spawn(async move {
        let mut graph = Graph::default();
        while let Some(change) = changes.next().await {
            let done = match change {
                Change::Applied(object) => graph.seen(&api, &object).await,
                Change::Deleted(object) => graph.gone(&api, &object).await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "collect garbage");
            }
        }
    });
}

impl Graph {
    async fn seen(&mut self, api: &Api, object: &Value) -> Result<(), ApiError> {
        let Some(place) = place(api, object) else { return Ok(()) };
        for owner in list(object, "/metadata/ownerReferences") {
            self.dependents.entry(text(owner, "/uid").to_owned()).or_default().insert(place.clone());
        }
        if !is_deleting(object) {
            return collect(api, &place).await;
        }
        let marks = list(object, "/metadata/finalizers");
        if marks.iter().any(|mark| mark == FOREGROUND) {
            self.end_in_foreground(api, &place, uid(object)).await?;
        } else if marks.iter().any(|mark| mark == ORPHAN) {
            for dependent in self.of(uid(object)) {
                forget_owner(api, &dependent, uid(object)).await?;
            }
            remove_finalizer(api, &place, ORPHAN).await?;
        }
        Ok(())
    }

    async fn gone(&mut self, api: &Api, object: &Value) -> Result<(), ApiError> {
        for dependent in self.dependents.remove(uid(object)).into_iter().flatten() {
            collect(api, &dependent).await?;
        }
        let Some(own) = place(api, object) else { return Ok(()) };
        for owner in list(object, "/metadata/ownerReferences") {
            let owner_uid = text(owner, "/uid");
            if let Some(left) = self.dependents.get_mut(owner_uid) {
                left.remove(&own);
                if left.is_empty() {
                    self.dependents.remove(owner_uid);
                }
            }
            // The owner may be waiting for its last dependent.
            if let Some((place, owner)) = owner_of(api, namespace(object), owner)
                && is_deleting(&owner)
                && list(&owner, "/metadata/finalizers").iter().any(|mark| mark == FOREGROUND)
            {
                self.end_in_foreground(api, &place, owner_uid).await?;
            }
        }
        Ok(())
    }

    fn of(&self, owner: &str) -> Vec<Place> {
        self.dependents.get(owner).into_iter().flatten().cloned().collect()
    }

    async fn end_in_foreground(&self, api: &Api, owner: &Place, owner_uid: &str) -> Result<(), ApiError> {
        let mut blocked = false;
        for place in self.of(owner_uid) {
            let Some(dependent) = api.get(place.kind.clone(), &place.namespace, &place.name) else {
                continue;
            };
            blocked |= list(&dependent, "/metadata/ownerReferences")
                .iter()
                .any(|owner| text(owner, "/uid") == owner_uid && owner["blockOwnerDeletion"] == true);
            if !is_deleting(&dependent) {
                end(api, &place, Delete::of(uid(&dependent)).foreground()).await?;
            }
        }
        // A dependent that went at once tells of it by its own change, which leads back here.
        if blocked { Ok(()) } else { remove_finalizer(api, owner, FOREGROUND).await }
    }
}

/// Deletes an object whose owners are all gone; forgets single owners that are.
async fn collect(api: &Api, place: &Place) -> Result<(), ApiError> {
    let Some(object) = api.get(place.kind.clone(), &place.namespace, &place.name) else { return Ok(()) };
    let owners = list(&object, "/metadata/ownerReferences");
    let gone: Vec<&str> = owners
        .iter()
        .filter(|owner| owner_of(api, &place.namespace, owner).is_none())
        .map(|owner| text(owner, "/uid"))
        .collect();
    if gone.is_empty() || is_deleting(&object) {
        return Ok(());
    }
    if gone.len() == owners.len() {
        return end(api, place, Delete::of(uid(&object))).await;
    }
    for owner in gone {
        forget_owner(api, place, owner).await?;
    }
    Ok(())
}

async fn end(api: &Api, place: &Place, how: Delete) -> Result<(), ApiError> {
    match api.delete(place.kind.clone(), &place.namespace, &place.name, how).await {
        Ok(()) | Err(ApiError::NotFound | ApiError::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn forget_owner(api: &Api, place: &Place, owner: &str) -> Result<(), ApiError> {
    modify(api, place, |object| retain(object, "ownerReferences", |one| text(one, "/uid") != owner)).await
}

async fn remove_finalizer(api: &Api, place: &Place, mark: &str) -> Result<(), ApiError> {
    modify(api, place, |object| retain(object, "finalizers", |one| one != mark)).await
}

async fn modify(api: &Api, place: &Place, change: impl Fn(&mut Value) -> bool) -> Result<(), ApiError> {
    match api.modify(place.kind.clone(), &place.namespace, &place.name, change).await {
        Ok(_) | Err(ApiError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

fn retain(object: &mut Value, field: &str, keep: impl Fn(&Value) -> bool) -> bool {
    let Some(all) = object["metadata"][field].as_array() else { return false };
    let kept: Vec<Value> = all.iter().filter(|one| keep(one)).cloned().collect();
    let changed = kept.len() != all.len();
    object["metadata"][field] = json!(kept);
    changed
}

fn place(api: &Api, object: &Value) -> Option<Place> {
    let kind = api.kind_of(text(object, "/apiVersion"), text(object, "/kind"))?;
    Some(Place { kind, namespace: namespace(object).to_owned(), name: name(object).to_owned() })
}

/// The owner an owner reference means, if it is still that very object.
fn owner_of(api: &Api, inside: &str, owner: &Value) -> Option<(Place, crate::api::Object)> {
    let kind = api.kind_of(text(owner, "/apiVersion"), text(owner, "/kind"))?;
    let inside = if kind.namespaced { inside } else { "" };
    let found = api.get(kind.clone(), inside, text(owner, "/name"))?;
    (uid(&found) == text(owner, "/uid"))
        .then(|| (Place { kind, namespace: inside.to_owned(), name: name(&found).to_owned() }, found))
}
