//! Events: what happened to an object, counted when it happens again, bounded in number.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::{Api, Delete, EVENTS};
use crate::object::{name, namespace, now, text, uid};

/// Events kept; the oldest go first. Kubernetes keeps an hour's.
const KEPT: usize = 4000;

/// What tells one event from another.
type Same = (String, String, String, String);

/// The events written so far.
#[derive(Default)]
pub(super) struct Book(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    written: HashMap<Same, (String, String)>,
    order: VecDeque<Same>,
}

/// What an event is about, and what it says.
pub(super) struct Entry<'a> {
    pub(super) about: &'a Value,
    pub(super) kind: &'a str,
    pub(super) api_version: &'a str,
    pub(super) field: String,
    pub(super) severity: &'a str,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
    pub(super) component: &'a str,
}

impl Book {
    /// Writes an event or counts one up. An event that cannot be written is no reason to fail.
    pub(super) async fn write(&self, api: &Api, entry: Entry<'_>) {
        let same = (
            uid(entry.about).to_owned(),
            entry.reason.to_owned(),
            entry.message.to_owned(),
            entry.field.clone(),
        );
        let inside = match namespace(entry.about) {
            "" => "default",
            inside => inside,
        };
        let known = self.pages().written.get(&same).cloned();
        if let Some((inside, called)) = known {
            let counted = api
                .modify(EVENTS, &inside, &called, |event| {
                    let count = event["count"].as_i64().unwrap_or(1) + 1;
                    event["count"] = json!(count);
                    event["lastTimestamp"] = json!(now());
                    true
                })
                .await;
            if counted.is_ok() {
                return;
            }
        }
        let called = format!("{}.{:016x}", name(entry.about), rand::random::<u64>());
        if let Err(error) = api.create(EVENTS, inside, object(&entry, inside, &called)).await {
            tracing::debug!(reason = entry.reason, %error, "write an event");
            return;
        }
        let oldest = self.remember(same, (inside.to_owned(), called));
        if let Some((inside, called)) = oldest {
            // It may have gone with its namespace.
            let _ = api.delete(EVENTS, &inside, &called, Delete::default()).await;
        }
    }

    fn remember(&self, same: Same, place: (String, String)) -> Option<(String, String)> {
        let mut pages = self.pages();
        if pages.written.insert(same.clone(), place).is_none() {
            pages.order.push_back(same);
        }
        if pages.order.len() <= KEPT {
            return None;
        }
        let oldest = pages.order.pop_front()?;
        pages.written.remove(&oldest)
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn object(entry: &Entry<'_>, inside: &str, called: &str) -> Value {
    let now = now();
    let mut about = json!({
        "kind": entry.kind, "apiVersion": entry.api_version, "name": name(entry.about), "uid": uid(entry.about),
        "resourceVersion": text(entry.about, "/metadata/resourceVersion"),
    });
    for (field, value) in [("namespace", namespace(entry.about)), ("fieldPath", entry.field.as_str())] {
        if !value.is_empty() {
            about[field] = json!(value);
        }
    }
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": { "name": called, "namespace": inside },
        "involvedObject": about,
        "type": entry.severity, "reason": entry.reason, "message": entry.message,
        "source": { "component": entry.component }, "reportingComponent": entry.component, "reportingInstance": "",
        "count": 1, "firstTimestamp": now, "lastTimestamp": now,
    })
}
