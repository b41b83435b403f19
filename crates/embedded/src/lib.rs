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

mod api;
mod backend;
mod built_in;
mod cluster;
mod controllers;
mod ingress;
mod mesh;
pub mod network;
mod node;
mod object;
mod topology;

/// Marks what is part of the embedded cluster itself and only shows as an object.
pub const BUILT_IN_ANNOTATION: &str = "meshy.dev/built-in";
/// The version of Kubernetes that the API speaks.
pub(crate) const KUBERNETES: &str = "1.35";

pub use cluster::{Cluster, Error, Options};
