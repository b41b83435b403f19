//! The cluster network: addresses and names that exist only inside the process.
//!
//! ```text
//!   pod 10.244.0.7 ── connect 10.96.3.1:80 ──► Fabric ──► Service table ──► 10.244.0.9:9090
//!        │                                                                       │
//!        └─ outbound redirect (meshed) ──► proxy           inbound redirect (meshed) ──► proxy
//! ```
//!
//! Streams are in-memory pipes, so any number of pods can listen on port 9090. Only [`host`] opens sockets of the
//! machine. A server in the process responds for a documentation network outside of the cluster.

mod address;
mod fabric;
pub(crate) mod host;
mod names;
mod outside;
mod pod;
mod services;
#[cfg(test)]
mod tests;

pub(crate) use address::{NODE_ADDRESS, is_cluster_address};
pub use fabric::Fabric;
pub(crate) use fabric::{RedirectHandler, RedirectedStream};
pub(crate) use names::service_candidates;
pub use pod::PodNetwork;
pub(crate) use services::{ServiceEntry, ServicePort};
