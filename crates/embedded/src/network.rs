//! The cluster's network: addresses and names that exist only inside the process.
//!
//! ```text
//!   pod 10.244.0.7 ── connect 10.96.3.1:80 ──► Fabric ──► service table ──► 10.244.0.9:9090
//!        │                                                                      │
//!        └─ outbound redirect (meshed) ──► proxy          inbound redirect (meshed) ──► proxy
//! ```
//!
//! Streams are in-memory pipes, so twenty pods may all listen on port 9090. The machine's own sockets appear in
//! [`outside`] alone.

mod fabric;
mod names;
pub mod outside;
mod pod;
mod services;

pub use fabric::{Fabric, Redirect, Redirected};
pub(crate) use names::candidates;
pub use pod::PodNetwork;
pub use services::{ServiceEntry, ServicePort};

use std::net::Ipv4Addr;

/// Pods live in 10.244.0.0/16, as with kubeadm and KinD.
pub const POD_RANGE: [u8; 2] = [10, 244];
/// Services live in 10.96.0.0/16, as with kubeadm and KinD.
pub const SERVICE_RANGE: [u8; 2] = [10, 96];
/// The node's own address on the pod network: where probes and port-forwards come from.
pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// The suffix of every service's full name.
pub const SERVICE_DOMAIN: &str = "svc.cluster.local";
