//! A small Kubernetes cluster in the process: API, controllers, node, ingress and mesh.
//!
//! ```text
//!   Cluster ─┬─ API server      (crates/apiserver)
//!            ├─ controllers     deployments, replica sets, endpoints, namespaces, garbage
//!            ├─ node            pods of the test service as tasks
//!            ├─ ingress         127.0.0.1:80 → pods
//!            └─ translator      profiles, routes, services → crates/dataplane
//! ```
//!
//! It stands in for Kubernetes and Linkerd and is neither: what it runs is what the experiment needs.

mod cluster;
pub mod network;

pub use cluster::{Cluster, Error, Options};
