//! The loop all controllers share: changes become keys, a key is worked on once however often it changed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use crate::api::{Api, ApiError, Change, Kind};
use crate::object;

/// Namespace and name of the object to reconcile.
pub(crate) type Key = (String, String);

/// What a reconciliation asks for next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// Nothing until something changes.
    Done,
    /// Once more after this time, for what no watch tells: a deadline, a minimum age.
    Again(Duration),
}

/// A watched kind, and which keys a change of it concerns.
pub(crate) type Source = (Kind, fn(&Value) -> Option<Key>);

/// The longest wait between tries of a key that fails.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Puts keys into a controller's queue from elsewhere.
pub(crate) struct Pusher(Arc<Queue>);

impl Pusher {
    pub(crate) fn push(&self, key: Option<Key>) {
        if let Some(key) = key {
            self.0.push(key);
        }
    }
}

/// Runs a controller until the set is dropped.
pub(crate) fn run<F, Fut>(
    api: &Api,
    tasks: &mut JoinSet<()>,
    label: &'static str,
    sources: Vec<Source>,
    reconcile: F,
) -> Pusher
where
    F: Fn(Api, Key) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Outcome, ApiError>> + Send,
{
    let queue = Arc::new(Queue::default());
    for (kind, key_of) in sources {
        let (queue, mut changes) = (queue.clone(), api.watch(kind));
        tasks.spawn(async move {
            while let Some(change) = changes.next().await {
                let (Change::Applied(object) | Change::Deleted(object)) = change;
                if let Some(key) = key_of(&object) {
                    queue.push(key);
                }
            }
        });
    }
    let api = api.clone();
    let pusher = Pusher(queue.clone());
    tasks.spawn(async move {
        let mut failures: HashMap<Key, u32> = HashMap::new();
        // Late keys wait in tasks of their own, one a key, which end with this one.
        let mut later = JoinSet::new();
        let mut waiting: HashMap<Key, AbortHandle> = HashMap::new();
        loop {
            let key = queue.pop().await;
            while later.try_join_next().is_some() {}
            if let Some(timer) = waiting.remove(&key) {
                timer.abort();
            }
            let wait = match reconcile(api.clone(), key.clone()).await {
                Ok(Outcome::Done) => {
                    failures.remove(&key);
                    continue;
                }
                Ok(Outcome::Again(wait)) => {
                    failures.remove(&key);
                    wait
                }
                // Someone else wrote first: read again at once.
                Err(ApiError::Conflict) => Duration::ZERO,
                Err(error) => {
                    let tries = failures.entry(key.clone()).and_modify(|tries| *tries += 1).or_insert(0);
                    tracing::debug!(controller = label, namespace = key.0, name = key.1, %error, "try again");
                    Duration::from_millis(20 << (*tries).min(8)).min(LONGEST_WAIT)
                }
            };
            if wait.is_zero() {
                queue.push(key);
                tokio::task::yield_now().await;
                continue;
            }
            let (queue, late) = (queue.clone(), key.clone());
            let timer = later.spawn(async move {
                tokio::time::sleep(wait).await;
                queue.push(late);
            });
            waiting.insert(key, timer);
        }
    });
    pusher
}

/// The key of an object itself.
pub(crate) fn own_key(object: &Value) -> Option<Key> {
    Some((object::namespace(object).to_owned(), object::name(object).to_owned()))
}

/// The key of the owner of a kind that manages an object.
pub(crate) fn owner_key(object: &Value, kind: &str) -> Option<Key> {
    let owner = object::list(object, "/metadata/ownerReferences")
        .iter()
        .find(|owner| owner["controller"] == true && owner["kind"] == kind)?;
    Some((object::namespace(object).to_owned(), object::text(owner, "/name").to_owned()))
}

#[derive(Default)]
struct Queue {
    keys: Mutex<(VecDeque<Key>, HashSet<Key>)>,
    filled: Notify,
}

impl Queue {
    fn push(&self, key: Key) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.1.insert(key.clone()) {
            keys.0.push_back(key);
            self.filled.notify_one();
        }
    }

    async fn pop(&self) -> Key {
        loop {
            if let Some(key) = self.take() {
                return key;
            }
            self.filled.notified().await;
        }
    }

    fn take(&self) -> Option<Key> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key = keys.0.pop_front()?;
        keys.1.remove(&key);
        Some(key)
    }
}
