//! A cluster for one test, and what tests do with it.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt as _};
use meshy_embedded::{Cluster, Options};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A wait that takes longer fails the test.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running cluster with its client.
pub(crate) struct Lab {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
}

/// A response through the ingress.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Lab {
    pub(crate) async fn start() -> Self {
        let options = Options { api_addr: None, ..Options::ephemeral("test") };
        Self::with(options).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let cluster = Cluster::start(options).await.expect("the cluster starts");
        let client = cluster.client();
        Self { cluster, client }
    }

    /// Applies an object by server-side apply.
    pub(crate) async fn apply(&self, object: Value) -> DynamicObject {
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        let name = object.name_any();
        let api = self.api_of(&object);
        let params = PatchParams::apply("test").force();
        api.patch(&name, &params, &Patch::Apply(&object))
            .await
            .unwrap_or_else(|error| panic!("apply {name}: {error}"))
    }

    fn api_of(&self, object: &DynamicObject) -> Api<DynamicObject> {
        let types = object.types.clone().expect("kind and apiVersion");
        let kind = GroupVersionKind::try_from(&types).expect("a group and a version");
        let resource = ApiResource::from_gvk(&kind);
        if matches!(types.kind.as_str(), "Namespace" | "Node" | "IngressClass") {
            return Api::all_with(self.client.clone(), &resource);
        }
        let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
        Api::namespaced_with(self.client.clone(), &namespace, &resource)
    }

    /// Returns the API of a kind such as `apps/v1/Deployment`.
    pub(crate) fn api(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let parts: Vec<_> = kind.split('/').collect();
        let kind = match parts.as_slice() {
            [version, kind] => GroupVersionKind::gvk("", version, kind),
            [group, version, kind] => GroupVersionKind::gvk(group, version, kind),
            _ => panic!("invalid kind `{kind}`"),
        };
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::from_gvk(&kind))
    }

    /// Builds an overlay of this repository and applies it.
    pub(crate) async fn deploy(&self, overlay: &str) {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test-services/overlays").join(overlay);
        let built = meshy_kustomize::build(&meshy_kustomize::Disk, &tree).expect("the overlay builds");
        for object in built.objects {
            self.apply(object).await;
        }
    }

    /// Waits until an object meets a condition.
    pub(crate) async fn wait(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        is_met: impl Fn(Option<&Value>) -> bool + Clone,
    ) {
        let condition = |object: Option<&DynamicObject>| {
            let value = object.map(|object| serde_json::to_value(object).expect("objects are JSON"));
            is_met(value.as_ref())
        };
        let waited = timeout(TIMEOUT, await_condition(self.api(kind, namespace), name, condition)).await;
        if waited.is_err() {
            let now = self.api(kind, namespace).get_opt(name).await;
            panic!("{kind} {name} does not meet the condition: {now:?}");
        }
        waited.expect("no timeout").expect("a watch");
    }

    /// Waits until a Deployment has rolled out, as `kubectl rollout status` does.
    pub(crate) async fn rolled_out(&self, namespace: &str, name: &str) {
        self.wait("apps/v1/Deployment", namespace, name, |found| found.is_some_and(has_rolled_out)).await;
    }

    /// Returns the pods of an `app` that are not terminating.
    pub(crate) async fn pods(&self, app: &str) -> Vec<Value> {
        self.active_pods("default", &format!("app={app}")).await
    }

    /// Returns the pods that a selector selects and that are not terminating.
    pub(crate) async fn active_pods(&self, namespace: &str, labels: &str) -> Vec<Value> {
        let params = kube::api::ListParams::default().labels(labels);
        let pods = self.api("v1/Pod", namespace).list(&params).await.expect("pods");
        let active = pods.items.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        active.map(|pod| serde_json::to_value(pod).expect("objects are JSON")).collect()
    }

    /// Sends a request through the ingress on a new connection.
    pub(crate) async fn send(
        &self,
        method: &str,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let response = async {
            let stream = TcpStream::connect(self.cluster.ingress_addr()).await.expect("the ingress listens");
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
            tokio::spawn(connection);
            let mut request = hyper::Request::builder().method(method).uri(path).header("host", host);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request");
            let response = sender.send_request(request).await.expect("a response");
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.expect("a complete body").to_bytes();
            Response { status, body: String::from_utf8_lossy(&body).into_owned() }
        };
        timeout(TIMEOUT, response).await.expect("a response in time")
    }

    pub(crate) async fn get(&self, host: &str, path: &str) -> Response {
        self.send("GET", host, path, &[], "").await
    }

    /// Sends requests until the ingress forwards one to a ready pod: it follows the endpoints, which follow the pod.
    pub(crate) async fn wait_until_served(&self, host: &str) {
        let served = async {
            while self.get(host, "/health").await.status != 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(TIMEOUT, served).await.unwrap_or_else(|_| panic!("{host} is not served"));
    }

    /// Sends the request of the original demo: minimal-service sends one to bounced-service and returns its response.
    pub(crate) async fn bounce(&self) -> String {
        self.bounce_to("bounced-service.default").await
    }

    /// Returns the response that minimal-service received from another service.
    pub(crate) async fn bounce_to(&self, service: &str) -> String {
        let endpoint = format!("http://{service}.svc.cluster.local:9090");
        let body = json!({ "rebound": "true", "endpoint": endpoint });
        let response = self.send("POST", "minimal-service", "/bounce", &[], &body.to_string()).await;
        assert_eq!(response.status, 200, "{}", response.body);
        let bounced: Value = serde_json::from_str(&response.body).expect("JSON");
        bounced["body"].as_str().expect("a body").to_owned()
    }

    /// Returns the app that receives a request of minimal-service to bounced-service.
    pub(crate) async fn receiving_app(&self) -> String {
        let before = self.received_requests("bounced-service").await;
        self.bounce().await;
        let after = self.received_requests("bounced-service").await;
        if after > before { "bounced-service".to_owned() } else { "minimal-service".to_owned() }
    }

    /// Sends requests of minimal-service to bounced-service until an app receives one.
    pub(crate) async fn wait_until_received_by(&self, app: &str) {
        let received = async {
            while self.receiving_app().await != app {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(TIMEOUT, received).await.unwrap_or_else(|_| panic!("{app} received no request"));
    }

    /// Returns the requests that the proxy of a client has counted for a route of a profile.
    pub(crate) async fn route_requests(&self, route: &str, client: &str) -> f64 {
        let labels = [r#"direction="outbound""#, &format!(r#"rt_route="{route}""#)];
        counter(&self.metrics("default", client).await, "route_request_total", &labels)
    }

    /// Bounces to a service until the proxy of the client counts a request for a route: a profile takes effect when the
    /// watch of the proxy has delivered it.
    pub(crate) async fn wait_for_route(&self, route: &str, client: &str, service: &str) {
        let counted = async {
            let before = self.route_requests(route, client).await;
            loop {
                self.bounce_to(service).await;
                if self.route_requests(route, client).await > before {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(TIMEOUT, counted).await.unwrap_or_else(|_| panic!("{client} counted no request for {route}"));
    }

    /// Returns the meshed requests that the pods of an app have received, from the metrics of their proxies.
    async fn received_requests(&self, app: &str) -> f64 {
        let mut all = 0.0;
        for pod in self.pods(app).await {
            let metrics = self.metrics("default", pod["metadata"]["name"].as_str().expect("a name")).await;
            all += counter(&metrics, "request_total", &[r#"direction="inbound""#, r#"tls="true""#]);
        }
        all
    }

    /// Returns the metrics of a pod's proxy, read through the API server.
    pub(crate) async fn metrics(&self, namespace: &str, pod: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:4191/proxy/metrics");
        let request = http::Request::get(path).body(Vec::new()).expect("a request");
        self.client.request_text(request).await.expect("metrics")
    }

    /// Waits until the objects of a kind in a namespace are deleted.
    pub(crate) async fn wait_until_deleted(&self, kind: &str, namespace: &str) {
        let names: Vec<String> = {
            let found =
                self.api(kind, namespace).list(&kube::api::ListParams::default()).await.expect("a list");
            found.items.iter().map(|object| object.name_any()).collect()
        };
        for name in names {
            self.wait(kind, namespace, &name, |found| found.is_none()).await;
        }
    }

    /// Waits until a namespace is deleted.
    pub(crate) async fn wait_until_namespace_deleted(&self, name: &str) {
        let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let deleted = |found: Option<&k8s_openapi::api::core::v1::Namespace>| found.is_none();
        timeout(TIMEOUT, await_condition(api, name, deleted)).await.expect("no timeout").expect("a watch");
    }

    pub(crate) async fn delete(&self, kind: &str, name: &str, params: &DeleteParams) {
        self.api(kind, "default").delete(name, params).await.expect("deleted");
    }
}

/// Sends a GET over a stream and returns the body of the response.
pub(crate) async fn get_over(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    path: &str,
) -> String {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    let request = hyper::Request::get(path).header("host", "pod").body(Full::new(Bytes::new()));
    let response = sender.send_request(request.expect("a request")).await.expect("a response");
    let body = response.into_body().collect().await.expect("a complete body").to_bytes();
    String::from_utf8_lossy(&body).into_owned()
}

/// Whether a Deployment has rolled out, by the rule of `kubectl rollout status`.
pub(crate) fn has_rolled_out(deployment: &Value) -> bool {
    let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let desired = deployment.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    number("/status/observedGeneration") >= number("/metadata/generation")
        && number("/status/updatedReplicas") == desired
        && number("/status/replicas") == desired
        && number("/status/availableReplicas") == desired
}

/// Returns the sum of the series of a counter that have all of these labels.
pub(crate) fn counter(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    metrics
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
