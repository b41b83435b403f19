//! Watches: the objects of a kind, then each change.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use meshy_apiserver::LocalClient;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::convert::StoredObject;
use super::kinds::{CUSTOM_RESOURCE_DEFINITIONS, Kind};
use crate::task;

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
    receiver: mpsc::Receiver<Stored>,
    convert: Box<Convert<T>>,
    /// The tasks that feed the stream end with it.
    _tasks: JoinSet<()>,
}

/// Makes the object of a stream from a stored one, or skips it.
type Convert<T> = dyn Fn(&Kind, &StoredObject) -> Option<T> + Send + Sync;

/// A change of a stored object of a kind.
type Stored = (Arc<Kind>, Change<StoredObject>);

/// Changes that are buffered before the writer waits for the reader.
const BUFFERED: usize = 64;

impl<T> Changes<T> {
    /// Watches one kind. Objects that `convert` returns `None` for are skipped.
    pub(super) fn of(
        store: &LocalClient,
        kind: Kind,
        convert: impl Fn(&Kind, &StoredObject) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(BUFFERED);
        let mut tasks = JoinSet::new();
        task::start(&mut tasks, follow(store.clone(), Arc::new(kind), sender));
        Self { receiver, convert: Box::new(convert), _tasks: tasks }
    }

    /// Watches all kinds, including those that are defined later.
    pub(super) fn of_all(
        store: &LocalClient,
        convert: impl Fn(&Kind, &StoredObject) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(BUFFERED);
        let mut tasks = JoinSet::new();
        task::start(&mut tasks, follow_all(store.clone(), sender));
        Self { receiver, convert: Box::new(convert), _tasks: tasks }
    }

    /// Returns the next change, or `None` after the API server has stopped.
    pub(crate) async fn next(&mut self) -> Option<Change<T>> {
        loop {
            let (kind, change) = self.receiver.recv().await?;
            if let Some(object) = (self.convert)(&kind, change.object()) {
                return Some(match change {
                    Change::Applied(_) => Change::Applied(object),
                    Change::Deleted(_) => Change::Deleted(object),
                });
            }
        }
    }
}

/// Returns the kinds that the API server currently serves.
pub(super) fn served_kinds(store: &LocalClient) -> Vec<Kind> {
    let resources = store.resources().into_iter();
    resources.map(|(resource, namespaced)| Kind { resource: resource.into(), namespaced }).collect()
}

/// Sends the changes of all kinds to a channel, including kinds that are defined later.
async fn follow_all(store: LocalClient, sender: mpsc::Sender<Stored>) {
    let mut followed = HashSet::new();
    let mut followers = JoinSet::new();
    let mut definitions = Changes::of(&store, CUSTOM_RESOURCE_DEFINITIONS, |_, _| Some(()));
    loop {
        for kind in served_kinds(&store) {
            if followed.insert(kind.clone()) {
                task::start(&mut followers, follow(store.clone(), Arc::new(kind), sender.clone()));
            }
        }
        if definitions.next().await.is_none() {
            return;
        }
    }
}

/// Sends the changes of a kind to a channel; lists again if the watch has fallen too far behind.
async fn follow(store: LocalClient, kind: Arc<Kind>, sender: mpsc::Sender<Stored>) {
    let mut known: HashMap<(String, String), StoredObject> = HashMap::new();
    loop {
        let list = store.list(&kind.resource, "");
        let mut watch = store.watch(&kind.resource, "", list.revision);
        let mut deleted = std::mem::take(&mut known);
        for object in list.items {
            let key = key(&object);
            deleted.remove(&key);
            known.insert(key, object.clone());
            if sender.send((kind.clone(), Change::Applied(object))).await.is_err() {
                return;
            }
        }
        for object in deleted.into_values() {
            if sender.send((kind.clone(), Change::Deleted(object))).await.is_err() {
                return;
            }
        }
        // An error means that this watch has fallen too far behind.
        while let Ok((change, event)) = watch.next().await {
            let (key, object) = (key(&event.object), event.object.clone());
            let change = if change == meshy_apiserver::Change::Deleted {
                known.remove(&key);
                Change::Deleted(object)
            } else {
                known.insert(key, object.clone());
                Change::Applied(object)
            };
            if sender.send((kind.clone(), change)).await.is_err() {
                return;
            }
        }
    }
}

fn key(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}
