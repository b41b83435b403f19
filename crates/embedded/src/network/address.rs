//! The addresses of the pod network.

use std::net::Ipv4Addr;

/// Pods have addresses in 10.244.0.0/16, as with kubeadm and kind.
pub(super) const POD_RANGE: [u8; 2] = [10, 244];
/// The address of the node on the pod network: the source of probes and port-forwards.
pub(crate) const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
