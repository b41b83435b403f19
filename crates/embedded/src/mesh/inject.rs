//! The proxy injector: adds a proxy to annotated pods when they are created.

mod containers;

use std::sync::{Arc, OnceLock};

use k8s_openapi::api::core::v1::{Container, Namespace, Pod};
use meshy_apiserver::{Admission, AdmissionRequest, ApiError, Operation};
use meshy_linkerd::names;
use meshy_net::BoxFuture;
use serde_json::Value;

use super::identity::Authority;
use super::workload;
use crate::api::{Api, apply_changes, typed};
use crate::events::{Component, EventRecorder, EventType};
use crate::object::{ObjectExt, set_annotation};

/// The annotations that decide whether the proxy is a native sidecar; the first one that a pod has counts, as in linkerd2
/// edge-26.6.3 (`pkg/inject/inject.go`).
const NATIVE_SIDECAR: [&str; 3] = [
    "config.linkerd.io/proxy-enable-native-sidecar",
    "config.beta.linkerd.io/proxy-enable-native-sidecar",
    "config.alpha.linkerd.io/proxy-enable-native-sidecar",
];

/// The version of the injector, in the annotation of injected pods.
const CREATED_BY: &str = concat!("meshy/embedded-injector ", env!("CARGO_PKG_VERSION"));

/// The admission hook that injects proxies.
pub(crate) struct Injector {
    pub(crate) authority: Arc<Authority>,
    /// Set when the API has started; no pod is injected before.
    pub(crate) api: OnceLock<(Api, EventRecorder)>,
}

impl Admission for Injector {
    fn mutate<'a>(
        &'a self,
        review: &'a AdmissionRequest,
        object: &'a mut Value,
    ) -> BoxFuture<'a, meshy_apiserver::Result<()>> {
        Box::pin(async move {
            let creates_pod = review.operation == Operation::Create
                && review.resource == "pods"
                && review.subresource.is_empty();
            let Some((api, events)) = self.api.get().filter(|_| creates_pod) else { return Ok(()) };
            let old: Pod = typed(object).map_err(|error| ApiError::bad_request(error.to_string()))?;
            let Some(mode) = injection_mode(api, &review.namespace, &old) else { return Ok(()) };
            let deployment = workload::deployment(api, &review.namespace, &old);
            let mut new = old.clone();
            let deployment_name = deployment.as_ref().map(|found| found.name());
            inject(&mut new, &review.namespace, &mode, deployment_name, &self.authority);
            apply_changes(&old, &new, object).map_err(ApiError::internal)?;
            if let Some(deployment) = deployment
                && !review.dry_run
            {
                let message = "Linkerd sidecar proxy injected";
                let component = Component::ProxyInjector;
                events.record(deployment.as_ref(), EventType::Normal, "Injected", message, component).await;
            }
            Ok(())
        })
    }
}

/// Returns the injection mode of the pod, by default that of its namespace; `None` if the pod gets no proxy.
fn injection_mode(api: &Api, namespace: &str, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let mut containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let has_proxy = containers.any(|container| container.name == names::PROXY_CONTAINER);
    // The network of the node cannot be redirected for a single pod.
    if has_proxy || spec.host_network == Some(true) {
        return None;
    }
    let mode = match pod.annotation(names::INJECT) {
        Some(mode) => mode.to_owned(),
        None => api.get::<Namespace>("", namespace)?.annotation(names::INJECT)?.to_owned(),
    };
    matches!(mode.as_str(), names::ENABLED | names::INGRESS).then_some(mode)
}

/// Whether the proxy becomes a native sidecar, which is the default; otherwise it is the first of the pod's containers.
fn is_native(pod: &Pod) -> bool {
    NATIVE_SIDECAR.iter().find_map(|annotation| pod.annotation(annotation)) != Some("false")
}

fn inject(pod: &mut Pod, namespace: &str, mode: &str, deployment: Option<&str>, authority: &Authority) {
    let native = is_native(pod);
    let meta = &mut pod.metadata;
    for (key, value) in [
        (names::INJECT, mode),
        (names::CREATED_BY, CREATED_BY),
        (names::PROXY_VERSION, concat!("meshy-", env!("CARGO_PKG_VERSION"))),
        (names::TRUST_ROOT_SHA, authority.root_sha256()),
    ] {
        set_annotation(meta, key, value);
    }
    let labels = meta.labels.get_or_insert_default();
    labels.insert(names::CONTROL_PLANE_NS_LABEL.to_owned(), names::CONTROL_PLANE_NAMESPACE.to_owned());
    labels.insert(names::WORKLOAD_NS_LABEL.to_owned(), namespace.to_owned());
    if let Some(deployment) = deployment {
        labels.insert(format!("{}deployment", names::PROXY_OWNER_PREFIX), deployment.to_owned());
    }
    let spec = pod.spec.get_or_insert_default();
    let init_containers = spec.init_containers.get_or_insert_default();
    init_containers.insert(0, containers::proxy_init());
    let proxy = containers::proxy();
    if native {
        init_containers.insert(1, proxy);
    } else {
        spec.containers.insert(0, Container { restart_policy: None, startup_probe: None, ..proxy });
    }
    spec.volumes.get_or_insert_default().extend(containers::volumes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_of_the_stable_group_decides_before_those_of_beta_and_alpha() {
        let native = |annotations: &[(&str, &str)]| {
            let mut pod = Pod::default();
            for (group, value) in annotations {
                let key = format!("config.{group}linkerd.io/proxy-enable-native-sidecar");
                set_annotation(&mut pod.metadata, &key, value);
            }
            is_native(&pod)
        };
        assert!(native(&[]));
        for group in ["", "beta.", "alpha."] {
            assert!(!native(&[(group, "false")]), "{group}");
        }
        assert!(native(&[("", "true"), ("beta.", "false")]));
        assert!(!native(&[("beta.", "false"), ("alpha.", "true")]));
    }
}
