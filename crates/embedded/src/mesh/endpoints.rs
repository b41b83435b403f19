//! The endpoints of a Service as proxies see them: address, identity and metric labels.

use std::net::SocketAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use meshy_dataplane::Endpoint;
use meshy_linkerd::names;
use tokio::sync::watch;

use super::route_index::ServiceKey;
use super::workload::{deployment, proxy_identity, service_account};
use crate::api::Api;
use crate::object::ObjectExt;
use crate::service_table::{ReadyEndpoint, ServiceTable};

/// Watches the endpoints of a Service port. A task follows the table as long as the watch has readers.
pub(super) fn watch(
    api: &Api,
    services: &ServiceTable,
    service: &ServiceKey,
    port: u16,
) -> watch::Receiver<Arc<[Endpoint]>> {
    let mut ready = services.watch_endpoints(&service.0, &service.1, port);
    let (api, service) = (api.clone(), service.clone());
    let (sender, receiver) = watch::channel(describe_all(&api, &service, &ready.borrow_and_update()));
    tokio::spawn(async move {
        loop {
            tokio::select! {
                changed = ready.changed() => if changed.is_err() { return },
                () = sender.closed() => return,
            }
            let endpoints = describe_all(&api, &service, &ready.borrow_and_update());
            sender.send_replace(endpoints);
        }
    });
    receiver
}

/// Returns the endpoint of a pod address that was not reached through a Service.
pub(super) fn of_pod(api: &Api, pod: &Pod, addr: SocketAddr) -> Endpoint {
    Endpoint { addr, identity: proxy_identity(pod), labels: pod_labels(api, pod) }
}

fn describe_all(api: &Api, service: &ServiceKey, ready: &[ReadyEndpoint]) -> Arc<[Endpoint]> {
    ready.iter().map(|endpoint| describe(api, service, endpoint)).collect()
}

fn describe(api: &Api, service: &ServiceKey, ready: &ReadyEndpoint) -> Endpoint {
    let (namespace, name) = service;
    let pod = ready.pod.as_deref().and_then(|pod| api.get::<Pod>(namespace, pod));
    let mut labels = pod.as_ref().map(|pod| pod_labels(api, pod)).unwrap_or_default();
    labels.push(("dst_service".to_owned(), name.clone()));
    labels.push(("dst_zone".to_owned(), String::new()));
    labels.push(("dst_zone_locality".to_owned(), "unknown".to_owned()));
    // Linkerd sorts the labels by name.
    labels.sort();
    let identity = pod.as_ref().and_then(|pod| proxy_identity(pod));
    Endpoint { addr: ready.address, identity, labels }
}

fn pod_labels(api: &Api, pod: &Pod) -> Vec<(String, String)> {
    let deployment = deployment(api, pod.namespace(), pod);
    let labels = [
        ("dst_namespace", Some(pod.namespace())),
        ("dst_pod", Some(pod.name())),
        ("dst_serviceaccount", Some(service_account(pod))),
        ("dst_control_plane_ns", pod.label(names::CONTROL_PLANE_NS_LABEL)),
        ("dst_pod_template_hash", pod.label("pod-template-hash")),
        ("dst_deployment", deployment.as_ref().map(|deployment| deployment.name())),
    ];
    labels.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
}
