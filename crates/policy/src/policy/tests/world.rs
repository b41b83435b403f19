//! An API server in this process, and what its users and other tools have put into it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::client::Body;
use meshy_linkerd::names;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::policy::{Options, PolicyChange, Session, of, session, shipped};
use meshy_kube::{Apply, Kinds, Manager, manifest};
use meshy_metrics::routes::Service;
use meshy_predict::edge::Policy;

const CRDS: [&str; 3] = [
    include_str!("../../../../../linkerd/crds/service-profiles.yaml"),
    include_str!("../../../../../linkerd/gateway-api/http-route.yaml"),
    include_str!("../../../../../linkerd/gateway-api/grpc-route.yaml"),
];
pub(super) const PROFILE: &str = "bounced-service.default.svc.cluster.local";

pub(super) struct World {
    pub(super) kinds: Kinds,
    /// The paths of all requests.
    pub(super) requests: Arc<Mutex<Vec<String>>>,
    pub(super) folder: tempfile::TempDir,
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

pub(super) fn service() -> Service {
    Service { namespace: "default".to_owned(), name: "bounced-service".to_owned() }
}

pub(super) fn options(force: bool) -> Options {
    Options { force, dry_run: false, deadline: soon() }
}

pub(super) fn lesson() -> PolicyChange {
    PolicyChange::profile(shipped().unwrap())
}

pub(super) fn limit(limit: &str) -> BTreeMap<String, String> {
    [(names::RETRY_HTTP, "5xx"), (names::RETRY_LIMIT, limit)]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into()
}

impl World {
    pub(super) async fn new() -> Self {
        let server = meshy_apiserver::Server::new(meshy_apiserver::Options::default());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let recorded = requests.clone();
        let service = tower::util::MapRequest::new(server.service(), move |request: http::Request<Body>| {
            recorded.lock().unwrap().push(request.uri().path().to_owned());
            request
        });
        let kinds = Kinds::new(kube::Client::new(service, "default"));
        let crds: Vec<_> = CRDS.iter().flat_map(|text| manifest::parse(text).unwrap()).collect();
        for crd in crds {
            Apply::new(&kinds, Manager::Manifests, soon()).run(vec![crd]).await.unwrap();
        }
        let world = Self { kinds, requests, folder: tempfile::tempdir().unwrap() };
        let ports = json!([{"port": 9090, "protocol": "TCP", "targetPort": 9090}]);
        let spec = json!({"ports": ports, "selector": {"app": "bounced-service"}});
        let metadata = json!({"name": "bounced-service", "namespace": "default"});
        world
            .applied(
                "kubectl",
                json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}),
            )
            .await;
        world
    }

    pub(super) fn api(&self, kind: &str) -> Api<DynamicObject> {
        let (group, version) = match kind {
            "ServiceProfile" => ("linkerd.io", "v1alpha2"),
            "HTTPRoute" | "GRPCRoute" => ("gateway.networking.k8s.io", "v1"),
            _ => ("", "v1"),
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.kinds.client().clone(), "default", &resource)
    }

    /// Server-side apply by another manager.
    pub(super) async fn applied(&self, manager: &str, object: Value) {
        let api = self.api(object["kind"].as_str().unwrap());
        let params = PatchParams::apply(manager).force();
        api.patch(object["metadata"]["name"].as_str().unwrap(), &params, &Patch::Apply(&object))
            .await
            .unwrap();
    }

    /// A merge patch by another manager, as `kubectl annotate` and `kubectl edit` send it.
    pub(super) async fn patched(&self, kind: &str, name: &str, manager: &str, patch: Value) {
        let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        self.api(kind).patch(name, &params, &Patch::Merge(&patch)).await.unwrap();
    }

    /// Every object that a policy can be made of, without what the API server counts; managers in a fixed order.
    pub(super) async fn objects(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for kind in ["Service", "ServiceProfile", "HTTPRoute"] {
            for object in self.api(kind).list(&Default::default()).await.unwrap() {
                let mut value = json!(object);
                let metadata = value["metadata"].as_object_mut().unwrap();
                metadata.remove("resourceVersion");
                metadata.remove("generation");
                let managers = metadata.get_mut("managedFields").and_then(Value::as_array_mut);
                if let Some(managers) = managers {
                    managers.iter_mut().for_each(|entry| drop(entry.as_object_mut().unwrap().remove("time")));
                    managers.sort_by_key(Value::to_string);
                }
                all.push(value);
            }
        }
        all
    }

    pub(super) fn journal(&self) -> std::path::PathBuf {
        self.folder.path().join("a.jsonl")
    }

    pub(super) fn session(&self, force: bool) -> Session {
        session::tests::with_journal(&self.kinds, force, &self.journal())
    }

    pub(super) async fn policy(&self) -> Policy {
        of(self.kinds.client(), &service()).await.unwrap()
    }
}

/// Makes the objects that are there before an experiment.
pub(super) async fn users(world: &World, case: &str) {
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "mine", "namespace": "default",
            "annotations": {"retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": "7", "team": "a"}},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "bounced-service", "port": 9090}],
            "rules": [{"backendRefs": [{"name": "bounced-service", "port": 9090}]}]},
    });
    let profile = json!({
        "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
        "metadata": {"name": PROFILE, "namespace": "default", "labels": {"team": "a"}, "annotations": {"note": "b"}},
        "spec": {
            "routes": [{"name": "mine", "condition": {"pathRegex": "/mine"}, "isRetryable": true}],
            "retryBudget": {"retryRatio": 0.5, "minRetriesPerSecond": 1, "ttl": "20s"},
            "dstOverrides": [{"authority": "a.default.svc.cluster.local:9090", "weight": "1"}],
        },
    });
    let annotations = |value: Value| json!({"metadata": {"annotations": value}});
    match case {
        "nothing" => {}
        "a profile by kubectl apply" => world.applied("kubectl", profile).await,
        "a profile by kubectl create" => {
            let object = serde_json::from_value(profile).unwrap();
            let params =
                PostParams { field_manager: Some("kubectl-create".to_owned()), ..PostParams::default() };
            world.api("ServiceProfile").create(&params, &object).await.unwrap();
        }
        "a profile without a budget" => {
            let mut profile = profile;
            profile["spec"].as_object_mut().unwrap().remove("retryBudget");
            world.applied("kubectl", profile).await;
        }
        "a profile by meshy" => {
            PolicyChange::profile(serde_json::from_value(profile).unwrap())
                .apply(&world.kinds, &options(false))
                .await
                .map(drop)
                .unwrap();
        }
        "only retry annotations" => {
            let own = annotations(
                json!({"retry.linkerd.io/http": "gateway-error", "retry.linkerd.io/grpc": "internal"}),
            );
            world.patched("Service", "bounced-service", "kubectl-annotate", own).await;
        }
        "retry annotations among others" => {
            let own = annotations(
                json!({"retry.linkerd.io/limit": "9", "retry.linkerd.io/http": "5xx", "team": "a"}),
            );
            world.patched("Service", "bounced-service", "kubectl-annotate", own).await;
        }
        "retry annotations by meshy" => {
            let change = PolicyChange::retries(&service(), &limit("2"));
            change.apply(&world.kinds, &options(false)).await.map(drop).unwrap();
        }
        "a route" => world.applied("kubectl", route).await,
        "everything" => {
            world.applied("kubectl", route).await;
            world.applied("kubectl", profile).await;
            let own = annotations(json!({"retry.linkerd.io/limit": "9", "retry.linkerd.io/http": "5xx"}));
            world.patched("Service", "bounced-service", "helm", own).await;
        }
        other => panic!("no case {other}"),
    }
}
