//! A cluster for one test, and the few things tests do with it.

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

/// No wait in these tests takes longer unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running cluster with its client.
pub(crate) struct Lab {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
}

/// An answer through the ingress.
#[derive(Debug)]
pub(crate) struct Answer {
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

    /// Server-side apply of any object.
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
        let types = object.types.clone().expect("kind and version");
        let kind = GroupVersionKind::try_from(&types).expect("a version");
        let resource = ApiResource::from_gvk(&kind);
        if matches!(types.kind.as_str(), "Namespace" | "Node" | "IngressClass") {
            return Api::all_with(self.client.clone(), &resource);
        }
        let inside = object.namespace().unwrap_or_else(|| "default".to_owned());
        Api::namespaced_with(self.client.clone(), &inside, &resource)
    }

    /// Objects of a kind such as `apps/v1/Deployment`.
    pub(crate) fn api(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let parts: Vec<_> = kind.split('/').collect();
        let kind = match parts.as_slice() {
            [version, kind] => GroupVersionKind::gvk("", version, kind),
            [group, version, kind] => GroupVersionKind::gvk(group, version, kind),
            _ => panic!("`{kind}` is no kind"),
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

    /// Waits until an object is as wanted.
    pub(crate) async fn wait(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        wanted: impl Fn(Option<&Value>) -> bool + Clone,
    ) {
        let condition = |object: Option<&DynamicObject>| {
            let value = object.map(|object| serde_json::to_value(object).expect("objects are JSON"));
            wanted(value.as_ref())
        };
        let waited = timeout(PATIENCE, await_condition(self.api(kind, namespace), name, condition)).await;
        if waited.is_err() {
            let now = self.api(kind, namespace).get_opt(name).await;
            panic!("{kind} {name} is not as wanted: {now:?}");
        }
        waited.expect("in time").expect("a watch");
    }

    /// Waits until a Deployment has rolled out, as `kubectl rollout status` does.
    pub(crate) async fn rolled_out(&self, namespace: &str, name: &str) {
        self.wait("apps/v1/Deployment", namespace, name, |found| found.is_some_and(has_rolled_out)).await;
    }

    /// The pods of an `app` that are not on their way out.
    pub(crate) async fn pods(&self, app: &str) -> Vec<Value> {
        self.staying("default", &format!("app={app}")).await
    }

    /// The pods that a selector chooses, without those on their way out.
    pub(crate) async fn staying(&self, namespace: &str, labels: &str) -> Vec<Value> {
        let params = kube::api::ListParams::default().labels(labels);
        let pods = self.api("v1/Pod", namespace).list(&params).await.expect("pods");
        let staying = pods.items.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        staying.map(|pod| serde_json::to_value(pod).expect("objects are JSON")).collect()
    }

    /// A request through the ingress on a connection of its own.
    pub(crate) async fn ask(
        &self,
        method: &str,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let asked = async {
            let stream = TcpStream::connect(self.cluster.ingress_addr()).await.expect("the ingress listens");
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
            tokio::spawn(connection);
            let mut request = hyper::Request::builder().method(method).uri(path).header("host", host);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request");
            let answer = sender.send_request(request).await.expect("an answer");
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.expect("a whole body").to_bytes();
            Answer { status, body: String::from_utf8_lossy(&body).into_owned() }
        };
        timeout(PATIENCE, asked).await.expect("an answer in time")
    }

    pub(crate) async fn get(&self, host: &str, path: &str) -> Answer {
        self.ask("GET", host, path, &[], "").await
    }

    /// Asks until the ingress has heard of a ready pod: it follows the endpoints, which follow the pod.
    pub(crate) async fn serves(&self, host: &str) {
        let asked = async {
            while self.get(host, "/health").await.status != 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("{host} never served"));
    }

    /// The seed's request: minimal-service asks bounced-service and says what came back.
    pub(crate) async fn bounce(&self) -> String {
        self.bounce_to("bounced-service.default").await
    }

    /// What minimal-service says it got from another service.
    pub(crate) async fn bounce_to(&self, service: &str) -> String {
        let endpoint = format!("http://{service}.svc.cluster.local:9090");
        let body = json!({ "rebound": "true", "endpoint": endpoint });
        let answer = self.ask("POST", "minimal-service", "/bounce", &[], &body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let told: Value = serde_json::from_str(&answer.body).expect("JSON");
        told["body"].as_str().expect("a body").to_owned()
    }

    /// Which app answers minimal-service when it asks for bounced-service.
    pub(crate) async fn answering(&self) -> String {
        let before = self.requests_at("bounced-service").await;
        self.bounce().await;
        let after = self.requests_at("bounced-service").await;
        if after > before { "bounced-service".to_owned() } else { "minimal-service".to_owned() }
    }

    /// Asks until another app answers.
    pub(crate) async fn until_answered_by(&self, app: &str) {
        let asked = async {
            while self.answering().await != app {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("{app} never answered"));
    }

    /// Requests that the proxy of a client has counted by a route of a profile.
    pub(crate) async fn counted_as(&self, route: &str, client: &str) -> f64 {
        let labels = [r#"direction="outbound""#, &format!(r#"rt_route="{route}""#)];
        counter(&self.metrics("default", client).await, "route_request_total", &labels)
    }

    /// Bounces to a service until the proxy of the client counts that by a route: an accepted profile is in force only
    /// when the watch has brought it there.
    pub(crate) async fn until_counted_as(&self, route: &str, client: &str, service: &str) {
        let asked = async {
            let before = self.counted_as(route, client).await;
            loop {
                self.bounce_to(service).await;
                if self.counted_as(route, client).await > before {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let asked = timeout(Duration::from_secs(20), asked).await;
        asked.unwrap_or_else(|_| panic!("{client} never counted by {route}"));
    }

    /// Meshed requests that an app's pods have been sent, by their proxies.
    async fn requests_at(&self, app: &str) -> f64 {
        let mut all = 0.0;
        for pod in self.pods(app).await {
            let metrics = self.metrics("default", pod["metadata"]["name"].as_str().expect("a name")).await;
            all += counter(&metrics, "request_total", &[r#"direction="inbound""#, r#"tls="true""#]);
        }
        all
    }

    /// What a pod's proxy counts, by the pod proxy path.
    pub(crate) async fn metrics(&self, namespace: &str, pod: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:4191/proxy/metrics");
        let request = http::Request::get(path).body(Vec::new()).expect("a request");
        self.client.request_text(request).await.expect("metrics")
    }

    /// Waits until a namespace holds none of a kind.
    pub(crate) async fn emptied(&self, kind: &str, namespace: &str) {
        let names: Vec<String> = {
            let found =
                self.api(kind, namespace).list(&kube::api::ListParams::default()).await.expect("a list");
            found.items.iter().map(|object| object.name_any()).collect()
        };
        for name in names {
            self.wait(kind, namespace, &name, |found| found.is_none()).await;
        }
    }

    /// Waits until a namespace itself has gone.
    pub(crate) async fn namespace_gone(&self, name: &str) {
        let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let gone = |found: Option<&k8s_openapi::api::core::v1::Namespace>| found.is_none();
        timeout(PATIENCE, await_condition(api, name, gone)).await.expect("in time").expect("a watch");
    }

    pub(crate) async fn delete(&self, kind: &str, name: &str, params: &DeleteParams) {
        self.api(kind, "default").delete(name, params).await.expect("deleted");
    }
}

/// The body of a GET over any stream.
pub(crate) async fn get_over(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    path: &str,
) -> String {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    let request = hyper::Request::get(path).header("host", "pod").body(Full::new(Bytes::new()));
    let answer = sender.send_request(request.expect("a request")).await.expect("an answer");
    let body = answer.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8_lossy(&body).into_owned()
}

/// The rule of `kubectl rollout status`.
pub(crate) fn has_rolled_out(deployment: &Value) -> bool {
    let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let wanted = deployment.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    number("/status/observedGeneration") >= number("/metadata/generation")
        && number("/status/updatedReplicas") == wanted
        && number("/status/replicas") == wanted
        && number("/status/availableReplicas") == wanted
}

/// The sum of a counter's series that carry all of these labels.
pub(crate) fn counter(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    metrics
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
