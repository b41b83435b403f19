//! The API through kube-rs without a socket, over HTTPS, and through the in-process client.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use meshy_apiserver::{
    Admission, AdmissionRequest, ApiError, CertificateAuthority, DeleteOptions, LogOptions, Options,
    PodBackend, Server, WriteOptions, kubeconfig,
};
use meshy_net::{BoxFuture, BoxIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Timeout that is also sufficient on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(20);

fn client(server: &Server) -> kube::Client {
    kube::Client::new(server.service(), "default")
}

fn map(name: &str, data: Value) -> ConfigMap {
    serde_json::from_value(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}),
    )
    .expect("a ConfigMap")
}

#[tokio::test]
async fn kube_rs_watcher_receives_existing_and_changed_objects() {
    let server = Server::new(Options::default());
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server));
    maps.create(&PostParams::default(), &map("a", json!({"x": "1"}))).await.expect("creates");
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let mut events = watcher(maps.clone(), config).default_backoff().applied_objects().boxed();
        let next = async |events: &mut futures::stream::BoxStream<'_, watcher::Result<ConfigMap>>| {
            tokio::time::timeout(TIMEOUT, events.next())
                .await
                .expect("in time")
                .expect("a stream")
                .expect("an object")
        };
        assert_eq!(next(&mut events).await.metadata.name.as_deref(), Some("a"));
        let patch = json!({"data": {"y": rand::random::<u32>().to_string()}});
        maps.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("patches");
        assert!(next(&mut events).await.data.expect("data").contains_key("y"));
    }
}

#[tokio::test]
async fn unchanged_apply_keeps_the_resource_version_and_conflicts_name_the_manager() {
    let server = Server::new(Options::default());
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server));
    let config = map("a", json!({"x": "1"}));
    let first = maps.patch("a", &PatchParams::apply("one"), &Patch::Apply(&config)).await.expect("applies");
    let second = maps.patch("a", &PatchParams::apply("one"), &Patch::Apply(&config)).await.expect("applies");
    assert_eq!(first.metadata.resource_version, second.metadata.resource_version);
    let other = map("a", json!({"x": "2"}));
    let error =
        maps.patch("a", &PatchParams::apply("two"), &Patch::Apply(&other)).await.expect_err("conflicts");
    assert!(error.to_string().contains("conflict with \"one\": .data.x"), "{error}");
    let forced = PatchParams::apply("two").force();
    let applied = maps.patch("a", &forced, &Patch::Apply(&other)).await.expect("applies");
    assert_eq!(applied.data.expect("data")["x"], "2");
}

#[tokio::test]
async fn list_pages_are_consistent_during_concurrent_writes() {
    let server = Server::new(Options::default());
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server));
    for number in 0..30 {
        maps.create(&PostParams::default(), &map(&format!("m{number:02}"), json!({})))
            .await
            .expect("creates");
    }
    let mut params = ListParams::default().limit(7);
    let mut names = Vec::new();
    loop {
        let page = maps.list(&params).await.expect("a page");
        names.extend(page.items.into_iter().filter_map(|object| object.metadata.name));
        maps.delete(&format!("m{:02}", names.len() % 30), &DeleteParams::default()).await.ok();
        maps.create(&PostParams::default(), &map(&format!("n{}", names.len()), json!({})))
            .await
            .expect("creates");
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    let expected: Vec<String> = (0..30).map(|number| format!("m{number:02}")).collect();
    assert_eq!(names, expected);
}

fn definition() -> Value {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer", "minimum": 1}, "mode": {"type": "string", "default": "plain", "enum": ["plain", "odd"]},
        "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {
            "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}}},
    }}}});
    let version = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "boxes.example.io"},
        "spec": {"group": "example.io", "scope": "Namespaced", "names": {"plural": "boxes", "kind": "Box"},
            "versions": [version("v1", true), version("v1beta1", false)]},
    })
}

#[tokio::test]
async fn custom_resources_get_defaults_pruning_and_validation() {
    let server = Server::new(Options::default());
    let local = server.client();
    local
        .create(
            "customresourcedefinitions.apiextensions.k8s.io",
            "",
            definition(),
            &WriteOptions::with_manager("t"),
        )
        .await
        .expect("creates the definition");
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.io", "v1", "Box"), "boxes");
    let boxes: Api<DynamicObject> = Api::default_namespaced_with(client(&server), &resource);
    let object = |spec: Value| -> DynamicObject {
        serde_json::from_value(
            json!({"apiVersion": "example.io/v1", "kind": "Box", "metadata": {"name": "b"}, "spec": spec}),
        )
        .expect("a box")
    };
    let error =
        boxes.create(&PostParams::default(), &object(json!({"size": 0}))).await.expect_err("too small");
    assert!(error.to_string().contains("should be greater than or equal to 1"), "{error}");
    let created =
        boxes.create(&PostParams::default(), &object(json!({"size": 2, "junk": 1}))).await.expect("creates");
    assert_eq!(created.data["spec"], json!({"size": 2, "mode": "plain"}));
    // The same object is served in the other version.
    let old =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.io", "v1beta1", "Box"), "boxes");
    let found =
        Api::<DynamicObject>::default_namespaced_with(client(&server), &old).get("b").await.expect("exists");
    assert_eq!(found.types.expect("types").api_version, "example.io/v1beta1");
    // Lists are merged by the keys in the definition.
    for (manager, part) in [("one", "x"), ("two", "y")] {
        let config = object(json!({"parts": [{"name": part, "n": 1}]}));
        boxes.patch("b", &PatchParams::apply(manager), &Patch::Apply(&config)).await.expect("applies");
    }
    let both = boxes.get("b").await.expect("exists");
    assert_eq!(both.data["spec"]["parts"], json!([{"name": "x", "n": 1}, {"name": "y", "n": 1}]));
}

/// The messages are those of kube-apiserver 1.36.3.
#[tokio::test]
async fn schema_violations_have_the_messages_of_kube_apiserver() {
    let local = Server::new(Options::default()).client();
    let mut definition = definition();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = json!({"type": "object", "properties": {"spec": {
        "type": "object", "properties": {
            "p": {"type": "string", "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"},
            "t": {"type": "string", "format": "date-time"}, "i": {"type": "integer", "format": "int32"},
            "m": {"type": "integer", "multipleOf": 3}, "x": {"type": "integer", "exclusiveMinimum": true, "minimum": 3},
            "u": {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}},
    }}}});
    let options = WriteOptions::default();
    let defined = "customresourcedefinitions.apiextensions.k8s.io";
    local.create(defined, "", definition, &options).await.expect("creates the definition");
    let create = async |name: &str, spec: Value| {
        let object =
            json!({"apiVersion": "example.io/v1", "kind": "Box", "metadata": {"name": name}, "spec": spec});
        local.create("boxes.example.io", "default", object, &options).await
    };
    let good = json!({"p": "10s5ms", "t": "2026-11-23T00:00:00Z", "i": 3, "m": 9, "x": 4, "u": {"a": "1"}});
    create("good", good).await.expect("creates");
    let bad = json!({"p": "10 s", "t": "yesterday", "i": 3_000_000_000_u64, "m": 4, "x": 3, "u": {"a": "1", "b": "2"}});
    let error = create("bad", bad).await.expect_err("six invalid fields");
    let text = error.to_status().to_string();
    for message in [
        "spec.x in body should be greater than 3",
        "Checked value must be of type integer with format int32 in spec.i",
        "spec.m in body should be a multiple of 3",
        "spec.p in body should match '^([0-9]{1,5}(h|m|s|ms)){1,4}$'",
        "spec.t in body must be of type date-time",
        "Too many: 2: must have at most 1 item",
    ] {
        assert!(text.contains(message), "{message}: {text}");
    }
}

#[tokio::test]
async fn restored_server_has_all_objects_and_expires_old_watches() {
    let server = Server::new(Options::default());
    let local = server.client();
    local
        .create(
            "customresourcedefinitions.apiextensions.k8s.io",
            "",
            definition(),
            &WriteOptions::with_manager("t"),
        )
        .await
        .expect("creates the definition");
    let object =
        json!({"apiVersion": "example.io/v1", "kind": "Box", "metadata": {"name": "b"}, "spec": {"size": 1}});
    let created = local
        .create("boxes.example.io", "default", object, &WriteOptions::with_manager("t"))
        .await
        .expect("creates")
        .object;
    let restored = Server::restore(Options::default(), &server.snapshot()).expect("restores");
    let found = restored.client().get("boxes.example.io", "default", "b").expect("exists");
    assert_eq!(found.value(), created.value());
    assert_eq!(restored.revision(), server.revision());
    let error = restored.client().watch("boxes.example.io", "", 1).next().await.expect_err("too old");
    assert_eq!(error.code, 410);
    assert!(Server::restore(Options::default(), b"{}").is_err());
}

struct AnnotatingHook;

impl Admission for AnnotatingHook {
    fn mutate<'a>(
        &'a self,
        request: &'a AdmissionRequest,
        object: &'a mut Value,
    ) -> BoxFuture<'a, meshy_apiserver::Result<()>> {
        Box::pin(async move {
            if request.resource == "configmaps" {
                object["metadata"]["annotations"]["hook"] = "yes".into();
            }
            Ok(())
        })
    }

    fn validate<'a>(
        &'a self,
        _: &'a AdmissionRequest,
        object: &'a Value,
    ) -> BoxFuture<'a, meshy_apiserver::Result<()>> {
        Box::pin(async move {
            match object["data"]["reject"].is_string() {
                true => Err(ApiError::new(403, "Forbidden", "rejected by a hook")),
                false => Ok(()),
            }
        })
    }
}

#[tokio::test]
async fn admission_hook_changes_and_rejects_writes() {
    let admission: Vec<Arc<dyn Admission>> = vec![Arc::new(AnnotatingHook)];
    let server = Server::new(Options { admission, ..Options::default() });
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server));
    let created = maps.create(&PostParams::default(), &map("a", json!({}))).await.expect("creates");
    assert_eq!(created.metadata.annotations.expect("annotations")["hook"], "yes");
    let error =
        maps.create(&PostParams::default(), &map("b", json!({"reject": ""}))).await.expect_err("rejected");
    assert!(error.to_string().contains("rejected by a hook"), "{error}");
}

struct EchoPods;

impl PodBackend for EchoPods {
    fn logs<'a>(
        &'a self,
        _: &'a str,
        pod: &'a str,
        _: LogOptions,
    ) -> BoxFuture<
        'a,
        meshy_apiserver::Result<futures::stream::BoxStream<'static, std::io::Result<bytes::Bytes>>>,
    > {
        let line = bytes::Bytes::from(format!("log of {pod}\n"));
        Box::pin(async move { Ok(futures::stream::iter([Ok(line)]).boxed()) })
    }

    fn connect<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: u16,
    ) -> BoxFuture<'a, meshy_apiserver::Result<BoxIo>> {
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(1024);
            tokio::spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(far);
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
            Ok(Box::new(near) as BoxIo)
        })
    }
}

#[tokio::test]
async fn logs_and_port_forward_work_over_https() {
    let server = Server::new(Options { pods: Some(Arc::new(EchoPods)), ..Options::default() });
    let authority = CertificateAuthority::new().expect("an authority");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let running = server.serve(listener, &authority).expect("serves");
    let document = kubeconfig("test", &running.url(), &authority, server.token());
    let config = kube::config::Kubeconfig::from_yaml(&document.to_string()).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.expect("a context");
    let pods: Api<Pod> = Api::default_namespaced(kube::Client::try_from(config.clone()).expect("a client"));
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).expect("a pod")).await.expect("creates");
    assert_eq!(pods.logs("p", &Default::default()).await.expect("a log"), "log of p\n");
    let mut forwarder = pods.portforward("p", &[9090]).await.expect("forwards");
    let mut stream = forwarder.take_stream(9090).expect("a stream");
    stream.write_all(b"hello").await.expect("writes");
    let mut received = [0; 5];
    tokio::time::timeout(TIMEOUT, stream.read_exact(&mut received)).await.expect("in time").expect("reads");
    assert_eq!(&received, b"hello");

    let mut anonymous = config;
    anonymous.auth_info.token = None;
    let pods: Api<Pod> = Api::default_namespaced(kube::Client::try_from(anonymous).expect("a client"));
    let error = pods.list(&ListParams::default()).await.expect_err("unauthorized");
    assert!(matches!(error, kube::Error::Api(status) if status.code == 401));
}

async fn send(server: &Server, method: &str, path: &str, content: &str, body: Vec<u8>) -> u16 {
    let request = http::Request::builder().method(method).uri(path).header("content-type", content);
    let request = request.body(http_body_util::Full::new(bytes::Bytes::from(body))).expect("a request");
    tower::ServiceExt::oneshot(server.service(), request).await.expect("a response").status().as_u16()
}

#[tokio::test]
async fn openapi_documents_follow_definitions() {
    let server = Server::new(Options::default());
    let status = async || send(&server, "GET", "/openapi/v3/apis/example.io/v1", "", Vec::new()).await;
    let definitions = "customresourcedefinitions.apiextensions.k8s.io";
    assert_eq!(status().await, 404);
    for _ in 0..2 {
        let client = server.client();
        client.create(definitions, "", definition(), &WriteOptions::default()).await.expect("creates");
        assert_eq!(status().await, 200);
        client.delete(definitions, "", "boxes.example.io", &DeleteOptions::default()).await.expect("deletes");
        assert_eq!(status().await, 404);
    }
}

#[tokio::test]
async fn invalid_requests_get_the_right_status() {
    let server = Server::new(Options::default());
    let path = "/api/v1/namespaces/default/configmaps";
    let json = "application/json";
    assert_eq!(send(&server, "POST", path, json, vec![b' '; 3 * 1024 * 1024 + 1]).await, 413);
    assert_eq!(send(&server, "POST", path, json, vec![b'['; 100_000]).await, 400);
    assert_eq!(send(&server, "POST", path, json, vec![0xff, 0xfe]).await, 400);
    assert_eq!(send(&server, "POST", path, "text/html", b"{}".to_vec()).await, 415);
    assert_eq!(
        send(
            &server,
            "PATCH",
            &format!("{path}/a?fieldManager=x"),
            "application/apply-patch+yaml",
            vec![0xff]
        )
        .await,
        400
    );
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &(1..30)
            .map(|n| {
                format!(
                    "a{n}: &a{n} [{}]\n",
                    vec![format!("*a{}", if n == 1 { String::new() } else { (n - 1).to_string() }); 9]
                        .join(",")
                )
            })
            .collect::<String>();
    assert_eq!(
        send(
            &server,
            "PATCH",
            &format!("{path}/a?fieldManager=x"),
            "application/apply-patch+yaml",
            bomb.into_bytes()
        )
        .await,
        400
    );
    assert_eq!(
        send(&server, "POST", path, "application/vnd.kubernetes.protobuf", b"k8s\0\x12\xff\xff".to_vec())
            .await,
        400
    );
    assert_eq!(send(&server, "GET", "/api/v1/namespaces/%zz/configmaps", json, Vec::new()).await, 400);
    assert_eq!(
        send(&server, "GET", "/api/v1/namespaces/default/configmaps/..%2f..", json, Vec::new()).await,
        404
    );
    assert_eq!(send(&server, "BREW", path, json, Vec::new()).await, 405);
}

#[tokio::test]
async fn scheduled_pod_gets_its_grace_period() {
    let local = Server::new(Options::default()).client();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    local.create("pods", "default", pod, &WriteOptions::default()).await.expect("creates");
    let deletion = local.delete("pods", "default", "p", &DeleteOptions::default()).await.expect("deletes");
    assert!(!deletion.removed && deletion.object["metadata"]["deletionGracePeriodSeconds"] == 30);
    let immediately = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    assert!(local.delete("pods", "default", "p", &immediately).await.expect("deletes").removed);
}

#[tokio::test]
async fn system_namespaces_cannot_be_deleted() {
    let local = Server::new(Options::default()).client();
    for name in ["default", "kube-system", "kube-public"] {
        let result = local.delete("namespaces", "", name, &DeleteOptions::default()).await;
        assert_eq!(result.expect_err("protected").code, 403, "{name}");
    }
}
