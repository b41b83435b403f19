//! Any patches of any object, and any request: the cases of the fuzz targets `patch` and `query`.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use meshy_apiserver::{ListOptions, Local, Options, Patch, Server, WriteOptions};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tower::Service as _;

/// Time stands still but where all wait: a watch of an hour takes none.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
});

/// A line with the form and the resource (`apply deployments.apps`), a line with the object, and a line for each patch.
pub(crate) fn patch(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.lines();
    let Some((form, resource)) = lines.next().and_then(|line| line.split_once(' ')) else { return };
    let Some(Ok(object)) = lines.next().map(serde_json::from_str::<Value>) else { return };
    RUNTIME.block_on(async {
        let store = Server::new(Options::default()).store();
        let namespaced = store.resources().contains(&(resource.to_owned(), true));
        let namespace = if namespaced { "default" } else { "" };
        let Ok(made) = store.create(resource, namespace, object, &WriteOptions::by("maker")).await else {
            return;
        };
        let name = made.object.key().name;
        for line in lines.take(4) {
            let Ok(patch) = serde_json::from_str::<Value>(line) else { return };
            let (patch, force) = match form {
                "apply" => (Patch::Apply(patch), false),
                "force" => (Patch::Apply(patch), true),
                "json" => (Patch::Json(patch), false),
                "merge" => (Patch::Merge(patch), false),
                "strategic" => (Patch::Strategic(patch), false),
                _ => return,
            };
            let options = WriteOptions { force, ..WriteOptions::by("patcher") };
            one(&store, resource, namespace, &name, &patch, &options).await;
        }
    });
}

async fn one(
    store: &Local,
    resource: &str,
    namespace: &str,
    name: &str,
    patch: &Patch,
    options: &WriteOptions,
) {
    let Some(before) = store.get(resource, namespace, name) else { return };
    let dry = WriteOptions { dry_run: true, ..options.clone() };
    let tried = store.patch(resource, namespace, name, "", patch, &dry).await;
    let now = store.get(resource, namespace, name).expect("a dry run deletes nothing");
    assert_eq!((now.revision(), now.value()), (before.revision(), before.value()), "a dry run wrote");

    let written = store.patch(resource, namespace, name, "", patch, options).await;
    assert_eq!(written.is_ok(), tried.is_ok(), "{written:?} where the dry run was {tried:?}");
    let now = store.get(resource, namespace, name);
    let Ok(written) = written else {
        let now = now.expect("a refused patch deletes nothing");
        assert_eq!(now.value(), before.value(), "a refused patch wrote");
        return;
    };
    for same in ["kind", "apiVersion"] {
        assert_eq!(written.object[same], before[same], "it became something else");
    }
    for same in ["name", "namespace", "uid", "creationTimestamp"] {
        assert_eq!(written.object["metadata"][same], before["metadata"][same], "{same}");
    }
    // It may have been waiting for its last finalizer.
    let Some(now) = now else { return };
    assert_eq!(now.value(), written.object.value(), "what was answered is not what is stored");
    // All forms but JSON patch say how it shall be: saying so again changes nothing.
    if !matches!(patch, Patch::Json(_))
        && let Ok(again) = store.patch(resource, namespace, name, "", patch, options).await
    {
        assert_eq!(again.object.value(), now.value(), "a second time changes something");
    }
}

/// A line with method and path, a line with the media type, and the body. The query is tried as a selector too.
pub(crate) fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (head, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (media, body) = rest.split_once('\n').unwrap_or((rest, ""));
    let Some((method, path)) = head.split_once(' ') else { return };
    let request = Request::builder().method(method).uri(path).header("content-type", media);
    let request = request.body(Full::new(Bytes::from(body.to_owned())));
    let query = path.split_once('?').map_or("", |(_, query)| query);
    RUNTIME.block_on(async {
        let server = inhabited().await;
        selectors(&server.store(), query);
        if let Ok(request) = request {
            ask(&server, request).await;
        }
    });
}

async fn ask(server: &Server, request: Request<Full<Bytes>>) {
    let revision = server.revision();
    let reads = request.method() == http::Method::GET;
    let answer = match server.service().call(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let (head, body) = answer.into_parts();
    let status = head.status.as_u16();
    // A watch may go on for ever; what it has said by then is fine.
    if let Ok(body) = tokio::time::timeout(Duration::from_secs(7200), body.collect()).await {
        let body = body.expect("a whole body").to_bytes();
        if status >= 400 {
            let told: Value = serde_json::from_slice(&body).expect("a Status");
            assert_eq!((&told["kind"], &told["code"]), (&json!("Status"), &json!(status)), "{told}");
            assert!(status != 500 || !reads, "{told}");
        }
    }
    assert!(!reads || server.revision() == revision, "a read wrote");
}

/// The query as a selector: asking for the same twice over picks the same.
fn selectors(store: &Local, text: &str) {
    let twice = format!("{text},{text}");
    let pods = |labels: &str, fields: &str| {
        let options = ListOptions { labels: labels.to_owned(), fields: fields.to_owned() };
        let list = store.select("pods", "", &options).ok()?;
        Some(list.items.iter().map(|pod| pod.key()).collect::<Vec<_>>())
    };
    if let Some(picked) = pods(text, "") {
        assert_eq!(pods(&twice, ""), Some(picked), "labels {text}");
    }
    if let Some(picked) = pods("", text) {
        assert_eq!(pods("", &twice), Some(picked), "fields {text}");
    }
}

async fn inhabited() -> Server {
    let server = Server::new(Options::default());
    let store = server.store();
    for (namespace, name, app) in
        [("default", "web-1", "web"), ("default", "db-1", "db"), ("kube-system", "dns-1", "dns")]
    {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": app, "n": "5"}},
            "spec": {"containers": [{"name": "app", "image": "app"}]},
        });
        store.create("pods", namespace, pod, &WriteOptions::default()).await.expect("a pod");
    }
    server
}
