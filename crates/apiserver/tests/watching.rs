//! Watches as they go over the wire: from where they begin, what they say between changes, when they give up.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use meshy_apiserver::{Body, DeleteOptions, Local, Options, Server, WriteOptions};
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt as _;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// What each kind remembers of its changes.
const REMEMBERED: usize = 4096;

async fn get(server: &Server, path: &str) -> Response<Body> {
    let request = Request::get(path).body(Full::new(Bytes::new())).expect("a request");
    server.service().oneshot(request).await.expect("an answer")
}

/// A watch of ConfigMaps that is under way.
struct Watch(Body);

impl Watch {
    async fn start(server: &Server, options: &str) -> Self {
        let answer = get(server, &format!("{MAPS}?watch=true&{options}")).await;
        assert_eq!(answer.status(), 200, "{options}");
        Self(answer.into_body())
    }

    /// The next event; none at the watch's end. Each event is a chunk of its own.
    async fn next(&mut self) -> Option<Value> {
        let chunk = self.0.frame().await?.expect("a chunk").into_data().expect("data");
        Some(serde_json::from_slice(&chunk).expect("JSON"))
    }

    /// The next event as its type and its object's name.
    async fn word(&mut self) -> (String, String) {
        let event = self.next().await.expect("an event");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

async fn make(store: &Local, name: &str, labels: Value) -> u64 {
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}});
    let made =
        store.create("configmaps", "default", object, &WriteOptions::default()).await.expect("creates");
    made.object.revision()
}

fn said(word: &str, name: &str) -> (String, String) {
    (word.to_owned(), name.to_owned())
}

#[tokio::test]
async fn a_watch_goes_on_after_the_version_it_is_given() {
    let server = Server::new(Options::default());
    let store = server.store();
    let first = make(&store, "a", json!({})).await;
    make(&store, "b", json!({})).await;
    store.delete("configmaps", "default", "a", &DeleteOptions::default()).await.expect("deletes");
    let mut watch = Watch::start(&server, &format!("resourceVersion={first}")).await;
    assert_eq!(watch.word().await, said("ADDED", "b"));
    assert_eq!(watch.word().await, said("DELETED", "a"));
    make(&store, "c", json!({})).await;
    assert_eq!(watch.word().await, said("ADDED", "c"));
    // A version that was never given out is an error and no wait.
    let answer = get(&server, &format!("{MAPS}?watch=true&resourceVersion=999999")).await;
    assert_eq!(answer.status(), 504);
}

#[tokio::test]
async fn what_leaves_a_selector_is_told_as_deleted() {
    let server = Server::new(Options::default());
    let store = server.store();
    make(&store, "a", json!({"app": "x"})).await;
    let mut watch = Watch::start(&server, "labelSelector=app%3Dx").await;
    assert_eq!(watch.word().await, said("ADDED", "a"));
    make(&store, "other", json!({"app": "y"})).await;
    let mut object = store.get("configmaps", "default", "a").expect("is there").value().clone();
    object["metadata"]["labels"]["app"] = "y".into();
    store.update("configmaps", object, &WriteOptions::default()).await.expect("updates");
    assert_eq!(watch.word().await, said("DELETED", "a"));
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark_that_says_so() {
    let server = Server::new(Options::default());
    let store = server.store();
    make(&store, "a", json!({})).await;
    make(&store, "b", json!({})).await;
    let options = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = Watch::start(&server, options).await;
    assert_eq!(watch.word().await, said("ADDED", "a"));
    assert_eq!(watch.word().await, said("ADDED", "b"));
    let mark = watch.next().await.expect("a bookmark");
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(mark["object"]["metadata"]["resourceVersion"], server.revision().to_string());
    let refused = get(&server, &format!("{MAPS}?watch=true&sendInitialEvents=true")).await;
    assert_eq!(refused.status(), 422);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_gets_a_bookmark_a_minute_and_ends_at_its_time() {
    let server = Server::new(Options::default());
    let begun = tokio::time::Instant::now();
    let mut watch = Watch::start(&server, "allowWatchBookmarks=true&timeoutSeconds=90").await;
    let mark = watch.next().await.expect("a bookmark");
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(mark["object"]["metadata"]["annotations"], Value::Null, "only the first list's end is marked");
    assert_eq!(begun.elapsed().as_secs(), 60);
    assert_eq!(watch.next().await, None);
    assert!(begun.elapsed() < Duration::from_secs(91));
}

#[tokio::test]
async fn a_watch_from_before_what_is_remembered_is_told_that_it_is_gone() {
    let server = Server::new(Options::default());
    let store = server.store();
    let first = make(&store, "a", json!({})).await;
    for number in 0..=REMEMBERED {
        let mut object = store.get("configmaps", "default", "a").expect("is there").value().clone();
        object["data"] = json!({"n": number.to_string()});
        store.update("configmaps", object, &WriteOptions::default()).await.expect("updates");
    }
    let mut watch = Watch::start(&server, &format!("resourceVersion={first}")).await;
    let event = watch.next().await.expect("an event");
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)), "{event}");
    assert_eq!(event["object"]["reason"], "Expired");
    assert_eq!(watch.next().await, None);
}
