//! The ingress: Ingresses of class `nginx`, served by a pod like any other.
//!
//! ```text
//!   127.0.0.1:80 ─ door ─► the ingress pod's port 80 ─ server ─ rules ─► an endpoint of the rule's Service
//!                                                        │
//!                                                        └─ meshed: l5d-dst-override names the Service
//! ```

pub(crate) mod door;
mod forward;
mod rules;
mod server;
pub(crate) mod status;

pub(crate) use server::run;

/// The class of Ingresses that are served, and the controller's name in its class object.
pub(crate) const CLASS: &str = "nginx";
/// The namespace of the controller.
pub(crate) const NAMESPACE: &str = "ingress-nginx";
/// The Deployment and the Service of the controller.
pub(crate) const CONTROLLER: &str = "ingress-nginx-controller";
