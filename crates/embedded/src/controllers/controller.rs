//! The loop of each controller: changes become keys, and each queued key is reconciled once.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::queue::{Key, Queue};
use crate::api::{Api, ApiError, Typed};
use crate::events::EventRecorder;
use crate::object::ObjectExt;
use crate::task;

/// The longest delay before a failed reconciliation is repeated.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);
/// The delay after the first failure; it doubles with each further one.
const INITIAL_RETRY_DELAY_MS: u64 = 20;

/// What the controllers share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) api: Api,
    pub(crate) events: EventRecorder,
}

/// What to do after a reconciliation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// Wait for the next change.
    AwaitChange,
    /// Reconcile again after this time, for conditions that no watch reports: a deadline or a minimum age.
    RequeueAfter(Duration),
}

/// Adds keys to the queue of a controller.
pub(crate) struct QueueHandle(Arc<Queue>);

impl QueueHandle {
    pub(crate) fn push(&self, key: Key) {
        self.0.push(key);
    }
}

/// A controller under construction: first its watches, then [`Controller::start`].
pub(crate) struct Controller<'a> {
    name: &'static str,
    context: Context,
    tasks: &'a mut JoinSet<()>,
    queue: Arc<Queue>,
}

impl<'a> Controller<'a> {
    /// Creates a controller whose tasks end when `tasks` is dropped.
    pub(crate) fn new(name: &'static str, context: &Context, tasks: &'a mut JoinSet<()>) -> Self {
        Self { name, context: context.clone(), tasks, queue: Arc::default() }
    }

    /// Watches a kind; `key_of` returns the object to reconcile after a change, if any.
    pub(crate) fn watch<K: Typed>(self, key_of: fn(&K) -> Option<Key>) -> Self {
        let (queue, mut changes) = (self.queue.clone(), self.context.api.watch::<K>());
        task::start(self.tasks, async move {
            while let Some(change) = changes.next().await {
                if let Some(key) = key_of(change.object()) {
                    queue.push(key);
                }
            }
        });
        self
    }

    /// Starts to reconcile one key after another.
    pub(crate) fn start<F, Fut>(self, reconcile: F) -> QueueHandle
    where
        F: Fn(Context, Key) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Action, ApiError>> + Send,
    {
        let Self { name, context, tasks, queue } = self;
        let handle = QueueHandle(queue.clone());
        task::start(tasks, async move {
            let mut failures: HashMap<Key, u32> = HashMap::new();
            let mut timers = Timers::default();
            loop {
                let key = queue.pop().await;
                timers.cancel(&key);
                let delay = match reconcile(context.clone(), key.clone()).await {
                    Ok(action) => {
                        failures.remove(&key);
                        match action {
                            Action::AwaitChange => continue,
                            Action::RequeueAfter(delay) => delay,
                        }
                    }
                    // The object has changed since it was read.
                    Err(ApiError::Conflict) => Duration::ZERO,
                    Err(error) => {
                        let failed = failures.entry(key.clone()).and_modify(|count| *count += 1).or_insert(0);
                        let delay = Duration::from_millis(INITIAL_RETRY_DELAY_MS << (*failed).min(8));
                        let delay = delay.min(MAX_RETRY_DELAY);
                        let (namespace, object) = (&key.0, &key.1);
                        tracing::debug!(controller = name, namespace, object, %error, ?delay, "reconcile failed");
                        delay
                    }
                };
                if delay.is_zero() {
                    queue.push(key);
                    tokio::task::yield_now().await;
                } else {
                    timers.push_later(&queue, key, delay);
                }
            }
        });
        handle
    }
}

/// Timers that queue a key later, at most one for each key; they end with the controller.
#[derive(Default)]
struct Timers {
    tasks: JoinSet<()>,
    by_key: HashMap<Key, AbortHandle>,
}

impl Timers {
    fn cancel(&mut self, key: &Key) {
        while self.tasks.try_join_next().is_some() {}
        if let Some(timer) = self.by_key.remove(key) {
            timer.abort();
        }
    }

    fn push_later(&mut self, queue: &Arc<Queue>, key: Key, delay: Duration) {
        let (queue, later) = (queue.clone(), key.clone());
        let timer = task::start(&mut self.tasks, async move {
            sleep(delay).await;
            queue.push(later);
        });
        self.by_key.insert(key, timer);
    }
}

/// Returns the key of the object itself.
#[expect(clippy::unnecessary_wraps, reason = "a watch takes a function that may return no key")]
pub(crate) fn own_key<K: Typed>(object: &K) -> Option<Key> {
    Some((object.namespace().to_owned(), object.name().to_owned()))
}

/// Returns the key of the owner that manages the object, if it is of the kind `Owner`.
pub(crate) fn controller_key<Owner: Typed, K: Typed>(object: &K) -> Option<Key> {
    let owner = object.controller().filter(|owner| owner.kind == Owner::KIND)?;
    Some((object.namespace().to_owned(), owner.name.clone()))
}
