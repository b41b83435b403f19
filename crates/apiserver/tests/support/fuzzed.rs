//! Test cases of the fuzz targets `patch` (arbitrary patches of arbitrary objects) and `query` (arbitrary requests).

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use meshy_apiserver::{ListOptions, LocalClient, Options, Patch, Server, WriteOptions};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tower::Service as _;

/// The clock is paused and advances when all tasks wait, so that a watch of an hour takes no time.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
});

/// Input: a line with patch type and resource (`apply deployments.apps`), a line with the object, and a line for each patch.
pub(crate) fn patch(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.lines();
    let Some((patch_type, resource)) = lines.next().and_then(|line| line.split_once(' ')) else { return };
    let Some(Ok(object)) = lines.next().map(serde_json::from_str::<Value>) else { return };
    RUNTIME.block_on(async {
        let client = Server::new(Options::default()).client();
        let namespaced = client.resources().contains(&(resource.to_owned(), true));
        let namespace = if namespaced { "default" } else { "" };
        let Ok(created) =
            client.create(resource, namespace, object, &WriteOptions::with_manager("creator")).await
        else {
            return;
        };
        let name = created.object.key().name;
        for line in lines.take(4) {
            let Ok(patch) = serde_json::from_str::<Value>(line) else { return };
            let (patch, force) = match patch_type {
                "apply" => (Patch::Apply(patch), false),
                "force" => (Patch::Apply(patch), true),
                "json" => (Patch::Json(patch), false),
                "merge" => (Patch::Merge(patch), false),
                "strategic" => (Patch::Strategic(patch), false),
                _ => return,
            };
            let options = WriteOptions { force, ..WriteOptions::with_manager("patcher") };
            check_patch(&client, resource, namespace, &name, &patch, &options).await;
        }
    });
}

/// Applies a patch as a dry run, then stores it, then applies it again, and checks that the results are consistent.
async fn check_patch(
    client: &LocalClient,
    resource: &str,
    namespace: &str,
    name: &str,
    patch: &Patch,
    options: &WriteOptions,
) {
    let Some(before) = client.get(resource, namespace, name) else { return };
    let dry_run_options = WriteOptions { dry_run: true, ..options.clone() };
    let dry_run = client.patch(resource, namespace, name, "", patch, &dry_run_options).await;
    let now = client.get(resource, namespace, name).expect("a dry run does not delete");
    assert_eq!(
        (now.revision(), now.value()),
        (before.revision(), before.value()),
        "a dry run changed the object"
    );

    let written = client.patch(resource, namespace, name, "", patch, options).await;
    assert_eq!(written.is_ok(), dry_run.is_ok(), "{written:?}, but dry run {dry_run:?}");
    let now = client.get(resource, namespace, name);
    let Ok(written) = written else {
        let now = now.expect("a rejected patch does not delete");
        assert_eq!(now.value(), before.value(), "a rejected patch changed the object");
        return;
    };
    for field in ["kind", "apiVersion"] {
        assert_eq!(written.object[field], before[field], "{field} changed");
    }
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        assert_eq!(written.object["metadata"][field], before["metadata"][field], "{field} changed");
    }
    // The patch may have removed the last finalizer of a deleted object.
    let Some(now) = now else { return };
    assert_eq!(now.value(), written.object.value(), "response and stored object differ");
    // All patches but JSON patches are idempotent.
    if !matches!(patch, Patch::Json(_))
        && let Ok(again) = client.patch(resource, namespace, name, "", patch, options).await
    {
        assert_eq!(again.object.value(), now.value(), "the second application changed the object");
    }
}

/// Input: a line with method and path, a line with the media type, and the body. The query is also used as a selector.
pub(crate) fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (head, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (media, body) = rest.split_once('\n').unwrap_or((rest, ""));
    let Some((method, path)) = head.split_once(' ') else { return };
    let request = Request::builder().method(method).uri(path).header("content-type", media);
    let request = request.body(Full::new(Bytes::from(body.to_owned())));
    let query = path.split_once('?').map_or("", |(_, query)| query);
    RUNTIME.block_on(async {
        let server = server_with_pods().await;
        check_selectors(&server.client(), query);
        if let Ok(request) = request {
            check_request(&server, request).await;
        }
    });
}

async fn check_request(server: &Server, request: Request<Full<Bytes>>) {
    let revision = server.revision();
    let is_read = request.method() == http::Method::GET;
    let response = match server.service().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (head, body) = response.into_parts();
    let status = head.status.as_u16();
    // A watch response may be endless; then its body is not checked.
    if let Ok(body) = tokio::time::timeout(Duration::from_secs(7200), body.collect()).await {
        let body = body.expect("a whole body").to_bytes();
        if status >= 400 {
            let response: Value = serde_json::from_slice(&body).expect("a Status");
            assert_eq!(
                (&response["kind"], &response["code"]),
                (&json!("Status"), &json!(status)),
                "{response}"
            );
            assert!(status != 500 || !is_read, "{response}");
        }
    }
    assert!(!is_read || server.revision() == revision, "a read changed the store");
}

/// Checks that a selector that is repeated selects the same pods.
fn check_selectors(client: &LocalClient, text: &str) {
    let repeated = format!("{text},{text}");
    let pods = |labels: &str, fields: &str| {
        let options = ListOptions { labels: labels.to_owned(), fields: fields.to_owned() };
        let list = client.select("pods", "", &options).ok()?;
        Some(list.items.iter().map(|pod| pod.key()).collect::<Vec<_>>())
    };
    if let Some(selected) = pods(text, "") {
        assert_eq!(pods(&repeated, ""), Some(selected), "labels {text}");
    }
    if let Some(selected) = pods("", text) {
        assert_eq!(pods("", &repeated), Some(selected), "fields {text}");
    }
}

async fn server_with_pods() -> Server {
    let server = Server::new(Options::default());
    let client = server.client();
    for (namespace, name, app) in
        [("default", "web-1", "web"), ("default", "db-1", "db"), ("kube-system", "dns-1", "dns")]
    {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": app, "n": "5"}},
            "spec": {"containers": [{"name": "app", "image": "app"}]},
        });
        client.create("pods", namespace, pod, &WriteOptions::default()).await.expect("a pod");
    }
    server
}
