//! Events: reports about an object, counted when they repeat, limited in number.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::{Api, ApiError, Deletion, Typed};
use crate::object::now;

/// The number of events that are kept; the oldest are deleted first. Kubernetes keeps the events of one hour.
const MAX_EVENTS: usize = 4000;

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EventType {
    Normal,
    Warning,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// The component that reports an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Component {
    DeploymentController,
    Kubelet,
    ProxyInjector,
    ReplicaSetController,
    Scheduler,
}

impl Component {
    fn as_str(self) -> &'static str {
        match self {
            Self::DeploymentController => "deployment-controller",
            Self::Kubelet => "kubelet",
            Self::ProxyInjector => "linkerd-proxy-injector",
            Self::ReplicaSetController => "replicaset-controller",
            Self::Scheduler => "default-scheduler",
        }
    }
}

/// Events with the same key are counted as one event: uid of the object, field, reason and message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct EventKey {
    uid: Option<String>,
    field_path: Option<String>,
    reason: String,
    message: String,
}

/// Where an event is stored.
#[derive(Clone, Debug)]
struct StoredEvent {
    namespace: String,
    name: String,
}

/// The events recorded so far, oldest first.
#[derive(Default)]
struct Recorded {
    by_key: HashMap<EventKey, StoredEvent>,
    order: VecDeque<EventKey>,
}

/// Records events in the API. Cheap to clone.
#[derive(Clone)]
pub(crate) struct EventRecorder {
    api: Api,
    recorded: Arc<Mutex<Recorded>>,
}

impl EventRecorder {
    pub(crate) fn new(api: Api) -> Self {
        Self { api, recorded: Arc::default() }
    }

    /// Records an event about an object. A failure to store it is logged only.
    pub(crate) async fn record<K: Typed>(
        &self,
        object: &K,
        type_: EventType,
        reason: &str,
        message: &str,
        component: Component,
    ) {
        // Boxed: each worker of a pod would otherwise reserve space for an Event.
        Box::pin(self.store(reference(object), type_, reason, message, component)).await;
    }

    /// Records an event about a container of a pod; `field_path` is `spec.containers{NAME}`, for example.
    pub(crate) async fn record_container(
        &self,
        pod: &Pod,
        field_path: String,
        type_: EventType,
        reason: &str,
        message: &str,
    ) {
        let object = ObjectReference { field_path: Some(field_path), ..reference(pod) };
        Box::pin(self.store(object, type_, reason, message, Component::Kubelet)).await;
    }

    /// Deletes the events with these reasons about a container of a pod.
    pub(crate) async fn delete_container(&self, pod: &Pod, field_path: &str, reasons: &[&str]) {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        for event in self.api.list::<Event>(Some(namespace)) {
            let object = &event.involved_object;
            let is_meant = object.uid == pod.metadata.uid
                && object.field_path.as_deref() == Some(field_path)
                && event.reason.as_deref().is_some_and(|reason| reasons.contains(&reason));
            if let (true, Some(name)) = (is_meant, &event.metadata.name) {
                // It does not exist any more if its namespace was deleted.
                let _ = self.api.delete::<Event>(namespace, name, Deletion::default()).await;
            }
        }
    }

    async fn store(
        &self,
        object: ObjectReference,
        type_: EventType,
        reason: &str,
        message: &str,
        component: Component,
    ) {
        let key = EventKey {
            uid: object.uid.clone(),
            field_path: object.field_path.clone(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        let stored = self.lock().by_key.get(&key).cloned();
        if let Some(stored) = stored
            && self.count(&stored).await.is_ok()
        {
            return;
        }
        let event = event(object, type_, reason, message, component);
        let stored = StoredEvent {
            namespace: event.metadata.namespace.clone().unwrap_or_default(),
            name: event.metadata.name.clone().unwrap_or_default(),
        };
        if let Err(error) = self.api.create_unread(&event).await {
            tracing::debug!(reason, %error, "cannot store the event");
            return;
        }
        if let Some(oldest) = self.remember(key, stored) {
            // It does not exist any more if its namespace was deleted.
            let _ = self.api.delete::<Event>(&oldest.namespace, &oldest.name, Deletion::default()).await;
        }
    }

    async fn count(&self, stored: &StoredEvent) -> Result<(), ApiError> {
        let count = |event: &mut Event| {
            event.count = Some(event.count.unwrap_or(1) + 1);
            event.last_timestamp = Some(now());
        };
        self.api.modify(&stored.namespace, &stored.name, count).await.map(drop)
    }

    /// Adds an event and returns the oldest one if there are too many.
    fn remember(&self, key: EventKey, stored: StoredEvent) -> Option<StoredEvent> {
        let mut recorded = self.lock();
        if recorded.by_key.insert(key.clone(), stored).is_none() {
            recorded.order.push_back(key);
        }
        if recorded.order.len() <= MAX_EVENTS {
            return None;
        }
        let oldest = recorded.order.pop_front()?;
        recorded.by_key.remove(&oldest)
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn event(
    object: ObjectReference,
    type_: EventType,
    reason: &str,
    message: &str,
    component: Component,
) -> Event {
    let name = format!("{}.{:016x}", object.name.as_deref().unwrap_or_default(), rand::random::<u64>());
    let component = component.as_str().to_owned();
    Event {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(object.namespace.clone().unwrap_or_else(|| "default".to_owned())),
            ..ObjectMeta::default()
        },
        involved_object: object,
        type_: Some(type_.as_str().to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        source: Some(EventSource { component: Some(component.clone()), host: None }),
        reporting_component: Some(component),
        reporting_instance: Some(String::new()),
        count: Some(1),
        first_timestamp: Some(now()),
        last_timestamp: Some(now()),
        ..Event::default()
    }
}

fn reference<K: Typed>(object: &K) -> ObjectReference {
    let meta = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.to_owned()),
        kind: Some(K::KIND.to_owned()),
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        field_path: None,
    }
}
