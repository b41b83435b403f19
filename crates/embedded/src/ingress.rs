//! The ingress controller: serves the Ingresses of class `nginx`, as a pod like any other.
//!
//! ```text
//!   127.0.0.1:80 ─ host_port ─► port 80 of the pod ─ controller ─ rules ─► an endpoint of the Service of the rule
//!                                                         │
//!                                                         └─ meshed: l5d-dst-override names the Service
//! ```

mod body;
mod connection;
mod connections;
mod controller;
mod forward;
pub(crate) mod host_port;
mod names;
mod rules;
pub(crate) mod status;

pub(crate) use controller::IngressProgram;
pub(crate) use names::{CLASS, CONTROLLER, NAMESPACE};
