//! Watches over HTTP: one line of JSON for each event.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use rand::RngExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::path::ResourcePath;
use super::{ApiRequest, Body, read};
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::selector::Selector;
use crate::store::Object;
use crate::table::{self, TableOptions};
use crate::watch::Watch;

/// Interval of bookmarks, as in Kubernetes.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// Minimum duration of a watch without `timeoutSeconds`, in seconds. The actual duration is random, up to twice as long,
/// so that watches do not end at the same time. From kube-apiserver's `--min-request-timeout`.
const MIN_DURATION: u64 = 1800;

/// State of a watch response between two chunks.
struct EventStream {
    kind: Arc<Kind>,
    watch: Watch,
    initial: VecDeque<Bytes>,
    table: Option<TableOptions>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    done: bool,
}

pub(super) fn watch(request: &ApiRequest, path: &ResourcePath, selector: Selector) -> Result<Response<Body>> {
    let kind = path.kind.clone();
    let collection = request.core.store.collection(&kind.resource());
    let namespace = Some(path.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    let options = read::wants_table(request).then(|| TableOptions::from_request(request));
    let bookmarks = request.query.flag("allowWatchBookmarks");
    let send_initial = request.query.flag("sendInitialEvents");
    if send_initial && request.query.get("resourceVersionMatch") != "NotOlderThan" {
        let message = "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        return Err(ApiError::new(
            422,
            "Invalid",
            format!("ListOptions.meta.k8s.io \"\" is invalid: {message}"),
        ));
    }
    let requested = read::version(request.query.get("resourceVersion"))?;
    let (objects, revision) = collection.list(namespace);
    let mut initial_lines = VecDeque::new();
    let from = match requested {
        Some(requested) if requested > 0 && !send_initial => {
            if requested > revision && requested > request.core.store.revision() {
                return Err(read::too_large(requested, revision));
            }
            requested
        }
        _ => {
            let mut has_columns = false;
            for object in objects.iter().filter(|object| selector.matches(object)) {
                initial_lines.push_back(line("ADDED", &kind, object, options.as_ref(), &mut has_columns));
            }
            if send_initial && bookmarks {
                initial_lines.push_back(bookmark(&kind, revision, true));
            }
            revision
        }
    };
    let seconds = match request.query.number("timeoutSeconds")? {
        Some(seconds) if seconds > 0 => seconds,
        _ => rand::rng().random_range(MIN_DURATION..2 * MIN_DURATION),
    };
    let now = Instant::now();
    let events = EventStream {
        watch: Watch::new(collection, namespace, selector, from),
        kind,
        initial: initial_lines,
        table: options,
        bookmarks,
        next_bookmark: now + BOOKMARK_INTERVAL,
        end: now + Duration::from_secs(seconds.min(24 * 3600)),
        done: false,
    };
    let lines = stream::unfold(events, |mut events| async move {
        let line = events.next().await?;
        Some((Ok(Frame::data(line)), events))
    });
    let mut response = Response::new(StreamBody::new(lines).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

impl EventStream {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(line) = self.initial.pop_front() {
            return Some(line);
        }
        if self.done {
            return None;
        }
        let wake = if self.bookmarks { self.next_bookmark.min(self.end) } else { self.end };
        match tokio::time::timeout_at(wake, self.watch.next()).await {
            Ok(Ok((change, event))) => {
                let plain = self.table.is_none()
                    && event.change == change
                    && event.object["apiVersion"] == self.kind.api_version().as_str();
                if plain {
                    return Some(event.line());
                }
                // An object that no longer matches the selector is sent in its last state, as deleted.
                Some(line(change.event_type(), &self.kind, &event.object, self.table.as_ref(), &mut true))
            }
            Ok(Err(error)) => {
                self.done = true;
                Some(event("ERROR", &error.to_status()))
            }
            Err(_) if Instant::now() >= self.end => None,
            Err(_) => {
                self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
                let revision = self.watch.revision();
                Some(bookmark(&self.kind, revision, false))
            }
        }
    }
}

fn line(
    event_type: &str,
    kind: &Kind,
    object: &Arc<Object>,
    options: Option<&TableOptions>,
    has_columns: &mut bool,
) -> Bytes {
    match options {
        None => crate::store::line(event_type, &read::json_in_version(kind, object)),
        Some(options) => {
            let mut table = table::table(kind, std::slice::from_ref(object), options);
            table["metadata"] = json!({"resourceVersion": object.revision().to_string()});
            // Only the first table of a watch contains the column definitions.
            if std::mem::replace(has_columns, true) {
                table["columnDefinitions"] = Value::Null;
            }
            event(event_type, &table)
        }
    }
}

fn event(event_type: &str, object: &Value) -> Bytes {
    crate::store::line(event_type, object.to_string().as_bytes())
}

fn bookmark(kind: &Kind, revision: u64, end_of_initial: bool) -> Bytes {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if end_of_initial {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    event("BOOKMARK", &json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata}))
}
