//! Reads the objects that decide who may call a Service.

use std::collections::BTreeSet;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Container, Namespace, Pod, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use meshy_kube::{Kinds, failure};
use meshy_linkerd::effective::{Inbound, ServerPod, ServerRoute};
use meshy_linkerd::inbound::{
    AuthorizationPolicy, DEFAULT_INBOUND_POLICY, InvalidPolicy, MeshTlsAuthentication, NetworkAuthentication,
    Port, RateLimitPolicy, Server, ServerAuthorization,
};
use serde_json::Value;

use super::list::list;

const ALPHA: &str = "policy.linkerd.io/v1alpha1";
/// The variable of the proxy with the policy of ports without a Server.
const PROXY_DEFAULT: &str = "LINKERD2_PROXY_INBOUND_DEFAULT_POLICY";

/// Reads the policies of a Service's pods. `routes` are the routes of its namespace, of every kind.
///
/// # Errors
/// Pods or objects cannot be listed. A kind that the cluster does not serve has no objects.
pub(super) async fn read(
    kinds: &Kinds,
    namespace: &str,
    service: &ServiceSpec,
    routes: &[Value],
) -> anyhow::Result<Inbound> {
    let read = |api_version, kind| list(kinds, api_version, kind, namespace);
    let (pods, of_namespace, servers, older, policies, limits) = tokio::try_join!(
        pods(kinds, namespace, service),
        of_namespace(kinds, namespace),
        read("policy.linkerd.io/v1beta3", "Server"),
        read("policy.linkerd.io/v1beta1", "ServerAuthorization"),
        read(ALPHA, "AuthorizationPolicy"),
        read(ALPHA, "HTTPLocalRateLimitPolicy"),
    )?;
    let mut invalid = Vec::new();
    let mut found = Inbound {
        pods,
        ports: service.ports.iter().flatten().filter_map(port).collect(),
        of_namespace,
        servers: parsed(&servers, Server::from_value, &mut invalid),
        server_authorizations: parsed(&older, ServerAuthorization::from_value, &mut invalid),
        policies: parsed(&policies, AuthorizationPolicy::from_value, &mut invalid),
        rate_limits: parsed(&limits, RateLimitPolicy::from_value, &mut invalid),
        routes: of_servers(routes),
        ..Inbound::default()
    };
    for of in authentication_namespaces(&found.policies, namespace) {
        let (mesh_tls, networks) = tokio::try_join!(
            list(kinds, ALPHA, "MeshTLSAuthentication", &of),
            list(kinds, ALPHA, "NetworkAuthentication", &of),
        )?;
        let named = parsed(&mesh_tls, MeshTlsAuthentication::from_value, &mut invalid);
        found.mesh_tls.extend(named.into_iter().map(|(name, one)| ((of.clone(), name), one)));
        let named = parsed(&networks, NetworkAuthentication::from_value, &mut invalid);
        found.networks.extend(named.into_iter().map(|(name, one)| ((of.clone(), name), one)));
    }
    found.invalid = invalid;
    Ok(found)
}

async fn pods(kinds: &Kinds, namespace: &str, service: &ServiceSpec) -> anyhow::Result<Vec<ServerPod>> {
    let selector = service.selector.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let selector = selector.collect::<Vec<_>>().join(",");
    if selector.is_empty() {
        return Ok(Vec::new());
    }
    let api: Api<Pod> = Api::namespaced(kinds.client().clone(), namespace);
    let all = api.list(&ListParams::default().labels(&selector)).await.context("cannot list pods")?;
    let lives = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        pod.metadata.deletion_timestamp.is_none() && matches!(phase, Some("Running" | "Pending"))
    };
    Ok(all.items.iter().filter(|pod| lives(pod)).map(server_pod).collect())
}

fn server_pod(pod: &Pod) -> ServerPod {
    let spec = pod.spec.iter();
    let containers: Vec<&Container> =
        spec.flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten())).collect();
    let ports = containers.iter().flat_map(|container| container.ports.iter().flatten());
    let named = ports.filter_map(|port| Some((port.name.clone()?, u16::try_from(port.container_port).ok()?)));
    let proxy = containers.iter().find(|container| container.name == "linkerd-proxy");
    let variable =
        proxy.and_then(|proxy| proxy.env.iter().flatten().find(|variable| variable.name == PROXY_DEFAULT));
    ServerPod {
        labels: pod.labels().clone(),
        named_ports: named.collect(),
        meshed: proxy.is_some(),
        annotated: pod.annotations().get(DEFAULT_INBOUND_POLICY).cloned(),
        of_proxy: variable.and_then(|variable| variable.value.clone()),
    }
}

/// The port of the pods to which a port of the Service leads.
fn port(port: &k8s_openapi::api::core::v1::ServicePort) -> Option<Port> {
    match &port.target_port {
        Some(IntOrString::Int(number)) => u16::try_from(*number).ok().map(Port::Number),
        Some(IntOrString::String(name)) => Some(Port::Name(name.clone())),
        None => u16::try_from(port.port).ok().map(Port::Number),
    }
}

/// The annotation of a namespace. A user without the right to read namespaces gets none.
async fn of_namespace(kinds: &Kinds, namespace: &str) -> anyhow::Result<Option<String>> {
    let api: Api<Namespace> = Api::all(kinds.client().clone());
    // Listed and not read by its name: `meshy stat ns` needs the right to list namespaces anyway.
    let only = ListParams::default().fields(&format!("metadata.name={namespace}"));
    match api.list_metadata(&only).await {
        Ok(found) => {
            let found = found.items.into_iter().find(|found| found.name_any() == namespace);
            Ok(found.and_then(|found| found.annotations().get(DEFAULT_INBOUND_POLICY).cloned()))
        }
        Err(error) if failure::is_forbidden(&error) => Ok(None),
        Err(error) => Err(error).context("cannot list namespaces"),
    }
}

/// The valid objects with their names; an invalid one is added to `invalid`.
fn parsed<T>(
    objects: &[Value],
    parse: impl Fn(&Value) -> Result<T, InvalidPolicy>,
    invalid: &mut Vec<(String, String)>,
) -> Vec<(String, T)> {
    let mut found = Vec::new();
    for object in objects {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&object["metadata"]["name"]);
        match parse(object) {
            Ok(one) => found.push((name, one)),
            Err(error) => invalid.push((format!("{} {name}", text(&object["kind"])), error.to_string())),
        }
    }
    found
}

/// The namespaces of the authentications that policies name, and their own; none without a policy.
fn authentication_namespaces(policies: &[(String, AuthorizationPolicy)], own: &str) -> BTreeSet<String> {
    let references = policies.iter().flat_map(|(_, policy)| &policy.required_authentication_refs);
    let own = (!policies.is_empty()).then(|| own.to_owned());
    references.filter_map(|one| one.namespace.clone()).chain(own).collect()
}

/// Returns the routes whose parent is a Server.
fn of_servers(objects: &[Value]) -> Vec<ServerRoute> {
    let mut found = Vec::new();
    for object in objects {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let parents = object["spec"]["parentRefs"].as_array().into_iter().flatten();
        for parent in parents.filter(|parent| parent["kind"] == "Server") {
            let (group, _) =
                object["apiVersion"].as_str().and_then(|one| one.split_once('/')).unwrap_or_default();
            found.push(ServerRoute {
                group: group.to_owned(),
                kind: text(&object["kind"]),
                name: text(&object["metadata"]["name"]),
                server: text(&parent["name"]),
            });
        }
    }
    found
}
