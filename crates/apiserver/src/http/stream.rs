//! Watches over HTTP: a line of JSON an event.

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

use super::path::Target;
use super::{Body, Call, read};
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::selector::Selector;
use crate::store::Object;
use crate::table;
use crate::watch::Watch;

/// A client that asks for bookmarks gets one a minute, as in Kubernetes.
const BOOKMARKS: Duration = Duration::from_secs(60);
/// A watch without a time of its own lasts 30 to 60 minutes, so that not all end at once.
const SHORTEST: u64 = 1800;

/// A watch's state between two chunks.
struct Running {
    kind: Arc<Kind>,
    watch: Watch,
    first: VecDeque<Bytes>,
    table: Option<table::Form>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    over: bool,
}

pub(super) fn watch(call: &Call, target: &Target, selector: Selector) -> Result<Response<Body>> {
    let kind = target.kind.clone();
    let collection = call.core.store.collection(&kind.resource());
    let namespace = Some(target.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    let form = read::wants_table(call).then(|| table::Form::of(call));
    let bookmarks = call.query.flag("allowWatchBookmarks");
    let initial = call.query.flag("sendInitialEvents");
    if initial && call.query.get("resourceVersionMatch") != "NotOlderThan" {
        let message = "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        return Err(ApiError::new(
            422,
            "Invalid",
            format!("ListOptions.meta.k8s.io \"\" is invalid: {message}"),
        ));
    }
    let asked = read::version(call.query.get("resourceVersion"))?;
    let (objects, revision) = collection.list(namespace);
    let mut first = VecDeque::new();
    let from = match asked {
        Some(asked) if asked > 0 && !initial => {
            if asked > revision && asked > call.core.store.revision() {
                return Err(read::too_large(asked, revision));
            }
            asked
        }
        _ => {
            let mut headed = false;
            for object in objects.iter().filter(|object| selector.matches(object)) {
                first.push_back(line("ADDED", &kind, object, form.as_ref(), &mut headed));
            }
            if initial && bookmarks {
                first.push_back(bookmark(&kind, revision, true));
            }
            revision
        }
    };
    let seconds = match call.query.number("timeoutSeconds")? {
        Some(seconds) if seconds > 0 => seconds,
        _ => rand::rng().random_range(SHORTEST..2 * SHORTEST),
    };
    let now = Instant::now();
    let running = Running {
        watch: Watch::new(collection, namespace, selector, from),
        kind,
        first,
        table: form,
        bookmarks,
        next_bookmark: now + BOOKMARKS,
        end: now + Duration::from_secs(seconds.min(24 * 3600)),
        over: false,
    };
    let lines = stream::unfold(running, |mut running| async move {
        let line = running.next().await?;
        Some((Ok(Frame::data(line)), running))
    });
    let mut response = Response::new(StreamBody::new(lines).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

impl Running {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(line) = self.first.pop_front() {
            return Some(line);
        }
        if self.over {
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
                // What a selector no longer picks is shown as it last was, under the new version.
                Some(line(change.word(), &self.kind, &event.object, self.table.as_ref(), &mut true))
            }
            Ok(Err(error)) => {
                self.over = true;
                Some(event("ERROR", &error.to_status()))
            }
            Err(_) if Instant::now() >= self.end => None,
            Err(_) => {
                self.next_bookmark = Instant::now() + BOOKMARKS;
                let revision = self.watch.revision();
                Some(bookmark(&self.kind, revision, false))
            }
        }
    }
}

fn line(
    word: &str,
    kind: &Kind,
    object: &Arc<Object>,
    form: Option<&table::Form>,
    headed: &mut bool,
) -> Bytes {
    match form {
        None => crate::store::line(word, &read::bytes_of(kind, object)),
        Some(form) => {
            let mut table = table::table(kind, std::slice::from_ref(object), form);
            table["metadata"] = json!({"resourceVersion": object.revision().to_string()});
            // Only the first table of a watch carries its columns.
            if std::mem::replace(headed, true) {
                table["columnDefinitions"] = Value::Null;
            }
            event(word, &table)
        }
    }
}

fn event(word: &str, object: &Value) -> Bytes {
    crate::store::line(word, object.to_string().as_bytes())
}

fn bookmark(kind: &Kind, revision: u64, end_of_initial: bool) -> Bytes {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if end_of_initial {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    event("BOOKMARK", &json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata}))
}
