//! The Node object.

use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeSpec, NodeSystemInfo};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::condition;
use crate::network::NODE_ADDRESS;
use crate::object::{ObjectExt, string_map};

/// The number of pods that the node can run.
pub(super) const MAX_PODS: usize = 2000;
/// The range of pod addresses.
const POD_CIDR: &str = "10.244.0.0/16";

/// Returns the object of a new node.
pub(super) fn node(name: &str) -> Node {
    Node {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(string_map([
                ("kubernetes.io/hostname", name),
                ("kubernetes.io/os", "linux"),
                ("kubernetes.io/arch", architecture()),
                ("node-role.kubernetes.io/control-plane", ""),
                ("ingress-ready", "true"),
            ])),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            pod_cidr: Some(POD_CIDR.to_owned()),
            pod_cidrs: Some(vec![POD_CIDR.to_owned()]),
            ..NodeSpec::default()
        }),
        status: None,
    }
}

/// Writes the status of a ready node.
pub(super) fn write_status(node: &mut Node) {
    let name = node.name().to_owned();
    let quantity = |name: &str, value: &str| (name.to_owned(), Quantity(value.to_owned()));
    let resources =
        [quantity("cpu", "8"), quantity("memory", "16Gi"), quantity("pods", &MAX_PODS.to_string())];
    let address = |type_: &str, address: String| NodeAddress { type_: type_.to_owned(), address };
    let status = node.status.get_or_insert_default();
    status.capacity = Some(resources.clone().into());
    status.allocatable = Some(resources.into());
    status.addresses = Some(vec![address("InternalIP", NODE_ADDRESS.to_string()), address("Hostname", name)]);
    status.node_info = Some(NodeSystemInfo {
        architecture: architecture().to_owned(),
        container_runtime_version: concat!("meshy://", env!("CARGO_PKG_VERSION")).to_owned(),
        kernel_version: "none".to_owned(),
        kubelet_version: format!("v{}.0", crate::KUBERNETES_VERSION),
        operating_system: "linux".to_owned(),
        os_image: "meshy embedded cluster".to_owned(),
        ..NodeSystemInfo::default()
    });
    let message = "pods run as tasks of the meshy process";
    condition::set(&mut status.conditions, "Ready", true, "KubeletReady", message);
}

/// Returns the architecture of the machine as image platforms name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
