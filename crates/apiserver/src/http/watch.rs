//! Watch requests: one line of JSON for each event.

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

use super::accept::Form;
use super::path::ResourcePath;
use super::representation::{self, json_in_version, metadata};
use super::request::ApiRequest;
use super::response::Body;
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::selector::Selector;
use crate::store::{Collection, Object, line};
use crate::table::table;
use crate::watch::Watch;

/// Interval of bookmarks, as in Kubernetes.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// Minimum duration of a watch without `timeoutSeconds`, in seconds. The actual duration is random, up to twice as long,
/// so that watches do not end at the same time. From kube-apiserver's `--min-request-timeout`.
const MIN_DURATION: u64 = 1800;
/// Maximum duration of a watch in seconds.
const MAX_DURATION: u64 = 24 * 3600;

/// State of a watch response between two chunks.
struct EventStream {
    kind: Arc<Kind>,
    watch: Watch,
    /// Lines of the initial list.
    initial: VecDeque<Bytes>,
    form: Form,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    done: bool,
}

/// Returns a stream with the changes of a collection or an object.
pub(super) fn watch(request: &ApiRequest, path: &ResourcePath) -> Result<Response<Body>> {
    let kind = path.kind.clone();
    let selector = match path.name.as_str() {
        "" => request.selector(&kind)?,
        name => Selector::parse(&kind, "", &format!("metadata.name={name}"))?,
    };
    let collection = request.state.store.collection(&kind.collection());
    let form = request.form(false)?;
    let (initial, from) = start(request, path, &collection, &selector, &form)?;
    let seconds = match request.query.number("timeoutSeconds")? {
        Some(seconds) if seconds > 0 => seconds,
        _ => rand::rng().random_range(MIN_DURATION..2 * MIN_DURATION),
    };
    let now = Instant::now();
    let events = EventStream {
        watch: Watch::new(collection, path.selected_namespace(), selector, from),
        kind,
        initial,
        form,
        bookmarks: request.query.flag("allowWatchBookmarks"),
        next_bookmark: now + BOOKMARK_INTERVAL,
        end: now + Duration::from_secs(seconds.min(MAX_DURATION)),
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

/// Returns the lines of the initial list (none if the client starts at a resource version), and the revision after which
/// the watch starts.
fn start(
    request: &ApiRequest,
    path: &ResourcePath,
    collection: &Collection,
    selector: &Selector,
    form: &Form,
) -> Result<(VecDeque<Bytes>, u64)> {
    let send_initial = request.query.flag("sendInitialEvents");
    if send_initial && request.query.get("resourceVersionMatch") != "NotOlderThan" {
        let message = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires \
                       setting resourceVersionMatch to NotOlderThan";
        return Err(ApiError::new(422, "Invalid", message));
    }
    let requested = request.query.resource_version()?.filter(|requested| *requested > 0 && !send_initial);
    let (objects, revision) = collection.list(path.selected_namespace());
    if let Some(requested) = requested {
        if requested > revision && requested > request.state.store.revision() {
            return Err(ApiError::resource_version_too_large(requested, revision));
        }
        return Ok((VecDeque::new(), requested));
    }
    let selected = objects.iter().filter(|object| selector.matches(object)).enumerate();
    let mut lines: VecDeque<Bytes> =
        selected.map(|(index, object)| object_line("ADDED", &path.kind, object, form, index == 0)).collect();
    if send_initial && request.query.flag("allowWatchBookmarks") {
        lines.push_back(bookmark(&path.kind, form, revision, true));
    }
    Ok((lines, revision))
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
                let is_unchanged = matches!(self.form, Form::Objects)
                    && event.change == change
                    && event.object["apiVersion"] == self.kind.api_version().as_str();
                if is_unchanged {
                    return Some(event.line());
                }
                // An object that no longer matches the selector is sent in its last state, as deleted.
                Some(object_line(change.event_type(), &self.kind, &event.object, &self.form, false))
            }
            Ok(Err(error)) => {
                self.done = true;
                Some(value_line("ERROR", &error.to_status()))
            }
            Err(_) if Instant::now() >= self.end => None,
            Err(_) => {
                self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
                Some(bookmark(&self.kind, &self.form, self.watch.revision(), false))
            }
        }
    }
}

/// Returns the line of an object in a form. Only the first table of a watch contains the column definitions.
fn object_line(
    event_type: &str,
    kind: &Kind,
    object: &Arc<Object>,
    form: &Form,
    with_columns: bool,
) -> Bytes {
    let options = match form {
        Form::Objects => return line(event_type, &json_in_version(kind, object)),
        Form::Metadata(version) => return value_line(event_type, &metadata(version, object)),
        Form::Table(options) => options,
    };
    let mut table = table(kind, std::slice::from_ref(object), options);
    table["metadata"] = json!({"resourceVersion": object.revision().to_string()});
    if !with_columns {
        table["columnDefinitions"] = Value::Null;
    }
    value_line(event_type, &table)
}

fn value_line(event_type: &str, object: &Value) -> Bytes {
    line(event_type, object.to_string().as_bytes())
}

fn bookmark(kind: &Kind, form: &Form, revision: u64, end_of_initial: bool) -> Bytes {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if end_of_initial {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let object = json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata});
    match form {
        Form::Metadata(version) => value_line("BOOKMARK", &representation::metadata(version, &object)),
        Form::Objects | Form::Table(_) => value_line("BOOKMARK", &object),
    }
}
