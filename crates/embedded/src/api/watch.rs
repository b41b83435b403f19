//! Following objects: what is there first, then each change.

use std::collections::{HashMap, HashSet};

use meshy_apiserver::LocalClient;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Api, CUSTOM_RESOURCE_DEFINITIONS, Kind, Object};
use crate::object::{name, namespace};

/// What happened to an object.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// It is there, new or changed or seen for the first time.
    Applied(Object),
    /// It is gone.
    Deleted(Object),
}

/// A stream of changes.
pub(crate) struct Changes {
    receiver: mpsc::Receiver<Change>,
    /// What feeds it ends with it.
    _tasks: JoinSet<()>,
}

/// Changes that may wait to be read before their writer waits.
const WAITING: usize = 64;

impl Changes {
    pub(super) fn of(store: &LocalClient, kind: Kind) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(store.clone(), kind, sender));
        Self { receiver, _tasks: tasks }
    }

    pub(super) fn of_all(api: &Api) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut tasks = JoinSet::new();
        let api = api.clone();
        tasks.spawn(async move {
            let mut followed = HashSet::new();
            let mut each = JoinSet::new();
            let mut definitions = Self::of(&api.store, CUSTOM_RESOURCE_DEFINITIONS);
            loop {
                for kind in api.kinds() {
                    if followed.insert(kind.clone()) {
                        each.spawn(follow(api.store.clone(), kind, sender.clone()));
                    }
                }
                if definitions.next().await.is_none() {
                    return;
                }
            }
        });
        Self { receiver, _tasks: tasks }
    }

    /// The next change; none when the API has ended.
    pub(crate) async fn next(&mut self) -> Option<Change> {
        self.receiver.recv().await
    }
}

/// Feeds a channel; starts over from what is there when it fell too far behind.
async fn follow(store: LocalClient, kind: Kind, sender: mpsc::Sender<Change>) {
    let mut known: HashMap<(String, String), Object> = HashMap::new();
    loop {
        let list = store.list(&kind.resource, "");
        let mut watch = store.watch(&kind.resource, "", list.revision);
        let mut gone = std::mem::take(&mut known);
        for object in list.items {
            let key = (namespace(&object).to_owned(), name(&object).to_owned());
            gone.remove(&key);
            known.insert(key, object.clone());
            if sender.send(Change::Applied(object)).await.is_err() {
                return;
            }
        }
        for object in gone.into_values() {
            if sender.send(Change::Deleted(object)).await.is_err() {
                return;
            }
        }
        // An error means that this reader fell too far behind: it starts over.
        while let Ok((happened, event)) = watch.next().await {
            let object = event.object.clone();
            let key = (namespace(&object).to_owned(), name(&object).to_owned());
            let change = if happened == meshy_apiserver::Change::Deleted {
                known.remove(&key);
                Change::Deleted(object)
            } else {
                known.insert(key, object.clone());
                Change::Applied(object)
            };
            if sender.send(change).await.is_err() {
                return;
            }
        }
    }
}
