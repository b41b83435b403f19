//! Watches: the objects of a kind, then each change.

use std::collections::{HashMap, HashSet};

use meshy_apiserver::LocalClient;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::convert::StoredObject;
use super::kinds::{CUSTOM_RESOURCE_DEFINITIONS, Kind};

/// A change of an object.
#[derive(Clone, Debug)]
pub(crate) enum Change<T> {
    /// The object was created or changed, or existed when the watch started.
    Applied(T),
    /// The object was deleted; the value is its last state.
    Deleted(T),
}

impl<T> Change<T> {
    /// Returns the object, whether it was applied or deleted.
    pub(crate) fn object(&self) -> &T {
        let (Self::Applied(object) | Self::Deleted(object)) = self;
        object
    }
}

/// A stream of changes.
pub(crate) struct Changes<T> {
    receiver: mpsc::Receiver<Change<T>>,
    /// The tasks that feed the stream end with it.
    _tasks: JoinSet<()>,
}

/// Changes that are buffered before the writer waits for the reader.
const BUFFERED: usize = 64;

impl<T: Send + 'static> Changes<T> {
    /// Watches one kind. Objects that `convert` returns `None` for are skipped.
    pub(super) fn of(
        store: &LocalClient,
        kind: Kind,
        convert: impl Fn(&Kind, &StoredObject) -> Option<T> + Clone + Send + Sync + 'static,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(BUFFERED);
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(store.clone(), kind, sender, convert));
        Self { receiver, _tasks: tasks }
    }

    /// Watches all kinds, including those that are defined later.
    pub(super) fn of_all(
        store: &LocalClient,
        convert: impl Fn(&Kind, &StoredObject) -> Option<T> + Clone + Send + Sync + 'static,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(BUFFERED);
        let mut tasks = JoinSet::new();
        let store = store.clone();
        tasks.spawn(async move {
            let mut followed = HashSet::new();
            let mut followers = JoinSet::new();
            let mut definitions = Changes::of(&store, CUSTOM_RESOURCE_DEFINITIONS, |_, _| Some(()));
            loop {
                for kind in served_kinds(&store) {
                    if followed.insert(kind.clone()) {
                        followers.spawn(follow(store.clone(), kind, sender.clone(), convert.clone()));
                    }
                }
                if definitions.next().await.is_none() {
                    return;
                }
            }
        });
        Self { receiver, _tasks: tasks }
    }

    /// Returns the next change, or `None` after the API server has stopped.
    pub(crate) async fn next(&mut self) -> Option<Change<T>> {
        self.receiver.recv().await
    }
}

/// Returns the kinds that the API server currently serves.
pub(super) fn served_kinds(store: &LocalClient) -> Vec<Kind> {
    let resources = store.resources().into_iter();
    resources.map(|(resource, namespaced)| Kind { resource: resource.into(), namespaced }).collect()
}

/// Sends the changes of a kind to a channel; lists again if the watch has fallen too far behind.
async fn follow<T>(
    store: LocalClient,
    kind: Kind,
    sender: mpsc::Sender<Change<T>>,
    convert: impl Fn(&Kind, &StoredObject) -> Option<T>,
) {
    let mut known: HashMap<(String, String), StoredObject> = HashMap::new();
    loop {
        let list = store.list(&kind.resource, "");
        let mut watch = store.watch(&kind.resource, "", list.revision);
        let mut deleted = std::mem::take(&mut known);
        for object in list.items {
            let key = key(&object);
            deleted.remove(&key);
            known.insert(key, object.clone());
            let Some(object) = convert(&kind, &object) else { continue };
            if sender.send(Change::Applied(object)).await.is_err() {
                return;
            }
        }
        for object in deleted.into_values() {
            let Some(object) = convert(&kind, &object) else { continue };
            if sender.send(Change::Deleted(object)).await.is_err() {
                return;
            }
        }
        // An error means that this watch has fallen too far behind.
        while let Ok((change, event)) = watch.next().await {
            let (key, deleted) = (key(&event.object), change == meshy_apiserver::Change::Deleted);
            if deleted {
                known.remove(&key);
            } else {
                known.insert(key, event.object.clone());
            }
            let Some(object) = convert(&kind, &event.object) else { continue };
            let change = if deleted { Change::Deleted(object) } else { Change::Applied(object) };
            if sender.send(change).await.is_err() {
                return;
            }
        }
    }
}

fn key(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}
