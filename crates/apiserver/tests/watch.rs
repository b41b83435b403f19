//! Watches over HTTP: start revision, bookmarks, end and expiry.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use meshy_apiserver::{Body, DeleteOptions, LocalClient, Options, Server, WriteOptions};
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt as _;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Capacity of the change log of each kind.
const LOG_CAPACITY: usize = 4096;

async fn get(server: &Server, path: &str) -> Response<Body> {
    let request = Request::get(path).body(Full::new(Bytes::new())).expect("a request");
    server.service().oneshot(request).await.expect("a response")
}

/// A running watch of ConfigMaps.
struct Watch(Body);

impl Watch {
    async fn start(server: &Server, options: &str) -> Self {
        let response = get(server, &format!("{MAPS}?watch=true&{options}")).await;
        assert_eq!(response.status(), 200, "{options}");
        Self(response.into_body())
    }

    /// Returns the next event, `None` at the end of the watch. Each event is one chunk.
    async fn next(&mut self) -> Option<Value> {
        let chunk = self.0.frame().await?.expect("a chunk").into_data().expect("data");
        Some(serde_json::from_slice(&chunk).expect("JSON"))
    }

    /// Returns the type of the next event and the name of its object.
    async fn next_change(&mut self) -> (String, String) {
        let event = self.next().await.expect("an event");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

async fn create(client: &LocalClient, name: &str, labels: Value) -> u64 {
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}});
    let created =
        client.create("configmaps", "default", object, &WriteOptions::default()).await.expect("creates");
    created.object.revision()
}

fn change(event_type: &str, name: &str) -> (String, String) {
    (event_type.to_owned(), name.to_owned())
}

#[tokio::test]
async fn watch_starts_after_the_given_resource_version() {
    let server = Server::new(Options::default());
    let client = server.client();
    let first = create(&client, "a", json!({})).await;
    create(&client, "b", json!({})).await;
    client.delete("configmaps", "default", "a", &DeleteOptions::default()).await.expect("deletes");
    let mut watch = Watch::start(&server, &format!("resourceVersion={first}")).await;
    assert_eq!(watch.next_change().await, change("ADDED", "b"));
    assert_eq!(watch.next_change().await, change("DELETED", "a"));
    create(&client, "c", json!({})).await;
    assert_eq!(watch.next_change().await, change("ADDED", "c"));
    // A version in the future is an error.
    let response = get(&server, &format!("{MAPS}?watch=true&resourceVersion=999999")).await;
    assert_eq!(response.status(), 504);
}

#[tokio::test]
async fn object_that_no_longer_matches_the_selector_is_reported_as_deleted() {
    let server = Server::new(Options::default());
    let client = server.client();
    create(&client, "a", json!({"app": "x"})).await;
    let mut watch = Watch::start(&server, "labelSelector=app%3Dx").await;
    assert_eq!(watch.next_change().await, change("ADDED", "a"));
    create(&client, "other", json!({"app": "y"})).await;
    let mut object = client.get("configmaps", "default", "a").expect("exists").value().clone();
    object["metadata"]["labels"]["app"] = "y".into();
    client.update("configmaps", object, &WriteOptions::default()).await.expect("updates");
    assert_eq!(watch.next_change().await, change("DELETED", "a"));
}

#[tokio::test]
async fn initial_events_end_with_an_annotated_bookmark() {
    let server = Server::new(Options::default());
    let client = server.client();
    create(&client, "a", json!({})).await;
    create(&client, "b", json!({})).await;
    let options = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = Watch::start(&server, options).await;
    assert_eq!(watch.next_change().await, change("ADDED", "a"));
    assert_eq!(watch.next_change().await, change("ADDED", "b"));
    let bookmark = watch.next().await.expect("a bookmark");
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(bookmark["object"]["metadata"]["resourceVersion"], server.revision().to_string());
    let rejected = get(&server, &format!("{MAPS}?watch=true&sendInitialEvents=true")).await;
    assert_eq!(rejected.status(), 422);
}

#[tokio::test(start_paused = true)]
async fn idle_watch_gets_a_bookmark_each_minute_and_ends_after_its_timeout() {
    let server = Server::new(Options::default());
    let start = tokio::time::Instant::now();
    let mut watch = Watch::start(&server, "allowWatchBookmarks=true&timeoutSeconds=90").await;
    let bookmark = watch.next().await.expect("a bookmark");
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(
        bookmark["object"]["metadata"]["annotations"],
        Value::Null,
        "only the end of the initial list is annotated"
    );
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!(watch.next().await, None);
    assert!(start.elapsed() < Duration::from_secs(91));
}

#[tokio::test]
async fn watch_from_a_compacted_revision_gets_expired() {
    let server = Server::new(Options::default());
    let client = server.client();
    let first = create(&client, "a", json!({})).await;
    for number in 0..=LOG_CAPACITY {
        let mut object = client.get("configmaps", "default", "a").expect("exists").value().clone();
        object["data"] = json!({"n": number.to_string()});
        client.update("configmaps", object, &WriteOptions::default()).await.expect("updates");
    }
    let mut watch = Watch::start(&server, &format!("resourceVersion={first}")).await;
    let event = watch.next().await.expect("an event");
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)), "{event}");
    assert_eq!(event["object"]["reason"], "Expired");
    assert_eq!(watch.next().await, None);
}
