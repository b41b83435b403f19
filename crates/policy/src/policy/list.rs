//! Lists of policy objects of any kind, the oldest first.

use anyhow::Context as _;
use kube::api::{Api, ListParams};
use meshy_kube::{Kinds, Object};
use serde_json::{Value, json};

/// The API versions of HTTPRoute that Linkerd reads; of each group the first that the cluster serves.
const ROUTES: [&[&str]; 2] = [
    &["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"],
    &["policy.linkerd.io/v1beta3", "policy.linkerd.io/v1beta2"],
];

/// Lists the HTTPRoutes of a namespace, of both groups.
pub(super) async fn http_routes(kinds: &Kinds, namespace: &str) -> anyhow::Result<Vec<Value>> {
    let of = |versions| list_first(kinds, versions, "HTTPRoute", namespace);
    let (mut gateway, linkerd) = tokio::try_join!(of(ROUTES[0]), of(ROUTES[1]))?;
    gateway.extend(linkerd);
    gateway.sort_by_key(age);
    Ok(gateway)
}

/// Lists the GRPCRoutes of a namespace.
pub(super) async fn grpc_routes(kinds: &Kinds, namespace: &str) -> anyhow::Result<Vec<Value>> {
    list(kinds, "gateway.networking.k8s.io/v1", "GRPCRoute", namespace).await
}

/// Lists the objects of a kind in the first of several versions that the cluster serves.
pub(super) async fn list_first(
    kinds: &Kinds,
    versions: &[&str],
    kind: &str,
    namespace: &str,
) -> anyhow::Result<Vec<Value>> {
    for version in versions {
        if kinds.served(version, kind).await?.is_some() {
            return list(kinds, version, kind, namespace).await;
        }
    }
    Ok(Vec::new())
}

/// By what objects are sorted: the oldest first, of equally old ones by name.
pub(super) fn age(object: &Value) -> (String, String) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    (text("creationTimestamp"), text("name"))
}

/// Lists the objects of a kind, the oldest first; none where the cluster does not serve it.
pub(super) async fn list(
    kinds: &Kinds,
    api_version: &str,
    kind: &str,
    namespace: &str,
) -> anyhow::Result<Vec<Value>> {
    let Some((resource, _)) = kinds.served(api_version, kind).await? else { return Ok(Vec::new()) };
    let api: Api<Object> = Api::namespaced_with(kinds.client().clone(), namespace, &resource);
    let found = api.list(&ListParams::default()).await;
    let found = found.with_context(|| format!("cannot list objects of kind {kind}"))?;
    // A list may leave kind and version to the list itself.
    let whole = |object: Object| {
        let mut object = json!(object);
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        object
    };
    let mut all: Vec<Value> = found.items.into_iter().map(whole).collect();
    all.sort_by_key(age);
    Ok(all)
}
