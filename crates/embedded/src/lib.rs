//! A small Kubernetes cluster in this process: API, controllers, node, ingress and mesh.
//!
//! ```text
//!   Cluster ─┬─ API server      (crates/apiserver)
//!            ├─ controllers     Deployments, ReplicaSets, endpoints, namespaces, garbage collection
//!            ├─ node            pods as tasks
//!            ├─ ingress         127.0.0.1:80 → pods
//!            └─ mesh            ServiceProfiles, routes, Services → crates/dataplane
//! ```
//!
//! It implements the parts of Kubernetes and Linkerd that the lab needs; `docs/embedded.md` lists the differences.

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

mod api;
mod backend;
mod built_in;
mod cluster;
mod condition;
mod controllers;
mod events;
mod ingress;
mod logs;
mod memory;
mod mesh;
mod network;
mod node;
mod object;
mod pods;
mod program;
mod programs;
mod service_table;
mod task;

/// The Kubernetes version that the API and the node report.
pub(crate) const KUBERNETES_VERSION: &str = "1.35";

pub use cluster::{Cluster, Error, Options};
pub use meshy_dataplane::{ParseLogLevelError, parse_log_level};
pub use network::{Fabric, PodNetwork};
pub use programs::{LocalProgram, NO_SERVICE_REWRITTEN, PROGRAM_EVENTS, Supervisor, has_program};
