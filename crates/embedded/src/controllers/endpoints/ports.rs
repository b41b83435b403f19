//! The ports of the endpoints of a Service.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointPort, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointPort as SlicePort;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Returns the ports of an EndpointSlice.
pub(super) fn of_slice(service: &Service, pods: &[Arc<Pod>]) -> Vec<SlicePort> {
    let port = |(port, target): (&ServicePort, i32)| SlicePort {
        // A port without a name has an empty one here, but none in Endpoints.
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(target),
        protocol: Some("TCP".to_owned()),
        app_protocol: port.app_protocol.clone(),
    };
    targets(service, pods).map(port).collect()
}

/// Returns the ports of an Endpoints object.
pub(super) fn of_endpoints(service: &Service, pods: &[Arc<Pod>]) -> Vec<EndpointPort> {
    let port = |(port, target): (&ServicePort, i32)| EndpointPort {
        name: port.name.clone().filter(|name| !name.is_empty()),
        port: target,
        protocol: Some("TCP".to_owned()),
        app_protocol: port.app_protocol.clone(),
    };
    targets(service, pods).map(port).collect()
}

/// Returns the ports of a Service with their target ports.
fn targets<'a>(service: &'a Service, pods: &'a [Arc<Pod>]) -> impl Iterator<Item = (&'a ServicePort, i32)> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    ports.iter().filter_map(|port| Some((port, target_port(port, pods)?)))
}

/// Returns the target port of a Service port: a number, or a name that is looked up in the containers of the pods.
fn target_port(port: &ServicePort, pods: &[Arc<Pod>]) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => pods.iter().find_map(|pod| container_port(pod, name)),
    }
}

fn container_port(pod: &Pod, name: &str) -> Option<i32> {
    let spec = pod.spec.as_ref()?;
    spec.containers
        .iter()
        .chain(spec.init_containers.iter().flatten())
        .flat_map(|container| container.ports.iter().flatten())
        .find(|port| port.name.as_deref() == Some(name))
        .map(|port| port.container_port)
}
