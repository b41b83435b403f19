//! The addresses of the pod network.

use std::net::{IpAddr, Ipv4Addr};

/// Pods have addresses in 10.244.0.0/16, as with kubeadm and kind.
pub(super) const POD_RANGE: [u8; 2] = [10, 244];
/// The address of the node on the pod network: the source of probes and port-forwards.
pub(crate) const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// The first two bytes of the addresses of Services; the API server allocates them.
const SERVICE_RANGE: [u8; 2] = [10, 96];

/// Whether an address belongs to the pods, the Services or the node.
pub(crate) fn is_cluster_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            [POD_RANGE, SERVICE_RANGE].contains(&[a, b]) || address.is_loopback()
        }
        IpAddr::V6(address) => address.is_loopback(),
    }
}
